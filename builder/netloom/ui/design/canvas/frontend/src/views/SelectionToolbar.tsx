// What can be done with the selection as a whole: make a network of it, open one, or unpack it.
import { memo, useEffect, useRef } from "react";
import { freeName, standsFor } from "../core/networks";
import { useShared, useSlice, useUi } from "./context";
import { Icon, type IconName } from "./icons";

export const Actions = memo(() => {
  const { engine, commands } = useShared();
  const picked = useUi((state) => state.picked);
  const ids = picked ? picked.split(" ") : [];
  const only = ids.length === 1 ? ids[0] : undefined;
  const inside = useSlice("graph", () => (only ? standsFor(engine.graph.nodes[only]) : null));
  const naming = useUi((state) => state.naming);
  if (naming) return <Naming nodes={naming} />;
  if (!ids.length) return null;
  return (
    <div className="nl-actions" role="toolbar" aria-label="Selection">
      {only && (
        <Action name="about" icon="info" text="Layer help" title="Show layer help (I)" run={() => commands.tidy.aboutNode(only)} />
      )}
      {inside && <Action name="open" icon="enter" text={`Open ${inside}`} title="Open (Enter)" run={commands.enter} />}
      {inside && <Action name="unpack" icon="unpack" text="Ungroup" title="Ungroup (Ctrl + Shift + G)" run={commands.unpack} />}
      {ids.length > 1 && <Action name="frame" icon="frame" text="Frame" title="Add a frame (G)" run={commands.tidy.frame} />}
      {ids.length > 1 && (
        <Action name="group" icon="group" text={`Group ${ids.length} layers`} title="Create subnetwork (Ctrl + G)" run={commands.askName} />
      )}
    </div>
  );
});

const Action = (props: { name: string; icon: IconName; text: string; title: string; run: () => void }) => (
  <button
    data-action={props.name}
    title={props.title}
    onMouseDown={(event) => event.preventDefault()}
    onClick={props.run}
  >
    <Icon name={props.icon} />
    {props.text}
  </button>
);

function Naming({ nodes }: { nodes: string[] }) {
  const { engine, commands, ui } = useShared();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    input.current?.focus({ preventScroll: true });
    input.current?.select();
  }, []);
  const close = () => {
    ui.set({ naming: null });
    commands.stage.focus();
  };
  const finish = () => {
    commands.group(nodes, input.current?.value ?? "");
    close();
  };
  return (
    <div
      className="nl-actions"
      role="dialog"
      aria-label="Name of the new network"
      data-naming
      onBlur={(event) => event.currentTarget.contains(event.relatedTarget) || ui.set({ naming: null })}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") finish();
        if (event.key === "Escape") close();
        if (event.key === "Enter") event.preventDefault(); // or the button would be pressed as well
      }}
    >
      <label>
        Name
        <input ref={input} defaultValue={freeName(engine.data.networks, "block")} maxLength={64} />
      </label>
      <button className="nl-go" data-action="make-group" onClick={finish}>
        Create subnetwork
      </button>
    </div>
  );
}

// The actions on the selection: layer help, frame, grouping, and opening or ungrouping a subnetwork.
import { memo, useEffect, useRef } from "react";
import { unusedName, subnetworkOf } from "../core/networks";
import { useCanvas, useDocument, useUiState } from "./context";
import { Icon, type IconName } from "./icons";

export const SelectionToolbar = memo(() => {
  const { store, commands } = useCanvas();
  const selectedLayers = useUiState((state) => state.selectedLayers);
  const ids = selectedLayers ? selectedLayers.split(" ") : [];
  const singleId = ids.length === 1 ? ids[0] : undefined;
  const subnetwork = useDocument("graph", () => (singleId ? subnetworkOf(store.graph.nodes[singleId]) : null));
  const nodesToGroup = useUiState((state) => state.nodesToGroup);
  if (nodesToGroup) return <GroupNameForm nodes={nodesToGroup} />;
  if (!ids.length) return null;
  return (
    <div className="nl-selection-toolbar" role="toolbar" aria-label="Selection">
      {singleId && (
        <ToolbarButton
          name="about"
          icon="info"
          text="Layer help"
          title="Show layer help (I)"
          run={() => commands.selection.showNodeHelp(singleId)}
        />
      )}
      {subnetwork && (
        <ToolbarButton
          name="open"
          icon="enter"
          text={`Open ${subnetwork}`}
          title="Open (Enter)"
          run={commands.openSelected}
        />
      )}
      {subnetwork && (
        <ToolbarButton
          name="unpack"
          icon="unpack"
          text="Ungroup"
          title="Ungroup (Ctrl + Shift + G)"
          run={commands.ungroup}
        />
      )}
      {ids.length > 1 && (
        <ToolbarButton
          name="frame"
          icon="frame"
          text="Frame"
          title="Add a frame (G)"
          run={commands.selection.addFrame}
        />
      )}
      {ids.length > 1 && (
        <ToolbarButton
          name="group"
          icon="group"
          text={`Group ${ids.length} layers`}
          title="Create subnetwork (Ctrl + G)"
          run={commands.startGrouping}
        />
      )}
    </div>
  );
});

const ToolbarButton = (props: { name: string; icon: IconName; text: string; title: string; run: () => void }) => (
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

function GroupNameForm({ nodes }: { nodes: string[] }) {
  const { store, commands, ui } = useCanvas();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    input.current?.focus({ preventScroll: true });
    input.current?.select();
  }, []);
  const close = () => {
    ui.update({ nodesToGroup: null });
    commands.view.focus();
  };
  const submit = () => {
    commands.group(nodes, input.current?.value ?? "");
    close();
  };
  return (
    <div
      className="nl-selection-toolbar"
      role="dialog"
      aria-label="Name of the new network"
      data-naming
      onBlur={(event) => event.currentTarget.contains(event.relatedTarget) || ui.update({ nodesToGroup: null })}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") submit();
        if (event.key === "Escape") close();
        if (event.key === "Enter") event.preventDefault(); // otherwise the key would also press the button
      }}
    >
      <label>
        Name
        <input ref={input} defaultValue={unusedName(store.data.networks, "block")} maxLength={64} />
      </label>
      <button className="nl-submit" data-action="make-group" onClick={submit}>
        Create subnetwork
      </button>
    </div>
  );
}

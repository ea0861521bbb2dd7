// The networks of the project, one tab each, and the way back out of one that was opened from its node.
import { memo, useEffect, useRef, useState } from "react";
import { Actions } from "./SelectionToolbar";
import { useShared, useSlice, useUi } from "./context";
import { Icon } from "./icons";

type Tab = { name: string; main: boolean; used: boolean; wrong: boolean };

export const Tabs = memo(() => {
  const { commands } = useShared();
  const shown = useSlice("graph", (engine) => engine.network);
  const trail = useUi((state) => state.trail);
  const tabs = useSlice("derived", ({ data }): Tab[] => {
    const errors = data.derived.issues.filter((issue) => issue.severity === "error");
    return data.networks.map(({ name, used }) => {
      // An empty network is where everybody starts.
      const begun = name !== data.main || data.derived.totals.layers > 0;
      const wrong = begun && errors.some((issue) => issue.network === name);
      return { name, used, wrong, main: name === data.main };
    });
  });
  const from = [...trail].reverse().find((name) => name !== shown && tabs.some((tab) => tab.name === name));
  return (
    <div className="nl-tabs" data-tabs>
      <div className="nl-tab-list" role="tablist" aria-label="Networks">
        {tabs.map((tab) => (
          <NetworkTab key={tab.name} tab={tab} current={tab.name === shown} />
        ))}
      </div>
      <button
        className="nl-tab-add"
        data-action="new-network"
        title="New network"
        aria-label="New network"
        onMouseDown={(event) => event.preventDefault()}
        onClick={commands.newNetwork}
      >
        <Icon name="plus" />
      </button>
      {from && (
        <button className="nl-back" data-action="back" title={`Back to ${from} (U)`} aria-label={`Back to ${from}`} onClick={commands.back}>
          <Icon name="back" />
        </button>
      )}
      <Actions />
    </div>
  );
});

function NetworkTab({ tab, current }: { tab: Tab; current: boolean }) {
  const { commands } = useShared();
  const [writing, setWriting] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (current) void box.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [current]);
  const said = tab.main ? "The main network is the one that is trained" : tab.used ? "Used in another network" : "";
  return (
    <div ref={box} className={`nl-tab${current ? " current" : ""}${tab.wrong ? " wrong" : ""}`} data-tab={tab.name}>
      {writing ? (
        <NameInput
          name={tab.name}
          onDone={(name) => {
            setWriting(false);
            commands.renameNetwork(tab.name, name);
          }}
        />
      ) : (
        <button
          role="tab"
          aria-selected={current}
          className="nl-tab-name"
          title={[said, "Double-click to rename"].filter(Boolean).join(". ")}
          onClick={() => commands.openNetwork(tab.name, current ? commands.stage.ui.state.trail : [])}
          onDoubleClick={() => setWriting(true)}
          onKeyDown={(event) => {
            if (event.key === "F2") setWriting(true);
            if (event.key === "F2" || event.key === "Enter") event.stopPropagation();
          }}
        >
          {tab.name}
          {tab.wrong && <i className="nl-dot" title="This network has errors" />}
        </button>
      )}
      {!tab.main && !tab.used && !writing && (
        <button
          className="nl-tab-close"
          data-action="delete-network"
          title={`Delete ${tab.name}`}
          aria-label={`Delete ${tab.name}`}
          onMouseDown={(event) => event.preventDefault()}
          onClick={() => commands.deleteNetwork(tab.name)}
        >
          ×
        </button>
      )}
    </div>
  );
}

/** A field for a name. `onDone` gets the old one where writing was given up. */
export function NameInput({ name, onDone }: { name: string; onDone: (name: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  useEffect(() => {
    input.current?.focus({ preventScroll: true });
    input.current?.select();
  }, []);
  const finish = (keep: boolean) => {
    if (done.current) return; // the field loses the focus when it goes
    done.current = true;
    onDone(keep ? (input.current?.value ?? name) : name);
  };
  return (
    <input
      ref={input}
      className="nl-tab-input"
      defaultValue={name}
      aria-label="Name of the network"
      maxLength={64}
      size={Math.max(8, name.length)}
      onBlur={() => finish(true)}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") finish(true);
        if (event.key === "Escape") finish(false);
      }}
    />
  );
}

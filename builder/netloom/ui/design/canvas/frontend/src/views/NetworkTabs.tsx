// A tab for each network of the project, and a button back from a network that was opened from its node.
import { memo, useEffect, useRef, useState } from "react";
import { SelectionToolbar } from "./SelectionToolbar";
import { useCanvas, useDocument, useUiState } from "./context";
import { Icon } from "./icons";

type Tab = { name: string; isMain: boolean; isUsed: boolean; hasErrors: boolean };

export const NetworkTabs = memo(() => {
  const { commands } = useCanvas();
  const network = useDocument("graph", (store) => store.network);
  const breadcrumbs = useUiState((state) => state.breadcrumbs);
  const tabs = useDocument("derived", ({ data }): Tab[] => {
    const errors = data.derived.issues.filter((issue) => issue.severity === "error");
    return data.networks.map(({ name, used: isUsed }) => {
      // An empty main network is the initial state and not an error.
      const isStarted = name !== data.main || data.derived.totals.layers > 0;
      const hasErrors = isStarted && errors.some((issue) => issue.network === name);
      return { name, isUsed, hasErrors, isMain: name === data.main };
    });
  });
  const previous = [...breadcrumbs].reverse().find((name) => name !== network && tabs.some((tab) => tab.name === name));
  return (
    <div className="nl-tabs" data-tabs>
      <div className="nl-tab-list" role="tablist" aria-label="Networks">
        {tabs.map((tab) => (
          <NetworkTab key={tab.name} tab={tab} isCurrent={tab.name === network} />
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
      {previous && (
        <button
          className="nl-back"
          data-action="back"
          title={`Back to ${previous} (U)`}
          aria-label={`Back to ${previous}`}
          onClick={commands.goBack}
        >
          <Icon name="back" />
        </button>
      )}
      <SelectionToolbar />
    </div>
  );
});

function NetworkTab({ tab, isCurrent }: { tab: Tab; isCurrent: boolean }) {
  const { commands } = useCanvas();
  const [isRenaming, setIsRenaming] = useState(false);
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (isCurrent) void element.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [isCurrent]);
  const description = tab.isMain ? "The main network, which is trained" : tab.isUsed ? "Used in another network" : "";
  return (
    <div
      ref={element}
      className={`nl-tab${isCurrent ? " current" : ""}${tab.hasErrors ? " has-errors" : ""}`}
      data-tab={tab.name}
    >
      {isRenaming ? (
        <NameInput
          name={tab.name}
          onDone={(name) => {
            setIsRenaming(false);
            commands.renameNetwork(tab.name, name);
          }}
        />
      ) : (
        <button
          role="tab"
          aria-selected={isCurrent}
          className="nl-tab-name"
          title={[description, "Double-click to rename"].filter(Boolean).join(". ")}
          onClick={() => commands.openNetwork(tab.name, isCurrent ? commands.view.ui.state.breadcrumbs : [])}
          onDoubleClick={() => setIsRenaming(true)}
          onKeyDown={(event) => {
            if (event.key === "F2") setIsRenaming(true);
            if (event.key === "F2" || event.key === "Enter") event.stopPropagation();
          }}
        >
          {tab.name}
          {tab.hasErrors && <i className="nl-dot" title="This network has errors" />}
        </button>
      )}
      {!tab.isMain && !tab.isUsed && !isRenaming && (
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

/** An input for a name. `onDone` receives the old name if users cancel. */
export function NameInput({ name, onDone }: { name: string; onDone: (name: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const isDone = useRef(false);
  useEffect(() => {
    input.current?.focus({ preventScroll: true });
    input.current?.select();
  }, []);
  const finish = (isConfirmed: boolean) => {
    if (isDone.current) return; // the input is blurred again when it unmounts
    isDone.current = true;
    onDone(isConfirmed ? (input.current?.value ?? name) : name);
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

// The header: tools, totals, issues and the save status.
import { memo } from "react";
import { formatBytes, formatCount } from "../core/format";
import { useCanvas, useDocument, useUiState } from "./context";
import { Icon, type IconName } from "./icons";
import { IssueText } from "./LayerNode";

type Tool = { name: string; icon: IconName; title: string; run: () => void; disabled?: boolean; pressed?: boolean };

export const Header = memo(() => (
  <div className="nl-header">
    <Tools />
    <Totals />
    <IssuesButton />
    <SaveStatus />
  </div>
));

function Tools() {
  const { commands } = useCanvas();
  const canUndo = useDocument("status", (store) => store.data.can_undo);
  const canRedo = useDocument("status", (store) => store.data.can_redo);
  const isBoxSelecting = useUiState((state) => state.isBoxSelecting);
  const isMapVisible = useUiState((state) => state.isMapVisible);
  const isDrawerOpen = useUiState((state) => state.isDrawerOpen);
  const isHelpOpen = useUiState((state) => state.panel === "keyboardHelp");
  const tools: Tool[] = [
    { name: "palette", icon: "layers", title: "Layers", run: commands.toggleDrawer, pressed: isDrawerOpen },
    { name: "undo", icon: "undo", title: "Undo (Ctrl + Z)", run: commands.undo, disabled: !canUndo },
    { name: "redo", icon: "redo", title: "Redo (Ctrl + Shift + Z)", run: commands.redo, disabled: !canRedo },
    { name: "add", icon: "plus", title: "Add a layer (A)", run: commands.openAddMenuAtSelection },
    { name: "layout", icon: "layout", title: "Arrange (L)", run: () => void commands.applyLayout() },
    { name: "fit", icon: "fit", title: "Fit view (F)", run: commands.fit },
    {
      name: "select",
      icon: "select",
      title: "Box selection",
      run: commands.toggleBoxSelection,
      pressed: isBoxSelecting,
    },
    { name: "note", icon: "note", title: "Add a note (N)", run: commands.addNote },
    { name: "menu", icon: "more", title: "More actions (Shift + F10)", run: commands.openCanvasMenu },
    { name: "map", icon: "map", title: "Minimap (M)", run: commands.toggleMap, pressed: isMapVisible },
    {
      name: "help",
      icon: "help",
      title: "Keyboard shortcuts (?)",
      run: () => commands.togglePanel("keyboardHelp"),
      pressed: isHelpOpen,
    },
  ];
  // A click keeps the focus on the canvas, which receives the keys. Buttons use aria-disabled, because a button with
  // the disabled attribute loses the focus, and the canvas would receive no keys.
  return (
    <div
      className="nl-tools"
      role="toolbar"
      aria-label="Canvas"
      onMouseDown={(event) => {
        event.preventDefault();
        commands.view.focus();
      }}
    >
      {tools.map((tool) => (
        <button
          key={tool.name}
          className="nl-tool"
          data-action={tool.name}
          title={tool.title}
          aria-label={tool.title}
          aria-pressed={tool.pressed}
          aria-disabled={tool.disabled}
          onClick={() => !tool.disabled && tool.run()}
        >
          <Icon name={tool.icon} />
        </button>
      ))}
    </div>
  );
}

function Totals() {
  const totals = useDocument("derived", (store) => store.data.derived.totals);
  if (!totals.layers) return <div className="nl-totals" />;
  return (
    <div className="nl-totals" data-totals>
      <span title={`${totals.parameters.toLocaleString("en")} parameters`}>
        <b>{formatCount(totals.parameters)}</b> param<i>eter</i>s
      </span>
      <span title="Floating-point operations of one forward pass">
        <b>{formatCount(totals.flops)}</b> FLOPs<i> per example</i>
      </span>
      <span title="Training memory: weights, gradients, Adam moments and activations of one batch">
        <b>{formatBytes(totals.memory_bytes)}</b>
        <i> training memory</i>
      </span>
    </div>
  );
}

function IssuesButton() {
  const { commands } = useCanvas();
  // An empty network is the initial state and not an issue.
  const isEmpty = useDocument(
    "graph",
    (store) => store.network === store.data.main && !Object.keys(store.graph.nodes).length,
  );
  const derived = useDocument("derived", (store) => store.data.derived.issues);
  const issues = isEmpty ? [] : derived;
  const isOpen = useUiState((state) => state.panel === "issues");
  const worst = isEmpty ? "" : (issues[0]?.severity ?? "ok");
  const errors = issues.filter((issue) => issue.severity === "error").length;
  const hasData = useDocument("derived", (store) => store.data.derived.data);
  const okText = hasData ? "Ready to train" : "No problems, no data yet";
  const text = isEmpty
    ? "No layers yet"
    : !issues.length
      ? okText
      : errors
        ? plural(errors, "problem")
        : plural(issues.length, "warning");
  return (
    <div className="nl-issues-status">
      <button
        className={`nl-issues-button ${worst}`}
        data-action="issues"
        aria-expanded={isOpen}
        disabled={!issues.length}
        onClick={() => commands.togglePanel("issues")}
      >
        {text}
      </button>
      {isOpen && issues.length > 0 && (
        <div className="nl-popover nl-issues" role="dialog" aria-label="Problems" data-issues>
          {issues.map((issue, index) => (
            <div key={index} className={issue.node ? "nl-issue-row linked" : "nl-issue-row"}>
              <IssueText issue={issue} onShow={commands.showIssue} />
            </div>
          ))}
        </div>
      )}
    </div>
  );
}

const plural = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;

function SaveStatus() {
  const isSaved = useDocument("status", (store) => store.data.saved && !store.pending.length);
  return (
    <span className={`nl-save-status${isSaved ? "" : " pending"}`} data-saved={isSaved} role="status">
      {isSaved ? "Saved" : "Saving…"}
    </span>
  );
}

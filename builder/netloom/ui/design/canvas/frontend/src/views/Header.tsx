import { memo } from "react";
import { bytes, count } from "../core/format";
import { useShared, useSlice, useUi } from "./context";
import { Icon, type IconName } from "./icons";
import { IssueText } from "./LayerNode";

type Tool = { name: string; icon: IconName; title: string; run: () => void; disabled?: boolean; pressed?: boolean };

export const Header = memo(() => (
  <div className="nl-header">
    <Tools />
    <Totals />
    <Problems />
    <Saved />
  </div>
));

function Tools() {
  const { commands } = useShared();
  const undo = useSlice("status", (engine) => engine.data.can_undo);
  const redo = useSlice("status", (engine) => engine.data.can_redo);
  const boxing = useUi((state) => state.boxing);
  const map = useUi((state) => state.map);
  const drawer = useUi((state) => state.drawer);
  const help = useUi((state) => state.panel === "help");
  const tools: Tool[] = [
    { name: "palette", icon: "layers", title: "Layers", run: commands.toggleDrawer, pressed: drawer },
    { name: "undo", icon: "undo", title: "Undo (Ctrl + Z)", run: commands.undo, disabled: !undo },
    { name: "redo", icon: "redo", title: "Redo (Ctrl + Shift + Z)", run: commands.redo, disabled: !redo },
    { name: "add", icon: "plus", title: "Add a layer (A)", run: commands.openAddHere },
    { name: "layout", icon: "layout", title: "Arrange (L)", run: () => void commands.arrange() },
    { name: "fit", icon: "fit", title: "Fit into view (F)", run: commands.fit },
    { name: "select", icon: "select", title: "Select with a box", run: commands.toggleBoxing, pressed: boxing },
    { name: "note", icon: "note", title: "Add a note (N)", run: commands.addNote },
    { name: "menu", icon: "more", title: "More (Shift + F10)", run: commands.openCanvasMenu },
    { name: "map", icon: "map", title: "Map (M)", run: commands.toggleMap, pressed: map },
    { name: "help", icon: "help", title: "Keyboard (?)", run: () => commands.toggle("help"), pressed: help },
  ];
  // The pointer leaves the focus on the canvas, where the keys work. A button that is disabled says so without the
  // attribute of that name, as that would take the focus, and with it all keys.
  return (
    <div
      className="nl-tools"
      role="toolbar"
      aria-label="Canvas"
      onMouseDown={(event) => {
        event.preventDefault();
        commands.stage.focus();
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
  const totals = useSlice("derived", (engine) => engine.data.derived.totals);
  if (!totals.layers) return <div className="nl-totals" />;
  return (
    <div className="nl-totals" data-totals>
      <span title={`${totals.parameters.toLocaleString("en")} parameters`}>
        <b>{count(totals.parameters)}</b> param<i>eter</i>s
      </span>
      <span title="Multiplications and additions of one forward pass">
        <b>{count(totals.flops)}</b> FLOPs<i> per example</i>
      </span>
      <span title="Training memory: weights, gradients, Adam moments and activations of one batch">
        <b>{bytes(totals.memory_bytes)}</b><i> training memory</i>
      </span>
    </div>
  );
}

function Problems() {
  const { commands } = useShared();
  // An empty network is where everybody starts, and not a problem.
  const empty = useSlice("graph", (engine) => engine.network === engine.data.main && !Object.keys(engine.graph.nodes).length);
  const derived = useSlice("derived", (engine) => engine.data.derived.issues);
  const issues = empty ? [] : derived;
  const open = useUi((state) => state.panel === "issues");
  const worst = empty ? "" : (issues[0]?.severity ?? "fine");
  const errors = issues.filter((issue) => issue.severity === "error").length;
  const data = useSlice("derived", (engine) => engine.data.derived.data);
  const fine = data ? "Ready to train" : "No problems, no data yet";
  const text = empty ? "No layers yet" : !issues.length ? fine : errors ? plural(errors, "problem") : plural(issues.length, "warning");
  return (
    <div className="nl-problems">
      <button
        className={`nl-pill ${worst}`}
        data-action="issues"
        aria-expanded={open}
        disabled={!issues.length}
        onClick={() => commands.toggle("issues")}
      >
        {text}
      </button>
      {open && issues.length > 0 && (
        <div className="nl-popover nl-issues" role="dialog" aria-label="Problems" data-issues>
          {issues.map((issue, place) => (
            <div key={place} className={issue.node ? "nl-issue-row linked" : "nl-issue-row"}>
              <IssueText issue={issue} onShow={commands.showIssue} />
            </div>
          ))}
        </div>
      )}
    </div>
  );
}

const plural = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;

function Saved() {
  const saved = useSlice("status", (engine) => engine.data.saved && !engine.pending.length);
  return (
    <span className={`nl-saved${saved ? "" : " pending"}`} data-saved={saved} role="status">
      {saved ? "Saved" : "Saving…"}
    </span>
  );
}

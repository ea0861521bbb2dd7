import { useState } from "react";
import { bytes, count } from "../core/format";
import { useShared, useSlice } from "./context";
import { Icon, type IconName } from "./icons";
import { IssueText } from "./LayerNode";

export type Tool = { name: string; icon: IconName; title: string; run: () => void; disabled?: boolean; pressed?: boolean };

export function Header({ tools }: { tools: Tool[] }) {
  return (
    <div className="nl-header">
      <div className="nl-tools" role="toolbar" aria-label="Canvas">
        {tools.map((tool) => (
          <button
            key={tool.name}
            className="nl-tool"
            data-action={tool.name}
            title={tool.title}
            aria-label={tool.title}
            aria-pressed={tool.pressed}
            disabled={tool.disabled}
            onClick={tool.run}
          >
            <Icon name={tool.icon} />
          </button>
        ))}
      </div>
      <Totals />
      <Problems />
      <Saved />
    </div>
  );
}

function Totals() {
  const { engine } = useShared();
  const totals = useSlice("derived", () => engine.data.derived.totals);
  if (!totals.layers) return <div className="nl-totals" />;
  return (
    <div className="nl-totals" data-totals>
      <span title={`${totals.parameters.toLocaleString("en")} parameters`}>
        <b>{count(totals.parameters)}</b> parameters
      </span>
      <span title="Multiplications and additions of one forward pass">
        <b>{count(totals.flops)}</b> FLOPs per example
      </span>
      <span title="Weights, gradients, Adam's moments, and what a batch keeps for the backward pass">
        <b>{bytes(totals.memory_bytes)}</b> to train
      </span>
    </div>
  );
}

function Problems() {
  const { engine, actions } = useShared();
  const issues = useSlice("derived", () => engine.data.derived.issues);
  const [open, setOpen] = useState(false);
  const worst = issues[0]?.severity ?? "fine";
  const errors = issues.filter((issue) => issue.severity === "error").length;
  const text = !issues.length ? "Ready to train" : errors ? plural(errors, "problem") : plural(issues.length, "remark");
  return (
    <div className="nl-problems">
      <button
        className={`nl-pill ${worst}`}
        data-action="issues"
        aria-expanded={open}
        disabled={!issues.length}
        onClick={() => setOpen(!open)}
      >
        {text}
      </button>
      {open && issues.length > 0 && (
        <div className="nl-popover nl-issues" role="dialog" aria-label="Problems" data-issues>
          {issues.map((issue, place) => (
            <div
              key={place}
              className={issue.node ? "nl-issue-row linked" : "nl-issue-row"}
              onClick={() => issue.node && actions.show(issue.node)}
            >
              <IssueText issue={issue} />
            </div>
          ))}
        </div>
      )}
    </div>
  );
}

const plural = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;

function Saved() {
  const { engine } = useShared();
  const saved = useSlice("status", () => engine.data.saved && !engine.pending.length);
  return (
    <span className={`nl-saved${saved ? "" : " pending"}`} data-saved={saved} role="status">
      {saved ? "Saved" : "Saving…"}
    </span>
  );
}

import { Handle, Position, useStoreApi, useUpdateNodeInternals, type NodeProps } from "@xyflow/react";
import { memo, useEffect, useRef, useState } from "react";
import { count } from "../core/format";
import { standsFor } from "../core/networks";
import { mayJoin, type End } from "../core/connectionRules";
import type { Issue, Port } from "../core/generated";
import { useShared, useSlice, useUi } from "./context";
import { Icon } from "./icons";
import type { LayerFlowNode } from "./flowElements";

export const LayerNode = memo((props: NodeProps<LayerFlowNode>) =>
  useUi((state) => state.plain) ? <PlainNode {...props} /> : <WholeNode {...props} />,
);

/** One of very many, seen from afar: its colour and where it is, as nothing else could be read. */
function PlainNode({ id, data: { record }, selected }: NodeProps<LayerFlowNode>) {
  const { engine } = useShared();
  const worst = useSlice("derived", () => engine.issuesOf(id)[0]?.severity ?? "");
  const layer = engine.layerOf(record);
  return (
    <div
      className={`nl-plain${selected ? " selected" : ""} ${worst}`}
      style={{ "--c": layer?.color ?? "#888" } as React.CSSProperties}
      data-node={id}
      title={record.title || layer?.title || id}
    />
  );
}

function WholeNode({ id, data: { record }, selected }: NodeProps<LayerFlowNode>) {
  const { engine } = useShared();
  // Its ports may be other ones as soon as the network for which it stands is another.
  useSlice("derived", () => (standsFor(record) ? engine.layerOf(record) : null));
  const layer = engine.layerOf(record);
  const facts = useSlice("derived", (engine) => engine.data.derived.nodes[id] ?? null);
  const issues = useSlice("derived", (engine) => engine.issuesOf(id));
  const renaming = useUi((state) => state.editing === id);
  const worst = issues[0]?.severity;
  const inputs = facts?.inputs ?? layer?.inputs ?? [];
  const outputs = facts?.outputs ?? layer?.outputs ?? [];
  useMeasured(id, [...inputs, ...outputs].map((port) => port.name).join());
  const title = record.title || layer?.title || record.type;
  const summary = facts?.summary === title ? "" : facts?.summary;
  const network = !!standsFor(record);
  return (
    <div
      className={`nl-node${network ? " network" : ""}${selected ? " selected" : ""}${worst ? ` ${worst}` : ""}`}
      style={{ "--c": layer?.color ?? "#888" } as React.CSSProperties}
      data-node={id}
      title={`${id}${layer ? ` · ${layer.summary}` : ""}`}
    >
      <Ports id={id} ports={inputs} side="target" />
      <div className="nl-node-head">
        {renaming ? <TitleInput id={id} title={record.title} /> : <span className="nl-node-title">{title}</span>}
        {record.shares && <Icon name="link" title={`Shares weights with ${record.shares}`} />}
        {record.frozen && <Icon name="lock" />}
        {issues.length > 0 && <IssueBadge issues={issues} />}
      </div>
      {(summary || !!facts?.parameters) && (
        <div className="nl-node-facts">
          <span>{summary}</span>
          {!!facts?.parameters && (
            <span title={`${facts.parameters.toLocaleString("en")} parameters`}>{count(facts.parameters)}</span>
          )}
        </div>
      )}
      <Ports id={id} ports={outputs} side="source" />
    </div>
  );
}

/** React Flow measures where ports are once, and has to be told when there are others, as with a third input of Add;
 * also where a node came first as a plain one, which has none. */
function useMeasured(id: string, ports: string): void {
  const measure = useUpdateNodeInternals();
  const store = useStoreApi();
  const known = useRef(ports);
  useEffect(() => {
    const bounds = store.getState().nodeLookup.get(id)?.internals.handleBounds;
    const lacking = ports && bounds && !bounds.source?.length && !bounds.target?.length;
    if (known.current !== ports || lacking) measure(id);
    known.current = ports;
  }, [id, measure, ports, store]);
}

const Ports = ({ id, ports, side }: { id: string; ports: Port[]; side: End["side"] }) =>
  ports.map((port, place) => (
    <PortHandle key={port.name} id={id} port={port} side={side} left={(place + 1) / (ports.length + 1)} named={ports.length > 1} />
  ));

function PortHandle(props: { id: string; port: Port; side: End["side"]; left: number; named: boolean }) {
  const { id, port, side, left, named } = props;
  const { engine } = useShared();
  const end: End = { node: id, port: port.name, side };
  const state = useUi(({ connecting }) => (!connecting ? "" : mayJoin(engine, connecting, end) ? "fits" : "dim"));
  const percent = `${left * 100}%`;
  return (
    <>
      <Handle
        id={port.name}
        type={side}
        position={side === "target" ? Position.Top : Position.Bottom}
        style={{ left: percent }}
        className={`nl-port ${state}`}
        data-port={`${id}.${port.name}`}
        data-side={side}
        title={`${port.label ?? port.name}: ${port.kinds.join(" or ")}${port.doc ? ` · ${port.doc}` : ""}`}
      />
      {named && (
        <span className={`nl-port-name ${side}`} style={{ left: percent }}>
          {port.label ?? port.name}
        </span>
      )}
    </>
  );
}

function TitleInput({ id, title }: { id: string; title: string }) {
  const { commands } = useShared();
  const input = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  useEffect(() => {
    input.current?.select();
  }, []);
  const finish = (keep: boolean) => {
    if (done.current) return; // the field loses the focus when it goes
    done.current = true;
    const text = input.current?.value.trim().slice(0, 200) ?? "";
    if (keep && text !== title) commands.apply({ kind: "update", node: id, title: text });
    commands.stopEditing();
  };
  return (
    <input
      ref={input}
      className="nl-title-input nodrag"
      defaultValue={title}
      aria-label="Title"
      maxLength={200}
      onBlur={() => finish(true)}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Enter") finish(true);
        if (event.key === "Escape") finish(false);
      }}
    />
  );
}

const SIGNS = { error: "!", warning: "!", hint: "i" } as const;

function IssueBadge({ issues }: { issues: Issue[] }) {
  const [open, setOpen] = useState(false);
  const worst = issues[0]?.severity ?? "hint";
  return (
    <span
      className="nl-badge-box nodrag"
      onMouseEnter={() => setOpen(true)}
      onMouseLeave={() => setOpen(false)}
      onBlur={(event) => event.currentTarget.contains(event.relatedTarget) || setOpen(false)}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        setOpen(false);
      }}
    >
      <button
        className={`nl-badge ${worst}`}
        aria-label={`${issues.length} ${issues.length === 1 ? "problem" : "problems"}`}
        aria-expanded={open}
        onClick={(event) => {
          event.stopPropagation();
          setOpen(true);
        }}
      >
        {issues.length > 1 ? issues.length : SIGNS[worst]}
      </button>
      {open && (
        <div className="nl-popover nl-badge-popover nodrag nopan" role="dialog" aria-label="Problems">
          {issues.map((issue, place) => (
            <IssueText key={place} issue={issue} />
          ))}
        </div>
      )}
    </span>
  );
}

/** One problem, with its mend. In the list of all problems, a click on it shows the layer that has it. */
export function IssueText({ issue, onShow }: { issue: Issue; onShow?: (issue: Issue) => void }) {
  const { commands } = useShared();
  const { node, fix } = issue;
  const elsewhere = useSlice("graph", (engine) => engine.network !== issue.network);
  return (
    <div className={`nl-issue ${issue.severity}`} data-issue={issue.code} data-issue-node={node ?? undefined}>
      {onShow && (node || elsewhere) ? (
        <button className="nl-issue-link" data-action="show" onClick={() => onShow(issue)}>
          {elsewhere && <span className="nl-issue-network">{issue.network}</span>}
          {issue.message}
        </button>
      ) : (
        <div>{issue.message}</div>
      )}
      {fix && (
        <button
          className="nl-fix"
          data-action="fix"
          onClick={(event) => {
            event.stopPropagation();
            commands.fix(fix.edit);
          }}
        >
          {fix.title}
        </button>
      )}
    </div>
  );
}

// A layer on the canvas, with its ports, its parameters and its issues.
import { Handle, Position, useStoreApi, useUpdateNodeInternals, type NodeProps } from "@xyflow/react";
import { memo, useEffect, useRef, useState } from "react";
import { formatCount } from "../core/format";
import { subnetworkOf } from "../core/networks";
import { canConnectPorts, type PortRef } from "../core/connectionRules";
import type { Issue, Port } from "../core/generated";
import { useCanvas, useDocument, useUiState } from "./context";
import { Icon } from "./icons";
import type { LayerFlowNode } from "./flowElements";

export const LayerNode = memo((props: NodeProps<LayerFlowNode>) =>
  useUiState((state) => state.isSimplified) ? <SimplifiedNode {...props} /> : <DetailedNode {...props} />,
);

/** A layer of a large network that is zoomed out: only its position and color, because nothing else is readable. */
function SimplifiedNode({ id, data: { record }, selected }: NodeProps<LayerFlowNode>) {
  const { store } = useCanvas();
  const worst = useDocument("derived", () => store.issuesOf(id)[0]?.severity ?? "");
  const layer = store.layerTypeOf(record);
  return (
    <div
      className={`nl-simplified-node${selected ? " selected" : ""} ${worst}`}
      style={{ "--c": layer?.color ?? "#888" } as React.CSSProperties}
      data-node={id}
      title={record.title || layer?.title || id}
    />
  );
}

function DetailedNode({ id, data: { record }, selected }: NodeProps<LayerFlowNode>) {
  const { store } = useCanvas();
  // The ports of a subnetwork node change with its network.
  useDocument("derived", () => (subnetworkOf(record) ? store.layerTypeOf(record) : null));
  const layer = store.layerTypeOf(record);
  const facts = useDocument("derived", (store) => store.data.derived.nodes[id] ?? null);
  const issues = useDocument("derived", (store) => store.issuesOf(id));
  const isRenaming = useUiState((state) => state.editedId === id);
  const worst = issues[0]?.severity;
  const inputs = facts?.inputs ?? layer?.inputs ?? [];
  const outputs = facts?.outputs ?? layer?.outputs ?? [];
  usePortMeasurement(id, [...inputs, ...outputs].map((port) => port.name).join());
  const title = record.title || layer?.title || record.type;
  const summary = facts?.summary === title ? "" : facts?.summary;
  const isSubnetwork = !!subnetworkOf(record);
  return (
    <div
      className={`nl-node${isSubnetwork ? " network" : ""}${selected ? " selected" : ""}${worst ? ` ${worst}` : ""}`}
      style={{ "--c": layer?.color ?? "#888" } as React.CSSProperties}
      data-node={id}
      title={`${id}${layer ? ` · ${layer.summary}` : ""}`}
    >
      <Ports id={id} ports={inputs} side="target" />
      <div className="nl-node-head">
        {isRenaming ? <TitleInput id={id} title={record.title} /> : <span className="nl-node-title">{title}</span>}
        {record.shares && <Icon name="link" title={`Shares weights with ${record.shares}`} />}
        {record.frozen && <Icon name="lock" />}
        {issues.length > 0 && <IssueBadge issues={issues} />}
      </div>
      {(summary || !!facts?.parameters) && (
        <div className="nl-node-facts">
          <span>{summary}</span>
          {!!facts?.parameters && (
            <span title={`${facts.parameters.toLocaleString("en")} parameters`}>{formatCount(facts.parameters)}</span>
          )}
        </div>
      )}
      <Ports id={id} ports={outputs} side="source" />
    </div>
  );
}

/** React Flow measures handles once. This measures them again when they change, as with a third input of Add, and after
 * the node was simplified, when it had none. */
function usePortMeasurement(id: string, ports: string): void {
  const updateInternals = useUpdateNodeInternals();
  const flowStore = useStoreApi();
  const previousPorts = useRef(ports);
  useEffect(() => {
    const bounds = flowStore.getState().nodeLookup.get(id)?.internals.handleBounds;
    const hasNoHandles = ports && bounds && !bounds.source?.length && !bounds.target?.length;
    if (previousPorts.current !== ports || hasNoHandles) updateInternals(id);
    previousPorts.current = ports;
  }, [id, updateInternals, ports, flowStore]);
}

const Ports = ({ id, ports, side }: { id: string; ports: Port[]; side: PortRef["side"] }) =>
  ports.map((port, index) => (
    <PortHandle
      key={port.name}
      id={id}
      port={port}
      side={side}
      left={(index + 1) / (ports.length + 1)}
      showName={ports.length > 1}
    />
  ));

function PortHandle(props: { id: string; port: Port; side: PortRef["side"]; left: number; showName: boolean }) {
  const { id, port, side, left, showName } = props;
  const { store } = useCanvas();
  const end: PortRef = { node: id, port: port.name, side };
  const connectionState = useUiState(({ connectionStart }) => {
    if (!connectionStart) return "";
    return canConnectPorts(store, connectionStart, end) ? "compatible" : "incompatible";
  });
  const percent = `${left * 100}%`;
  return (
    <>
      <Handle
        id={port.name}
        type={side}
        position={side === "target" ? Position.Top : Position.Bottom}
        style={{ left: percent }}
        className={`nl-port ${connectionState}`}
        data-port={`${id}.${port.name}`}
        data-side={side}
        title={`${port.label ?? port.name}: ${port.kinds.join(" or ")}${port.doc ? ` · ${port.doc}` : ""}`}
      />
      {showName && (
        <span className={`nl-port-name ${side}`} style={{ left: percent }}>
          {port.label ?? port.name}
        </span>
      )}
    </>
  );
}

function TitleInput({ id, title }: { id: string; title: string }) {
  const { commands } = useCanvas();
  const input = useRef<HTMLInputElement>(null);
  const isDone = useRef(false);
  useEffect(() => {
    input.current?.select();
  }, []);
  const finish = (isConfirmed: boolean) => {
    if (isDone.current) return; // the input is blurred again when it unmounts
    isDone.current = true;
    const text = input.current?.value.trim().slice(0, 200) ?? "";
    if (isConfirmed && text !== title) commands.apply({ kind: "update", node: id, title: text });
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

const BADGE_SIGNS = { error: "!", warning: "!", hint: "i" } as const;

function IssueBadge({ issues }: { issues: Issue[] }) {
  const [isOpen, setIsOpen] = useState(false);
  const worst = issues[0]?.severity ?? "hint";
  return (
    <span
      className="nl-badge-box nodrag"
      onMouseEnter={() => setIsOpen(true)}
      onMouseLeave={() => setIsOpen(false)}
      onBlur={(event) => event.currentTarget.contains(event.relatedTarget) || setIsOpen(false)}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !isOpen) return;
        event.stopPropagation();
        setIsOpen(false);
      }}
    >
      <button
        className={`nl-badge ${worst}`}
        aria-label={`${issues.length} ${issues.length === 1 ? "problem" : "problems"}`}
        aria-expanded={isOpen}
        onClick={(event) => {
          event.stopPropagation();
          setIsOpen(true);
        }}
      >
        {issues.length > 1 ? issues.length : BADGE_SIGNS[worst]}
      </button>
      {isOpen && (
        <div className="nl-popover nl-badge-popover nodrag nopan" role="dialog" aria-label="Problems">
          {issues.map((issue, index) => (
            <IssueText key={index} issue={issue} />
          ))}
        </div>
      )}
    </span>
  );
}

/** An issue with its fix. In the list of all issues, a click shows its layer. */
export function IssueText({ issue, onShow }: { issue: Issue; onShow?: (issue: Issue) => void }) {
  const { commands } = useCanvas();
  const { node, fix } = issue;
  const isInOtherNetwork = useDocument("graph", (store) => store.network !== issue.network);
  return (
    <div className={`nl-issue ${issue.severity}`} data-issue={issue.code} data-issue-node={node ?? undefined}>
      {onShow && (node || isInOtherNetwork) ? (
        <button className="nl-issue-link" data-action="show" onClick={() => onShow(issue)}>
          {isInOtherNetwork && <span className="nl-issue-network">{issue.network}</span>}
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

// The graph as React Flow takes it. What did not change keeps its identity, and so is not drawn again.
import type { Edge, Node } from "@xyflow/react";
import { NODE_HEIGHT, NODE_WIDTH } from "../core/edits";
import type { Engine } from "../core/documentStore";
import { folds, isFolded } from "../core/frames";
import { nodeOf, sourcePort, targetPort } from "../core/graph";
import { detours } from "../core/routing";
import type { Graph, NodeRecord, NoteRecord } from "../core/generated";

export type LayerFlowNode = Node<{ record: NodeRecord }, "layer">;
export type NoteFlowNode = Node<{ record: NoteRecord }, "note">;
export type FrameFlowNode = Node<{ record: NoteRecord }, "frame">;
export type FlowNode = LayerFlowNode | NoteFlowNode | FrameFlowNode;
// A frame is taken by its head; through the rest of it one reaches what lies behind and within. It lies above the edges,
// so that none of them covers its head, and below the layers, which come after it.
const FRAME = { dragHandle: ".nl-frame-head", style: { pointerEvents: "none" }, className: "nl-under", zIndex: 0 } as const;

export function flowNodes(engine: Engine, before: FlowNode[], selected?: Set<string>): FlowNode[] {
  const hidden = folds(engine.graph);
  const known = new Map(before.map((node) => [node.id, node]));
  const kept = (id: string) => known.get(id) ?? { selected: selected?.has(id) };
  const layers = inOrder(engine.graph, before).map(([id, record]): FlowNode => {
    const old = known.get(id);
    const away = hidden.has(id);
    if (old?.type === "layer" && old.data.record === record && !!old.hidden === away) return old;
    const position = { x: record.at[0], y: record.at[1] };
    const ariaLabel = `${record.title || engine.layerOf(record)?.title || record.type}, ${id}`;
    return { ...(kept(id) as LayerFlowNode), id, type: "layer", position, hidden: away, data: { record }, ariaLabel };
  });
  const notes = Object.entries(engine.graph.notes).map(([id, record]): FlowNode => {
    const old = known.get(id);
    if (old && old.type !== "layer" && old.data.record === record && !!old.hidden === hidden.has(id)) return old;
    return { ...kept(id), ...asFlow(id, record), hidden: hidden.has(id) } as FlowNode;
  });
  return [...notes, ...layers];
}

function asFlow(id: string, record: NoteRecord): Omit<FrameFlowNode, "selected"> | NoteFlowNode {
  const position = { x: record.at[0], y: record.at[1] };
  const folded = isFolded(record);
  const [width, height] = folded ? [NODE_WIDTH, NODE_HEIGHT] : [record.width, record.height];
  if (!record.frame) return { id, type: "note", position, width, height, data: { record }, zIndex: -1, ariaLabel: "Note" };
  const ariaLabel = `Frame ${record.text}`.trim();
  const look = folded ? { style: undefined, className: undefined, dragHandle: undefined, zIndex: 0 } : FRAME;
  return { id, type: "frame", position, width, height, data: { record }, ...look, ariaLabel };
}

/** The Tab key follows this: as people read. It stays so, since a node that is put elsewhere loses the focus. */
function inOrder(graph: Graph, before: FlowNode[]): [string, NodeRecord][] {
  const rank = new Map(before.map((node, place) => [node.id, place]));
  const rankOf = (id: string) => rank.get(id) ?? Infinity;
  return Object.entries(graph.nodes).sort(
    ([a, one], [b, other]) =>
      (rankOf(a) === rankOf(b) ? 0 : rankOf(a) - rankOf(b)) || one.at[1] - other.at[1] || one.at[0] - other.at[0],
  );
}

/** Edges that lead into a folded frame, or out of it, end at the frame; those within are not seen. */
export function flowEdges(engine: Engine, before: Edge[]): Edge[] {
  const hidden = folds(engine.graph);
  const known = new Map(before.map((edge) => [edge.id, edge]));
  const bends = detours(engine);
  return Object.entries(engine.graph.edges).flatMap(([id, edge]): Edge[] => {
    const [from, to] = [hidden.get(nodeOf(edge.source)), hidden.get(nodeOf(edge.target))];
    if (from && from === to) return [];
    const source = from ?? nodeOf(edge.source);
    const target = to ?? nodeOf(edge.target);
    const sourceHandle = from ? "out" : sourcePort(edge.source);
    const targetHandle = to ? "in" : targetPort(edge.target);
    const bend = bends.get(id);
    const old = known.get(id);
    const same = old?.source === source && old.target === target && old.data?.bend === bend;
    if (old && same && old.sourceHandle === sourceHandle && old.targetHandle === targetHandle) return [old];
    const ariaLabel = `Edge from ${edge.source} to ${edge.target}`;
    return [{ selected: old?.selected, id, type: "shape", source, sourceHandle, target, targetHandle, data: { bend }, ariaLabel }];
  });
}

// The graph as nodes and edges of React Flow. Unchanged elements keep their identity, so they are not rendered again.
import type { Edge, Node } from "@xyflow/react";
import { NODE_HEIGHT, NODE_WIDTH } from "../core/edits";
import type { DocumentStore } from "../core/documentStore";
import { hiddenItems, isFolded } from "../core/frames";
import { nodeOf, sourcePort, targetPort } from "../core/graph";
import { findDetours } from "../core/routing";
import type { Graph, NodeRecord, NoteRecord } from "../core/generated";

export type LayerFlowNode = Node<{ record: NodeRecord }, "layer">;
export type NoteFlowNode = Node<{ record: NoteRecord }, "note">;
export type FrameFlowNode = Node<{ record: NoteRecord }, "frame">;
export type FlowNode = LayerFlowNode | NoteFlowNode | FrameFlowNode;
// A frame is dragged by its head; the rest lets pointer events through. It lies above the edges, which would cover its
// head, and below the layers, which follow it in the DOM.
const OPEN_FRAME = {
  dragHandle: ".nl-frame-head",
  style: { pointerEvents: "none" },
  className: "nl-open-frame",
  zIndex: 0,
} as const;

export function flowNodes(store: DocumentStore, previous: FlowNode[], selected?: Set<string>): FlowNode[] {
  const hidden = hiddenItems(store.graph);
  const previousById = new Map(previous.map((node) => [node.id, node]));
  const previousState = (id: string) => previousById.get(id) ?? { selected: selected?.has(id) };
  const layers = inTabOrder(store.graph, previous).map(([id, record]): FlowNode => {
    const previousNode = previousById.get(id);
    const isHidden = hidden.has(id);
    if (previousNode?.type === "layer" && previousNode.data.record === record && !!previousNode.hidden === isHidden)
      return previousNode;
    const position = { x: record.at[0], y: record.at[1] };
    const ariaLabel = `${record.title || store.layerTypeOf(record)?.title || record.type}, ${id}`;
    return {
      ...(previousState(id) as LayerFlowNode),
      id,
      type: "layer",
      position,
      hidden: isHidden,
      data: { record },
      ariaLabel,
    };
  });
  const notes = Object.entries(store.graph.notes).map(([id, record]): FlowNode => {
    const previousNode = previousById.get(id);
    if (
      previousNode &&
      previousNode.type !== "layer" &&
      previousNode.data.record === record &&
      !!previousNode.hidden === hidden.has(id)
    )
      return previousNode;
    return { ...previousState(id), ...noteProperties(id, record), hidden: hidden.has(id) } as FlowNode;
  });
  return [...notes, ...layers];
}

function noteProperties(id: string, record: NoteRecord): Omit<FrameFlowNode, "selected"> | NoteFlowNode {
  const position = { x: record.at[0], y: record.at[1] };
  const isCollapsed = isFolded(record);
  const [width, height] = isCollapsed ? [NODE_WIDTH, NODE_HEIGHT] : [record.width, record.height];
  if (!record.frame)
    return { id, type: "note", position, width, height, data: { record }, zIndex: -1, ariaLabel: "Note" };
  const ariaLabel = `Frame ${record.text}`.trim();
  const frameProperties = isCollapsed
    ? { style: undefined, className: undefined, dragHandle: undefined, zIndex: 0 }
    : OPEN_FRAME;
  return { id, type: "frame", position, width, height, data: { record }, ...frameProperties, ariaLabel };
}

/** The tab order: top to bottom, left to right. It does not change later, because a moved element loses the focus. */
function inTabOrder(graph: Graph, previous: FlowNode[]): [string, NodeRecord][] {
  const rank = new Map(previous.map((node, index) => [node.id, index]));
  const rankOf = (id: string) => rank.get(id) ?? Infinity;
  return Object.entries(graph.nodes).sort(
    ([a, first], [b, second]) =>
      (rankOf(a) === rankOf(b) ? 0 : rankOf(a) - rankOf(b)) || first.at[1] - second.at[1] || first.at[0] - second.at[0],
  );
}

/** Edges across the border of a folded frame end at the frame; edges within it are hidden. */
export function flowEdges(store: DocumentStore, previous: Edge[]): Edge[] {
  const hidden = hiddenItems(store.graph);
  const previousById = new Map(previous.map((edge) => [edge.id, edge]));
  const detours = findDetours(store);
  return Object.entries(store.graph.edges).flatMap(([id, edge]): Edge[] => {
    const [from, to] = [hidden.get(nodeOf(edge.source)), hidden.get(nodeOf(edge.target))];
    if (from && from === to) return [];
    const source = from ?? nodeOf(edge.source);
    const target = to ?? nodeOf(edge.target);
    const sourceHandle = from ? "out" : sourcePort(edge.source);
    const targetHandle = to ? "in" : targetPort(edge.target);
    const bend = detours.get(id);
    const previousEdge = previousById.get(id);
    const hasSameEnds =
      previousEdge?.source === source && previousEdge.target === target && previousEdge.data?.bend === bend;
    if (
      previousEdge &&
      hasSameEnds &&
      previousEdge.sourceHandle === sourceHandle &&
      previousEdge.targetHandle === targetHandle
    )
      return [previousEdge];
    const ariaLabel = `Edge from ${edge.source} to ${edge.target}`;
    return [
      {
        selected: previousEdge?.selected,
        id,
        type: "shape",
        source,
        sourceHandle,
        target,
        targetHandle,
        data: { bend },
        ariaLabel,
      },
    ];
  });
}

// The graph as React Flow takes it. What did not change keeps its identity, and so is not drawn again.
import type { Edge } from "@xyflow/react";
import type { Engine } from "../core/engine";
import { nodeOf, sourcePort, targetPort } from "../core/graph";
import type { Graph, NodeRecord } from "../core/types";
import type { LayerFlowNode } from "./LayerNode";
import type { NoteFlowNode } from "./NoteNode";

export type FlowNode = LayerFlowNode | NoteFlowNode;

export function flowNodes(engine: Engine, before: FlowNode[], selected?: Set<string>): FlowNode[] {
  const known = new Map(before.map((node) => [node.id, node]));
  const layers = inOrder(engine.graph, before).map(([id, record]): FlowNode => {
    const old = known.get(id);
    if (old?.type === "layer" && old.data.record === record) return old;
    const position = { x: record.at[0], y: record.at[1] };
    const ariaLabel = `${record.title || engine.layerOf(record)?.title || record.type}, ${id}`;
    const kept = (old as LayerFlowNode | undefined) ?? { selected: selected?.has(id) };
    return { ...kept, id, type: "layer", position, data: { record }, ariaLabel };
  });
  const notes = Object.entries(engine.graph.notes).map(([id, record]): FlowNode => {
    const old = known.get(id);
    if (old?.type === "note" && old.data.record === record) return old;
    const position = { x: record.at[0], y: record.at[1] };
    const { width, height } = record;
    const kept = (old as NoteFlowNode | undefined) ?? { selected: selected?.has(id) };
    return { ...kept, id, type: "note", position, width, height, data: { record }, zIndex: -1, ariaLabel: "Note" };
  });
  return [...notes, ...layers];
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

export function flowEdges(engine: Engine, before: Edge[]): Edge[] {
  const known = new Map(before.map((edge) => [edge.id, edge]));
  return Object.entries(engine.graph.edges).map(([id, { source, target }]) => {
    const old = known.get(id);
    if (old && old.source === nodeOf(source) && old.sourceHandle === sourcePort(source)) return old;
    return {
      id,
      type: "shape",
      source: nodeOf(source),
      sourceHandle: sourcePort(source),
      target: nodeOf(target),
      targetHandle: targetPort(target),
      ariaLabel: `Edge from ${source} to ${target}`,
    };
  });
}

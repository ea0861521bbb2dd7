// The edits of user actions: adding, inserting and removing layers. Pasting is in clipboard.ts.
import type { DocumentStore } from "./documentStore";
import { freeId, nodeOf, sourceRef, targetRef } from "./graph";
import { canInsert, compatiblePort, freeOutput, type PortRef } from "./connectionRules";
import type { Edit, Graph, LayerType } from "./generated";

export const LAYER_SPACING = 110;
export const NODE_WIDTH = 196;
export const NODE_HEIGHT = 58;

type Point = [number, number];

const roundPoint = (at: Point): Point => [Math.round(at[0]), Math.round(at[1])];

/** Add a layer at a position, connected to `start` if it has a compatible port. Returns the edit and the new id. */
export function addLayer(
  store: DocumentStore,
  layer: LayerType,
  at: Point,
  start?: PortRef,
): { edit: Edit; id: string } {
  const id = freeId(store.graph, layer.network ?? layer.type);
  const node = { id, type: layer.type, params: layer.params, at: roundPoint(at) };
  const port = start ? compatiblePort(store, layer, start) : null;
  if (!start || port === null) return { edit: { kind: "add", nodes: [node] }, id };
  const edge =
    start.side === "source"
      ? { source: sourceRef(start.node, start.port), target: targetRef(id, port) }
      : { source: sourceRef(id, port), target: targetRef(start.node, start.port) };
  return { edit: { kind: "add", nodes: [node], edges: [edge] }, id };
}

/** Add a layer below a node, connected to it if it has a compatible port. */
export function appendLayer(store: DocumentStore, layer: LayerType, after: string): { edit: Edit; id: string } {
  const node = store.graph.nodes[after];
  const port = freeOutput(store, after);
  const at = freePosition(store.graph, node ? [node.at[0], node.at[1] + LAYER_SPACING] : [0, 0]);
  return addLayer(store, layer, at, port ? { node: after, port, side: "source" } : undefined);
}

/** The position itself, or the next position to its right that overlaps no layer. */
export function freePosition(graph: Graph, [x, y]: Point): Point {
  const nodes = Object.values(graph.nodes);
  while (nodes.some((other) => overlaps(other.at, [x, y]))) x += NODE_WIDTH + 40;
  return [x, y];
}

const overlaps = (a: Point, b: Point): boolean =>
  Math.abs(a[0] - b[0]) < NODE_WIDTH && Math.abs(a[1] - b[1]) < NODE_HEIGHT + 10;

/** Insert a new layer into an edge. Layers below move down to make room. */
export function insertLayer(store: DocumentStore, layer: LayerType, target: string): { edit: Edit; id: string } | null {
  const edge = store.graph.edges[target];
  const below = store.graph.nodes[nodeOf(target)];
  if (!edge || !below || !canInsert(store, layer, target)) return null;
  const id = freeId(store.graph, layer.network ?? layer.type);
  const edits: Edit[] = [
    { kind: "add", nodes: [{ id, type: layer.type, params: layer.params, at: below.at }] },
    ...spliceEdits(store, layer, target, id),
    { kind: "move", at: moveDown(store.graph, below.at[1], id) },
  ];
  return { edit: { kind: "batch", edits }, id };
}

export const isUnconnected = (graph: Graph, id: string): boolean =>
  !Object.values(graph.edges).some((edge) => nodeOf(edge.source) === id || nodeOf(edge.target) === id);

/** Insert an existing node without edges into an edge. */
export function insertNode(store: DocumentStore, id: string, target: string): Edit[] | null {
  const layer = store.layerTypeOf(store.graph.nodes[id]);
  if (!layer || !isUnconnected(store.graph, id) || !canInsert(store, layer, target)) return null;
  return spliceEdits(store, layer, target, id);
}

function spliceEdits(store: DocumentStore, layer: LayerType, target: string, id: string): Edit[] {
  const source = store.graph.edges[target]?.source ?? "";
  return [
    { kind: "connect", source, target: targetRef(id, layer.inputs[0]?.name ?? "in") },
    { kind: "connect", source: sourceRef(id, layer.outputs[0]?.name ?? "out"), target },
  ];
}

function moveDown(graph: Graph, from: number, except: string): Record<string, Point> {
  const positions: Record<string, Point> = {};
  for (const [id, node] of Object.entries(graph.nodes))
    if (id !== except && node.at[1] >= from) positions[id] = [node.at[0], node.at[1] + LAYER_SPACING];
  return positions;
}

/** Remove nodes, edges and notes in one undo step. */
export function removeItems(graph: Graph, nodes: string[], edges: string[]): Edit | null {
  const notes = nodes.filter((id) => id in graph.notes);
  const layers = nodes.filter((id) => id in graph.nodes);
  if (!notes.length && !layers.length && !edges.length) return null;
  const remove: Edit = { kind: "remove", nodes: layers, edges };
  if (!notes.length) return remove;
  const noteEdits: Edit[] = notes.map((id) => ({ kind: "note", id, note: null }));
  return { kind: "batch", edits: layers.length || edges.length ? [remove, ...noteEdits] : noteEdits };
}

/** The nearest node in a direction; [0, 1] points down. */
export function nearestNeighbor(graph: Graph, from: string, [dx, dy]: Point): string | null {
  const start = graph.nodes[from];
  if (!start) return null;
  let nearest: string | null = null;
  let lowestCost = Infinity;
  for (const [id, node] of Object.entries(graph.nodes)) {
    const x = node.at[0] - start.at[0];
    const y = node.at[1] - start.at[1];
    const along = x * dx + y * dy;
    const across = Math.abs(x * dy) + Math.abs(y * dx);
    if (id === from || along <= 0) continue;
    if (along + 2 * across < lowestCost) [nearest, lowestCost] = [id, along + 2 * across];
  }
  return nearest;
}

/** Swap the sources of two inputs of a node; null if neither has an edge. */
export function swapInputs(graph: Graph, node: string, first: string, second: string): Edit | null {
  const [firstTarget, secondTarget] = [targetRef(node, first), targetRef(node, second)];
  const [firstSource, secondSource] = [graph.edges[firstTarget]?.source, graph.edges[secondTarget]?.source];
  const removed = [
    ...(firstSource && !secondSource ? [firstTarget] : []),
    ...(secondSource && !firstSource ? [secondTarget] : []),
  ];
  const edits: Edit[] = removed.length ? [{ kind: "remove", nodes: [], edges: removed }] : [];
  if (secondSource) edits.push({ kind: "connect", source: secondSource, target: firstTarget });
  if (firstSource) edits.push({ kind: "connect", source: firstSource, target: secondTarget });
  return edits.length ? { kind: "batch", edits } : null;
}

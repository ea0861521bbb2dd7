// The edits behind what people do: add a layer, put it in an edge, delete. Copies are in clipboard.ts.
import type { Engine } from "./documentStore";
import { freeId, nodeOf, sourceRef, targetRef } from "./graph";
import { freeOutput, mayInsert, portFor, type End } from "./connectionRules";
import type { Edit, Graph, LayerType } from "./generated";

export const STEP = 110;
export const NODE_WIDTH = 196;
export const NODE_HEIGHT = 58;

type At = [number, number];

const rounded = (at: At): At => [Math.round(at[0]), Math.round(at[1])];

/** Add a layer at a place, joined to `start` where that is possible. Returns the edit and the new id. */
export function addLayer(engine: Engine, layer: LayerType, at: At, start?: End): { edit: Edit; id: string } {
  const id = freeId(engine.graph, layer.network ?? layer.type);
  const node = { id, type: layer.type, params: layer.params, at: rounded(at) };
  const port = start ? portFor(engine, layer, start) : null;
  if (!start || port === null) return { edit: { kind: "add", nodes: [node] }, id };
  const edge =
    start.side === "source"
      ? { source: sourceRef(start.node, start.port), target: targetRef(id, port) }
      : { source: sourceRef(id, port), target: targetRef(start.node, start.port) };
  return { edit: { kind: "add", nodes: [node], edges: [edge] }, id };
}

/** Add a layer below a node and joined to it, where it fits; else just below. */
export function appendLayer(engine: Engine, layer: LayerType, after: string): { edit: Edit; id: string } {
  const node = engine.graph.nodes[after];
  const port = freeOutput(engine, after);
  const at = freePlace(engine.graph, node ? [node.at[0], node.at[1] + STEP] : [0, 0]);
  return addLayer(engine, layer, at, port ? { node: after, port, side: "source" } : undefined);
}

/** The place itself, or the next to its right that no layer covers. */
export function freePlace(graph: Graph, [x, y]: At): At {
  const nodes = Object.values(graph.nodes);
  while (nodes.some((other) => overlaps(other.at, [x, y]))) x += NODE_WIDTH + 40;
  return [x, y];
}

const overlaps = (one: At, other: At): boolean =>
  Math.abs(one[0] - other[0]) < NODE_WIDTH && Math.abs(one[1] - other[1]) < NODE_HEIGHT + 10;

/** Put a new layer into an edge; what lies below moves down to make room. */
export function insertLayer(engine: Engine, layer: LayerType, target: string): { edit: Edit; id: string } | null {
  const edge = engine.graph.edges[target];
  const below = engine.graph.nodes[nodeOf(target)];
  if (!edge || !below || !mayInsert(engine, layer, target)) return null;
  const id = freeId(engine.graph, layer.network ?? layer.type);
  const edits: Edit[] = [
    { kind: "add", nodes: [{ id, type: layer.type, params: layer.params, at: below.at }] },
    ...splice(engine, layer, target, id),
    { kind: "move", at: shifted(engine.graph, below.at[1], id) },
  ];
  return { edit: { kind: "batch", edits }, id };
}

export const isLoose = (graph: Graph, id: string): boolean =>
  !Object.values(graph.edges).some((edge) => nodeOf(edge.source) === id || nodeOf(edge.target) === id);

/** Put a node that is there already, and not joined to anything, into an edge. */
export function insertNode(engine: Engine, id: string, target: string): Edit[] | null {
  const layer = engine.layerOf(engine.graph.nodes[id]);
  if (!layer || !isLoose(engine.graph, id) || !mayInsert(engine, layer, target)) return null;
  return splice(engine, layer, target, id);
}

function splice(engine: Engine, layer: LayerType, target: string, id: string): Edit[] {
  const source = engine.graph.edges[target]?.source ?? "";
  return [
    { kind: "connect", source, target: targetRef(id, layer.inputs[0]?.name ?? "in") },
    { kind: "connect", source: sourceRef(id, layer.outputs[0]?.name ?? "out"), target },
  ];
}

function shifted(graph: Graph, from: number, except: string): Record<string, At> {
  const places: Record<string, At> = {};
  for (const [id, node] of Object.entries(graph.nodes))
    if (id !== except && node.at[1] >= from) places[id] = [node.at[0], node.at[1] + STEP];
  return places;
}

/** Remove nodes, edges and notes as one step. */
export function removal(graph: Graph, nodes: string[], edges: string[]): Edit | null {
  const notes = nodes.filter((id) => id in graph.notes);
  const layers = nodes.filter((id) => id in graph.nodes);
  if (!notes.length && !layers.length && !edges.length) return null;
  const remove: Edit = { kind: "remove", nodes: layers, edges };
  if (!notes.length) return remove;
  const gone: Edit[] = notes.map((id) => ({ kind: "note", id, note: null }));
  return { kind: "batch", edits: layers.length || edges.length ? [remove, ...gone] : gone };
}

/** The node that lies next in a direction, such as [0, 1] for below. */
export function neighbour(graph: Graph, from: string, [dx, dy]: At): string | null {
  const start = graph.nodes[from];
  if (!start) return null;
  let best: string | null = null;
  let least = Infinity;
  for (const [id, node] of Object.entries(graph.nodes)) {
    const x = node.at[0] - start.at[0];
    const y = node.at[1] - start.at[1];
    const along = x * dx + y * dy;
    const across = Math.abs(x * dy) + Math.abs(y * dx);
    if (id === from || along <= 0) continue;
    if (along + 2 * across < least) [best, least] = [id, along + 2 * across];
  }
  return best;
}

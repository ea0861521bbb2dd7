// The edits behind what people do: add a layer, put it in an edge, copy, paste, delete.
import type { Engine } from "./engine";
import { freeId, nodeOf, sourceRef, targetRef } from "./graph";
import { freeOutput, mayInsert, portFor, type End } from "./rules";
import type { Edit, EdgeRecord, Graph, LayerType, NodeRecord } from "./types";

export const STEP = 110;
export const NODE_WIDTH = 196;
export const NODE_HEIGHT = 58;

type At = [number, number];
export type Clip = { netloom: 1; nodes: Record<string, NodeRecord>; edges: EdgeRecord[] };

const rounded = (at: At): At => [Math.round(at[0]), Math.round(at[1])];

/** Add a layer at a place, joined to `start` where that is possible. Returns the edit and the new id. */
export function addLayer(engine: Engine, layer: LayerType, at: At, start?: End): { edit: Edit; id: string } {
  const id = freeId(engine.graph, layer.type);
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
  const at: At = node ? [node.at[0], node.at[1] + STEP] : [0, 0];
  while (Object.values(engine.graph.nodes).some((other) => overlaps(other.at, at))) at[0] += NODE_WIDTH + 40;
  return addLayer(engine, layer, at, port ? { node: after, port, side: "source" } : undefined);
}

const overlaps = (one: At, other: At): boolean =>
  Math.abs(one[0] - other[0]) < NODE_WIDTH && Math.abs(one[1] - other[1]) < NODE_HEIGHT + 10;

/** Put a new layer into an edge; what lies below moves down to make room. */
export function insertLayer(engine: Engine, layer: LayerType, target: string): { edit: Edit; id: string } | null {
  const edge = engine.graph.edges[target];
  const below = engine.graph.nodes[nodeOf(target)];
  if (!edge || !below || !mayInsert(engine, layer, target)) return null;
  const id = freeId(engine.graph, layer.type);
  const edits: Edit[] = [
    { kind: "add", nodes: [{ id, type: layer.type, params: layer.params, at: below.at }] },
    ...splice(engine, layer, target, id),
    { kind: "move", at: shifted(engine.graph, below.at[1], id) },
  ];
  return { edit: { kind: "batch", edits }, id };
}

/** Put a node that is there already into an edge. */
export function insertNode(engine: Engine, id: string, target: string): Edit | null {
  const layer = engine.types.get(engine.graph.nodes[id]?.type ?? "");
  const joined = Object.values(engine.graph.edges).some((edge) => [edge.source, edge.target].map(nodeOf).includes(id));
  if (!layer || joined || !mayInsert(engine, layer, target)) return null;
  return { kind: "batch", edits: splice(engine, layer, target, id) };
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

/** What is selected, to be pasted here or in another tab. */
export function copy(graph: Graph, ids: string[]): Clip | null {
  const chosen = new Set(ids.filter((id) => id in graph.nodes));
  if (!chosen.size) return null;
  return {
    netloom: 1,
    nodes: Object.fromEntries([...chosen].map((id) => [id, graph.nodes[id] as NodeRecord])),
    edges: Object.values(graph.edges).filter(
      (edge) => chosen.has(nodeOf(edge.source)) && chosen.has(nodeOf(edge.target)),
    ),
  };
}

export function readClip(text: string): Clip | null {
  try {
    const value = JSON.parse(text) as Partial<Clip> | null;
    if (value?.netloom === 1 && typeof value.nodes === "object" && Array.isArray(value.edges)) return value as Clip;
  } catch {
    // Any other text may be on the clipboard.
  }
  return null;
}

/** Paste with fresh ids, a little beside the original. Returns the edit and the new ids. */
export function paste(engine: Engine, clip: Clip, offset = 40): { edit: Edit; ids: string[] } {
  const names = new Map<string, string>();
  for (const [id, node] of Object.entries(clip.nodes))
    names.set(id, freeId(engine.graph, node.type, new Set(names.values())));
  const rename = (reference: string): string => {
    const node = nodeOf(reference);
    return (names.get(node) ?? node) + reference.slice(node.length);
  };
  const nodes = Object.entries(clip.nodes).map(([id, node]) => ({
    ...node,
    id: names.get(id) ?? id,
    at: [node.at[0] + offset, node.at[1] + offset] as At,
  }));
  const edges = clip.edges.map((edge) => ({ source: rename(edge.source), target: rename(edge.target) }));
  return { edit: { kind: "add", nodes, edges }, ids: [...names.values()] };
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

/** The node that lies next in a direction, by the arrow keys. */
export function neighbour(graph: Graph, from: string, key: string): string | null {
  const start = graph.nodes[from];
  if (!start) return null;
  const [dx, dy] = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[key] ?? [0, 0];
  let best: string | null = null;
  let least = Infinity;
  for (const [id, node] of Object.entries(graph.nodes)) {
    const x = node.at[0] - start.at[0];
    const y = node.at[1] - start.at[1];
    const along = x * (dx ?? 0) + y * (dy ?? 0);
    const across = Math.abs(x * (dy ?? 0)) + Math.abs(y * (dx ?? 0));
    if (id === from || along <= 0) continue;
    if (along + 2 * across < least) [best, least] = [id, along + 2 * across];
  }
  return best;
}

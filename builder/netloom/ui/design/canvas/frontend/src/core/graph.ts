// Edits on the browser's own copy. They mirror netloom/document/edits.py, which has the last word.
import type { EdgeRecord, Edit, Graph, NewNode, NodeRecord } from "./generated";

export const EMPTY: Graph = { nodes: {}, edges: {}, notes: {} };

export const nodeOf = (reference: string): string => reference.split(".", 1)[0] ?? reference;
export const sourcePort = (reference: string): string => reference.split(".")[1] ?? "out";
export const targetPort = (reference: string): string => reference.split(".")[1] ?? "in";
export const sourceRef = (node: string, port: string): string => (port === "out" ? node : `${node}.${port}`);
export const targetRef = (node: string, port: string): string => (port === "in" ? node : `${node}.${port}`);

/** The first free id such as conv2d_1; `taken` are ids that are about to be used. */
export function freeId(graph: Graph, type: string, taken: Set<string> = new Set()): string {
  const letters = type.toLowerCase().replace(/[^a-z0-9_]/g, "").replace(/^[^a-z]+/, "");
  const base = letters.slice(0, 48) || "node";
  for (let number = 1; ; number++) {
    const id = `${base}_${number}`;
    if (!(id in graph.nodes) && !(id in graph.notes) && !taken.has(id)) return id;
  }
}

const complete = (node: NewNode): NodeRecord => ({
  type: node.type,
  params: node.params ?? {},
  title: node.title ?? "",
  at: node.at ?? [0, 0],
  frozen: node.frozen ?? false,
  shares: node.shares ?? null,
  note: node.note ?? "",
});

/** The graph after an edit; what does not apply leaves it as it is, as Python will say. */
export function applyEdit(graph: Graph, edit: Edit): Graph {
  switch (edit.kind) {
    case "add": {
      const nodes = { ...graph.nodes };
      for (const node of edit.nodes) nodes[node.id] = complete(node);
      const edges = { ...graph.edges };
      for (const edge of edit.edges ?? []) edges[edge.target] = edge;
      return { ...graph, nodes, edges };
    }
    case "remove": {
      const nodes = new Set(edit.nodes);
      const targets = new Set(edit.edges);
      return {
        ...graph,
        nodes: filter(graph.nodes, (id) => !nodes.has(id)),
        edges: filter(
          graph.edges,
          (id, edge) => !targets.has(id) && !nodes.has(nodeOf(edge.source)) && !nodes.has(nodeOf(edge.target)),
        ),
      };
    }
    case "move": {
      const nodes = { ...graph.nodes };
      const notes = { ...graph.notes };
      for (const [id, at] of Object.entries(edit.at)) {
        const node = nodes[id];
        const note = notes[id];
        if (node) nodes[id] = { ...node, at };
        if (note) notes[id] = { ...note, at };
      }
      return { ...graph, nodes, notes };
    }
    case "connect": {
      const known = nodeOf(edit.source) in graph.nodes && nodeOf(edit.target) in graph.nodes;
      if (!known) return graph;
      return { ...graph, edges: { ...graph.edges, [edit.target]: { source: edit.source, target: edit.target } } };
    }
    case "set":
      return change(graph, edit.node, (node) => ({ ...node, params: { ...node.params, ...edit.params } }));
    case "update": {
      const { title, frozen, shares, note } = edit;
      return change(graph, edit.node, (node) => ({
        ...node,
        title: title ?? node.title,
        frozen: frozen ?? node.frozen,
        shares: shares === undefined ? node.shares : shares,
        note: note ?? node.note,
      }));
    }
    case "note": {
      const notes = { ...graph.notes };
      if (edit.note) notes[edit.id] = edit.note;
      else delete notes[edit.id];
      return { ...graph, notes };
    }
    case "batch":
      return edit.edits.reduce(applyEdit, graph);
    default:
      return graph; // undo, redo and what concerns other networks or the project come back from Python as a foreign revision
  }
}

function change(graph: Graph, id: string, update: (node: NodeRecord) => NodeRecord): Graph {
  const node = graph.nodes[id];
  return node ? { ...graph, nodes: { ...graph.nodes, [id]: update(node) } } : graph;
}

function filter<T>(record: Record<string, T>, keep: (key: string, value: T) => boolean): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([key, value]) => keep(key, value)));
}

const outgoingOf = new WeakMap<Graph["edges"], Map<string, EdgeRecord[]>>();

/** The edges that leave each node. Kept as long as the edges are the same, since every port asks while one is drawn. */
export function outgoing(graph: Graph): Map<string, EdgeRecord[]> {
  let table = outgoingOf.get(graph.edges);
  if (!table) {
    table = new Map();
    for (const edge of Object.values(graph.edges)) {
      const node = nodeOf(edge.source);
      const known = table.get(node);
      if (known) known.push(edge);
      else table.set(node, [edge]);
    }
    outgoingOf.set(graph.edges, table);
  }
  return table;
}

/** Whether what `start` gives arrives at `goal`, which may be `start` itself. */
export function leadsTo(graph: Graph, start: string, goal: string): boolean {
  const next = outgoing(graph);
  const seen = new Set<string>();
  const todo = [start];
  for (let node = todo.pop(); node !== undefined; node = todo.pop()) {
    if (node === goal) return true;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const edge of next.get(node) ?? []) todo.push(nodeOf(edge.target));
  }
  return false;
}

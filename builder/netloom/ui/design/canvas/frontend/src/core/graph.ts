// Edits of the optimistic copy. They mirror netloom/document/edits.py, which is authoritative.
import type {
  AddEdit,
  EdgeRecord,
  Edit,
  Graph,
  NewNode,
  NewNote,
  NodeRecord,
  NoteEdit,
  NoteRecord,
  Params,
} from "./generated";

export const EMPTY_GRAPH: Graph = { nodes: {}, edges: {}, notes: {} };

export const nodeOf = (reference: string): string => reference.split(".", 1)[0] ?? reference;
export const sourcePort = (reference: string): string => reference.split(".")[1] ?? "out";
export const targetPort = (reference: string): string => reference.split(".")[1] ?? "in";
export const sourceRef = (node: string, port: string): string => (port === "out" ? node : `${node}.${port}`);
export const targetRef = (node: string, port: string): string => (port === "in" ? node : `${node}.${port}`);

/** The first unused id, such as conv2d_1. `taken` are ids that the same edit uses. */
export function freeId(graph: Graph, type: string, taken: Set<string> = new Set()): string {
  const letters = type
    .toLowerCase()
    .replace(/[^a-z0-9_]/g, "")
    .replace(/^[^a-z]+/, "");
  const base = letters.slice(0, 48) || "node";
  for (let number = 1; ; number++) {
    const id = `${base}_${number}`;
    if (!(id in graph.nodes) && !(id in graph.notes) && !taken.has(id)) return id;
  }
}

const withDefaults = (node: NewNode): NodeRecord => ({
  type: node.type,
  params: node.params ?? {},
  title: node.title ?? "",
  at: node.at ?? [0, 0],
  frozen: node.frozen ?? false,
  shares: node.shares ?? null,
  note: node.note ?? "",
  ...initializationField(node.initialization),
});

/** The initialization as an optional field of a record, which Python omits if there is none. */
export const initializationField = (initialization: Params | null | undefined): { initialization?: Params } =>
  initialization ? { initialization } : {};

const noteWithDefaults = (note: NewNote): NoteRecord => ({
  text: note.text,
  at: note.at ?? [0, 0],
  width: note.width ?? 200,
  height: note.height ?? 100,
  color: note.color ?? "yellow",
  frame: note.frame ?? false,
  folded: note.folded ?? false,
});

const IDENTIFIER = /^[a-z][a-z0-9_]{0,63}$/;
const REFERENCE = /^[a-z][a-z0-9_]{0,63}(\.[a-z][a-z0-9_]{0,31})?$/;

/** The graph after an edit. An invalid edit leaves it unchanged, and Python refuses it. */
export const applyEdit = (graph: Graph, edit: Edit): Graph => tryEdit(graph, edit) ?? graph;

/** The graph after an edit; null if Python refuses it. tests/document/edit_cases tests both implementations. */
export function tryEdit(graph: Graph, edit: Edit): Graph | null {
  switch (edit.kind) {
    case "add":
      return add(graph, edit);
    case "remove": {
      const nodes = new Set(edit.nodes);
      const targets = new Set(edit.edges);
      return {
        ...graph,
        nodes: filterRecord(graph.nodes, (id) => !nodes.has(id)),
        edges: filterRecord(
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
        else if (note) notes[id] = { ...note, at };
      }
      return { ...graph, nodes, notes };
    }
    case "connect":
      return connect(graph, edit);
    case "set":
      return updateNode(graph, edit.node, (node) => ({ ...node, params: { ...node.params, ...edit.params } }));
    case "update": {
      const { title, frozen, shares, note, initialization } = edit;
      return updateNode(graph, edit.node, ({ initialization: previous, ...node }) => ({
        ...node,
        title: title ?? node.title,
        frozen: frozen ?? node.frozen,
        shares: shares === undefined ? node.shares : shares,
        note: note ?? node.note,
        ...initializationField(initialization === undefined ? previous : initialization),
      }));
    }
    case "note":
      return setNote(graph, edit);
    case "batch":
      return applyBatch(graph, edit.edits, tryEdit);
    default:
      return graph; // Python returns the result of edits of the project and of other networks as a foreign revision
  }
}

/** The graph after a batch; null if a part is refused, because Python applies all parts or none. */
export function applyBatch(
  graph: Graph,
  parts: Edit[],
  apply: (graph: Graph, part: Edit) => Graph | null,
): Graph | null {
  let after: Graph | null = graph;
  for (const part of parts) {
    if (UNBATCHABLE.has(part.kind)) return null;
    after = after && apply(after, part);
  }
  return after;
}

/** Edits that a batch cannot contain. */
const UNBATCHABLE = new Set(["batch", "undo", "redo"]);

function add(graph: Graph, edit: AddEdit): Graph | null {
  const nodes = { ...graph.nodes };
  for (const node of edit.nodes) {
    if (!IDENTIFIER.test(node.id) || node.id in nodes || node.id in graph.notes) return null;
    nodes[node.id] = withDefaults(node);
  }
  let after: Graph | null = { ...graph, nodes };
  for (const edge of edit.edges ?? []) after = after && connect(after, edge);
  return after;
}

function connect(graph: Graph, { source, target }: EdgeRecord): Graph | null {
  if (!(nodeOf(source) in graph.nodes && nodeOf(target) in graph.nodes)) return null;
  if (!REFERENCE.test(source) || !REFERENCE.test(target)) return null;
  const edge = {
    source: sourceRef(nodeOf(source), sourcePort(source)),
    target: targetRef(nodeOf(target), targetPort(target)),
  };
  return { ...graph, edges: { ...graph.edges, [edge.target]: edge } };
}

function setNote(graph: Graph, edit: NoteEdit): Graph | null {
  const notes = { ...graph.notes };
  if (edit.note === null) delete notes[edit.id];
  else if (!IDENTIFIER.test(edit.id) || edit.id in graph.nodes) return null;
  else notes[edit.id] = noteWithDefaults(edit.note);
  return { ...graph, notes };
}

function updateNode(graph: Graph, id: string, update: (node: NodeRecord) => NodeRecord): Graph | null {
  const node = graph.nodes[id];
  return node ? { ...graph, nodes: { ...graph.nodes, [id]: update(node) } } : null;
}

function filterRecord<T>(record: Record<string, T>, keep: (key: string, value: T) => boolean): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([key, value]) => keep(key, value)));
}

const outgoingCache = new WeakMap<Graph["edges"], Map<string, EdgeRecord[]>>();

/** The outgoing edges of each node. Cached by edges, because every port reads them while users draw an edge. */
export function outgoingEdges(graph: Graph): Map<string, EdgeRecord[]> {
  let edgesByNode = outgoingCache.get(graph.edges);
  if (!edgesByNode) {
    edgesByNode = new Map();
    for (const edge of Object.values(graph.edges)) {
      const node = nodeOf(edge.source);
      const nodeEdges = edgesByNode.get(node);
      if (nodeEdges) nodeEdges.push(edge);
      else edgesByNode.set(node, [edge]);
    }
    outgoingCache.set(graph.edges, edgesByNode);
  }
  return edgesByNode;
}

/** Whether a path leads from `start` to `goal`. Every node has a path to itself. */
export function hasPath(graph: Graph, start: string, goal: string): boolean {
  const next = outgoingEdges(graph);
  const visited = new Set<string>();
  const stack = [start];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node === goal) return true;
    if (visited.has(node)) continue;
    visited.add(node);
    for (const edge of next.get(node) ?? []) stack.push(nodeOf(edge.target));
  }
  return false;
}

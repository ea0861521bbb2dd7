// Copies: what is selected as JSON, which can be pasted here, into another project or into another tab.
import { NODE_HEIGHT, NODE_WIDTH } from "./edits";
import { freeId, initialized, nodeOf } from "./graph";
import { COLORS } from "./frames";
import type { Color, EdgeRecord, Edit, Graph, NodeRecord, NoteRecord } from "./generated";

export type Clip = {
  netloom: 1;
  nodes: Record<string, NodeRecord>;
  edges: EdgeRecord[];
  notes: Record<string, NoteRecord>;
  /** The project it comes from, which has the networks that its layers stand for. */
  document?: string;
};
type At = [number, number];
const STEP = 40;

/** The chosen nodes and notes, and the edges between them. */
export function copy(graph: Graph, ids: string[], document = ""): Clip | null {
  if (!ids.some((id) => id in graph.nodes || id in graph.notes)) return null;
  const chosen = new Set(ids);
  const pick = <T>(record: Record<string, T>) =>
    Object.fromEntries(Object.entries(record).filter(([id]) => chosen.has(id)));
  const edges = Object.values(graph.edges).filter(
    (edge) => chosen.has(nodeOf(edge.source)) && chosen.has(nodeOf(edge.target)),
  );
  return { netloom: 1, nodes: pick(graph.nodes), edges, notes: pick(graph.notes), ...(document && { document }) };
}

/** The copy that a text holds, or null: anything may be on the clipboard. What is malformed is left out. */
export function readClip(text: string): Clip | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(value) || value.netloom !== 1) return null;
  const nodes = mapped(value.nodes, asNode);
  const notes = mapped(value.notes, asNote);
  if (!Object.keys(nodes).length && !Object.keys(notes).length) return null;
  const edges = (Array.isArray(value.edges) ? value.edges : []).flatMap((edge: unknown): EdgeRecord[] => {
    if (!isRecord(edge) || typeof edge.source !== "string" || typeof edge.target !== "string") return [];
    const known = nodeOf(edge.source) in nodes && nodeOf(edge.target) in nodes;
    return known ? [{ source: edge.source, target: edge.target }] : [];
  });
  return { netloom: 1, nodes, edges, notes, ...(typeof value.document === "string" && { document: value.document }) };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const asText = (value: unknown): string => (typeof value === "string" ? value : "");
const asAt = (value: unknown): At =>
  Array.isArray(value) && isNumber(value[0]) && isNumber(value[1]) ? [value[0], value[1]] : [0, 0];

function mapped<T>(value: unknown, read: (item: Record<string, unknown>) => T | null): Record<string, T> {
  const found: Record<string, T> = {};
  for (const [key, item] of Object.entries(isRecord(value) ? value : {})) {
    const known = isRecord(item) ? read(item) : null;
    if (known) found[key] = known;
  }
  return found;
}

const asNode = (item: Record<string, unknown>): NodeRecord | null =>
  typeof item.type !== "string"
    ? null
    : {
        type: item.type,
        params: isRecord(item.params) ? item.params : {},
        title: asText(item.title),
        at: asAt(item.at),
        frozen: item.frozen === true,
        shares: typeof item.shares === "string" ? item.shares : null,
        note: asText(item.note),
        ...initialized(isRecord(item.initialization) ? item.initialization : null),
      };

const asNote = (item: Record<string, unknown>): NoteRecord => ({
  text: asText(item.text),
  at: asAt(item.at),
  width: isNumber(item.width) ? item.width : 200,
  height: isNumber(item.height) ? item.height : 100,
  color: typeof item.color === "string" && item.color in COLORS ? (item.color as Color) : "yellow",
  frame: item.frame === true,
  folded: item.folded === true,
});

/** How far to shift a copy: a little, beside what is there already; into the middle of the view if it lies outside. */
export function placed(graph: Graph, clip: Clip, [left, top, right, bottom]: [number, number, number, number]): At {
  const nodes = Object.values(clip.nodes).map(({ at }) => ({ at, width: NODE_WIDTH, height: NODE_HEIGHT }));
  const items = [...nodes, ...Object.values(clip.notes)];
  const low = [0, 1].map((axis) => Math.min(...items.map((item) => item.at[axis as 0 | 1]))) as At;
  const high: At = [
    Math.max(...items.map((item) => item.at[0] + item.width)),
    Math.max(...items.map((item) => item.at[1] + item.height)),
  ];
  const seen = low[0] < right && high[0] > left && low[1] < bottom && high[1] > top;
  const middle: At = [(left + right - low[0] - high[0]) / 2, (top + bottom - low[1] - high[1]) / 2];
  const offset: At = seen ? [STEP, STEP] : [Math.round(middle[0]), Math.round(middle[1])];
  const taken = new Set([...Object.values(graph.nodes), ...Object.values(graph.notes)].map(({ at }) => at.join()));
  const hides = () => items.some(({ at }) => taken.has([at[0] + offset[0], at[1] + offset[1]].join()));
  while (hides()) {
    offset[0] += STEP;
    offset[1] += STEP;
  }
  return offset;
}

/** Paste with fresh ids into a document. Returns the edit and the new ids. Python fetches networks from another one. */
export function paste(graph: Graph, clip: Clip, [dx, dy]: At, here = ""): { edit: Edit; ids: string[] } {
  const taken = new Set<string>();
  const fresh = (type: string): string => {
    const id = freeId(graph, type, taken);
    taken.add(id);
    return id;
  };
  const moved = <T extends { at: At }>(item: T): T => ({ ...item, at: [item.at[0] + dx, item.at[1] + dy] });
  const names = new Map(Object.entries(clip.nodes).map(([id, node]) => [id, fresh(node.type)]));
  const rename = (reference: string): string => {
    const node = nodeOf(reference);
    return (names.get(node) ?? node) + reference.slice(node.length);
  };
  // A copy shares the weights of the copy; or of the original, where that is here and was not copied as well.
  const partner = (shares: string | null): string | null =>
    shares === null ? null : (names.get(shares) ?? (shares in graph.nodes ? shares : null));
  const nodes = Object.entries(clip.nodes).map(([id, node]) => ({
    ...moved(node),
    shares: partner(node.shares),
    id: names.get(id) ?? id,
  }));
  const edges = clip.edges.map((edge) => ({ source: rename(edge.source), target: rename(edge.target) }));
  const notes = Object.values(clip.notes).map((note): Edit => ({ kind: "note", id: fresh("note"), note: moved(note) }));
  const from = clip.document && clip.document !== here ? { document: clip.document } : {};
  const add: Edit[] = nodes.length ? [{ kind: "add", nodes, edges, ...from }] : [];
  const edits = [...add, ...notes];
  return { edit: edits.length === 1 && edits[0] ? edits[0] : { kind: "batch", edits }, ids: [...taken] };
}

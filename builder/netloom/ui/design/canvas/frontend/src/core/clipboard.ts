// The clipboard format: selected items as JSON, for this project, another project or another tab.
import { NODE_HEIGHT, NODE_WIDTH } from "./edits";
import { freeId, initializationField, nodeOf } from "./graph";
import { COLORS } from "./frames";
import type { Color, EdgeRecord, Edit, Graph, NodeRecord, NoteRecord } from "./generated";

export type ClipboardContent = {
  netloom: 1;
  nodes: Record<string, NodeRecord>;
  edges: EdgeRecord[];
  notes: Record<string, NoteRecord>;
  /** The id of the source project, which has the networks of the subnetwork nodes. */
  document?: string;
};
type Point = [number, number];
const PASTE_OFFSET = 40;

/** Copy nodes and notes, and the edges between them; null if there are none. */
export function copyItems(graph: Graph, ids: string[], document = ""): ClipboardContent | null {
  if (!ids.some((id) => id in graph.nodes || id in graph.notes)) return null;
  const selected = new Set(ids);
  const pick = <T>(record: Record<string, T>) =>
    Object.fromEntries(Object.entries(record).filter(([id]) => selected.has(id)));
  const edges = Object.values(graph.edges).filter(
    (edge) => selected.has(nodeOf(edge.source)) && selected.has(nodeOf(edge.target)),
  );
  return { netloom: 1, nodes: pick(graph.nodes), edges, notes: pick(graph.notes), ...(document && { document }) };
}

/** Parse text of the clipboard, which can be anything. Malformed items are dropped; null if none is left. */
export function parseClipboard(text: string): ClipboardContent | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(value) || value.netloom !== 1) return null;
  const nodes = parseRecord(value.nodes, parseNode);
  const notes = parseRecord(value.notes, parseNote);
  if (!Object.keys(nodes).length && !Object.keys(notes).length) return null;
  const edges = (Array.isArray(value.edges) ? value.edges : []).flatMap((edge: unknown): EdgeRecord[] => {
    if (!isRecord(edge) || typeof edge.source !== "string" || typeof edge.target !== "string") return [];
    const hasBothEnds = nodeOf(edge.source) in nodes && nodeOf(edge.target) in nodes;
    return hasBothEnds ? [{ source: edge.source, target: edge.target }] : [];
  });
  return { netloom: 1, nodes, edges, notes, ...(typeof value.document === "string" && { document: value.document }) };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const parseText = (value: unknown): string => (typeof value === "string" ? value : "");
const parsePoint = (value: unknown): Point =>
  Array.isArray(value) && isNumber(value[0]) && isNumber(value[1]) ? [value[0], value[1]] : [0, 0];

function parseRecord<T>(value: unknown, parse: (item: Record<string, unknown>) => T | null): Record<string, T> {
  const record: Record<string, T> = {};
  for (const [key, item] of Object.entries(isRecord(value) ? value : {})) {
    const parsed = isRecord(item) ? parse(item) : null;
    if (parsed) record[key] = parsed;
  }
  return record;
}

const parseNode = (item: Record<string, unknown>): NodeRecord | null =>
  typeof item.type !== "string"
    ? null
    : {
        type: item.type,
        params: isRecord(item.params) ? item.params : {},
        title: parseText(item.title),
        at: parsePoint(item.at),
        frozen: item.frozen === true,
        shares: typeof item.shares === "string" ? item.shares : null,
        note: parseText(item.note),
        ...initializationField(isRecord(item.initialization) ? item.initialization : null),
      };

const parseNote = (item: Record<string, unknown>): NoteRecord => ({
  text: parseText(item.text),
  at: parsePoint(item.at),
  width: isNumber(item.width) ? item.width : 200,
  height: isNumber(item.height) ? item.height : 100,
  color: typeof item.color === "string" && item.color in COLORS ? (item.color as Color) : "yellow",
  frame: item.frame === true,
  folded: item.folded === true,
});

/** The offset of pasted items: small, or to the center of the view if it does not show their original position. */
export function pasteOffset(
  graph: Graph,
  content: ClipboardContent,
  [left, top, right, bottom]: [number, number, number, number],
): Point {
  const nodes = Object.values(content.nodes).map(({ at }) => ({ at, width: NODE_WIDTH, height: NODE_HEIGHT }));
  const items = [...nodes, ...Object.values(content.notes)];
  const low = [0, 1].map((axis) => Math.min(...items.map((item) => item.at[axis as 0 | 1]))) as Point;
  const high: Point = [
    Math.max(...items.map((item) => item.at[0] + item.width)),
    Math.max(...items.map((item) => item.at[1] + item.height)),
  ];
  const isVisible = low[0] < right && high[0] > left && low[1] < bottom && high[1] > top;
  const centered: Point = [(left + right - low[0] - high[0]) / 2, (top + bottom - low[1] - high[1]) / 2];
  const offset: Point = isVisible ? [PASTE_OFFSET, PASTE_OFFSET] : [Math.round(centered[0]), Math.round(centered[1])];
  const occupied = new Set([...Object.values(graph.nodes), ...Object.values(graph.notes)].map(({ at }) => at.join()));
  const coversItems = () => items.some(({ at }) => occupied.has([at[0] + offset[0], at[1] + offset[1]].join()));
  while (coversItems()) {
    offset[0] += PASTE_OFFSET;
    offset[1] += PASTE_OFFSET;
  }
  return offset;
}

/** Paste items with new ids. Returns the edit and the ids. Python copies the networks of another project. */
export function pasteItems(
  graph: Graph,
  content: ClipboardContent,
  [dx, dy]: Point,
  document = "",
): { edit: Edit; ids: string[] } {
  const createdIds = new Set<string>();
  const createId = (type: string): string => {
    const id = freeId(graph, type, createdIds);
    createdIds.add(id);
    return id;
  };
  const translate = <T extends { at: Point }>(item: T): T => ({ ...item, at: [item.at[0] + dx, item.at[1] + dy] });
  const newIds = new Map(Object.entries(content.nodes).map(([id, node]) => [id, createId(node.type)]));
  const renameReference = (reference: string): string => {
    const node = nodeOf(reference);
    return (newIds.get(node) ?? node) + reference.slice(node.length);
  };
  // A pasted node shares weights with the pasted node, or else with the original if this network has it.
  const sharedNode = (shares: string | null): string | null =>
    shares === null ? null : (newIds.get(shares) ?? (shares in graph.nodes ? shares : null));
  const nodes = Object.entries(content.nodes).map(([id, node]) => ({
    ...translate(node),
    shares: sharedNode(node.shares),
    id: newIds.get(id) ?? id,
  }));
  const edges = content.edges.map((edge) => ({
    source: renameReference(edge.source),
    target: renameReference(edge.target),
  }));
  const notes = Object.values(content.notes).map((note): Edit => ({
    kind: "note",
    id: createId("note"),
    note: translate(note),
  }));
  const origin = content.document && content.document !== document ? { document: content.document } : {};
  const add: Edit[] = nodes.length ? [{ kind: "add", nodes, edges, ...origin }] : [];
  const edits = [...add, ...notes];
  return { edit: edits.length === 1 && edits[0] ? edits[0] : { kind: "batch", edits }, ids: [...createdIds] };
}

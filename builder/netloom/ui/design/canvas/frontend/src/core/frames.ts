// Frames: notes around layers, which move with their frame. A folded frame has the size of a layer.
import { NODE_HEIGHT, NODE_WIDTH } from "./edits";
import type { Box } from "./alignment";
import type { Color, Graph, NoteRecord } from "./generated";

type Point = [number, number];
/** The folded frame that hides an item, by the id of the item. */
export type HiddenItems = Map<string, string>;
export const NOTHING_HIDDEN: HiddenItems = new Map();
const hiddenCache = new WeakMap<Graph, HiddenItems>();

export const COLORS: Record<Color, string> = {
  yellow: "#eab308",
  green: "#22a35a",
  blue: "#3b82f6",
  purple: "#a855f7",
  red: "#e5484d",
  gray: "#64748b",
};
/** The names of the colors for people. */
export const COLOR_LABELS: Record<Color, string> = {
  yellow: "Yellow",
  green: "Green",
  blue: "Blue",
  purple: "Purple",
  red: "Red",
  gray: "Gray",
};
const PADDING = 24;
const HEADER_HEIGHT = 34;

/** A frame around some boxes. */
export function frameAround(boxes: Box[], color: Color): NoteRecord {
  const left = Math.min(...boxes.map(({ at }) => at[0])) - PADDING;
  const top = Math.min(...boxes.map(({ at }) => at[1])) - PADDING - HEADER_HEIGHT;
  const width = Math.max(...boxes.map(({ at, width }) => at[0] + width)) + PADDING - left;
  const height = Math.max(...boxes.map(({ at, height }) => at[1] + height)) + PADDING - top;
  const at = [left, top].map(Math.round) as Point;
  return { text: "", at, width: Math.round(width), height: Math.round(height), color, frame: true, folded: false };
}

/** The layers and smaller notes whose center lies in a frame. */
export function frameMembers(graph: Graph, id: string): string[] {
  const frame = graph.notes[id];
  if (!frame?.frame) return [];
  const contains = (at: Point, width: number, height: number): boolean => {
    const [x, y] = [at[0] + width / 2 - frame.at[0], at[1] + height / 2 - frame.at[1]];
    return x >= 0 && y >= 0 && x <= frame.width && y <= frame.height;
  };
  const layers = Object.entries(graph.nodes).filter(([, { at }]) => contains(at, NODE_WIDTH, NODE_HEIGHT));
  const notes = Object.entries(graph.notes).filter(([other, { at, width, height }]) => {
    const isSmaller = width * height < frame.width * frame.height;
    return other !== id && isSmaller && contains(at, width, height);
  });
  return [...layers, ...notes].map(([item]) => item);
}

/** Whether a note is a folded frame. */
export const isFolded = (note: NoteRecord | undefined): boolean => !!note && note.frame && note.folded;

/** The items that folded frames hide, other frames included. Cached, because many views read them. */
export function hiddenItems(graph: Graph): HiddenItems {
  let hidden = hiddenCache.get(graph);
  if (!hidden) hiddenCache.set(graph, (hidden = findHiddenItems(graph)));
  return hidden;
}

function findHiddenItems(graph: Graph): HiddenItems {
  const area = (id: string) => (graph.notes[id]?.width ?? 0) * (graph.notes[id]?.height ?? 0);
  const folded = Object.keys(graph.notes).filter((id) => isFolded(graph.notes[id]));
  if (!folded.length) return NOTHING_HIDDEN;
  const hidden: HiddenItems = new Map();
  for (const frame of folded.sort((a, b) => area(b) - area(a))) {
    if (hidden.has(frame)) continue;
    for (const id of frameMembers(graph, frame)) if (!hidden.has(id)) hidden.set(id, frame);
  }
  return hidden;
}

/** The items, and the members of their frames, which move along. */
export function withFrameMembers(graph: Graph, ids: string[]): string[] {
  return [...new Set([...ids, ...ids.flatMap((id) => frameMembers(graph, id))])];
}

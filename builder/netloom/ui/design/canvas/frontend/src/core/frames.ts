// Frames: remarks that stand around layers, take them along, and can be folded to a box of a layer's size.
import { NODE_HEIGHT, NODE_WIDTH } from "./edits";
import type { Box } from "./alignment";
import type { Color, Graph, NoteRecord } from "./generated";

type At = [number, number];
/** By the id of what is not seen: the folded frame in which it lies. */
export type Folds = Map<string, string>;
export const NO_FOLDS: Folds = new Map();
const known = new WeakMap<Graph, Folds>();

export const COLORS: Record<Color, string> = {
  yellow: "#eab308",
  green: "#22a35a",
  blue: "#3b82f6",
  purple: "#a855f7",
  red: "#e5484d",
  grey: "#64748b",
};
const MARGIN = 24;
const HEAD = 34;

/** A frame around some boxes. */
export function frameAround(boxes: Box[], color: Color): NoteRecord {
  const left = Math.min(...boxes.map(({ at }) => at[0])) - MARGIN;
  const top = Math.min(...boxes.map(({ at }) => at[1])) - MARGIN - HEAD;
  const width = Math.max(...boxes.map(({ at, width }) => at[0] + width)) + MARGIN - left;
  const height = Math.max(...boxes.map(({ at, height }) => at[1] + height)) + MARGIN - top;
  const at = [left, top].map(Math.round) as At;
  return { text: "", at, width: Math.round(width), height: Math.round(height), color, frame: true, folded: false };
}

/** The layers and remarks whose middle lies in a frame; of frames, those that are smaller. */
export function members(graph: Graph, id: string): string[] {
  const frame = graph.notes[id];
  if (!frame?.frame) return [];
  const holds = (at: At, width: number, height: number): boolean => {
    const [x, y] = [at[0] + width / 2 - frame.at[0], at[1] + height / 2 - frame.at[1]];
    return x >= 0 && y >= 0 && x <= frame.width && y <= frame.height;
  };
  const layers = Object.entries(graph.nodes).filter(([, { at }]) => holds(at, NODE_WIDTH, NODE_HEIGHT));
  const notes = Object.entries(graph.notes).filter(([other, { at, width, height }]) => {
    const smaller = width * height < frame.width * frame.height;
    return other !== id && smaller && holds(at, width, height);
  });
  return [...layers, ...notes].map(([found]) => found);
}

/** Whether a remark is a frame that is folded. */
export const isFolded = (note: NoteRecord | undefined): boolean => !!note && note.frame && note.folded;

/** What the folded frames hide; a frame in a folded one is hidden itself. Found once, as many ask for it. */
export function folds(graph: Graph): Folds {
  let hidden = known.get(graph);
  if (!hidden) known.set(graph, (hidden = hiddenIn(graph)));
  return hidden;
}

function hiddenIn(graph: Graph): Folds {
  const area = (id: string) => (graph.notes[id]?.width ?? 0) * (graph.notes[id]?.height ?? 0);
  const folded = Object.keys(graph.notes).filter((id) => isFolded(graph.notes[id]));
  if (!folded.length) return NO_FOLDS;
  const hidden: Folds = new Map();
  for (const frame of folded.sort((a, b) => area(b) - area(a))) {
    if (hidden.has(frame)) continue;
    for (const id of members(graph, frame)) if (!hidden.has(id)) hidden.set(id, frame);
  }
  return hidden;
}

/** All that moves when these do: a frame takes along what lies in it. */
export function carried(graph: Graph, ids: string[]): string[] {
  return [...new Set([...ids, ...ids.flatMap((id) => members(graph, id))])];
}

// Where things lie on the canvas: in line with each other, evenly apart; and which edge arrives at which input.
import { targetRef } from "./graph";
import type { Edit, Graph } from "./generated";

type At = [number, number];
export type Box = { id: string; at: At; width: number; height: number };
export type Side = "left" | "centre" | "right" | "top" | "middle" | "bottom";
export type Direction = "horizontal" | "vertical";

/** Which axis a side concerns, and which share of a box lies before the line: none, half, or all of it. */
const SIDES: Record<Side, [0 | 1, number]> = {
  left: [0, 0],
  centre: [0, 0.5],
  right: [0, 1],
  top: [1, 0],
  middle: [1, 0.5],
  bottom: [1, 1],
};

const length = (box: Box, axis: 0 | 1): number => (axis === 0 ? box.width : box.height);
const put = (box: Box, axis: 0 | 1, value: number): At =>
  axis === 0 ? [Math.round(value), box.at[1]] : [box.at[0], Math.round(value)];

/** Places at which all boxes touch one line: the outermost one, or for the middle that of all of them together. */
export function aligned(boxes: Box[], side: Side): Record<string, At> {
  const [axis, share] = SIDES[side];
  const low = Math.min(...boxes.map((box) => box.at[axis]));
  const high = Math.max(...boxes.map((box) => box.at[axis] + length(box, axis)));
  const line = low + (high - low) * share;
  return Object.fromEntries(boxes.map((box) => [box.id, put(box, axis, line - length(box, axis) * share)]));
}

/** Places with the same gap between neighbours; the first and the last stay where they are. */
export function distributed(boxes: Box[], direction: Direction): Record<string, At> {
  const axis = direction === "horizontal" ? 0 : 1;
  const row = [...boxes].sort((a, b) => a.at[axis] - b.at[axis]);
  const [first, last] = [row[0], row.at(-1)];
  if (!first || !last || row.length < 3) return {};
  const inside = row.slice(0, -1).reduce((sum, box) => sum + length(box, axis), 0);
  const gap = (last.at[axis] - first.at[axis] - inside) / (row.length - 1);
  let next = first.at[axis];
  const places = row.map((box): [string, At] => {
    const at = put(box, axis, next);
    next += length(box, axis) + gap;
    return [box.id, at];
  });
  return Object.fromEntries(places);
}

/** Let what arrives at one input of a node arrive at another one, and the other way round. */
export function exchanged(graph: Graph, node: string, one: string, other: string): Edit | null {
  const [a, b] = [targetRef(node, one), targetRef(node, other)];
  const [atA, atB] = [graph.edges[a]?.source, graph.edges[b]?.source];
  const gone = [...(atA && !atB ? [a] : []), ...(atB && !atA ? [b] : [])];
  const edits: Edit[] = gone.length ? [{ kind: "remove", nodes: [], edges: gone }] : [];
  if (atB) edits.push({ kind: "connect", source: atB, target: a });
  if (atA) edits.push({ kind: "connect", source: atA, target: b });
  return edits.length ? { kind: "batch", edits } : null;
}

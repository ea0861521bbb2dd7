// Alignment and distribution of boxes on the canvas.
type Point = [number, number];
export type Box = { id: string; at: Point; width: number; height: number };
export type Side = "left" | "center" | "right" | "top" | "middle" | "bottom";
export type Direction = "horizontal" | "vertical";

/** The axis of a side, and the fraction of a box that lies before the alignment line. */
const SIDES: Record<Side, [0 | 1, number]> = {
  left: [0, 0],
  center: [0, 0.5],
  right: [0, 1],
  top: [1, 0],
  middle: [1, 0.5],
  bottom: [1, 1],
};

const extent = (box: Box, axis: 0 | 1): number => (axis === 0 ? box.width : box.height);
const withCoordinate = (box: Box, axis: 0 | 1, value: number): Point =>
  axis === 0 ? [Math.round(value), box.at[1]] : [box.at[0], Math.round(value)];

/** Positions aligned to the outermost side of all boxes, or to the center of their bounding box. */
export function alignBoxes(boxes: Box[], side: Side): Record<string, Point> {
  const [axis, fraction] = SIDES[side];
  const low = Math.min(...boxes.map((box) => box.at[axis]));
  const high = Math.max(...boxes.map((box) => box.at[axis] + extent(box, axis)));
  const line = low + (high - low) * fraction;
  return Object.fromEntries(
    boxes.map((box) => [box.id, withCoordinate(box, axis, line - extent(box, axis) * fraction)]),
  );
}

/** Positions with equal gaps between neighbors. The first and the last box keep their positions. */
export function distributeBoxes(boxes: Box[], direction: Direction): Record<string, Point> {
  const axis = direction === "horizontal" ? 0 : 1;
  const row = [...boxes].sort((a, b) => a.at[axis] - b.at[axis]);
  const [first, last] = [row[0], row.at(-1)];
  if (!first || !last || row.length < 3) return {};
  const inside = row.slice(0, -1).reduce((sum, box) => sum + extent(box, axis), 0);
  const gap = (last.at[axis] - first.at[axis] - inside) / (row.length - 1);
  let next = first.at[axis];
  const positions = row.map((box): [string, Point] => {
    const at = withCoordinate(box, axis, next);
    next += extent(box, axis) + gap;
    return [box.id, at];
  });
  return Object.fromEntries(positions);
}

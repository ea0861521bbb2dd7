// Edge routing: a Bézier curve, or a detour around the layers that would cover it.
import { NODE_HEIGHT, NODE_WIDTH } from "./edits";
import type { DocumentStore } from "./documentStore";
import { hiddenItems } from "./frames";
import { nodeOf, sourcePort, targetPort } from "./graph";
import { inputsOf, outputsOf } from "./connectionRules";
import type { EdgeRecord, Port } from "./generated";

type Point = [number, number];
type Rect = { id: string; left: number; right: number; top: number; bottom: number };
export type EdgePath = { path: string; label: Point };

// In pixels. netloom/explain/plots/graph_geometry.py routes edges with the same constants.
const DETOUR_MARGIN = 34;
const DETOUR_SPACING = 16;
const TURN_HEIGHT = 26;
const CURVE_SAMPLES = 14;
const OVERLAP_TOLERANCE = 4;

/** The distance of a port from the left side of its node. */
function portOffset(ports: Port[], name: string): number {
  const index = ports.findIndex((port) => port.name === name);
  return index < 0 ? NODE_WIDTH / 2 : ((index + 1) / (ports.length + 1)) * NODE_WIDTH;
}

/** The endpoints of an edge; null if it is hidden. `at` returns the position of a node or a folded frame. */
export function edgeEndpoints(store: DocumentStore, edge: EdgeRecord, at: (id: string) => Point | undefined) {
  const hidden = hiddenItems(store.graph);
  const [from, to] = [nodeOf(edge.source), nodeOf(edge.target)].map((id) => hidden.get(id) ?? id) as [string, string];
  const [source, target] = [at(from), at(to)];
  if (!source || !target || from === to) return null;
  const outputs = from in store.graph.nodes ? outputsOf(store, from) : [];
  const inputs = to in store.graph.nodes ? inputsOf(store, to) : [];
  const start: Point = [source[0] + portOffset(outputs, sourcePort(edge.source)), source[1] + NODE_HEIGHT];
  const end: Point = [target[0] + portOffset(inputs, targetPort(edge.target)), target[1]];
  return { start, end, from, to };
}

/** The path between two ports, along the vertical line x = `bend` if that is given. */
export function edgePath([sx, sy]: Point, [tx, ty]: Point, bend?: number): EdgePath {
  if (bend !== undefined) {
    const turn = Math.min(TURN_HEIGHT, (ty - sy) / 4);
    const down = `C${sx} ${sy + turn} ${bend} ${sy + turn / 2} ${bend} ${sy + 2 * turn}`;
    const up = `C${bend} ${ty - turn / 2} ${tx} ${ty - turn} ${tx} ${ty}`;
    const turnOffset = bend < (sx + tx) / 2 ? -TURN_HEIGHT : TURN_HEIGHT;
    return { path: `M${sx} ${sy}${down}L${bend} ${ty - 2 * turn}${up}`, label: [bend + turnOffset, (sy + ty) / 2] };
  }
  // The control points of xyflow's Bézier edge with its default curvature of 0.25.
  const reach = ty >= sy ? (ty - sy) / 2 : 6.25 * Math.sqrt(sy - ty);
  const path = `M${sx} ${sy}C${sx} ${sy + reach} ${tx} ${ty - reach} ${tx} ${ty}`;
  return { path, label: [(sx + tx) / 2, (sy + ty) / 2] };
}

/** The x of the detour of each edge that layers would cover. */
export function findDetours(store: DocumentStore): Map<string, number> {
  const hidden = hiddenItems(store.graph);
  const { nodes, edges, notes } = store.graph;
  const rects = Object.entries(nodes)
    .filter(([id]) => !hidden.has(id))
    .map(([id, { at }]): Rect => ({
      id,
      left: at[0],
      right: at[0] + NODE_WIDTH,
      top: at[1],
      bottom: at[1] + NODE_HEIGHT,
    }));
  const at = (id: string) => (nodes[id] ?? notes[id])?.at;
  const detours = new Map<string, number>();
  const usedColumns: number[] = [];
  for (const [id, edge] of Object.entries(edges)) {
    const endpoints = edgeEndpoints(store, edge, at);
    if (!endpoints || endpoints.end[1] - endpoints.start[1] <= NODE_HEIGHT) continue;
    const between = rects.filter(
      ({ id, top, bottom }) =>
        id !== endpoints.from && id !== endpoints.to && top < endpoints.end[1] && bottom > endpoints.start[1],
    );
    if (!between.some((rect) => isCovered(endpoints.start, endpoints.end, rect))) continue;
    let x = freeColumn(between, (endpoints.start[0] + endpoints.end[0]) / 2);
    while (usedColumns.some((other) => Math.abs(other - x) < DETOUR_SPACING - 1))
      x += x < endpoints.start[0] ? -DETOUR_SPACING : DETOUR_SPACING;
    usedColumns.push(x);
    detours.set(id, x);
  }
  return detours;
}

/** Whether a rectangle covers the curve between two points. */
function isCovered([sx, sy]: Point, [tx, ty]: Point, { left, right, top, bottom }: Rect): boolean {
  for (let step = 1; step < CURVE_SAMPLES; step++) {
    const t = step / CURVE_SAMPLES;
    const u = 1 - t;
    const x = sx * (u * u * u + 3 * u * u * t) + tx * (3 * u * t * t + t * t * t);
    const y =
      sy * (u * u * u + 1.5 * u * u * t + 1.5 * u * t * t) + ty * (t * t * t + 1.5 * t * t * u + 1.5 * u * u * t);
    if (x > left + OVERLAP_TOLERANCE && x < right - OVERLAP_TOLERANCE && y > top && y < bottom) return true;
  }
  return false;
}

/** The x closest to `middle` whose vertical line keeps its distance from all rectangles. */
function freeColumn(rects: Rect[], middle: number): number {
  const scan = (from: number, direction: 1 | -1): number => {
    let x = from;
    for (;;) {
      const obstacle = rects.find(({ left, right }) => x > left - DETOUR_MARGIN && x < right + DETOUR_MARGIN);
      if (!obstacle) return x;
      x = direction > 0 ? obstacle.right + DETOUR_MARGIN : obstacle.left - DETOUR_MARGIN;
    }
  };
  const [right, left] = [scan(middle, 1), scan(middle, -1)];
  return right - middle <= middle - left ? right : left;
}

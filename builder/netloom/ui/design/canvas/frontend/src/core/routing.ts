// The ways of edges: a curve, or around the layers behind which it would be hidden.
import { NODE_HEIGHT, NODE_WIDTH } from "./edits";
import type { Engine } from "./documentStore";
import { folds } from "./frames";
import { nodeOf, sourcePort, targetPort } from "./graph";
import { inputsOf, outputsOf } from "./connectionRules";
import type { EdgeRecord, Port } from "./generated";

type Point = [number, number];
type Rect = { id: string; left: number; right: number; top: number; bottom: number };
export type Way = { path: string; label: Point };

const ASIDE = 34;
const APART = 16;
const TURN = 26;
const SAMPLES = 14;
const HIDDEN = 4;

/** How far along its side of a node a port lies. */
function along(ports: Port[], name: string): number {
  const place = ports.findIndex((port) => port.name === name);
  return place < 0 ? NODE_WIDTH / 2 : ((place + 1) / (ports.length + 1)) * NODE_WIDTH;
}

/** Where an edge begins and ends. `at` tells where a node lies, or a folded frame. */
export function ends(engine: Engine, edge: EdgeRecord, at: (id: string) => Point | undefined) {
  const hidden = folds(engine.graph);
  const [from, to] = [nodeOf(edge.source), nodeOf(edge.target)].map((id) => hidden.get(id) ?? id) as [string, string];
  const [source, target] = [at(from), at(to)];
  if (!source || !target || from === to) return null;
  const out = from in engine.graph.nodes ? outputsOf(engine, from) : [];
  const into = to in engine.graph.nodes ? inputsOf(engine, to) : [];
  const start: Point = [source[0] + along(out, sourcePort(edge.source)), source[1] + NODE_HEIGHT];
  const end: Point = [target[0] + along(into, targetPort(edge.target)), target[1]];
  return { start, end, from, to };
}

/** The way from a port to another one, past the line x = `bend` where that is given. */
export function way([sx, sy]: Point, [tx, ty]: Point, bend?: number): Way {
  if (bend !== undefined) {
    const turn = Math.min(TURN, (ty - sy) / 4);
    const down = `C${sx} ${sy + turn} ${bend} ${sy + turn / 2} ${bend} ${sy + 2 * turn}`;
    const up = `C${bend} ${ty - turn / 2} ${tx} ${ty - turn} ${tx} ${ty}`;
    const out = bend < (sx + tx) / 2 ? -TURN : TURN;
    return { path: `M${sx} ${sy}${down}L${bend} ${ty - 2 * turn}${up}`, label: [bend + out, (sy + ty) / 2] };
  }
  // As far as half of the height; where it leads upwards, further out.
  const reach = ty >= sy ? (ty - sy) / 2 : 6.25 * Math.sqrt(sy - ty);
  const path = `M${sx} ${sy}C${sx} ${sy + reach} ${tx} ${ty - reach} ${tx} ${ty}`;
  return { path, label: [(sx + tx) / 2, (sy + ty) / 2] };
}

/** For each edge that would be hidden behind layers: the x at which it passes them. */
export function detours(engine: Engine): Map<string, number> {
  const hidden = folds(engine.graph);
  const { nodes, edges, notes } = engine.graph;
  const rects = Object.entries(nodes)
    .filter(([id]) => !hidden.has(id))
    .map(([id, { at }]): Rect => ({ id, left: at[0], right: at[0] + NODE_WIDTH, top: at[1], bottom: at[1] + NODE_HEIGHT }));
  const at = (id: string) => (nodes[id] ?? notes[id])?.at;
  const found = new Map<string, number>();
  const taken: number[] = [];
  for (const [id, edge] of Object.entries(edges)) {
    const line = ends(engine, edge, at);
    if (!line || line.end[1] - line.start[1] <= NODE_HEIGHT) continue;
    const between = rects.filter(
      ({ id, top, bottom }) => id !== line.from && id !== line.to && top < line.end[1] && bottom > line.start[1],
    );
    if (!between.some((rect) => crosses(line.start, line.end, rect))) continue;
    let x = aside(between, (line.start[0] + line.end[0]) / 2);
    while (taken.some((other) => Math.abs(other - x) < APART - 1)) x += x < line.start[0] ? -APART : APART;
    taken.push(x);
    found.set(id, x);
  }
  return found;
}

/** Whether the curve between two points would be hidden by a rectangle. */
function crosses([sx, sy]: Point, [tx, ty]: Point, { left, right, top, bottom }: Rect): boolean {
  for (let step = 1; step < SAMPLES; step++) {
    const t = step / SAMPLES;
    const u = 1 - t;
    const x = sx * (u * u * u + 3 * u * u * t) + tx * (3 * u * t * t + t * t * t);
    const y = sy * (u * u * u + 1.5 * u * u * t + 1.5 * u * t * t) + ty * (t * t * t + 1.5 * t * t * u + 1.5 * u * u * t);
    if (x > left + HIDDEN && x < right - HIDDEN && y > top && y < bottom) return true;
  }
  return false;
}

/** The x nearest to `middle` at which a line from top to bottom touches none of the rectangles. */
function aside(rects: Rect[], middle: number): number {
  const step = (from: number, side: 1 | -1): number => {
    let x = from;
    for (;;) {
      const hit = rects.find(({ left, right }) => x > left - ASIDE && x < right + ASIDE);
      if (!hit) return x;
      x = side > 0 ? hit.right + ASIDE : hit.left - ASIDE;
    }
  };
  const [right, left] = [step(middle, 1), step(middle, -1)];
  return right - middle <= middle - left ? right : left;
}

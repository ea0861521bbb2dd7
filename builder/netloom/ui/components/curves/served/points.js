// The points of a run that the browser has received. New points are appended to them.

/** The curve of one metric and split. `received` counts its points, some of which may have been thinned out. */
export class Curve {
  constructor() {
    this.received = 0;
    this.steps = [];
    this.at = [];
    this.values = [];
    this.weight = 0;
    this.mean = 0;
    this.averages = [];
  }

  /** Add points, the first of which has the number `from`; do nothing if points before it are missing. */
  add({ from, count, steps, at, values }) {
    if (from > this.received) return;
    const overlap = this.received - from;
    if (overlap >= count) return;
    // Thinned points cannot be cut by their numbers, but they are sent only to browsers that have no points.
    const first = count === steps.length ? overlap : 0;
    if (first === 0 && overlap > 0) this.clear();
    for (let index = first; index < steps.length; index += 1) {
      this.steps.push(steps[index]);
      this.at.push(at[index]);
      this.values.push(values[index]);
    }
    this.received = from + count;
  }

  clear() {
    this.received = 0;
    for (const column of [this.steps, this.at, this.values, this.averages]) column.length = 0;
    this.mean = 0;
  }

  /** Exponential moving averages with a weight for the past, corrected for their start at 0. */
  smoothed(weight) {
    if (weight !== this.weight) {
      this.weight = weight;
      this.mean = 0;
      this.averages = [];
    }
    for (let index = this.averages.length; index < this.values.length; index += 1) {
      this.mean = weight * this.mean + (1 - weight) * this.values[index];
      this.averages.push(this.mean / (1 - weight ** (index + 1)));
    }
    return this.averages;
  }
}

const MAX_RUNS = 8;
const curvesByRun = new Map();

/** The curves of a run by name. They outlive the page, so that a page that is opened again needs only new points. */
export function curvesOf(run) {
  const curves = curvesByRun.get(run) ?? new Map();
  curvesByRun.delete(run);
  curvesByRun.set(run, curves);
  if (curvesByRun.size > MAX_RUNS) curvesByRun.delete(curvesByRun.keys().next().value);
  return curves;
}

/** Add the points that were sent. Returns false if points are missing, by the number of points of each curve. */
export function merge(curves, sent, counts) {
  for (const [name, part] of Object.entries(sent)) {
    if (!curves.has(name)) curves.set(name, new Curve());
    curves.get(name).add(part);
  }
  return Object.entries(counts).every(([name, count]) => (curves.get(name)?.received ?? 0) >= count);
}

/** The index of the first of ascending `values` that is not below `limit`. */
export function lowerBound(values, limit) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Reduce points (x, y) in pixels, x ascending, to those that are visible: the first, lowest, highest and last of each
 * column of pixels, so that every peak remains.
 */
export function thin(xs, ys) {
  if (xs.length < 1000) return xs.map((x, index) => [x, ys[index]]);
  const points = [];
  let start = 0;
  while (start < xs.length) {
    const column = Math.floor(xs[start]);
    let [end, low, high] = [start, start, start];
    for (; end < xs.length && Math.floor(xs[end]) === column; end += 1) {
      if (ys[end] < ys[low]) low = end;
      if (ys[end] > ys[high]) high = end;
    }
    const visible = [...new Set([start, low, high, end - 1])].sort((a, b) => a - b);
    for (const index of visible) points.push([xs[index], ys[index]]);
    start = end;
  }
  return points;
}

// The points of a run as the browser has them: what is sent is added to what is there, and nothing is kept twice.

/** One measure of one split. `have` is how many of its points the server has sent; a long past comes thinned. */
export class Line {
  constructor() {
    this.have = 0;
    this.steps = [];
    this.at = [];
    this.values = [];
    this.weight = 0;
    this.mean = 0;
    this.smooth = [];
  }

  /** Add points of which the first is the one numbered `from`; nothing where some before it never came. */
  add({ from, count, steps, at, values }) {
    if (from > this.have) return;
    const known = this.have - from;
    if (known >= count) return;
    // A past that was thinned cannot be cut by numbers, but it is only sent to those who have nothing yet.
    const first = count === steps.length ? known : 0;
    if (first === 0 && known > 0) this.clear();
    for (let place = first; place < steps.length; place += 1) {
      this.steps.push(steps[place]);
      this.at.push(at[place]);
      this.values.push(values[place]);
    }
    this.have = from + count;
  }

  clear() {
    this.have = 0;
    for (const column of [this.steps, this.at, this.values, this.smooth]) column.length = 0;
    this.mean = 0;
  }

  /** Running means in which every step back counts `weight` times as much, freed of their pull towards 0. */
  smoothed(weight) {
    if (weight !== this.weight) {
      this.weight = weight;
      this.mean = 0;
      this.smooth = [];
    }
    for (let place = this.smooth.length; place < this.values.length; place += 1) {
      this.mean = weight * this.mean + (1 - weight) * this.values[place];
      this.smooth.push(this.mean / (1 - weight ** (place + 1)));
    }
    return this.smooth;
  }
}

const RUNS = 8;
const known = new Map();

/** The lines of a run, which outlive the page that shows them: whoever comes back needs only what is new. */
export function linesOf(run) {
  const found = known.get(run) ?? new Map();
  known.delete(run);
  known.set(run, found);
  if (known.size > RUNS) known.delete(known.keys().next().value);
  return found;
}

/** Add what was sent. False where any of the points that there are, as counted, never came. */
export function merge(lines, sent, counts) {
  for (const [name, part] of Object.entries(sent)) {
    if (!lines.has(name)) lines.set(name, new Line());
    lines.get(name).add(part);
  }
  return Object.entries(counts).every(([name, count]) => (lines.get(name)?.have ?? 0) >= count);
}

/** The number of the first of ascending `values` that is not below `wanted`. */
export function firstFrom(values, wanted) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Places (x, y) in pixels, x ascending, as few as are seen: of each column of pixels its first, lowest, highest and
 * last, so that no spike is lost.
 */
export function thin(xs, ys) {
  if (xs.length < 1000) return xs.map((x, place) => [x, ys[place]]);
  const kept = [];
  let start = 0;
  while (start < xs.length) {
    const column = Math.floor(xs[start]);
    let [end, low, high] = [start, start, start];
    for (; end < xs.length && Math.floor(xs[end]) === column; end += 1) {
      if (ys[end] < ys[low]) low = end;
      if (ys[end] > ys[high]) high = end;
    }
    for (const place of [...new Set([start, low, high, end - 1])].sort((one, other) => one - other)) kept.push([xs[place], ys[place]]);
    start = end;
  }
  return kept;
}

// One chart: its axes, lines, legend and tooltip, and the actions on it.
import { Scale, formatted, rangeOf } from "./axes.js";
import { lowerBound, thin } from "./points.js";
import { save } from "./picture.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 270;
const [TOP, RIGHT, BOTTOM] = [8, 12, 40];
/** A line with at most this many points shows each of them as a circle. */
const FEW_POINTS = 30;
/** A drag over fewer pixels counts as a click. */
const MIN_DRAG = 6;

function createElement(parent, kind, className = "", text = "") {
  const element = document.createElement(kind);
  if (className) element.className = className;
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function createShape(parent, kind, attributes = {}) {
  const element = document.createElementNS(SVG, kind);
  setAttributes(element, attributes);
  parent.append(element);
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function createButton(parent, className, text, title, onClick) {
  const button = createElement(parent, "button", className, text);
  button.type = "button";
  button.title = title;
  button.addEventListener("click", onClick);
  return button;
}

export class Chart {
  constructor(parent, curves) {
    this.curves = curves;
    this.hidden = new Set();
    this.paths = new Map();
    this.figure = createElement(parent, "figure", "chart");
    this.caption = createElement(this.figure, "figcaption");
    this.title = createElement(this.caption, "span", "title");
    this.legend = createElement(this.caption, "span", "legend");
    this.plot = createElement(this.figure, "div", "plot");
    const tools = createElement(this.plot, "div", "tools");
    this.resetZoom = createButton(tools, "tool", "Whole run", "Show everything again (double-click)", () => curves.zoomTo(null));
    createButton(tools, "tool quiet", "PNG", "Save this chart as a picture", () => save(this.svg, this.title.textContent));
    this.svg = createShape(this.plot, "svg", { tabindex: 0, role: "img", height: HEIGHT });
    this.grid = createShape(this.svg, "g", { class: "grid" });
    const clipId = `clip-${Math.random().toString(36).slice(2)}`;
    this.clip = createShape(createShape(createShape(this.svg, "defs"), "clipPath", { id: clipId }), "rect");
    this.epochEnds = createShape(this.svg, "path", { class: "epoch-ends" });
    this.changes = createShape(this.svg, "g", { class: "changes" });
    this.lines = createShape(this.svg, "g", { class: "lines", "clip-path": `url(#${clipId})` });
    this.cursor = createShape(this.svg, "path", { class: "cursor" });
    this.dots = createShape(this.svg, "g");
    this.selection = createShape(this.svg, "rect", { class: "selection", y: TOP, height: HEIGHT - TOP - BOTTOM, width: 0 });
    this.xTitle = createShape(this.svg, "text", { class: "axis", "text-anchor": "middle" });
    this.message = createShape(this.svg, "text", { class: "message", "text-anchor": "middle" });
    this.tooltip = createElement(this.plot, "div", "tooltip");
    this.addListeners();
  }

  remove() {
    this.figure.remove();
  }

  /** Draw the lines of `chart`, as Python describes it, from the curves of the run; `shared` is equal for all charts. */
  draw(chart, curves, shared) {
    this.shared = shared;
    this.title.textContent = chart.title;
    this.isPercentage = chart.percentage;
    this.series = chart.lines
      .filter(([, name]) => curves.get(name)?.values.length)
      .map(([label, name, split]) => ({ label, split, curve: curves.get(name), xs: shared.coordinates.get(name), isBatches: label === "batches" }));
    const { smoothing } = shared.view;
    for (const line of this.series) line.values = smoothing ? line.curve.smoothed(smoothing) : line.curve.values;
    this.drawLegend();
    const shown = this.series.filter(({ label }) => !this.hidden.has(label));
    this.computeScales(shown);
    this.drawAxes();
    const lines = new Map();
    for (const line of shown) {
      if (smoothing) lines.set(`${line.label} as measured`, { ...line, values: line.curve.values, kind: "measured" });
      lines.set(line.label, { ...line, kind: line.isBatches ? "batches" : "main" });
    }
    for (const [label, path] of this.paths)
      if (!lines.has(label)) {
        path.remove();
        this.paths.delete(label);
      }
    for (const [label, line] of lines) this.drawLine(label, line);
    this.drawTooltip(shown);
  }

  formatted(value, digits) {
    return formatted(value, digits, this.isPercentage);
  }

  /** Draw the legend, with the latest value of each line. */
  drawLegend() {
    const labels = this.series.map(({ label }) => label);
    const entries = [...this.legend.children];
    entries.filter((entry) => !labels.includes(entry.dataset.label)).forEach((entry) => entry.remove());
    for (const { label, split, values, isBatches } of this.series) {
      let entry = entries.find((existing) => existing.dataset.label === label);
      if (!entry) {
        const className = `entry ${split} ${isBatches ? "faint" : ""}`;
        entry = createButton(this.legend, className, "", "Show or hide this line", () => this.toggle(label));
        entry.dataset.label = label;
        createElement(entry, "i");
        createElement(entry, "span", "", label);
        createElement(entry, "b");
      }
      entry.setAttribute("aria-pressed", String(!this.hidden.has(label)));
      entry.lastChild.textContent = isBatches ? "" : this.formatted(values.at(-1), 3);
    }
    const latest = this.series.filter(({ isBatches }) => !isBatches).map(({ label, values }) => `${label} ${this.formatted(values.at(-1), 3)}`);
    setAttributes(this.svg, { "aria-label": `${this.title.textContent} by ${this.shared.axis.title}. ${latest.join(", ")}` });
  }

  toggle(label) {
    if (!this.hidden.delete(label)) this.hidden.add(label);
    this.curves.scheduleDraw();
  }

  /** Compute the scales of the points that are shown, and the width of the chart. */
  computeScales(shown) {
    const { view, zoom } = this.shared;
    const ends = shown.flatMap(({ xs }) => [xs.find((x) => x > 0 || !view.log_x) ?? NaN, xs.at(-1)]);
    const [first, last] = zoom ?? rangeOf(ends, view.log_x, 0) ?? (view.log_x ? [1, 10] : [0, 1]);
    const start = zoom || view.log_x ? first : 0;
    const visibleValues = function* () {
      for (const { xs, values, curve, isBatches } of shown) {
        const end = lowerBound(xs, last * (1 + 1e-12));
        for (let index = lowerBound(xs, start); index <= Math.min(end, xs.length - 1); index += 1) {
          yield values[index];
          if (values !== curve.values && !isBatches) yield curve.values[index];
        }
      }
    };
    const [low, high] = rangeOf(visibleValues(), view.log_y, 0.05) ?? (view.log_y ? [0.1, 1] : [0, 1]);
    this.width = Math.max(160, Math.floor(this.plot.clientWidth));
    // Percentages have a scale of their own, so that their ticks are round.
    const factor = this.isPercentage ? 100 : 1;
    this.y = new Scale(low, high, HEIGHT - BOTTOM, TOP, view.log_y);
    const ticks = new Scale(factor * low, factor * high, 0, 1, view.log_y).ticks(5);
    this.yTicks = ticks.map(({ value, text }) => ({ value: value / factor, text: this.isPercentage ? `${text}%` : text }));
    const left = 14 + 6.6 * Math.max(1, ...this.yTicks.map(({ text }) => text.length));
    this.x = new Scale(start, last > start ? last : start + 1, left, this.width - RIGHT, view.log_x);
  }

  drawAxes() {
    const { x, y, width } = this;
    setAttributes(this.svg, { width, viewBox: `0 0 ${width} ${HEIGHT}` });
    setAttributes(this.clip, { x: x.from - 3, y: TOP - 4, width: Math.max(0, x.to - x.from + 6), height: y.from - TOP + 8 });
    const ticks = [
      ...this.yTicks.map(({ value, text }) => ({ line: `M${x.from},${y.pixel(value)}H${x.to}`, text, left: x.from - 8, top: y.pixel(value) + 4, anchor: "end" })),
      ...x.ticks(width / 90).map(({ value, text }) => ({ line: `M${x.pixel(value)},${y.from}v4`, text, left: x.pixel(value), top: y.from + 17, anchor: "middle" })),
    ];
    const { children } = this.grid; // a path and a text for each tick
    while (children.length > 2 * ticks.length) this.grid.lastChild.remove();
    while (children.length < 2 * ticks.length) createShape(this.grid, children.length % 2 ? "text" : "path");
    ticks.forEach(({ line, text, left, top, anchor }, index) => {
      const [path, label] = [children[2 * index], children[2 * index + 1]];
      setAttributes(path, { d: line });
      setAttributes(label, { x: left, y: top, "text-anchor": anchor });
      if (label.textContent !== text) label.textContent = text;
    });
    setAttributes(this.epochEnds, { d: this.epochEndsPath() });
    this.drawChanges();
    setAttributes(this.xTitle, { x: (x.from + x.to) / 2, y: HEIGHT - 6 });
    this.xTitle.textContent = this.shared.axis.title;
    setAttributes(this.message, { x: (x.from + x.to) / 2, y: (y.from + y.to) / 2 });
    this.message.textContent = this.series.length ? "" : this.shared.message;
    this.resetZoom.hidden = !this.shared.zoom;
  }

  /** Vertical lines at the ends of epochs, unless there are so many that they would only shade the chart. */
  epochEndsPath() {
    const { x, y } = this;
    const visible = this.shared.epochEnds.filter((end) => end >= x.low && end <= x.high);
    if (visible.length > (x.to - x.from) / 12) return "";
    return visible.map((end) => `M${x.pixel(end).toFixed(1)},${y.to}V${y.from}`).join("");
  }

  /** Draw a line with a label at each change of a setting during the run; labels that would overlap are stacked. */
  drawChanges() {
    const { x, y } = this;
    this.changes.replaceChildren();
    const rowEnds = []; // of the last label in each row
    for (const { text, x: coordinate } of this.shared.changes) {
      if (!(coordinate >= x.low && coordinate <= x.high)) continue;
      const left = x.pixel(coordinate);
      const width = 5.6 * text.length;
      const isRight = left + 4 + width < x.to;
      const [from, to] = isRight ? [left, left + width + 8] : [left - width - 8, left];
      let row = rowEnds.findIndex((end) => end < from);
      if (row < 0) row = rowEnds.length;
      rowEnds[row] = to;
      const line = createShape(this.changes, "path", { d: `M${left.toFixed(1)},${y.to}V${y.from}` });
      createShape(line, "title").textContent = text;
      const position = { x: left + (isRight ? 4 : -4), y: y.to + 11 + 13 * row, "text-anchor": isRight ? "start" : "end" };
      createShape(this.changes, "text", position).textContent = text;
    }
  }

  drawLine(label, { xs, values, split, kind }) {
    if (!this.paths.has(label)) {
      const path = document.createElementNS(SVG, "path");
      path.dataset.line = label;
      if (kind === "main") this.lines.append(path);
      else this.lines.prepend(path);
      this.paths.set(label, path);
    }
    const [lefts, tops] = this.pixels(xs, values);
    let path = "";
    for (const [x, y] of thin(lefts, tops)) path += `${path ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`;
    if (lefts.length <= (kind === "main" ? FEW_POINTS : 1))
      lefts.forEach((left, index) => {
        path += `M${left.toFixed(1)},${tops[index].toFixed(1)}m-3,0a3,3 0 1 0 6,0a3,3 0 1 0 -6,0`;
      });
    setAttributes(this.paths.get(label), { d: path, class: `line ${kind} ${split}`, "data-points": values.length });
  }

  /** The pixels of the visible points, and of one point beyond each end, so that lines reach the edges. */
  pixels(xs, values) {
    const { x, y } = this;
    const { log_x: logX, log_y: logY } = this.shared.view;
    const [first, last] = [Math.max(0, lowerBound(xs, x.low) - 1), Math.min(xs.length - 1, lowerBound(xs, x.high))];
    const [lefts, tops] = [[], []];
    for (let index = first; index <= last; index += 1) {
      if ((logX && xs[index] <= 0) || (logY && values[index] <= 0)) continue;
      lefts.push(x.pixel(xs[index]));
      tops.push(y.pixel(values[index]));
    }
    return [lefts, tops];
  }

  /** Mark the points at the coordinate under the pointer, and list their values. */
  drawTooltip(shown) {
    const { hover, axis } = this.shared;
    const isVisible = hover && hover.x >= this.x.low && hover.x <= this.x.high;
    const lines = isVisible ? shown.filter(({ xs }) => xs.length) : [];
    this.dots.replaceChildren();
    setAttributes(this.cursor, { d: lines.length ? `M${this.x.pixel(hover.x).toFixed(1)},${this.y.to}V${this.y.from}` : "" });
    this.tooltip.hidden = !lines.length || hover.chart !== this;
    if (!lines.length) return;
    if (!this.tooltip.hidden) {
      this.tooltip.replaceChildren();
      createElement(this.tooltip, "div", "", `${axis.title} ${formatted(hover.x)}`);
    }
    for (const { label, split, xs, values } of lines) {
      const index = nearestIndex(xs, hover.x);
      const top = Math.min(this.y.from, Math.max(this.y.to, this.y.pixel(values[index])));
      createShape(this.dots, "circle", { class: `dot ${split}`, r: 3.5, cx: this.x.pixel(xs[index]), cy: top });
      if (this.tooltip.hidden) continue;
      const row = createElement(this.tooltip, "div", `entry ${split}`);
      createElement(row, "i");
      createElement(row, "span", "", label);
      createElement(row, "b", "", this.formatted(values[index]));
    }
    const left = this.x.pixel(hover.x);
    const isRight = left > this.width / 2;
    Object.assign(this.tooltip.style, { left: isRight ? "" : `${left + 14}px`, right: isRight ? `${this.width - left + 14}px` : "" });
  }

  /** The horizontal position of the pointer in pixels, within the axis; null if it is outside. */
  pointerPixel(event) {
    const box = this.svg.getBoundingClientRect();
    const pixel = ((event.clientX - box.left) / box.width) * this.width;
    return this.x && pixel >= this.x.from - 8 && pixel <= this.x.to + 8 ? Math.min(this.x.to, Math.max(this.x.from, pixel)) : null;
  }

  addListeners() {
    const { svg, curves } = this;
    svg.addEventListener("mousedown", (event) => event.preventDefault()); // a drag selects no text and takes no focus
    svg.addEventListener("pointerdown", (event) => {
      this.dragStart = event.button === 0 && event.pointerType === "mouse" ? this.pointerPixel(event) : null;
      if (this.dragStart !== null) svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      const pixel = this.pointerPixel(event);
      if (pixel !== null && this.dragStart != null)
        setAttributes(this.selection, { x: Math.min(pixel, this.dragStart), width: Math.abs(pixel - this.dragStart) });
      curves.pointAt(pixel === null ? null : this.nearestCoordinate(this.x.value(pixel)), this);
    });
    svg.addEventListener("pointerup", (event) => {
      const pixel = this.pointerPixel(event);
      if (pixel !== null && this.dragStart != null && Math.abs(pixel - this.dragStart) > MIN_DRAG)
        curves.zoomTo([this.x.value(Math.min(pixel, this.dragStart)), this.x.value(Math.max(pixel, this.dragStart))]);
      this.dragStart = null;
      setAttributes(this.selection, { width: 0 });
    });
    svg.addEventListener("pointerleave", () => curves.pointAt(null));
    svg.addEventListener("blur", () => curves.pointAt(null));
    svg.addEventListener("dblclick", () => curves.zoomTo(null));
    svg.addEventListener("keydown", (event) => this.handleKey(event));
  }

  /** The coordinate of the nearest point, so that the tooltip shows measured values. */
  nearestCoordinate(x) {
    const shown = this.series.filter(({ label, xs }) => !this.hidden.has(label) && xs.length);
    const candidates = shown.map(({ xs }) => xs[nearestIndex(xs, x)]);
    return candidates.sort((a, b) => Math.abs(a - x) - Math.abs(b - x))[0] ?? null;
  }

  /** Arrow keys move between the points of the first line that is not of batches; Escape resets the zoom. */
  handleKey(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") this.curves.zoomTo(null);
    const shown = this.series?.filter(({ label, xs, isBatches }) => !this.hidden.has(label) && xs.length && !isBatches) ?? [];
    const { xs } = shown[0] ?? this.series?.[0] ?? {};
    if (!(event.key in moves) || !xs) return;
    event.preventDefault();
    event.stopPropagation();
    const { hover } = this.curves; // rather than that of the last frame: keys may be faster than frames
    const index = hover ? nearestIndex(xs, hover.x) : xs.length;
    this.curves.pointAt(xs[Math.max(0, Math.min(xs.length - 1, index + moves[event.key]))], this);
  }
}

function nearestIndex(values, target) {
  const after = lowerBound(values, target);
  if (after === 0) return 0;
  if (after === values.length) return after - 1;
  return target - values[after - 1] <= values[after] - target ? after - 1 : after;
}

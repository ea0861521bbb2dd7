// One chart: its axes, its lines, what is read off it, and what can be done with it.
import { Scale, around, written } from "./axes.js";
import { firstFrom, thin } from "./points.js";
import { save } from "./picture.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 270;
const [TOP, RIGHT, BOTTOM] = [8, 12, 40];
/** So few points are seen one by one. */
const FEW = 30;
/** A drag of fewer pixels is a click. */
const DRAG = 6;

function made(parent, kind, className = "", text = "") {
  const element = document.createElement(kind);
  if (className) element.className = className;
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function shape(parent, kind, attributes = {}) {
  const element = document.createElementNS(SVG, kind);
  set(element, attributes);
  parent.append(element);
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function button(parent, className, text, title, act) {
  const found = made(parent, "button", className, text);
  found.type = "button";
  found.title = title;
  found.addEventListener("click", act);
  return found;
}

export class Chart {
  constructor(parent, curves) {
    this.curves = curves;
    this.off = new Set();
    this.drawn = new Map();
    this.box = made(parent, "figure", "chart");
    this.head = made(this.box, "figcaption");
    this.title = made(this.head, "span", "title");
    this.legend = made(this.head, "span", "legend");
    this.plot = made(this.box, "div", "plot");
    const tools = made(this.plot, "div", "tools");
    this.whole = button(tools, "tool", "Whole run", "Show everything again (double-click)", () => curves.look(null));
    button(tools, "tool quiet", "PNG", "Save this chart as a picture", () => save(this.svg, this.title.textContent));
    this.svg = shape(this.plot, "svg", { tabindex: 0, role: "img", height: HEIGHT });
    this.grid = shape(this.svg, "g", { class: "grid" });
    const clip = `inside-${Math.random().toString(36).slice(2)}`;
    this.inside = shape(shape(shape(this.svg, "defs"), "clipPath", { id: clip }), "rect");
    this.marks = shape(this.svg, "path", { class: "epochs" });
    this.changes = shape(this.svg, "g", { class: "changes" });
    this.lines = shape(this.svg, "g", { class: "lines", "clip-path": `url(#${clip})` });
    this.cross = shape(this.svg, "path", { class: "cross" });
    this.dots = shape(this.svg, "g");
    this.chosen = shape(this.svg, "rect", { class: "chosen", y: TOP, height: HEIGHT - TOP - BOTTOM, width: 0 });
    this.xTitle = shape(this.svg, "text", { class: "axis", "text-anchor": "middle" });
    this.message = shape(this.svg, "text", { class: "message", "text-anchor": "middle" });
    this.tip = made(this.plot, "div", "tip");
    this.listen();
  }

  remove() {
    this.box.remove();
  }

  draw(asked, lines, shared) {
    this.shared = shared;
    this.title.textContent = asked.title;
    this.series = asked.lines
      .filter(([, name]) => lines.get(name)?.values.length)
      .map(([label, name, tone]) => ({ label, tone, line: lines.get(name), at: shared.places.get(name), faint: label === "batches" }));
    const { smoothing } = shared.view;
    for (const one of this.series) one.values = smoothing ? one.line.smoothed(smoothing) : one.line.values;
    this.tell();
    const shown = this.series.filter(({ label }) => !this.off.has(label));
    this.measure(shown);
    this.axes();
    const wanted = new Map();
    for (const one of shown) {
      if (smoothing) wanted.set(`${one.label} as measured`, { ...one, values: one.line.values, kind: "measured" });
      wanted.set(one.label, { ...one, kind: one.faint ? "batches" : "main" });
    }
    for (const [label, path] of this.drawn) if (!wanted.has(label)) path.remove() || this.drawn.delete(label);
    for (const [label, one] of wanted) this.trace(label, one);
    this.read(shown);
  }

  /** The legend, which also says where each line is now. */
  tell() {
    const labels = this.series.map(({ label }) => label);
    const known = [...this.legend.children];
    known.filter((entry) => !labels.includes(entry.dataset.label)).forEach((entry) => entry.remove());
    for (const { label, tone, values, faint } of this.series) {
      let entry = known.find((one) => one.dataset.label === label);
      if (!entry) {
        entry = button(this.legend, `entry ${tone} ${faint ? "faint" : ""}`, "", "Show or hide this line", () => this.toggle(label));
        entry.dataset.label = label;
        made(entry, "i");
        made(entry, "span", "", label);
        made(entry, "b");
      }
      entry.setAttribute("aria-pressed", String(!this.off.has(label)));
      entry.lastChild.textContent = faint ? "" : written(values.at(-1), 3);
    }
    const last = this.series.filter(({ faint }) => !faint).map(({ label, values }) => `${label} ${written(values.at(-1), 3)}`);
    set(this.svg, { "aria-label": `${this.title.textContent} by ${this.shared.axis.title}. ${last.join(", ")}` });
  }

  toggle(label) {
    if (!this.off.delete(label)) this.off.add(label);
    this.curves.later();
  }

  /** The scales that hold what is shown, and how large the chart is. */
  measure(shown) {
    const { view, zoom } = this.shared;
    const ends = zoom ?? around(shown.flatMap(({ at }) => [at.find((x) => x > 0 || !view.log_x) ?? NaN, at.at(-1)]), view.log_x, 0);
    const [first, last] = ends ?? (view.log_x ? [1, 10] : [0, 1]);
    const start = zoom || view.log_x ? first : 0;
    const inside = function* () {
      for (const { at, values, line, faint } of shown) {
        const until = firstFrom(at, last * (1 + 1e-12));
        for (let place = firstFrom(at, start); place <= Math.min(until, at.length - 1); place += 1) {
          yield values[place];
          if (values !== line.values && !faint) yield line.values[place];
        }
      }
    };
    const [low, high] = around(inside(), view.log_y, 0.05) ?? (view.log_y ? [0.1, 1] : [0, 1]);
    this.width = Math.max(160, Math.floor(this.plot.clientWidth));
    this.y = new Scale(low, high, HEIGHT - BOTTOM, TOP, view.log_y);
    this.yMarks = this.y.marks(5);
    const left = 14 + 6.6 * Math.max(1, ...this.yMarks.map(({ text }) => text.length));
    this.x = new Scale(start, last > start ? last : start + 1, left, this.width - RIGHT, view.log_x);
  }

  axes() {
    const { x, y, width } = this;
    set(this.svg, { width, viewBox: `0 0 ${width} ${HEIGHT}` });
    set(this.inside, { x: x.from - 3, y: TOP - 4, width: Math.max(0, x.to - x.from + 6), height: y.from - TOP + 8 });
    const entries = [
      ...this.yMarks.map(({ value, text }) => ({ line: `M${x.from},${y.at(value)}H${x.to}`, text, left: x.from - 8, top: y.at(value) + 4, anchor: "end" })),
      ...x.marks(width / 90).map(({ value, text }) => ({ line: `M${x.at(value)},${y.from}v4`, text, left: x.at(value), top: y.from + 17, anchor: "middle" })),
    ];
    while (this.grid.children.length > 2 * entries.length) this.grid.lastChild.remove();
    while (this.grid.children.length < 2 * entries.length) this.grid.append(document.createElementNS(SVG, this.grid.children.length % 2 ? "text" : "path"));
    entries.forEach(({ line, text, left, top, anchor }, place) => {
      const [path, label] = [this.grid.children[2 * place], this.grid.children[2 * place + 1]];
      set(path, { d: line });
      set(label, { x: left, y: top, "text-anchor": anchor });
      if (label.textContent !== text) label.textContent = text;
    });
    set(this.marks, { d: this.epochs() });
    this.drawChanges();
    set(this.xTitle, { x: (x.from + x.to) / 2, y: HEIGHT - 6 });
    this.xTitle.textContent = this.shared.axis.title;
    set(this.message, { x: (x.from + x.to) / 2, y: (y.from + y.to) / 2 });
    this.message.textContent = this.series.length ? "" : this.shared.message;
    this.whole.hidden = !this.shared.zoom;
  }

  /** Where epochs end, unless they stand so close that they would only be a shade. */
  epochs() {
    const { x, y } = this;
    const found = this.shared.marks.filter((at) => at >= x.low && at <= x.high);
    if (found.length > (x.to - x.from) / 12) return "";
    return found.map((at) => `M${x.at(at).toFixed(1)},${y.to}V${y.from}`).join("");
  }

  /** A line with a label wherever a setting was changed during the run; labels that would overlap go to rows below. */
  drawChanges() {
    const { x, y } = this;
    this.changes.replaceChildren();
    const ends = []; // of the labels of each row
    for (const { text, place } of this.shared.changes) {
      if (!(place >= x.low && place <= x.high)) continue;
      const left = x.at(place);
      const width = 5.6 * text.length;
      const after = left + 4 + width < x.to;
      const [from, to] = after ? [left, left + width + 8] : [left - width - 8, left];
      let row = ends.findIndex((end) => end < from);
      if (row < 0) row = ends.length;
      ends[row] = to;
      const line = shape(this.changes, "path", { d: `M${left.toFixed(1)},${y.to}V${y.from}` });
      shape(line, "title").textContent = text;
      shape(this.changes, "text", { x: left + (after ? 4 : -4), y: y.to + 11 + 13 * row, "text-anchor": after ? "start" : "end" }).textContent = text;
    }
  }

  trace(label, { at, values, tone, kind }) {
    if (!this.drawn.has(label)) {
      const path = document.createElementNS(SVG, "path");
      path.dataset.line = label;
      if (kind === "main") this.lines.append(path);
      else this.lines.prepend(path);
      this.drawn.set(label, path);
    }
    const [xs, ys] = this.pixels(at, values);
    const few = xs.length <= (kind === "main" ? FEW : 1);
    let text = "";
    for (const [x, y] of thin(xs, ys)) text += `${text ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`;
    if (few) for (let place = 0; place < xs.length; place += 1) text += `M${xs[place].toFixed(1)},${ys[place].toFixed(1)}m-3,0a3,3 0 1 0 6,0a3,3 0 1 0 -6,0`;
    set(this.drawn.get(label), { d: text, class: `line ${kind} ${tone}`, "data-points": values.length });
  }

  /** The places of what is seen, with one beyond each end, so that lines reach the edges. */
  pixels(at, values) {
    const { x, y } = this;
    const { log_x: logX, log_y: logY } = this.shared.view;
    const [first, last] = [Math.max(0, firstFrom(at, x.low) - 1), Math.min(at.length - 1, firstFrom(at, x.high))];
    const [xs, ys] = [[], []];
    for (let place = first; place <= last; place += 1) {
      if ((logX && at[place] <= 0) || (logY && values[place] <= 0)) continue;
      xs.push(x.at(at[place]));
      ys.push(y.at(values[place]));
    }
    return [xs, ys];
  }

  /** The numbers at the place that is pointed at. */
  read(shown) {
    const { hover, axis } = this.shared;
    const seen = hover && hover.at >= this.x.low && hover.at <= this.x.high ? shown.filter(({ at }) => at.length) : [];
    this.dots.replaceChildren();
    set(this.cross, { d: seen.length ? `M${this.x.at(hover.at).toFixed(1)},${this.y.to}V${this.y.from}` : "" });
    this.tip.hidden = !seen.length || hover.chart !== this;
    if (!seen.length) return;
    if (!this.tip.hidden) {
      this.tip.replaceChildren();
      made(this.tip, "div", "", `${axis.title} ${written(hover.at)}`);
    }
    for (const { label, tone, at, values } of seen) {
      const place = nearest(at, hover.at);
      shape(this.dots, "circle", { class: `dot ${tone}`, r: 3.5, cx: this.x.at(at[place]), cy: Math.min(this.y.from, Math.max(this.y.to, this.y.at(values[place]))) });
      if (this.tip.hidden) continue;
      const row = made(this.tip, "div", `entry ${tone}`);
      made(row, "i");
      made(row, "span", "", label);
      made(row, "b", "", written(values[place]));
    }
    const left = this.x.at(hover.at);
    const over = left > this.width / 2;
    Object.assign(this.tip.style, { left: over ? "" : `${left + 14}px`, right: over ? `${this.width - left + 14}px` : "" });
  }

  /** Where along the chart the pointer is; null where it is beside it. */
  under(event) {
    const box = this.svg.getBoundingClientRect();
    const pixel = ((event.clientX - box.left) / box.width) * this.width;
    return this.x && pixel >= this.x.from - 8 && pixel <= this.x.to + 8 ? Math.min(this.x.to, Math.max(this.x.from, pixel)) : null;
  }

  listen() {
    const { svg, curves } = this;
    svg.addEventListener("mousedown", (event) => event.preventDefault()); // a drag neither marks text nor takes the focus
    svg.addEventListener("pointerdown", (event) => {
      this.from = event.button === 0 && event.pointerType === "mouse" ? this.under(event) : null;
      if (this.from !== null) svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      const at = this.under(event);
      if (at !== null && this.from != null) set(this.chosen, { x: Math.min(at, this.from), width: Math.abs(at - this.from) });
      curves.point(at === null ? null : this.snapped(this.x.value(at)), this);
    });
    svg.addEventListener("pointerup", (event) => {
      const at = this.under(event);
      if (at !== null && this.from != null && Math.abs(at - this.from) > DRAG)
        curves.look([this.x.value(Math.min(at, this.from)), this.x.value(Math.max(at, this.from))]);
      this.from = null;
      set(this.chosen, { width: 0 });
    });
    svg.addEventListener("pointerleave", () => curves.point(null));
    svg.addEventListener("blur", () => curves.point(null));
    svg.addEventListener("dblclick", () => curves.look(null));
    svg.addEventListener("keydown", (event) => this.key(event));
  }

  /** The place of the point that is nearest, so that what is read off is what was measured. */
  snapped(wanted) {
    const found = this.series.filter(({ label, at }) => !this.off.has(label) && at.length).map(({ at }) => at[nearest(at, wanted)]);
    return found.sort((one, other) => Math.abs(one - wanted) - Math.abs(other - wanted))[0] ?? null;
  }

  /** Arrows go from point to point, of the line that has fewest; Escape shows everything again. */
  key(event) {
    const ways = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") this.curves.look(null);
    const shown = this.series?.filter(({ label, at, faint }) => !this.off.has(label) && at.length && !faint) ?? [];
    const { at } = shown[0] ?? this.series?.[0] ?? {};
    if (!(event.key in ways) || !at) return;
    event.preventDefault();
    event.stopPropagation();
    const { hover } = this.curves; // not that of the last picture: keys may come faster than pictures
    const now = hover ? nearest(at, hover.at) : at.length;
    this.curves.point(at[Math.max(0, Math.min(at.length - 1, now + ways[event.key]))], this);
  }
}

function nearest(values, wanted) {
  const after = firstFrom(values, wanted);
  if (after === 0) return 0;
  if (after === values.length) return after - 1;
  return wanted - values[after - 1] <= values[after] - wanted ? after - 1 : after;
}

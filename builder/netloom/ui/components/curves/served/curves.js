// The curves of a run, drawn as its points come in: the charts stay where they are, and only their lines change.
import { linesOf, merge } from "./points.js";
import { Chart } from "./chart.js";
import { dress } from "./style.js";

/** After so long what is missing is asked for again, as an answer, too, may be overtaken. */
const AGAIN_MS = 2000;
const SECONDS = [
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** What stands along the charts: its title, and how the places of a line, or of a change of a setting, are found. */
function along(data, lines) {
  const all = [...lines.values()].filter((line) => line.have);
  if (data.view.x === "Step") return { title: "Step", of: (line) => line.steps };
  if (data.view.x === "Epoch") return { title: "Epoch", of: (line) => line.steps.map((step) => step / data.perEpoch) };
  const began = Math.min(...all.map((line) => line.at[0]));
  const length = Math.max(...all.map((line) => line.at.at(-1))) - began;
  const [size, unit] = SECONDS.find(([seconds]) => length > 2 * seconds) ?? SECONDS.at(-1);
  return { title: `Time (${unit})`, of: (line) => line.at.map((at) => (at - began) / size) };
}

class Curves {
  constructor(root) {
    dress(root);
    this.root = root;
    this.charts = [];
    this.zoom = null;
    this.hover = null;
    this.waiting = false;
    this.observer = new ResizeObserver(() => this.later());
  }

  /** Take what the server says. Where something is missing, all of it is asked for, until it is there. */
  take(data, ask) {
    this.observer.observe(this.root); // anew, as Streamlit also cleans up after data that a newer one overtook
    const lines = linesOf(data.run);
    clearTimeout(this.asking);
    if (!merge(lines, data.points, data.counts)) {
      const asked = `${data.run} ${data.asked}`;
      if (this.asked !== asked || Date.now() - this.askedAt >= AGAIN_MS) {
        Object.assign(this, { asked, askedAt: Date.now() });
        ask(`${asked} ${this.askedAt}`);
      }
      this.asking = setTimeout(() => this.take(data, ask), AGAIN_MS);
    }
    if (this.axis !== `${data.run} ${data.view.x}`) this.zoom = this.hover = null;
    this.axis = `${data.run} ${data.view.x}`;
    Object.assign(this, { data, lines });
    this.draw();
  }

  /** Draw with the next picture of the screen, however often it is asked for until then. */
  later() {
    if (this.waiting || !this.data) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const { charts, view, epochs } = this.data;
    while (this.charts.length > charts.length) this.charts.pop().remove();
    while (this.charts.length < charts.length) this.charts.push(new Chart(this.root, this));
    const axis = along(this.data, this.lines);
    const places = new Map();
    for (const [name, line] of this.lines) places.set(name, axis.of(line));
    const ends = this.lines.get(epochs);
    const marks = ends && view.x !== "Epoch" ? places.get(epochs) : [];
    const changes = (this.data.changes ?? []).map(({ text, step, at }) => ({ text, place: axis.of({ steps: [step], at: [at] })[0] }));
    const shared = { axis, places, marks, changes, view, zoom: this.zoom, hover: this.hover, message: this.data.message };
    charts.forEach((chart, place) => this.charts[place].draw(chart, this.lines, shared));
  }

  /** Look at a part of what stands along all charts, or with null at everything. */
  look(zoom) {
    this.zoom = zoom;
    this.hover = null;
    this.later();
  }

  /** Read all charts off at one place, or with null at none. `chart` tells the numbers. */
  point(hover, chart) {
    this.hover = hover === null ? null : { at: hover, chart };
    this.later();
  }
}

const mounted = new WeakMap();

export default function mount({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector("[data-part=curves]");
  if (!mounted.has(root)) mounted.set(root, new Curves(root));
  const curves = mounted.get(root);
  curves.take(data, (value) => setStateValue("missing", value));
  return () => {
    curves.observer.disconnect();
    clearTimeout(curves.asking);
  };
}

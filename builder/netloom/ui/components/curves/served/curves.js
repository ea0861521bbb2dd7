// The curves of a run. The charts stay in the page while points arrive, and only their lines are drawn again.
import { curvesOf, merge } from "./points.js";
import { Chart } from "./chart.js";
import { adoptStyle } from "./style.js";

/** Missing points are requested again after this time, since an answer may be replaced by a later one. */
const RETRY_MS = 2000;
const TIME_UNITS = [
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** The horizontal axis of all charts: its title, and the function that returns the coordinates of a curve's points. */
function horizontalAxis(data, curves) {
  if (data.view.x === "Step") return { title: "Step", of: (curve) => curve.steps };
  if (data.view.x === "Epoch") return { title: "Epoch", of: (curve) => curve.steps.map((step) => step / data.perEpoch) };
  const received = [...curves.values()].filter((curve) => curve.received);
  const start = Math.min(...received.map((curve) => curve.at[0]));
  const duration = Math.max(...received.map((curve) => curve.at.at(-1))) - start;
  const [size, unit] = TIME_UNITS.find(([seconds]) => duration > 2 * seconds) ?? TIME_UNITS.at(-1);
  return { title: `Time (${unit})`, of: (curve) => curve.at.map((at) => (at - start) / size) };
}

class Curves {
  constructor(root) {
    adoptStyle(root);
    this.root = root;
    this.charts = [];
    this.zoom = null;
    this.hover = null;
    this.isScheduled = false;
    this.observer = new ResizeObserver(() => this.scheduleDraw());
  }

  /** Apply data from the server. While points are missing, all points are requested again and again. */
  update(data, request) {
    this.observer.observe(this.root); // Streamlit may have disconnected it when it dropped outdated data
    const curves = curvesOf(data.run);
    clearTimeout(this.retry);
    if (!merge(curves, data.points, data.counts)) {
      const missing = `${data.run} ${data.sends}`;
      if (this.requested !== missing || Date.now() - this.requestedAt >= RETRY_MS) {
        Object.assign(this, { requested: missing, requestedAt: Date.now() });
        request(`${missing} ${this.requestedAt}`);
      }
      this.retry = setTimeout(() => this.update(data, request), RETRY_MS);
    }
    if (this.axis !== `${data.run} ${data.view.x}`) this.zoom = this.hover = null;
    this.axis = `${data.run} ${data.view.x}`;
    Object.assign(this, { data, curves });
    this.draw();
  }

  /** Draw once before the next frame, however often this is called until then. */
  scheduleDraw() {
    if (this.isScheduled || !this.data) return;
    this.isScheduled = true;
    requestAnimationFrame(() => {
      this.isScheduled = false;
      this.draw();
    });
  }

  draw() {
    const { charts, view, epochs } = this.data;
    while (this.charts.length > charts.length) this.charts.pop().remove();
    while (this.charts.length < charts.length) this.charts.push(new Chart(this.root, this));
    const axis = horizontalAxis(this.data, this.curves);
    const coordinates = new Map();
    for (const [name, curve] of this.curves) coordinates.set(name, axis.of(curve));
    const epochEnds = this.curves.has(epochs) && view.x !== "Epoch" ? coordinates.get(epochs) : [];
    const changes = (this.data.changes ?? []).map(({ text, step, at }) => ({ text, x: axis.of({ steps: [step], at: [at] })[0] }));
    const { zoom, hover } = this;
    const shared = { axis, coordinates, epochEnds, changes, view, zoom, hover, message: this.data.message };
    charts.forEach((chart, index) => this.charts[index].draw(chart, this.curves, shared));
  }

  /** Show a range [low, high] of the horizontal axis in all charts; null shows everything. */
  zoomTo(range) {
    this.zoom = range;
    this.hover = null;
    this.scheduleDraw();
  }

  /** Mark a coordinate in all charts, and list its values in `chart`; null removes the mark. */
  pointAt(x, chart) {
    this.hover = x === null ? null : { x, chart };
    this.scheduleDraw();
  }
}

const mounted = new WeakMap();

export default function mount({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector("[data-part=curves]");
  if (!mounted.has(root)) mounted.set(root, new Curves(root));
  const curves = mounted.get(root);
  curves.update(data, (value) => setStateValue("missing", value));
  return () => {
    curves.observer.disconnect();
    clearTimeout(curves.retry);
  };
}

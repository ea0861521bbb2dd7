// Plays an episode of an agent: a drawing of the environment at each step, and the scores of the actions.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 300;

/** The steps per second of each environment. */
const RATES = { cart_pole: 50, acrobot: 15, mountain_car: 30, frozen_lake: 3 };
const LAKE = ["SFFF", "FHFH", "FFFH", "HFFG"];

function createShape(parent, kind, attributes) {
  const element = document.createElementNS(SVG, kind);
  setAttributes(element, attributes);
  parent.appendChild(element);
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function createLine(parent, className, x1, y1, x2, y2) {
  return createShape(parent, "line", { class: className, x1, y1, x2, y2 });
}

/** Each function draws the fixed parts of an environment, and returns a function that shows an observation. */
const DRAWINGS = {
  cart_pole(svg) {
    const scale = 115; // pixels per meter: the track is 4.8 m wide, the pole 1 m long
    const ground = 210;
    const middle = WIDTH / 2;
    createLine(svg, "ground", 0, ground + 14, WIDTH, ground + 14);
    for (const side of [-2.4, 2.4]) createLine(svg, "goal", middle + side * scale, ground - 30, middle + side * scale, ground + 14);
    const cart = createShape(svg, "rect", { class: "body", width: 70, height: 28, y: ground - 14, rx: 6 });
    const pole = createLine(svg, "limb", 0, 0, 0, 0);
    const joint = createShape(svg, "circle", { class: "joint", r: 5, cy: ground - 12 });
    return ([x, , angle]) => {
      const left = middle + x * scale;
      setAttributes(cart, { x: left - 35 });
      setAttributes(joint, { cx: left });
      setAttributes(pole, { x1: left, y1: ground - 12, x2: left + scale * Math.sin(angle), y2: ground - 12 - scale * Math.cos(angle) });
    };
  },
  acrobot(svg) {
    const scale = 66;
    const [x, y] = [WIDTH / 2, HEIGHT / 2];
    createLine(svg, "goal", 120, y - scale, WIDTH - 120, y - scale);
    const first = createLine(svg, "limb", x, y, x, y);
    const second = createLine(svg, "limb second", x, y, x, y);
    createShape(svg, "circle", { class: "joint", r: 5, cx: x, cy: y });
    const elbow = createShape(svg, "circle", { class: "joint", r: 5 });
    return ([c1, s1, c2, s2]) => {
      const [ex, ey] = [x + scale * s1, y + scale * c1];
      const [cosine, sine] = [c1 * c2 - s1 * s2, s1 * c2 + c1 * s2]; // of the sum of both angles
      setAttributes(first, { x2: ex, y2: ey });
      setAttributes(elbow, { cx: ex, cy: ey });
      setAttributes(second, { x1: ex, y1: ey, x2: ex + scale * sine, y2: ey + scale * cosine });
    };
  },
  mountain_car(svg) {
    const toX = (x) => 20 + ((x + 1.2) / 1.8) * (WIDTH - 40);
    const toY = (x) => HEIGHT - 30 - (0.45 * Math.sin(3 * x) + 0.55) * 220;
    const points = Array.from({ length: 91 }, (_, i) => -1.2 + i * 0.02).map((x) => `${toX(x)},${toY(x)}`);
    createShape(svg, "polyline", { class: "ground", points: points.join(" "), fill: "none" });
    createLine(svg, "goal", toX(0.5), toY(0.5), toX(0.5), toY(0.5) - 46);
    createShape(svg, "polygon", {
      class: "flag",
      points: `${toX(0.5)},${toY(0.5) - 46} ${toX(0.5) + 24},${toY(0.5) - 37} ${toX(0.5)},${toY(0.5) - 28}`,
    });
    const car = createShape(svg, "g", {});
    createShape(car, "rect", { class: "body", x: -20, y: -26, width: 40, height: 15, rx: 5 });
    for (const cx of [-11, 11]) createShape(car, "circle", { class: "joint", cx, cy: -8, r: 6 });
    return ([x]) => {
      const slope = Math.atan2(toY(x + 0.01) - toY(x - 0.01), toX(x + 0.01) - toX(x - 0.01));
      setAttributes(car, { transform: `translate(${toX(x)} ${toY(x)}) rotate(${(slope * 180) / Math.PI})` });
    };
  },
  frozen_lake(svg) {
    const size = 68;
    const left = (WIDTH - 4 * size) / 2;
    const top = (HEIGHT - 4 * size) / 2;
    LAKE.forEach((row, y) =>
      [...row].forEach((square, x) => {
        const kind = square === "H" ? "hole" : square === "G" ? "gift" : "ice";
        createShape(svg, "rect", { class: kind, x: left + x * size + 2, y: top + y * size + 2, width: size - 4, height: size - 4, rx: 8 });
      }),
    );
    const agent = createShape(svg, "circle", { class: "joint", r: 17 });
    return (square) => {
      setAttributes(agent, { cx: left + ((square % 4) + 0.5) * size, cy: top + (Math.floor(square / 4) + 0.5) * size });
    };
  },
};

class Player {
  constructor(parent, data) {
    this.data = data;
    this.parts = Object.fromEntries([...parent.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
    this.draw = DRAWINGS[data.drawing](this.parts.scene);
    this.timer = 0;
    const { episode, play, step, speed, bars } = this.parts;
    data.episodes.forEach(({ title }, index) => episode.add(new Option(title, index)));
    this.bars = data.actions.map((name) => {
      const [row, label, track, bar, value] = ["div", "span", "span", "span", "span"].map((kind) => document.createElement(kind));
      row.className = "row";
      label.textContent = name;
      track.className = "track";
      bar.className = "bar";
      track.append(bar);
      row.append(label, track, value);
      bars.append(row);
      return { row, bar, value };
    });
    episode.addEventListener("change", () => this.selectEpisode());
    play.addEventListener("click", () => (this.timer ? this.pause() : this.start()));
    step.addEventListener("input", () => this.show(Number(step.value)));
    speed.addEventListener("change", () => this.timer && this.start());
    this.selectEpisode();
  }

  selectEpisode() {
    this.pause();
    this.episode = this.data.episodes[Number(this.parts.episode.value)];
    const scores = this.episode.scores.flat();
    [this.low, this.high] = this.data.values ? [Math.min(...scores), Math.max(...scores)] : [0, 1];
    this.parts.step.max = this.episode.actions.length - 1;
    this.show(0);
  }

  start() {
    this.pause();
    if (this.step >= this.episode.actions.length - 1) this.show(0);
    const rate = RATES[this.data.drawing] * Number(this.parts.speed.value);
    const [startTime, startStep] = [performance.now(), this.step];
    const advance = () => {
      const step = startStep + Math.floor(((performance.now() - startTime) / 1000) * rate);
      const last = this.episode.actions.length - 1;
      this.show(Math.min(step, last));
      if (step >= last) this.pause();
      else this.timer = requestAnimationFrame(advance);
    };
    this.timer = requestAnimationFrame(advance);
    this.parts.play.textContent = "Pause";
  }

  pause() {
    cancelAnimationFrame(this.timer);
    this.timer = 0;
    this.parts.play.textContent = "Play";
  }

  show(step) {
    const { seen: observations, actions, scores } = this.episode;
    this.step = step;
    this.draw(observations[step]);
    this.parts.step.value = step;
    const end = step === actions.length - 1 ? `, ${this.episode.end}` : "";
    this.parts.status.textContent = `Step ${step + 1} of ${actions.length}${end}`;
    const values = this.data.values ? scores[step] : softmax(scores[step]);
    this.bars.forEach(({ row, bar, value }, action) => {
      row.classList.toggle("chosen", action === actions[step]);
      bar.style.width = `${(100 * (values[action] - this.low)) / (this.high - this.low || 1)}%`;
      value.textContent = this.data.values ? values[action].toFixed(1) : `${(100 * values[action]).toFixed(0)}%`;
    });
  }
}

function softmax(scores) {
  const max = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - max));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

const players = new WeakMap();

export default function mount({ parentElement, data }) {
  const stamp = JSON.stringify([data.run, data.drawing]);
  const current = players.get(parentElement);
  if (current?.stamp === stamp) return undefined;
  current?.player.pause();
  for (const part of parentElement.querySelectorAll("[data-part=scene], [data-part=bars], [data-part=episode]")) part.replaceChildren();
  const player = new Player(parentElement, data);
  players.set(parentElement, { stamp, player });
  return () => {
    player.pause();
    players.delete(parentElement);
  };
}

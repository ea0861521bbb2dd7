// Plays an episode of an agent: a drawing of the environment, step by step, with the scores that chose each action.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 300;

/** Steps a second at which each environment is shown. */
const RATES = { cart_pole: 50, acrobot: 15, mountain_car: 30, frozen_lake: 3 };
const LAKE = ["SFFF", "FHFH", "FFFH", "HFFG"];

function shape(parent, kind, attributes) {
  const made = document.createElementNS(SVG, kind);
  set(made, attributes);
  parent.appendChild(made);
  return made;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function line(parent, kind, x1, y1, x2, y2) {
  return shape(parent, "line", { class: kind, x1, y1, x2, y2 });
}

/** Each drawing sets up what stands still, and returns what moves everything else to an observation. */
const DRAWINGS = {
  cart_pole(svg) {
    const scale = 115; // pixels of a metre: the track is 4.8 m wide, the pole 1 m long
    const ground = 210;
    const middle = WIDTH / 2;
    line(svg, "ground", 0, ground + 14, WIDTH, ground + 14);
    for (const side of [-2.4, 2.4]) line(svg, "goal", middle + side * scale, ground - 30, middle + side * scale, ground + 14);
    const cart = shape(svg, "rect", { class: "body", width: 70, height: 28, y: ground - 14, rx: 6 });
    const pole = line(svg, "limb", 0, 0, 0, 0);
    const joint = shape(svg, "circle", { class: "joint", r: 5, cy: ground - 12 });
    return ([x, , angle]) => {
      const at = middle + x * scale;
      set(cart, { x: at - 35 });
      set(joint, { cx: at });
      set(pole, { x1: at, y1: ground - 12, x2: at + scale * Math.sin(angle), y2: ground - 12 - scale * Math.cos(angle) });
    };
  },
  acrobot(svg) {
    const scale = 66;
    const [x, y] = [WIDTH / 2, HEIGHT / 2];
    line(svg, "goal", 120, y - scale, WIDTH - 120, y - scale);
    const first = line(svg, "limb", x, y, x, y);
    const second = line(svg, "limb second", x, y, x, y);
    shape(svg, "circle", { class: "joint", r: 5, cx: x, cy: y });
    const elbow = shape(svg, "circle", { class: "joint", r: 5 });
    return ([c1, s1, c2, s2]) => {
      const [ex, ey] = [x + scale * s1, y + scale * c1];
      const [sum, sums] = [c1 * c2 - s1 * s2, s1 * c2 + c1 * s2];
      set(first, { x2: ex, y2: ey });
      set(elbow, { cx: ex, cy: ey });
      set(second, { x1: ex, y1: ey, x2: ex + scale * sums, y2: ey + scale * sum });
    };
  },
  mountain_car(svg) {
    const across = (x) => 20 + ((x + 1.2) / 1.8) * (WIDTH - 40);
    const up = (x) => HEIGHT - 30 - (0.45 * Math.sin(3 * x) + 0.55) * 220;
    const points = Array.from({ length: 91 }, (_, i) => -1.2 + i * 0.02).map((x) => `${across(x)},${up(x)}`);
    shape(svg, "polyline", { class: "ground", points: points.join(" "), fill: "none" });
    line(svg, "goal", across(0.5), up(0.5), across(0.5), up(0.5) - 46);
    shape(svg, "polygon", {
      class: "flag",
      points: `${across(0.5)},${up(0.5) - 46} ${across(0.5) + 24},${up(0.5) - 37} ${across(0.5)},${up(0.5) - 28}`,
    });
    const car = shape(svg, "g", {});
    shape(car, "rect", { class: "body", x: -20, y: -26, width: 40, height: 15, rx: 5 });
    for (const cx of [-11, 11]) shape(car, "circle", { class: "joint", cx, cy: -8, r: 6 });
    return ([x]) => {
      const slope = Math.atan2(up(x + 0.01) - up(x - 0.01), across(x + 0.01) - across(x - 0.01));
      set(car, { transform: `translate(${across(x)} ${up(x)}) rotate(${(slope * 180) / Math.PI})` });
    };
  },
  frozen_lake(svg) {
    const size = 68;
    const left = (WIDTH - 4 * size) / 2;
    const top = (HEIGHT - 4 * size) / 2;
    LAKE.forEach((row, y) =>
      [...row].forEach((square, x) => {
        const kind = square === "H" ? "hole" : square === "G" ? "gift" : "ice";
        shape(svg, "rect", { class: kind, x: left + x * size + 2, y: top + y * size + 2, width: size - 4, height: size - 4, rx: 8 });
      }),
    );
    const walker = shape(svg, "circle", { class: "joint", r: 17 });
    return (square) => {
      set(walker, { cx: left + ((square % 4) + 0.5) * size, cy: top + (Math.floor(square / 4) + 0.5) * size });
    };
  },
};

class Player {
  constructor(parent, data) {
    this.data = data;
    this.parts = Object.fromEntries([...parent.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
    this.draw = DRAWINGS[data.drawing](this.parts.scene);
    this.timer = 0;
    const { episode, play, place, speed, bars } = this.parts;
    data.episodes.forEach((one, number) => episode.add(new Option(one.title, number)));
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
    episode.addEventListener("change", () => this.choose());
    play.addEventListener("click", () => (this.timer ? this.pause() : this.start()));
    place.addEventListener("input", () => this.show(Number(place.value)));
    speed.addEventListener("change", () => this.timer && this.start());
    this.choose();
  }

  choose() {
    this.pause();
    this.episode = this.data.episodes[Number(this.parts.episode.value)];
    const all = this.episode.scores.flat();
    [this.low, this.high] = this.data.values ? [Math.min(...all), Math.max(...all)] : [0, 1];
    this.parts.place.max = this.episode.actions.length - 1;
    this.show(0);
  }

  start() {
    this.pause();
    if (this.at >= this.episode.actions.length - 1) this.show(0);
    const rate = RATES[this.data.drawing] * Number(this.parts.speed.value);
    const [began, from] = [performance.now(), this.at];
    const next = () => {
      const to = from + Math.floor(((performance.now() - began) / 1000) * rate);
      const last = this.episode.actions.length - 1;
      this.show(Math.min(to, last));
      if (to >= last) this.pause();
      else this.timer = requestAnimationFrame(next);
    };
    this.timer = requestAnimationFrame(next);
    this.parts.play.textContent = "Pause";
  }

  pause() {
    cancelAnimationFrame(this.timer);
    this.timer = 0;
    this.parts.play.textContent = "Play";
  }

  show(at) {
    const { seen, actions, scores } = this.episode;
    this.at = at;
    this.draw(seen[at]);
    this.parts.place.value = at;
    const last = at === actions.length - 1 ? `, ${this.episode.end}` : "";
    this.parts.said.textContent = `Step ${at + 1} of ${actions.length}${last}`;
    const shares = this.data.values ? scores[at] : softmax(scores[at]);
    this.bars.forEach(({ row, bar, value }, action) => {
      row.classList.toggle("chosen", action === actions[at]);
      bar.style.width = `${(100 * (shares[action] - this.low)) / (this.high - this.low || 1)}%`;
      value.textContent = this.data.values ? shares[action].toFixed(1) : `${(100 * shares[action]).toFixed(0)}%`;
    });
  }
}

function softmax(scores) {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}

const players = new WeakMap();

export default function mount({ parentElement, data }) {
  const stamp = JSON.stringify([data.run, data.drawing]);
  const known = players.get(parentElement);
  if (known?.stamp === stamp) return undefined;
  known?.player.pause();
  for (const part of parentElement.querySelectorAll("[data-part=scene], [data-part=bars], [data-part=episode]")) part.replaceChildren();
  const player = new Player(parentElement, data);
  players.set(parentElement, { stamp, player });
  return () => {
    player.pause();
    players.delete(parentElement);
  };
}

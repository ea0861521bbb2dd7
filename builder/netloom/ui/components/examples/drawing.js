// A small picture to be drawn on, pixel by pixel. What is drawn goes back when the pointer is lifted.
const SIDE = 260; // pixels of the screen along the longer side
const SOFT = 0.45; // how much of the color the pixels around the pointer take

function ground(canvas, state) {
  const { width, height, channels, values } = state;
  const context = canvas.getContext("2d");
  const shown = context.createImageData(width, height);
  for (let place = 0; place < width * height; place++) {
    for (let part = 0; part < 3; part++) {
      shown.data[4 * place + part] = 255 * values[place * channels + (channels === 3 ? part : 0)];
    }
    shown.data[4 * place + 3] = 255;
  }
  context.putImageData(shown, 0, 0);
}

/** The pixel and, more weakly, those beside it move towards the color. */
function touch(state, x, y, color) {
  const around = state.width > 12 ? 1 : 0;
  for (let down = -around; down <= around; down++) {
    for (let across = -around; across <= around; across++) {
      const [column, row] = [x + across, y + down];
      if (column < 0 || row < 0 || column >= state.width || row >= state.height) continue;
      const share = across === 0 && down === 0 ? 1 : SOFT / (Math.abs(across) + Math.abs(down));
      for (let part = 0; part < state.channels; part++) {
        const place = (row * state.width + column) * state.channels + part;
        state.values[place] += share * (color[part % color.length] - state.values[place]);
      }
    }
  }
}

export default function ({ parentElement, data, setStateValue }) {
  const find = (part) => parentElement.querySelector(`[data-part=${part}]`);
  const [canvas, hue, erase, clear] = ["canvas", "hue", "erase", "clear"].map(find);
  if (canvas.known === data.id) return; // what is drawn stays, also when the page is drawn anew
  canvas.known = data.id;
  const { width, height, channels } = data;
  const state = { width, height, channels, values: Float32Array.from(data.values) };
  canvas.width = width;
  canvas.height = height;
  canvas.style.width = `${(SIDE * width) / Math.max(width, height)}px`;
  canvas.style.aspectRatio = `${width} / ${height}`;
  hue.hidden = channels !== 3;
  const color = () => {
    if (erase.getAttribute("aria-pressed") === "true") return [0];
    return channels === 3 ? [1, 3, 5].map((at) => parseInt(hue.value.slice(at, at + 2), 16) / 255) : [1];
  };
  const give = () => setStateValue("pixels", Array.from(state.values, (value) => Math.round(value * 1000) / 1000));
  let before = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  };
  const stroke = (event) => {
    const now = place(event);
    const from = before ?? now;
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(now[0] - from[0], now[1] - from[1])));
    for (let step = before ? 1 : 0; step <= steps; step++) {
      const at = [0, 1].map((axis) => Math.floor(from[axis] + ((now[axis] - from[axis]) * step) / steps));
      touch(state, at[0], at[1], color());
    }
    before = now;
    ground(canvas, state);
  };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    stroke(event);
  };
  canvas.onpointermove = (event) => before && stroke(event);
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (before) give();
    before = null;
  };
  erase.onclick = () => erase.setAttribute("aria-pressed", String(erase.getAttribute("aria-pressed") !== "true"));
  clear.onclick = () => {
    state.values.fill(0);
    ground(canvas, state);
    give();
  };
  ground(canvas, state);
}

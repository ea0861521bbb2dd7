// A small picture whose pixels can be painted. It is sent to the server when the pointer is lifted.
const SIDE = 260; // the longer side on the page, in pixels
const SOFTNESS = 0.45; // the share of the color in the pixels next to the painted one

function render(canvas, state) {
  const { width, height, channels, values } = state;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * pixel + channel] = 255 * values[pixel * channels + (channels === 3 ? channel : 0)];
    }
    image.data[4 * pixel + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Blend a color into a pixel and, more weakly, into its neighbors. */
function paint(state, x, y, color) {
  const radius = state.width > 12 ? 1 : 0;
  for (let dy = -radius; dy <= radius; dy++) {
    for (let dx = -radius; dx <= radius; dx++) {
      const [column, row] = [x + dx, y + dy];
      if (column < 0 || row < 0 || column >= state.width || row >= state.height) continue;
      const share = dx === 0 && dy === 0 ? 1 : SOFTNESS / (Math.abs(dx) + Math.abs(dy));
      for (let channel = 0; channel < state.channels; channel++) {
        const index = (row * state.width + column) * state.channels + channel;
        state.values[index] += share * (color[channel % color.length] - state.values[index]);
      }
    }
  }
}

export default function ({ parentElement, data, setStateValue }) {
  const find = (part) => parentElement.querySelector(`[data-part=${part}]`);
  const [canvas, hue, erase, clear] = ["canvas", "hue", "erase", "clear"].map(find);
  if (canvas.pictureId === data.id) return; // a rerun of the page does not discard what was painted
  canvas.pictureId = data.id;
  const { width, height, channels } = data;
  const state = { width, height, channels, values: Float32Array.from(data.values) };
  canvas.width = width;
  canvas.height = height;
  canvas.style.width = `${(SIDE * width) / Math.max(width, height)}px`;
  canvas.style.aspectRatio = `${width} / ${height}`;
  hue.hidden = channels !== 3;
  const color = () => {
    if (erase.getAttribute("aria-pressed") === "true") return [0];
    return channels === 3 ? [1, 3, 5].map((start) => parseInt(hue.value.slice(start, start + 2), 16) / 255) : [1];
  };
  const send = () => setStateValue("pixels", Array.from(state.values, (value) => Math.round(value * 1000) / 1000));
  let previous = null;
  const position = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  };
  const stroke = (event) => {
    const end = position(event);
    const start = previous ?? end;
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(end[0] - start[0], end[1] - start[1])));
    for (let step = previous ? 1 : 0; step <= steps; step++) {
      const [x, y] = [0, 1].map((axis) => Math.floor(start[axis] + ((end[axis] - start[axis]) * step) / steps));
      paint(state, x, y, color());
    }
    previous = end;
    render(canvas, state);
  };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    stroke(event);
  };
  canvas.onpointermove = (event) => previous && stroke(event);
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (previous) send();
    previous = null;
  };
  erase.onclick = () => erase.setAttribute("aria-pressed", String(erase.getAttribute("aria-pressed") !== "true"));
  clear.onclick = () => {
    state.values.fill(0);
    render(canvas, state);
    send();
  };
  render(canvas, state);
}

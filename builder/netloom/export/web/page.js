// The page: a widget for each field of a row, and the prediction while they change.
import { asFile, sized } from "./encode.js";
import { load } from "./model.js";

const MAX_CLASSES = 10;

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function labeled(title, widget) {
  return element("label", {}, element("span", { textContent: title }), widget);
}

/** Paints the image of a row on a canvas of its size. */
function paint(canvas, pixels, field) {
  const [channels, height, width] = field.shape;
  const planes = planesOf(pixels, field);
  const image = new ImageData(width, height);
  for (let index = 0; index < width * height; index += 1) {
    for (let color = 0; color < 3; color += 1) {
      const plane = planes[Math.min(color, channels - 1)];
      image.data[4 * index + color] = (255 / whiteOf(field)) * plane[Math.floor(index / width)][index % width];
    }
    image.data[4 * index + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The widget of a field of images: the pixels as a picture, and a button for a file. */
function imageWidget(field, row, changed) {
  const [, height, width] = field.shape;
  const canvas = element("canvas", { width, height, className: "pixels" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Image for ${field.name}`);
  const draw = () => paint(canvas, row[field.name], field);
  const file = element("input", { type: "file", accept: "image/*" });
  file.addEventListener("change", async () => {
    if (!file.files[0]) return;
    row[field.name] = await pixelsOf(file.files[0], field);
    draw();
    changed();
  });
  draw();
  makePaintable(canvas, field, row, () => {
    draw();
    changed();
  });
  const erase = element("button", { type: "button", textContent: "Erase" });
  erase.setAttribute("aria-pressed", "false");
  erase.addEventListener("click", () => {
    canvas.dataset.erases = canvas.dataset.erases ? "" : "yes";
    erase.setAttribute("aria-pressed", String(Boolean(canvas.dataset.erases)));
  });
  const clear = element("button", { type: "button", textContent: "Clear" });
  clear.addEventListener("click", () => {
    row[field.name] = planesOf(row[field.name], field).map((plane) => plane.map((line) => line.map(() => 0)));
    draw();
    changed();
  });
  const hint = element("p", { textContent: "Draw on the image, or upload one." });
  return element("div", {}, hint, canvas, element("div", { className: "buttons" }, erase, clear), labeled(`${field.name} (image file)`, file));
}

/** The image of a row as planes (C, H, W) of the size that the network reads. */
function planesOf(pixels, field) {
  return sized(Array.isArray(pixels[0][0]) ? pixels : [pixels], ...field.shape);
}

/** Make an image paintable: the pixel under the pointer becomes white, or black while erasing; in a large image, its neighbors, too. */
function makePaintable(canvas, field, row, painted) {
  const [, height, width] = field.shape;
  const radius = Math.max(width, height) / 28;
  let planes = null;
  const stroke = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width - 0.5;
    const y = ((event.clientY - box.top) / box.height) * height - 0.5;
    const tone = canvas.dataset.erases ? 0 : whiteOf(field);
    for (let line = Math.max(0, Math.ceil(y - radius)); line <= Math.min(height - 1, y + radius); line += 1) {
      for (let column = Math.max(0, Math.ceil(x - radius)); column <= Math.min(width - 1, x + radius); column += 1) {
        for (const plane of planes) plane[line][column] = tone;
      }
    }
    const [nearY, nearX] = [Math.round(y), Math.round(x)];
    if (nearY >= 0 && nearX >= 0 && nearY < height && nearX < width) for (const plane of planes) plane[nearY][nearX] = tone;
    row[field.name] = planes;
    painted();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    planes = structuredClone(planesOf(row[field.name], field));
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (planes) stroke(event);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { planes = null; });
}

/** The raw value of a white pixel. */
function whiteOf(field) {
  return field.top || 1 / field.scale;
}

/** The raw pixels (C, H, W) of an image file, on white where it is transparent, as training reads it. */
async function pixelsOf(file, field) {
  const [channels, height, width] = field.shape;
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const planes = [0, 1, 2].map((color) => Array.from({ length: bitmap.height }, (_, y) =>
    Array.from({ length: bitmap.width }, (_, x) => (data[4 * (y * bitmap.width + x) + color] * whiteOf(field)) / 255)));
  return sized(asFile(field, planes), channels, height, width);
}

function textWidget(field, row, changed) {
  const current = row[field.name];
  const area = element("textarea", { rows: 4, value: Array.isArray(current) ? current.join(" ") : current ?? "" });
  area.addEventListener("input", () => {
    row[field.name] = area.value;
    changed();
  });
  return labeled(field.name, area);
}

function tableWidget(field, row, changed) {
  const widgets = field.columns.map((column) => {
    const options = column.values ?? (column.boolean ? ["true", "false"] : null);
    const widget = options ? element("select", {}, element("option", { value: "", textContent: "" }),
      ...options.map((text) => element("option", { value: text, textContent: text })))
      : element("input", { type: "number", step: "any" });
    widget.value = String(row[column.name] ?? "");
    widget.addEventListener("input", () => {
      row[column.name] = widget.value === "" ? null : widget.value;
      changed();
    });
    return labeled(column.name, widget);
  });
  return element("div", { className: "columns" }, ...widgets);
}

/** The numbers of a series: a line for each step. */
function seriesWidget(field, row, changed) {
  const lines = row[field.name].map((step) => (Array.isArray(step) ? step.join(" ") : String(step)));
  const area = element("textarea", { rows: 8, value: lines.join("\n") });
  area.addEventListener("input", () => {
    row[field.name] = area.value.trim().split("\n").map((line) => line.trim().split(/[\s,;]+/).map(Number));
    changed();
  });
  return labeled(`${field.name}: ${field.shape[0]} lines of ${field.shape[1]} numbers`, area);
}

const WIDGETS = { image: imageWidget, table: tableWidget, series: seriesWidget, characters: textWidget, words: textWidget, letters: textWidget, bpe: textWidget };

// The colors of the app (explain/plots/class_colors.py); the first is that of the background
const COLORS = ["#d4d4d8", "#6366f1", "#f59e0b", "#10b981", "#ef4444", "#06b6d4", "#d946ef", "#84cc16", "#f97316", "#64748b"];
const colorOf = (number) => (number < COLORS.length ? COLORS[number] : COLORS[1 + ((number - 1) % (COLORS.length - 1))]);
const MAX_NUMBERS = 8; // of a list that is shown

function formatted(value) {
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  if (Array.isArray(value)) {
    return value.slice(0, MAX_NUMBERS).map(formatted).join(", ") + (value.length > MAX_NUMBERS ? ` … (${value.length} values)` : "") || "none";
  }
  if (value && typeof value === "object") return Object.entries(value).map(([name, part]) => `${name}: ${formatted(part)}`).join("; ");
  return String(value);
}

/** A mask as a picture, with the share of each class. */
function showMask(container, { prediction: lines, classes, shares }) {
  const canvas = element("canvas", { width: lines[0].length, height: lines.length, className: "pixels" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Class of each pixel");
  const context = canvas.getContext("2d");
  lines.forEach((line, y) => line.forEach((number, x) => {
    context.fillStyle = colorOf(number);
    context.fillRect(x, y, 1, 1);
  }));
  const present = classes.map((name, number) => [name, number]).filter(([name]) => shares[name]);
  container.replaceChildren(
    element("p", { className: "prediction", textContent: present.map(([name]) => `${name} ${(100 * shares[name]).toFixed(0)}%`).join(", ") }),
    canvas,
    element("ul", { className: "legend" }, ...present.map(([name, number]) => {
      const mark = element("span", { className: "mark" });
      mark.style.background = colorOf(number);
      return element("li", {}, mark, name);
    })),
  );
}

const MIN_SIDE = 480; // of the longer side of an image with boxes, in pixels
const percent = (share) => `${(100 * share).toFixed(0)}%`;

/** The classes of objects with their numbers, such as "2 × car, person". */
function objectsText(objects) {
  const counts = {};
  for (const { class: name } of objects) counts[name] = (counts[name] ?? 0) + 1;
  const texts = Object.keys(counts).sort().map((name) => (counts[name] > 1 ? `${counts[name]} × ${name}` : name));
  return texts.join(", ") || "No object";
}

/** The image of a row with the boxes of the predicted objects, and a table of them. */
function showBoxes(container, { prediction: objects, threshold }, row, { fields: [field], preprocess }) {
  const [, height, width] = field.shape;
  const small = element("canvas", { width, height });
  paint(small, row[field.name], field);
  const scale = Math.max(1, MIN_SIDE / Math.max(width, height));
  const canvas = element("canvas", { width: width * scale, height: height * scale, className: "boxes" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Predicted objects: ${objects.map((item) => `${item.class} ${percent(item.score)}`).join(", ") || "none"}`);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  for (const item of objects) drawBox(context, item, colorOf(1 + preprocess.target.classes.indexOf(item.class)));
  const limit = `a score above ${(100 * threshold).toFixed(1)}%, the threshold that was chosen on the validation rows`;
  container.replaceChildren(
    element("p", { className: "prediction", textContent: objectsText(objects) }), canvas,
    ...(objects.length ? [boxTable(objects, height, width)] : []),
    element("p", { className: "note", textContent: objects.length
      ? `In pixels of an image of ${width} × ${height}, from its upper left corner. Predicted are objects with ${limit}.`
      : `No object has ${limit}.` }),
  );
}

/** Draws a box, and its class and score above it, or below its upper side at the top of the image. */
function drawBox(context, { class: name, score, box }, color) {
  const { width, height } = context.canvas;
  const [left, top, right, bottom] = box.map((side, index) => side * (index % 2 ? height : width));
  context.font = "16px system-ui, sans-serif";
  for (const [line, thickness] of [["#000", 5], [color, 3]]) { // a dark edge, for images of the same color
    Object.assign(context, { strokeStyle: line, lineWidth: thickness });
    context.strokeRect(left, top, right - left, bottom - top);
  }
  const text = `${name} ${percent(score)}`;
  const length = context.measureText(text).width + 8;
  const [x, y] = [Math.max(0, Math.min(left, width - length)), top < 22 ? top : top - 22];
  context.fillStyle = color;
  context.fillRect(x, y, length, 22);
  context.fillStyle = "#000";
  context.fillText(text, x + 4, y + 16);
}

function boxTable(objects, height, width) {
  const cells = (tag, texts) => texts.map((text) => element(tag, { textContent: text }));
  const lines = objects.map(({ class: name, score, box }) => element("tr", {}, ...cells("td", [
    name, percent(score), ...box.map((side, index) => (side * (index % 2 ? height : width)).toFixed(1))])));
  const head = element("tr", {}, ...cells("th", ["Class", "Score", "Left", "Top", "Right", "Bottom"]));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines));
}

/** What a calibration adds to a prediction, a line each: confidence, interval, prediction set, and why it abstains. */
function calibrationLines({ confidence, interval, prediction_set: set, abstained, reason }) {
  const lines = [];
  if (abstained) lines.push(`Abstained: ${reason}`);
  if (confidence !== undefined) lines.push(`Confidence: ${(100 * confidence).toFixed(1)}%`);
  if (set) lines.push(`Prediction set: ${set.join(", ")}`);
  if (interval) lines.push(`Interval with ${(100 * interval.coverage).toFixed(0)}% coverage: ${formatted(interval.low)} to ${formatted(interval.high)}`);
  return lines;
}

function showCalibration(container, answer) {
  const named = answer.outputs ? Object.entries(answer.outputs) : [["", answer]];
  container.append(...named.flatMap(([name, part]) => calibrationLines(part).map((line) =>
    element("p", { className: "note", textContent: name ? `${name}: ${line}` : line }))));
}

function show(container, answer, row, model) {
  if (model.preprocess.target.kind === "boxes") showBoxes(container, answer, row, model);
  else if (answer.classes) showMask(container, answer);
  else showParts(container, answer);
  showCalibration(container, answer);
}

function showParts(container, answer) {
  const tagged = answer.tags ? `${answer.prediction}: ${answer.tags.join(" ")}` : null;
  const text = tagged ?? (answer.entities ? answer.prediction.join(" ") : formatted(answer.prediction));
  const prediction = text.trim() ? text : JSON.stringify(text); // such as a space as the next token
  const shares = Object.entries(answer.probabilities ?? {}).sort((a, b) => b[1] - a[1]).slice(0, MAX_CLASSES);
  container.replaceChildren(
    element("p", { className: "prediction", textContent: prediction }),
    ...shares.map(([name, share]) => labeled(`${name}: ${(100 * share).toFixed(1)}%`,
      element("meter", { value: share, max: 1 }))),
    ...Object.entries(answer.values ?? {}).map(([name, value]) => element("p", { textContent: `${name}: ${formatted(value)}` })),
  );
}

async function main() {
  const [form, result, status] = ["form", "result", "status"].map((id) => document.getElementById(id));
  try {
    const model = await load();
    const row = structuredClone(model.example);
    const changed = async () => {
      try {
        show(result, (await model.predict(row)).answer, row, model);
        status.textContent = "";
      } catch (error) {
        result.replaceChildren(); // the last prediction belongs to another input
        status.textContent = error.message;
      }
    };
    form.replaceChildren(...model.fields.map((field) => WIDGETS[field.encoding](field, row, changed)));
    globalThis.model = model; // for the console
    await changed();
  } catch (error) {
    form.replaceChildren(); // "Loading the network …"
    status.textContent = error.message;
  }
}

main();

// The page: a widget for each field of a row, and the prediction while they change.
import { sized } from "./encode.js";
import { load } from "./model.js";

const SHOWN = 10; // classes

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function labeled(title, widget) {
  return element("label", {}, element("span", { textContent: title }), widget);
}

/** The widget of a field of images: the pixels as a picture, and a button for a file. */
function imageWidget(field, row, changed) {
  const [channels, height, width] = field.shape;
  const canvas = element("canvas", { width, height, className: "pixels" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Image for ${field.name}`);
  const draw = () => {
    let planes = row[field.name];
    if (!Array.isArray(planes[0][0])) planes = [planes];
    planes = sized(planes, channels, height, width);
    const pixels = new ImageData(width, height);
    for (let place = 0; place < width * height; place += 1) {
      for (let color = 0; color < 3; color += 1) {
        const plane = planes[Math.min(color, channels - 1)];
        pixels.data[4 * place + color] = 255 * field.scale * plane[Math.floor(place / width)][place % width];
      }
      pixels.data[4 * place + 3] = 255;
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  };
  const file = element("input", { type: "file", accept: "image/*" });
  file.addEventListener("change", async () => {
    if (!file.files[0]) return;
    row[field.name] = await pixelsOf(file.files[0], field);
    draw();
    changed();
  });
  draw();
  return element("div", {}, canvas, labeled(`${field.name} (image file)`, file));
}

/** The raw pixels (C, H, W) of an image file; 1 / scale is white. */
async function pixelsOf(file, field) {
  const [channels, height, width] = field.shape;
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const planes = [0, 1, 2].map((color) => Array.from({ length: bitmap.height }, (_, y) =>
    Array.from({ length: bitmap.width }, (_, x) => data[4 * (y * bitmap.width + x) + color] / 255 / field.scale)));
  return sized(planes, channels, height, width);
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

const WIDGETS = { image: imageWidget, table: tableWidget, words: textWidget, letters: textWidget, bpe: textWidget };

function show(place, answer) {
  const prediction = Array.isArray(answer.prediction) ? answer.prediction.join(", ") || "none" : answer.prediction;
  const shares = Object.entries(answer.probabilities ?? {}).sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
  place.replaceChildren(
    element("p", { className: "prediction", textContent: String(prediction) }),
    ...shares.map(([name, share]) => labeled(`${name}: ${(100 * share).toFixed(1)}%`,
      element("meter", { value: share, max: 1 }))),
  );
}

async function main() {
  const [form, result, status] = ["form", "result", "status"].map((id) => document.getElementById(id));
  try {
    const model = await load();
    const row = structuredClone(model.example);
    const changed = async () => {
      try {
        show(result, (await model.predict(row)).answer);
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

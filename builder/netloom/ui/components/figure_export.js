// Downloads what the page shows, without the server: a Plotly figure or an SVG as PNG or SVG, and its numbers as CSV.
const NS = "http://www.w3.org/2000/svg";
const SCALE = 2; // pixels of a PNG per pixel of the page

/** All layers of a Plotly figure as one SVG; null if the figure is not drawn yet. */
function fromFigure(key) {
  const name = `st-key-${key.trim().replace(/[^a-zA-Z0-9_-]/g, "-")}`;
  const layers = [...document.getElementsByClassName(name)].flatMap((element) => [
    ...element.querySelectorAll(".js-plotly-plot .svg-container > .main-svg"),
  ]);
  if (!layers.length) return null;
  const [width, height] = ["width", "height"].map((side) => Number(layers[0].getAttribute(side)));
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const layer of layers) {
    const copy = layer.cloneNode(true);
    fixTextWidths(layer, copy);
    for (const part of copy.querySelectorAll(".hoverlayer, .draglayer, .zoomlayer")) part.remove();
    copy.removeAttribute("style");
    svg.append(copy);
  }
  return withSize(svg, width, height);
}

/** Fix the width of each text to that on the page, whose font a file does not contain. */
function fixTextWidths(layer, copy) {
  const [texts, copies] = [layer, copy].map((element) => element.querySelectorAll("text"));
  texts.forEach((text, index) => {
    if (text.querySelector("tspan") || !text.textContent) return;
    copies[index].setAttribute("textLength", text.getComputedTextLength().toFixed(1));
    copies[index].setAttribute("lengthAdjust", "spacingAndGlyphs");
  });
}

function withSize(svg, width, height) {
  svg.setAttribute("xmlns", NS);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  return { svg, width, height };
}

function fromText(text) {
  const svg = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  const [, , width, height] = (svg.getAttribute("viewBox") ?? "0 0 800 400").split(/[ ,]+/).map(Number);
  return withSize(svg, width, height);
}

/** The text of an SVG file with the background and the text color of the page. */
function fileText({ svg }, host) {
  const style = getComputedStyle(host);
  const background = document.createElementNS(NS, "rect");
  const [left, top] = (svg.getAttribute("viewBox") ?? "0 0").split(/[ ,]+/); // which may differ from 0
  const box = { x: left, y: top, width: "100%", height: "100%" };
  for (const [side, value] of Object.entries(box)) background.setAttribute(side, value);
  background.setAttribute("fill", style.getPropertyValue("--st-background-color") || "#ffffff");
  svg.prepend(background);
  svg.setAttribute("color", style.getPropertyValue("--st-text-color") || "#1c1c28");
  svg.setAttribute("font-family", "Source Sans, Source Sans Pro, sans-serif");
  // A file has no theme, so each color that depends on it is written as the one that the page shows.
  const dark = style.colorScheme.includes("dark") && !style.colorScheme.includes("light");
  return new XMLSerializer()
    .serializeToString(svg)
    .replace(/light-dark\(\s*([^(),]+?)\s*,\s*([^(),]+?)\s*\)/g, dark ? "$2" : "$1");
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function toPng({ width, height }, text) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

export default function ({ parentElement, data }) {
  const host = parentElement.host ?? parentElement;
  const currentPicture = () => (data.svg ? fromText(data.svg) : fromFigure(data.chart));
  const downloads = {
    PNG: async () => {
      const picture = currentPicture();
      if (picture) save(await toPng(picture, fileText(picture, host)), `${data.name}.png`);
    },
    SVG: () => {
      const picture = currentPicture();
      if (picture) save(new Blob([fileText(picture, host)], { type: "image/svg+xml" }), `${data.name}.svg`);
    },
    CSV: () => save(new Blob([data.csv], { type: "text/csv;charset=utf-8" }), `${data.name}.csv`),
  };
  const row = parentElement.querySelector(".row");
  const kinds = Object.keys(downloads).filter((kind) => (kind === "CSV" ? data.csv : data.svg || data.chart));
  row.replaceChildren(
    ...kinds.map((kind) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = kind;
      button.title = kind === "CSV" ? "The numbers as a table" : `The picture as ${kind}`;
      button.onclick = downloads[kind];
      return button;
    }),
  );
}

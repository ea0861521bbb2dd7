// Takes away what is shown, in the browser alone: a Plotly figure or an SVG as PNG or SVG, and numbers as CSV.
const NS = "http://www.w3.org/2000/svg";
const FINER = 2; // pixels of a PNG to one of the screen

/** All layers of a Plotly figure as one SVG; nothing where the figure is not drawn yet. */
function figure(key) {
  const name = `st-key-${key.trim().replace(/[^a-zA-Z0-9_-]/g, "-")}`;
  const layers = [...document.getElementsByClassName(name)].flatMap((one) => [
    ...one.querySelectorAll(".js-plotly-plot .svg-container > .main-svg"),
  ]);
  if (!layers.length) return null;
  const [width, height] = ["width", "height"].map((side) => Number(layers[0].getAttribute(side)));
  const whole = document.createElementNS(NS, "svg");
  whole.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const layer of layers) {
    const copy = layer.cloneNode(true);
    keepWidths(layer, copy);
    for (const part of copy.querySelectorAll(".hoverlayer, .draglayer, .zoomlayer")) part.remove();
    copy.removeAttribute("style");
    whole.append(copy);
  }
  return sized(whole, width, height);
}

/** A file has not the page's font; the room that each text takes stays as it is on the page. */
function keepWidths(layer, copy) {
  const [shown, copied] = [layer, copy].map((one) => one.querySelectorAll("text"));
  shown.forEach((text, place) => {
    if (text.querySelector("tspan") || !text.textContent) return;
    copied[place].setAttribute("textLength", text.getComputedTextLength().toFixed(1));
    copied[place].setAttribute("lengthAdjust", "spacingAndGlyphs");
  });
}

function sized(svg, width, height) {
  svg.setAttribute("xmlns", NS);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  return { svg, width, height };
}

function written(text) {
  const svg = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  const [, , width, height] = (svg.getAttribute("viewBox") ?? "0 0 800 400").split(/[ ,]+/).map(Number);
  return sized(svg, width, height);
}

/** The SVG as a file, on the page's background and with its colour of text. */
function source({ svg }, host) {
  const style = getComputedStyle(host);
  const ground = document.createElementNS(NS, "rect");
  const [left, top] = (svg.getAttribute("viewBox") ?? "0 0").split(/[ ,]+/); // which need not begin at 0
  const box = { x: left, y: top, width: "100%", height: "100%" };
  for (const [side, value] of Object.entries(box)) ground.setAttribute(side, value);
  ground.setAttribute("fill", style.getPropertyValue("--st-background-color") || "#ffffff");
  svg.prepend(ground);
  svg.setAttribute("color", style.getPropertyValue("--st-text-color") || "#1c1c28");
  svg.setAttribute("font-family", "Source Sans, Source Sans Pro, sans-serif");
  // A file has no theme to follow, so each colour that has two is written as the one that the page shows.
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

async function pixels(found, text) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = found.width * FINER;
  canvas.height = found.height * FINER;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

export default function ({ parentElement, data }) {
  const host = parentElement.host ?? parentElement;
  const picture = () => (data.svg ? written(data.svg) : figure(data.chart));
  const takes = {
    PNG: async () => {
      const found = picture();
      if (found) save(await pixels(found, source(found, host)), `${data.name}.png`);
    },
    SVG: () => {
      const found = picture();
      if (found) save(new Blob([source(found, host)], { type: "image/svg+xml" }), `${data.name}.svg`);
    },
    CSV: () => save(new Blob([data.csv], { type: "text/csv;charset=utf-8" }), `${data.name}.csv`),
  };
  const row = parentElement.querySelector(".row");
  const offered = Object.keys(takes).filter((kind) => (kind === "CSV" ? data.csv : data.svg || data.chart));
  row.replaceChildren(
    ...offered.map((kind) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = kind;
      button.title = kind === "CSV" ? "The numbers as a table" : `The picture as ${kind}`;
      button.onclick = takes[kind];
      return button;
    }),
  );
}

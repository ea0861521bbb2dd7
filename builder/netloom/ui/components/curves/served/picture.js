// Saves a chart as a PNG: a copy of the drawing with its computed styles, painted on a canvas.

const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight"];
const [SCALE, TITLE_HEIGHT] = [2, 34];

/** Save a drawing with a title as a PNG, at twice the resolution of the screen. */
export function save(svg, title) {
  const [width, height] = [svg.clientWidth, svg.clientHeight];
  const copy = svg.cloneNode(true);
  const [originals, copies] = [[...svg.querySelectorAll("*")], [...copy.querySelectorAll("*")]];
  originals.forEach((element, index) => {
    const computed = getComputedStyle(element);
    for (const name of STYLES) copies[index].style.setProperty(name, computed.getPropertyValue(name));
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", SCALE * width);
  copy.setAttribute("height", SCALE * height);
  const image = new Image();
  image.onload = () => download(image, svg, title, width, height);
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
}

function download(image, svg, title, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SCALE * width, height: SCALE * (height + TITLE_HEIGHT) });
  const computed = getComputedStyle(svg);
  const context = canvas.getContext("2d");
  context.fillStyle = computed.getPropertyValue("--st-background-color") || "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = computed.color;
  context.font = `600 ${SCALE * 15}px ${computed.fontFamily}`;
  context.fillText(title, SCALE * 8, SCALE * 22);
  context.drawImage(image, 0, SCALE * TITLE_HEIGHT);
  canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `${title.toLowerCase().replaceAll(/\W+/g, "-")}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

// A chart as a picture: the drawing with its styles written into it, painted once and saved.

const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight"];
const [TIMES, HEAD] = [2, 34];

/** Save a drawing with a title as a PNG, twice as fine as on the screen. */
export function save(svg, title) {
  const [width, height] = [svg.clientWidth, svg.clientHeight];
  const copy = svg.cloneNode(true);
  const [from, to] = [[...svg.querySelectorAll("*")], [...copy.querySelectorAll("*")]];
  from.forEach((element, place) => {
    const found = getComputedStyle(element);
    for (const name of STYLES) to[place].style.setProperty(name, found.getPropertyValue(name));
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", TIMES * width);
  copy.setAttribute("height", TIMES * height);
  const picture = new Image();
  picture.onload = () => paint(picture, svg, title, width, height);
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
}

function paint(picture, svg, title, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width: TIMES * width, height: TIMES * (height + HEAD) });
  const found = getComputedStyle(svg);
  const pen = canvas.getContext("2d");
  pen.fillStyle = found.getPropertyValue("--st-background-color") || "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = found.color;
  pen.font = `600 ${TIMES * 15}px ${found.fontFamily}`;
  pen.fillText(title, TIMES * 8, TIMES * 22);
  pen.drawImage(picture, 0, TIMES * HEAD);
  canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `${title.toLowerCase().replaceAll(/\W+/g, "-")}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

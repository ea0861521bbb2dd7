// A picture of the network: to the clipboard where the browser has one, or else as a file.
import { picture, type Look } from "../core/svgExport";
import type { Stage } from "./canvasView";

/** Pixels for each of the canvas; and how many a picture may have in all, as browsers give up beyond. */
const SCALE = 2;
const MOST_PIXELS = 120e6;

/** The colours of the page, as they are there now. */
function look(stage: Stage): Look {
  const style = getComputedStyle(stage.wrapper ?? document.body);
  const { color, backgroundColor } = style;
  const [red = 255, green = 255, blue = 255] = (backgroundColor.match(/[\d.]+/g) ?? []).map(Number);
  return { text: color, background: backgroundColor, dark: red + green + blue < 384 };
}

const draw = (stage: Stage) => picture(stage.engine, look(stage));

export async function asImage(stage: Stage): Promise<Blob> {
  const { svg, width, height } = draw(stage);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const scale = Math.min(SCALE, Math.sqrt(MOST_PIXELS / (width * height)));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.floor(width * scale), Math.floor(height * scale)];
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("The image is too large for this browser.")))),
  );
}

export const asSvg = (stage: Stage): Blob => new Blob([draw(stage).svg], { type: "image/svg+xml" });

/** Copy a picture. Returns whether that was possible: on plain http, say, a page may not. */
export async function copied(picture: Promise<Blob>): Promise<boolean> {
  try {
    // The promise itself, as some browsers let a page write only while the click is being handled.
    await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
    return true;
  } catch {
    return false;
  }
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A picture of the network: to the clipboard where the browser has one, or else as a file.
import { renderSvg, type SvgTheme } from "../core/svgExport";
import type { CanvasView } from "./canvasView";

/** Pixels for each of the canvas; and how many a picture may have in all, as browsers give up beyond. */
const SCALE = 2;
const MAX_PIXELS = 120e6;

/** The colours of the page, as they are there now. */
function pageTheme(view: CanvasView): SvgTheme {
  const style = getComputedStyle(view.wrapper ?? document.body);
  const { color, backgroundColor } = style;
  const [red = 255, green = 255, blue = 255] = (backgroundColor.match(/[\d.]+/g) ?? []).map(Number);
  return { text: color, background: backgroundColor, dark: red + green + blue < 384 };
}

const renderNetwork = (view: CanvasView) => renderSvg(view.store, pageTheme(view));

export async function renderPng(view: CanvasView): Promise<Blob> {
  const { svg, width, height } = renderNetwork(view);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const scale = Math.min(SCALE, Math.sqrt(MAX_PIXELS / (width * height)));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.floor(width * scale), Math.floor(height * scale)];
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The image is too large for this browser.")))),
  );
}

export const renderSvgBlob = (view: CanvasView): Blob => new Blob([renderNetwork(view).svg], { type: "image/svg+xml" });

/** Copy a picture. Returns whether that was possible: on plain http, say, a page may not. */
export async function copyImage(image: Promise<Blob>): Promise<boolean> {
  try {
    // The promise itself, as some browsers let a page write only while the click is being handled.
    await navigator.clipboard.write([new ClipboardItem({ "image/png": image })]);
    return true;
  } catch {
    return false;
  }
}

export function downloadBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

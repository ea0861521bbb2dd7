// Export of the network as an image, to the clipboard or as a download.
import { renderSvg, type SvgTheme } from "../core/svgExport";
import type { CanvasView } from "./canvasView";

/** Image pixels per canvas pixel, and the maximum number of pixels of an image, which browsers limit. */
const SCALE = 2;
const MAX_PIXELS = 120e6;

/** The current colors of the page. */
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

/** Copy an image. Returns whether the clipboard is available, which it is not over plain HTTP. */
export async function copyImage(image: Promise<Blob>): Promise<boolean> {
  try {
    // The promise instead of its value, because some browsers allow writing only during the click event.
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

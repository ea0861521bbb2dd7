// Resizes pixels as an image file is resized for training, bit for bit (modalities/encoding/file_pixels.py).

const SMALLEST_SIDE = 8;
const ONE = 2 ** 22; // the fixed-point weight 1

/** Planes (C, H, W) of bytes, where C is 1 or 3, resized to a square of at most `side` pixels, then to that size, and then to the shape (C, H, W). */
export function storedPixels(planes, side, [channels, height, width]) {
  const storedSide = Math.max(SMALLEST_SIDE, Math.min(side, Math.max(planes[0].length, planes[0][0].length)));
  const squares = planes.map((plane) => resampled(resampled(plane, storedSide, storedSide), side, side));
  const colors = [0, 1, 2].map((color) => squares[Math.min(color, squares.length - 1)]);
  const gray = (y, x) => Math.floor((19595 * colors[0][y][x] + 38470 * colors[1][y][x] + 7471 * colors[2][y][x] + 0x8000) / 0x10000);
  const stored = channels === 1 ? [colors[0].map((line, y) => line.map((_, x) => gray(y, x)))] : colors;
  return stored.map((plane) => resampled(plane, height, width));
}

function resampled(plane, height, width) {
  const resizeLines = (lines, size) => {
    if (lines[0].length === size) return lines;
    const windows = windowsOf(lines[0].length, size);
    return lines.map((line) => windows.map(({ first, weights }) => {
      // Whole numbers below 2^53, so that the sum is exact
      const total = weights.reduce((sum, weight, index) => sum + weight * line[first + index], 0);
      return Math.min(255, Math.max(0, Math.floor((total + ONE / 2) / ONE)));
    }));
  };
  const transposed = (lines) => lines[0].map((_, x) => lines.map((line) => line[x]));
  return transposed(resizeLines(transposed(resizeLines(plane, width)), height));
}

/** For each new pixel of a line, the first old pixel that counts, and the fixed-point weights from there. */
function windowsOf(old, size) {
  const scale = old / size;
  const radius = Math.max(scale, 1);
  return Array.from({ length: size }, (_, index) => {
    const middle = (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(middle - 2 * radius + 0.5));
    const last = Math.min(old, Math.trunc(middle + 2 * radius + 0.5));
    const shares = Array.from({ length: last - first }, (__, step) => cubic((first + step - middle + 0.5) * (1 / radius)));
    const total = shares.reduce((sum, share) => sum + share, 0);
    return { first, weights: shares.map((share) => (share / total) * ONE).map((weight) => Math.trunc(weight + (weight < 0 ? -0.5 : 0.5))) };
  });
}

/** The kernel of Keys with a = -1/2. */
function cubic(distance) {
  const size = Math.abs(distance);
  if (size < 1) return (1.5 * size - 2.5) * size * size + 1;
  return size < 2 ? (((size - 5) * size + 8) * size - 4) * -0.5 : 0;
}

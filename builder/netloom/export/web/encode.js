// Encodes a raw row to the tensors of a network, as Netloom does (modalities/encoding).

import { storedPixels } from "./file_pixels.js";

const MAX_MAGNITUDE = 1e30; // as in Netloom: a number far outside of the training data must not become infinite
const PAD = 0;
const UNKNOWN = 1;
const MISSING = new Set(["", "na", "n/a", "nan", "nat", "null", "none", "#n/a"]);
// The white space of Python, which differs from that of JavaScript
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WORD = new RegExp(`[\\p{L}\\p{N}_]+(?:'[\\p{L}\\p{N}_]+)?|[^\\p{L}\\p{N}_${SPACE}]`, "gu");
const LETTERS = "0-9A-Za-z_\\x80-\\u{10ffff}";
const PIECE = new RegExp(
  ` ?[${LETTERS}]{1,32}| ?[^ \\t\\n\\r\\f\\v${LETTERS}]{1,32}|[ \\t\\n\\r\\f\\v]{1,32}`, "gu");

const clipped = (value) => Math.min(MAX_MAGNITUDE, Math.max(-MAX_MAGNITUDE, value));

/** An error whose message is shown on the page. */
export class EncodeError extends Error {}

/** The tensor of a field, {data, dims}, for one raw row. */
export function encode(field, row) {
  return ENCODERS[field.encoding](field, row);
}

const ENCODERS = { image, table, series, characters: tokens(characters), words: tokens(words), letters: tokens(letters), bpe: tokens(bytePairs) };
const COLUMNS = { number: numberFeatures, category: categoryFeatures };

function value(row, name) {
  if (!(name in row)) throw new EncodeError(`The row has no column "${name}".`);
  return row[name];
}

/** Pixels (C, H, W) or (H, W), as nested lists of raw numbers. */
function image(field, row) {
  const [channels, height, width] = field.shape;
  let pixels = value(row, field.name);
  if (!Array.isArray(pixels?.[0]?.[0])) pixels = [pixels];
  const fits = (rows) => rows.length === channels && rows.every((plane) => plane.length === height
    && plane.every((line) => line.length === width));
  if (!fits(pixels) && pixels[0][0].length === channels) pixels = planesOf(pixels);
  if (field.resized) pixels = sized(asFile(field, pixels), channels, height, width);
  if (!fits(pixels)) throw new EncodeError(`An image must be ${height}×${width} with ${channels} channel${channels === 1 ? "" : "s"}.`);
  const data = Float32Array.from(pixels.flat(2), (pixel) => clipped(Math.fround(
    Math.fround(Math.fround(pixel) * Math.fround(field.scale)) - Math.fround(field.mean)) / Math.fround(field.std)));
  return { data, dims: [1, channels, height, width] };
}

/** An image (H, W, C) as (C, H, W). */
function planesOf(lines) {
  return lines[0][0].map((_, color) => lines.map((line) => line.map((pixel) => pixel[color])));
}

/** Pixels (C, H, W) or (H, W, C): bytes of another size than those of training as an image file of them would be read, others unchanged. */
export function asFile(field, pixels) {
  const planes = asPlanes(pixels);
  const shape = [pixels.length, pixels[0].length, pixels[0][0].length].join();
  const isByte = (pixel) => Number.isInteger(pixel) && pixel >= 0 && pixel <= 255;
  const areBytes = Math.abs((field.top || 1 / field.scale) - 255) < 1e-4 && isColor(planes.length)
    && planes.every((plane) => plane.every((line) => line.every(isByte)));
  if (!field.file_side || !areBytes || shape === field.shape.join() || shape === field.file_shape.join()) return pixels;
  return storedPixels(planes, field.file_side, field.file_shape);
}

const isColor = (count) => count === 1 || count === 3;
const asPlanes = (pixels) => (!isColor(pixels.length) && isColor(pixels[0][0].length) ? planesOf(pixels) : pixels);

/** An image (C, H, W) or (H, W, C), where C is 1 or 3, with another size and number of channels: cubic convolution, antialiased when it shrinks. */
export function sized(pixels, channels, height, width) {
  let planes = asPlanes(pixels);
  if (!isColor(planes.length)) return pixels;
  if (planes.length !== channels) {
    const gray = (r, g, b) => 0.299 * r + 0.587 * g + 0.114 * b;
    planes = channels === 1
      ? [planes[0].map((line, y) => line.map((_, x) => gray(...planes.map((plane) => plane[y][x]))))]
      : Array.from({ length: channels }, () => planes[0]);
  }
  let low = Infinity;
  let high = -Infinity;
  for (const pixel of planes.flat(2)) [low, high] = [Math.min(low, pixel), Math.max(high, pixel)];
  const resizeLines = (lines, size) => {
    if (lines[0].length === size) return lines;
    const kernels = pixelWeights(lines[0].length, size);
    return lines.map((line) => kernels.map((weights) => Math.min(high, Math.max(low,
      weights.reduce((sum, weight, index) => sum + weight * line[index], 0)))));
  };
  const transposed = (lines) => lines[0].map((_, x) => lines.map((line) => line[x]));
  return planes.map((plane) => transposed(resizeLines(transposed(resizeLines(plane, width)), height)));
}

/** For each new pixel of a line, the weights of the old ones. */
function pixelWeights(before, after) {
  const scale = before / after;
  return Array.from({ length: after }, (_, index) => {
    const middle = (index + 0.5) * scale;
    const weights = Array.from({ length: before }, (_, old) => {
      const distance = Math.abs(old + 0.5 - middle) / Math.max(scale, 1);
      if (distance < 1) return (1.5 * distance - 2.5) * distance ** 2 + 1;
      return distance < 2 ? ((-0.5 * distance + 2.5) * distance - 4) * distance + 2 : 0;
    });
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  });
}

/** A series (steps, channels), as a list of numbers or of lists. */
function series(field, row) {
  const [steps, width] = field.shape;
  const lines = value(row, field.name).map((step) => (Array.isArray(step) ? step : [step]));
  if (lines.length !== steps || lines.some((line) => line.length !== width)) {
    throw new EncodeError(`The field "${field.name}" must have ${steps} steps of ${width} values, received ${lines.length} steps.`);
  }
  const ofChannel = (numbers, channel) => (Array.isArray(numbers) ? numbers.flat(2)[channel % numbers.flat(2).length] : numbers);
  const data = Float32Array.from(lines.flatMap((line) => line.map((cell, channel) =>
    clipped((Number(cell) - ofChannel(field.mean, channel)) / ofChannel(field.std, channel)))));
  if (data.some(Number.isNaN)) throw new EncodeError(`The field "${field.name}" must consist of numbers.`);
  return { data, dims: [1, steps, width] };
}

function table(field, row) {
  const data = Float32Array.from(field.columns.flatMap((column) => COLUMNS[column.type](column, value(row, column.name))));
  return { data, dims: [1, data.length] };
}

function numberFeatures(column, cell) {
  let number = parsed(column, cell);
  const missing = Number.isNaN(number);
  if (missing) number = column.fill ?? column.median;
  if (column.log) number = Math.sign(number) * Math.log1p(Math.abs(number));
  const scaled = clipped((number - column.mean) / column.std);
  return column.indicator ? [scaled, Number(missing)] : [scaled];
}

function parsed(column, cell) {
  const text = String(cell ?? "").trim().toLowerCase();
  if (MISSING.has(text)) return NaN;
  if (text === "true" || text === "false") return Number(text === "true");
  const number = Number(text);
  if (!Number.isFinite(number)) throw new EncodeError(`The column "${column.name}" takes numbers, received "${cell}".`);
  return number;
}

function categoryFeatures(column, cell) {
  let text = cell === null || cell === undefined || Number.isNaN(cell) ? "" : String(cell);
  if (column.numeric && text.trim() !== "" && Number.isFinite(Number(text))) text = String(Number(text));
  if (text === "" && "fill" in column) text = String(column.fill);
  const aliases = new Map(Object.entries(column.aliases ?? {}));
  for (let step = 0; step < aliases.size && aliases.has(text); step += 1) text = aliases.get(text);
  const known = column.values.indexOf(text);
  const hot = known < 0 ? column.values.length : known; // the last number is that of other values
  return Array.from({ length: column.values.length + 1 }, (_, index) => Number(index === hot));
}

/** An encoder of texts as token indices, truncated or padded at the end. */
function tokens(split) {
  return (field, row) => {
    const indices = new Map(field.vocabulary.map((token, index) => [token, index]));
    const data = new BigInt64Array(field.length).fill(BigInt(PAD));
    split(field, value(row, field.name) ?? "").slice(0, field.length).forEach((token, index) => {
      data[index] = BigInt(indices.get(token) || UNKNOWN);
    });
    return { data, dims: [1, field.length] };
  };
}

function words(field, text) {
  const lower = field.lower ?? true;
  if (Array.isArray(text)) return text.map((word) => (lower ? String(word).toLowerCase() : String(word)));
  return (lower ? String(text).toLowerCase() : String(text)).replaceAll("’", "'").match(WORD) ?? [];
}

/** The last characters of a text. */
function characters(field, text) {
  return letters(field, text).slice(-field.length);
}

function letters(field, text) {
  const plain = Array.isArray(text) ? text.join(" ") : String(text);
  return Array.from(field.lower ? plain.toLowerCase() : plain);
}

function bytePairs(field, text) {
  const plain = Array.isArray(text) ? text.join(" ") : String(text);
  const ranks = new Map(field.merges.map((pair, rank) => [pair.join("\0"), rank]));
  const alphabet = byteLetters();
  const merged = (piece) => {
    const parts = Array.from(new TextEncoder().encode(piece), (byte) => alphabet[byte]);
    while (parts.length > 1) {
      const pairRanks = parts.slice(1).map((part, index) => ranks.get(`${parts[index]}\0${part}`) ?? Infinity);
      const best = Math.min(...pairRanks);
      if (best === Infinity) break;
      const index = pairRanks.indexOf(best);
      parts.splice(index, 2, parts[index] + parts[index + 1]);
    }
    return parts;
  };
  return ((field.lower ? plain.toLowerCase() : plain).match(PIECE) ?? []).flatMap(merged);
}

/** A visible letter for each of the 256 bytes, as in GPT-2. */
function byteLetters() {
  const isVisible = (byte) => (byte >= 33 && byte < 127) || (byte >= 161 && byte < 173) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isVisible(byte) ? byte : next++));
}

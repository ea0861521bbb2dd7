// Decodes the outputs of a network to predictions, as Netloom does (data/preparation/decode.py).

import { calibratedLogits, isOfObjects, objectConfidence, withConfidence } from "./calibrated.js";
import { logit, sigmoid, softmax } from "./probability.js";

/** The prediction for the outputs of one row: that of the first output, {data, dims} or a list of numbers. `others` are
 * the further outputs, and `arrays` the encoded fields by name. */
export function decode(preprocess, output, others = [], arrays = {}) {
  const { target, fields } = preprocess;
  const parts = [output, ...others].map((part, index) => {
    const [scale, family] = preprocess.scales?.[index] ?? ["logits", ""];
    return Array.from(part.data ?? part, (value) => logit(value, scale, family));
  });
  const [logits, ...rest] = parts;
  const decoder = DECODERS[target.kind];
  const context = { preprocess, output, others, parts, arrays, field: fields?.[0] };
  if (!target.calibration || isOfObjects(target.calibration)) return decoder(target, logits, context);
  const dims = output.dims ?? [1, logits.length];
  const calibrated = calibratedLogits(target.calibration, logits, dims);
  const answer = decoder(target, calibrated, { ...context, parts: [calibrated, ...rest] });
  return withConfidence(target, logits, calibrated, dims, arrays[fields?.[0]?.name], answer);
}

const DECODERS = {
  class: classes, binary, labels, number: numbers, mask, tags, boxes, class_and_tags: classAndTags, action, embedding, pair, several,
  next_token: nextToken,
};

const named = (names, values) => Object.fromEntries(names.map((name, index) => [name, values[index]]));

const argmax = (values) => values.indexOf(Math.max(...values));

function classes(target, logits) {
  const shares = softmax(logits);
  return { prediction: target.classes[argmax(shares)], probabilities: named(target.classes, shares) };
}

function binary(target, logits) {
  const share = sigmoid(logits[0]);
  const prediction = target.classes[Number(share > target.threshold)];
  return { prediction, probabilities: named(target.classes, [1 - share, share]), threshold: target.threshold };
}

function labels(target, logits) {
  const shares = logits.map(sigmoid);
  const prediction = target.classes.filter((_, index) => shares[index] > target.thresholds[index]);
  const thresholds = named(target.classes, target.thresholds);
  return { prediction, probabilities: named(target.classes, shares), thresholds };
}

/** Numbers in the units of the data, with an interval around them if one was chosen. */
function numbers(target, outputs) {
  const values = outputs.map((value, index) => value * target.std[index] + target.mean[index]);
  const answer = { prediction: byName(target, values) };
  const interval = target.calibration?.interval;
  if (!interval) return answer;
  const low = byName(target, values.map((value, index) => value - interval.below[index]));
  const high = byName(target, values.map((value, index) => value + interval.above[index]));
  return { ...answer, interval: { low, high, coverage: 1 - interval.alpha } };
}

/** One number, a list, or those of several series by name. */
function byName(target, values) {
  if (!target.series?.length) return values.length === 1 ? values[0] : values;
  const steps = values.length / target.series.length; // one series after the other
  const parts = target.series.map((_, index) => values.slice(index * steps, (index + 1) * steps));
  return named(target.series, steps === 1 ? parts.map(([step]) => step) : parts);
}

/** The class of each pixel, from logits (classes, H, W). */
function mask(target, logits, { output }) {
  const [height, width] = output.dims.slice(-2);
  const size = height * width;
  const pixels = Array.from({ length: size }, (_, index) =>
    argmax(target.classes.map((_, number) => logits[number * size + index])));
  const shares = target.classes.map((_, number) => pixels.filter((pixel) => pixel === number).length / size);
  const prediction = Array.from({ length: height }, (_, line) => pixels.slice(line * width, (line + 1) * width));
  return { prediction, classes: target.classes, shares: named(target.classes, shares) };
}

const SIDES = 4;
const MAX_OBJECTS = 100;
const RARITY = Math.fround(Math.log(9)); // a shift of the logits of objects
const softplus = (value) => Math.max(value, 0) + Math.log1p(Math.exp(-Math.abs(value)));

/** The objects whose score exceeds the threshold, from an output (classes + 4, H, W) (data/preparation/box_decoding.py).
 * The scores of the network decide, so that a calibration neither adds nor removes an object. */
function boxes(target, values, { output }) {
  const { calibration, threshold } = target;
  const [height, width] = output.dims.slice(-2);
  const size = height * width;
  const count = values.length / size - SIDES;
  const logits = values.slice(0, count * size).map((value) => Math.fround(value - RARITY)); // as in float32
  const isPeak = (index) => {
    const [first, y, x] = [index - (index % size), Math.floor((index % size) / width), index % width];
    for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row += 1) {
      for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column += 1) {
        if (logits[first + row * width + column] > logits[index]) return false;
      }
    }
    return true;
  };
  const clamped = (value) => Math.min(1, Math.max(0, value));
  const box = (cell) => {
    const [left, top, right, bottom] = [0, 1, 2, 3].map((side) => softplus(values[(count + side) * size + cell]));
    const [x, y] = [(cell % width) + 0.5, Math.floor(cell / width) + 0.5];
    return [(x - left) / width, (y - top) / height, (x + right) / width, (y + bottom) / height].map(clamped);
  };
  const prediction = logits.map((value, index) => ({ value, index }))
    .filter(({ value, index }) => sigmoid(value) > threshold && isPeak(index))
    .sort((a, b) => b.value - a.value).slice(0, MAX_OBJECTS)
    .map(({ value, index }) => ({
      class: target.classes[Math.floor(index / size)], score: objectConfidence(calibration, value), box: box(index % size),
    }));
  const limit = calibration ? objectConfidence(calibration, Math.log(threshold / (1 - threshold))) : threshold;
  return { prediction, threshold: limit };
}

/** The tag of each word, from logits (T, tags), and the entities that they mark. */
function tags(target, logits, { arrays, field }) {
  const words = Array.from(arrays[field.name]).filter((token) => token !== 0n).length; // without padding
  const count = target.classes.length;
  const prediction = Array.from({ length: words }, (_, index) =>
    target.classes[argmax(logits.slice(index * count, (index + 1) * count))]);
  return { prediction, entities: entities(prediction) };
}

function entities(words) {
  const spans = [];
  words.forEach((tag, index) => {
    const [mark, ...rest] = tag.split("-");
    const [kind, previous] = [rest.join("-"), spans.at(-1)];
    if (mark === "I" && previous?.last === index - 1 && previous.kind === kind) previous.last = index;
    else if (mark === "B" || mark === "I") spans.push({ first: index, last: index, kind });
  });
  return spans;
}

function classAndTags(target, logits, context) {
  const tagged = tags({ classes: target.tags }, context.parts[1], context);
  return { ...classes(target, logits), tags: tagged.prediction, entities: tagged.entities };
}

function action(target, scores) {
  const shown = target.values ? scores : softmax(scores);
  return { prediction: target.classes[argmax(scores)], [target.values ? "values" : "probabilities"]: named(target.classes, shown) };
}

function embedding(target, output) {
  return { prediction: output };
}

function pair(target, first, { parts }) {
  const distance = Math.sqrt(Math.max(1e-12, first.reduce((sum, value, index) => sum + (value - parts[1][index]) ** 2, 0)));
  return { prediction: target.classes[Number(distance < target.threshold)], distance, threshold: target.threshold };
}

/** The tokens that follow the last one of the text, from logits (T, vocabulary). */
function nextToken(target, logits, { arrays, field }) {
  const count = field.vocabulary.length;
  const last = Math.max(0, Array.from(arrays[field.name]).filter((token) => token !== 0n).length - 1);
  const shares = softmax(logits.slice(last * count, (last + 1) * count));
  const best = shares.map((_, index) => index).sort((a, b) => shares[b] - shares[a]).slice(0, 5);
  return { prediction: field.vocabulary[best[0]], probabilities: Object.fromEntries(best.map((index) => [field.vocabulary[index], shares[index]])) };
}

/** A prediction for each of several targets, from an output each. */
function several(target, first, { preprocess, output, others, arrays }) {
  const answers = target.parts.map((part, index) => decode(
    { ...preprocess, target: part, scales: [preprocess.scales?.[index] ?? null] }, [output, ...others][index], [], arrays));
  const names = target.parts.map((part) => part.name);
  return { prediction: named(names, answers.map((answer) => answer.prediction)), outputs: named(names, answers) };
}

// From the outputs of a network to predictions, as Netloom decodes them (data/preparation/decode.py).

const TINY = 2 ** -126; // the smallest normal number of float32
const NEAREST = 2 ** -24; // half of the machine epsilon of float32

/** The prediction for the outputs of one row: that of the first output, {data, dims} or a list of numbers. `others` are
 * the further outputs, and `arrays` the encoded fields by name. */
export function decode(preprocess, output, others = [], arrays = {}) {
  const parts = [output, ...others].map((part, place) => {
    const [scale, family] = preprocess.scales?.[place] ?? ["logits", ""];
    return Array.from(part.data ?? part, (value) => logit(value, scale, family));
  });
  return DECODERS[preprocess.target.kind](preprocess.target, parts[0],
    { preprocess, output, others, parts, arrays, field: preprocess.fields?.[0] });
}

const DECODERS = {
  class: classes, binary, labels, number: numbers, mask, tags, class_and_tags: classAndTags, action, embedding, pair, several,
  next_token: nextToken,
};

function logit(value, scale, family) {
  if (scale === "logits") return value;
  if (family === "softmax") return scale === "log_probabilities" ? value : Math.log(Math.max(value, TINY));
  if (scale === "probabilities") {
    const share = Math.min(1 - NEAREST, Math.max(NEAREST, value));
    return Math.log(share / (1 - share));
  }
  const log = Math.min(value, -NEAREST);
  return log - Math.log(-Math.expm1(log));
}

const sigmoid = (value) => 1 / (1 + Math.exp(-value));
const named = (names, shares) => Object.fromEntries(names.map((name, place) => [name, shares[place]]));

function softmax(logits) {
  const most = Math.max(...logits);
  const parts = logits.map((value) => Math.exp(value - most));
  const sum = parts.reduce((total, part) => total + part, 0);
  return parts.map((part) => part / sum);
}

const largest = (values) => values.indexOf(Math.max(...values));

function classes(target, logits) {
  const shares = softmax(logits);
  return { prediction: target.classes[largest(shares)], probabilities: named(target.classes, shares) };
}

function binary(target, logits) {
  const share = sigmoid(logits[0]);
  const prediction = target.classes[Number(share > target.threshold)];
  return { prediction, probabilities: named(target.classes, [1 - share, share]), threshold: target.threshold };
}

function labels(target, logits) {
  const shares = logits.map(sigmoid);
  const prediction = target.classes.filter((_, place) => shares[place] > target.thresholds[place]);
  return { prediction, probabilities: named(target.classes, shares) };
}

function numbers(target, outputs) {
  const values = outputs.map((value, place) => value * target.std[place] + target.mean[place]);
  if (!target.series?.length) return { prediction: values.length === 1 ? values[0] : values };
  const steps = values.length / target.series.length; // one series after the other
  const parts = target.series.map((_, place) => values.slice(place * steps, (place + 1) * steps));
  return { prediction: named(target.series, steps === 1 ? parts.map(([step]) => step) : parts) };
}

/** The class of each pixel, from logits (classes, H, W). */
function mask(target, logits, { output }) {
  const [height, width] = output.dims.slice(-2);
  const size = height * width;
  const pixels = Array.from({ length: size }, (_, place) =>
    largest(target.classes.map((_, number) => logits[number * size + place])));
  const shares = target.classes.map((_, number) => pixels.filter((pixel) => pixel === number).length / size);
  const prediction = Array.from({ length: height }, (_, line) => pixels.slice(line * width, (line + 1) * width));
  return { prediction, classes: target.classes, shares: named(target.classes, shares) };
}

/** The tag of each word, from logits (T, tags), and the entities that they mark. */
function tags(target, logits, { arrays, field }) {
  const words = Array.from(arrays[field.name]).filter((token) => token !== 0n).length; // without padding
  const count = target.classes.length;
  const prediction = Array.from({ length: words }, (_, place) =>
    target.classes[largest(logits.slice(place * count, (place + 1) * count))]);
  return { prediction, entities: entities(prediction) };
}

function entities(words) {
  const found = [];
  words.forEach((tag, place) => {
    const [mark, ...rest] = tag.split("-");
    const [kind, before] = [rest.join("-"), found.at(-1)];
    if (mark === "I" && before?.last === place - 1 && before.kind === kind) before.last = place;
    else if (mark === "B" || mark === "I") found.push({ first: place, last: place, kind });
  });
  return found;
}

function classAndTags(target, logits, context) {
  const tagged = tags({ classes: target.tags }, context.parts[1], context);
  return { ...classes(target, logits), tags: tagged.prediction, entities: tagged.entities };
}

function action(target, scores) {
  const shown = target.values ? scores : softmax(scores);
  return { prediction: target.classes[largest(scores)], [target.values ? "values" : "probabilities"]: named(target.classes, shown) };
}

function embedding(target, output) {
  return { prediction: output };
}

function pair(target, first, { parts }) {
  const distance = Math.sqrt(Math.max(1e-12, first.reduce((sum, value, place) => sum + (value - parts[1][place]) ** 2, 0)));
  return { prediction: target.classes[Number(distance < target.threshold)], distance, threshold: target.threshold };
}

/** The tokens that follow the last one of the text, from logits (T, vocabulary). */
function nextToken(target, logits, { arrays, field }) {
  const count = field.vocabulary.length;
  const last = Math.max(0, Array.from(arrays[field.name]).filter((token) => token !== 0n).length - 1);
  const shares = softmax(logits.slice(last * count, (last + 1) * count));
  const best = shares.map((_, place) => place).sort((a, b) => shares[b] - shares[a]).slice(0, 5);
  return { prediction: field.vocabulary[best[0]], probabilities: Object.fromEntries(best.map((place) => [field.vocabulary[place], shares[place]])) };
}

/** A prediction for each of several targets, from an output each. */
function several(target, first, { preprocess, output, others, arrays }) {
  const answers = target.parts.map((part, place) => decode(
    { ...preprocess, target: part, scales: [preprocess.scales?.[place] ?? null] }, [output, ...others][place], [], arrays));
  const names = target.parts.map((part) => part.name);
  return { prediction: named(names, answers.map((answer) => answer.prediction)), outputs: named(names, answers) };
}

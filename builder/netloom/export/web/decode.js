// From the outputs of a network to predictions, as Netloom decodes them (data/preparation/decode.py).

const TINY = 2 ** -126; // the smallest normal number of float32
const NEAREST = 2 ** -24; // half of the machine epsilon of float32

/** The prediction for the output of one row. */
export function decode(preprocess, output) {
  const [scale, family] = preprocess.scales?.[0] ?? ["logits", ""];
  return DECODERS[preprocess.target.kind](preprocess.target, Array.from(output, (value) => logit(value, scale, family)));
}

const DECODERS = { class: classes, binary, labels, number: numbers };

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

function classes(target, logits) {
  const most = Math.max(...logits);
  const parts = logits.map((value) => Math.exp(value - most));
  const sum = parts.reduce((total, part) => total + part, 0);
  const shares = parts.map((part) => part / sum);
  return { prediction: target.classes[shares.indexOf(Math.max(...shares))], probabilities: named(target.classes, shares) };
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
  return { prediction: values.length === 1 ? values[0] : values };
}

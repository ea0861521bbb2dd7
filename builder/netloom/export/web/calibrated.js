// Calibrated probabilities, abstention and prediction sets, as Netloom computes them (data/preparation/calibrated.py).
import { logSumExp, sigmoid, softmax } from "./probability.js";

// Netloom compares numbers in float32. With an isotonic curve, many inputs have the same confidence, and the threshold is
// one of them: without this margin, they would be on the wrong side of it by their rounding.
const ROUNDING = 1e-6;
const isAtLeast = (value, limit) => value >= limit - ROUNDING * Math.max(1, Math.abs(limit));

/** The calibrated logits of one row, in the order of the output {logits, dims}; the classes are on an axis of it. */
export function calibratedLogits(calibration, logits, dims) {
  const { scaling, axis, family } = calibration;
  if (!scaling) return logits;
  const calibrated = new Array(logits.length);
  for (const indices of unitIndices(dims, axis)) {
    const unit = indices.map((index) => logits[index]);
    const scaled = scaling.curves.length ? isotonic(family, scaling.curves, logShares(family, unit))
      : logShares(family, unit).map((value, number) => value * at(scaling.scale, number) + at(scaling.shift, number));
    indices.forEach((index, number) => { calibrated[index] = scaled[number]; });
  }
  return calibrated;
}

/** Whether the probabilities are those of objects, of which a row has any number: their decoder applies the calibration. */
export const isOfObjects = (calibration) => calibration.unit === "object";

/** The probability that an object is right, from the logit of its score; without a calibration, the score. */
export function objectConfidence(calibration, logit) {
  return sigmoid(calibration ? calibratedLogits({ ...calibration, axis: 1 }, [logit], [1, 1])[0] : logit);
}

/** An answer with its confidence, and where chosen, with its prediction set and whether it abstains. `logits` are the
 * outputs of one row, `calibrated` the calibrated ones, and `tokens` those of its text. */
export function withConfidence(target, logits, calibrated, dims, tokens, answer) {
  const { calibration } = target;
  if (calibration.family === "numbers") return answer;
  const isWord = calibration.unit === "word" ? Array.from(tokens, (token) => token !== 0n) : null; // 0 is padding
  const limits = target.thresholds?.length ? target.thresholds : [target.threshold ?? 0.5];
  const confidence = rowConfidence(calibration, calibrated, dims, limits, isWord);
  const added = { confidence };
  const reasons = doubts(calibration.abstention, confidence);
  const strange = calibration.out_of_distribution;
  if (strange) {
    added.familiarity = knownScore(strange.kind, calibration, logits, dims, isWord);
    reasons.push(...novelty(strange, added.familiarity));
  }
  if (calibration.conformal) added.prediction_set = predictionSet(calibration, target.classes, calibrated);
  if (strange || calibration.abstention) {
    added.abstained = reasons.length > 0;
    if (reasons.length) added.reason = reasons.join(" ");
  }
  return { ...answer, ...added };
}

/** For each row, pixel or word, the indices of its classes in the flat output of one row (1, …). */
function unitIndices(dims, axis) {
  const product = (sizes) => sizes.reduce((total, size) => total * size, 1);
  const [outer, count, inner] = [product(dims.slice(1, axis)), dims[axis], product(dims.slice(axis + 1))];
  return Array.from({ length: outer * inner }, (_, unit) => Array.from({ length: count }, (_, number) =>
    (Math.floor(unit / inner) * count + number) * inner + (unit % inner)));
}

/** A softmax ignores a constant that is added to all logits, but a scale for each class does not. */
function logShares(family, unit) {
  if (family !== "softmax") return unit;
  const sum = logSumExp(unit);
  return unit.map((value) => value - sum);
}

const at = (numbers, index) => numbers[numbers.length === 1 ? 0 : index]; // one number for all classes, or one for each

function isotonic(family, curves, unit) {
  const mapped = unit.map((value, index) => interpolated(curves[index], family === "softmax" ? Math.exp(value) : sigmoid(value)));
  if (family !== "softmax") return mapped.map((share) => Math.log(share / (1 - share)));
  const sum = mapped.reduce((total, share) => total + share, 0);
  return mapped.map((share) => Math.log(share / sum));
}

/** The value of a curve that is linear between its points, and constant outside of them. */
function interpolated({ x, y }, value) {
  const next = x.findIndex((point) => point > value);
  if (next < 0) return y.at(-1);
  if (next === 0) return y[0];
  const share = (value - x[next - 1]) / (x[next] - x[next - 1]);
  return y[next - 1] + share * (y[next] - y[next - 1]);
}

/** The probability that a prediction is right: that of the predicted class, or the mean of the labels, pixels or words. */
function rowConfidence(calibration, logits, dims, limits, isWord) {
  return mean(unitIndices(dims, calibration.axis).map((indices) => {
    const unit = indices.map((index) => logits[index]);
    if (calibration.family === "softmax") return Math.max(...softmax(unit));
    return mean(unit.map(sigmoid).map((share, index) => (share > at(limits, index) ? share : 1 - share)));
  }), isWord);
}

/** A score that is low for inputs unlike the training rows, from uncalibrated logits. */
function knownScore(kind, calibration, logits, dims, isWord) {
  return mean(unitIndices(dims, calibration.axis).map((indices) => {
    const unit = indices.map((index) => logits[index]);
    if (kind === "energy") return logSumExp(unit);
    if (calibration.family === "softmax") return Math.max(...softmax(unit));
    return mean(unit.map(sigmoid).map((share) => Math.max(share, 1 - share)));
  }), isWord);
}

/** The mean of numbers, without positions that are not words. */
function mean(numbers, isWord = null) {
  const used = isWord ? numbers.filter((_, index) => isWord[index]) : numbers;
  return used.reduce((total, value) => total + value, 0) / Math.max(1, used.length);
}

/** The classes of the conformal set, the most likely first. */
function predictionSet(calibration, classes, logits) {
  const shares = calibration.family === "softmax" ? softmax(logits) : [1 - sigmoid(logits[0]), sigmoid(logits[0])];
  const { kind, threshold } = calibration.conformal;
  let sum = 0;
  return shares.map((_, index) => index).sort((a, b) => shares[b] - shares[a]).filter((index, rank) => {
    sum += shares[index];
    return rank === 0 || (kind === "lac" ? isAtLeast(shares[index], threshold) : isAtLeast(threshold, sum));
  }).map((index) => classes[index]);
}

function doubts(abstention, confidence) {
  if (!abstention || isAtLeast(confidence, abstention.threshold)) return [];
  return [`The confidence ${percent(confidence)} is below the threshold ${percent(abstention.threshold)}.`];
}

function novelty(strange, score) {
  if (isAtLeast(score, strange.threshold)) return [];
  return [
    `The input is unlike the training data: its familiarity ${general(score)} is below the threshold ${general(strange.threshold)}.`,
  ];
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;

/** A number with four significant digits, as Python's format "g" writes it. */
function general(value, digits = 4) {
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e").map(Number);
  if (exponent >= -4 && exponent < digits) return String(Number(value.toPrecision(digits)));
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

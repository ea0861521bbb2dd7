// Probabilities and logits, as Netloom computes them (nn/probability.py).

const TINY = 2 ** -126; // the smallest normal number of float32
const NEAREST = 2 ** -24; // half of the machine epsilon of float32

/** The logit of an output on another scale: "probabilities" or "log_probabilities" of a "softmax" or "sigmoid". */
export function logit(value, scale, family) {
  if (scale === "logits") return value;
  if (family === "softmax") return scale === "log_probabilities" ? value : Math.log(Math.max(value, TINY));
  if (scale === "probabilities") {
    const share = Math.min(1 - NEAREST, Math.max(NEAREST, value));
    return Math.log(share / (1 - share));
  }
  const log = Math.min(value, -NEAREST);
  return log - Math.log(-Math.expm1(log));
}

export const sigmoid = (value) => 1 / (1 + Math.exp(-value));

export function softmax(logits) {
  const max = Math.max(...logits);
  const parts = logits.map((value) => Math.exp(value - max));
  const sum = parts.reduce((total, part) => total + part, 0);
  return parts.map((part) => part / sum);
}

/** The logarithm of the sum of the exponentials. */
export function logSumExp(logits) {
  const max = Math.max(...logits);
  return max + Math.log(logits.reduce((total, value) => total + Math.exp(value - max), 0));
}

// The scales of the axes, their ticks, and how numbers are written.

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** Format a number for people, with at most `digits` significant digits; a share as a percentage. */
export function formatted(value, digits = 4, isPercentage = false) {
  if (isPercentage) return `${formatted(100 * value, digits)}%`;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) {
    const [base, power] = value.toExponential(Math.min(digits, 3) - 1).split("e");
    return `${Number(base)}·10${superscript(Number(power))}`;
  }
  if (size >= 1e4) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(digits)));
}

/** Write a power of ten as an exponent. */
export function superscript(power) {
  return [...String(power)].map((sign) => SUPERSCRIPTS[sign]).join("");
}

/** About `count` ticks at round numbers from `low` to `high`. */
function linearTicks(low, high, count) {
  const spacing = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(spacing));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= spacing * 0.999);
  const values = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) values.push(index * step);
  return values.map((value) => ({ value, text: tickLabel(value, step) }));
}

/** Format a tick with as many decimals as its distance to the next one needs. */
function tickLabel(value, step) {
  const size = Math.max(Math.abs(value), step);
  if (Math.abs(value) < step / 2) return "0";
  if (size >= 1e6 || step < 1e-5) return formatted(value, 3);
  return value.toLocaleString("en", { maximumFractionDigits: Math.max(0, -Math.floor(Math.log10(step * 1.001))) });
}

/** About `count` ticks at powers of ten; if there are few powers, also at 2 and 5 between them. */
function logTicks(low, high, count) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  if (last - first > 60) return [];
  const stride = Math.max(1, Math.ceil((last - first) / Math.max(1, count)));
  const factors = last - first <= 3 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = first; power <= last; power += stride)
    for (const factor of factors) {
      const value = factor * 10 ** power;
      const text = factor === 1 && Math.abs(power) > 3 ? `10${superscript(power)}` : formatted(value, 2);
      if (value >= low && value <= high) ticks.push({ value, text });
    }
  return ticks.length > 1 ? ticks : linearTicks(low, high, count);
}

/** A linear or logarithmic scale from values between `low` and `high` to pixels between `from` and `to`. */
export class Scale {
  constructor(low, high, from, to, isLogarithmic) {
    Object.assign(this, { low, high, from, to });
    this.transform = isLogarithmic ? Math.log : (value) => value;
    this.inverse = isLogarithmic ? Math.exp : (value) => value;
    this.start = this.transform(low);
    this.length = this.transform(high) - this.start || 1;
    this.ticks = (count) => (isLogarithmic ? logTicks : linearTicks)(low, high, count);
  }

  pixel(value) {
    return this.from + ((this.transform(value) - this.start) / this.length) * (this.to - this.from);
  }

  value(pixel) {
    return this.inverse(this.start + ((pixel - this.from) / (this.to - this.from)) * this.length);
  }
}

/** The range of `values` with a margin on both sides; null if no value can be on the scale. */
export function rangeOf(values, isLogarithmic, margin) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values)
    if (Number.isFinite(value) && (value > 0 || !isLogarithmic)) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  if (low > high) return null;
  if (isLogarithmic) {
    const factor = low === high ? 1.5 : (high / low) ** margin;
    return [low / factor, high * factor];
  }
  const size = low === high ? Math.abs(low) * 0.1 || 0.5 : (high - low) * margin;
  return [low - size, high + size];
}

// Scales, where their marks stand, and how numbers are written.

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A number as people read it, with at most so many digits. */
export function written(value, digits = 4) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) {
    const [base, power] = value.toExponential(Math.min(digits, 3) - 1).split("e");
    return `${Number(base)}·10${raised(Number(power))}`;
  }
  if (size >= 1e4) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(digits)));
}

/** A power of ten as its exponent is set. */
export function raised(power) {
  return [...String(power)].map((sign) => RAISED[sign]).join("");
}

/** Round numbers from `low` to `high`, about `count` of them. */
function rounds(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) found.push(place * step);
  return found.map((value) => ({ value, text: ticked(value, step) }));
}

/** A mark's number with as many digits behind the point as its distance to the next asks for. */
function ticked(value, step) {
  const size = Math.max(Math.abs(value), step);
  if (Math.abs(value) < step / 2) return "0";
  if (size >= 1e6 || step < 1e-5) return written(value, 3);
  return value.toLocaleString("en", { maximumFractionDigits: Math.max(0, -Math.floor(Math.log10(step * 1.001))) });
}

/** Powers of ten, thinned where they are many; where they are few, with 2 and 5 between. */
function powers(low, high, count) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  if (last - first > 60) return [];
  const apart = Math.max(1, Math.ceil((last - first) / Math.max(1, count)));
  const between = last - first <= 3 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = first; power <= last; power += apart)
    for (const times of between) {
      const value = times * 10 ** power;
      if (value >= low && value <= high) found.push({ value, text: times === 1 && Math.abs(power) > 3 ? `10${raised(power)}` : written(value, 2) });
    }
  return found.length > 1 ? found : rounds(low, high, count);
}

/** From numbers between `low` and `high` to pixels between `from` and `to`. A logarithmic one begins above 0. */
export class Scale {
  constructor(low, high, from, to, logarithmic) {
    Object.assign(this, { low, high, from, to });
    this.bent = logarithmic ? Math.log : (value) => value;
    this.straight = logarithmic ? Math.exp : (value) => value;
    this.start = this.bent(low);
    this.length = this.bent(high) - this.start || 1;
    this.marks = (count) => (logarithmic ? powers(low, high, count) : rounds(low, high, count));
  }

  at(value) {
    return this.from + ((this.bent(value) - this.start) / this.length) * (this.to - this.from);
  }

  value(pixel) {
    return this.straight(this.start + ((pixel - this.from) / (this.to - this.from)) * this.length);
  }
}

/** The ends of a scale that holds all `values` with some room around them; null where it can hold none. */
export function around(values, logarithmic, room) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values)
    if (Number.isFinite(value) && (value > 0 || !logarithmic)) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  if (low > high) return null;
  if (logarithmic) {
    const more = low === high ? 1.5 : (high / low) ** room;
    return [low / more, high * more];
  }
  const more = low === high ? Math.abs(low) * 0.1 || 0.5 : (high - low) * room;
  return [low - more, high + more];
}

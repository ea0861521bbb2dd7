// Numbers in a short, readable format.
const scale = (value: number, base: number, units: string[]): string => {
  let step = 0;
  while (value >= base * 0.9995 && step < units.length - 1) {
    value /= base;
    step++;
  }
  const digits = step === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${units[step]}`;
};

/** 63050 -> "63.0K" */
export const formatCount = (value: number): string => scale(value, 1000, ["", "K", "M", "G", "T", "P", "E"]);
/** 18874016 -> "18.0 MiB" */
export const formatBytes = (value: number): string =>
  scale(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB"]);

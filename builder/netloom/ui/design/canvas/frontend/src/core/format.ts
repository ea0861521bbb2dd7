// Numbers and searches as people read and write them.
import type { LayerType } from "./generated";

const scaled = (value: number, base: number, units: string[]): string => {
  let step = 0;
  while (value >= base * 0.9995 && step < units.length - 1) {
    value /= base;
    step++;
  }
  const digits = step === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${units[step]}`;
};

/** 63050 -> "63.0K" */
export const count = (value: number): string => scaled(value, 1000, ["", "K", "M", "G", "T", "P", "E"]);
/** 18874016 -> "18.0 MiB" */
export const bytes = (value: number): string => scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB"]);

/** In small letters, and spelt as in "normalise". */
const spelt = (text: string): string => text.toLowerCase().replaceAll("iz", "is");

/** Layers that a search finds, the best match first: by title or type, then by its words, then by what is said of it. */
export function search(layers: LayerType[], query: string): LayerType[] {
  const words = spelt(query).split(/\s+/).filter(Boolean);
  if (!words.length) return layers;
  const whole = words.join(" ");
  const score = (layer: LayerType): number => {
    const [title, type, ...keywords] = [layer.title, layer.type, ...layer.keywords].map(spelt) as [string, string];
    const named = [title, type, ...keywords].join(" ");
    const text = `${named} ${spelt(`${layer.group} ${layer.summary}`)}`;
    if (!words.every((word) => text.includes(word))) return -1;
    const first = words[0] ?? "";
    const common = layer.common ? 1.5 : 0;
    if (title === whole || type === whole) return 6 + common;
    const begins = title.startsWith(first) || type.startsWith(first);
    // What a common layer is called, or is called as well, comes before a rare one of that very name.
    if (layer.common && begins) return 6.5;
    if (layer.common && (keywords as string[]).includes(whole)) return 6.2;
    const rank = begins ? 4 : title.includes(first) || type.includes(first) ? 3 : named.includes(first) ? 2 : 1;
    return rank + common;
  };
  return layers
    .map((layer, place) => ({ layer, place, score: score(layer) }))
    .filter((found) => found.score > 0)
    .sort((a, b) => b.score - a.score || a.place - b.place)
    .map((found) => found.layer);
}

// The search of the palette.
import type { LayerType } from "./generated";

/** Lowercase, in British spelling, so that "normalize" also matches "normalise". */
const normalizeSpelling = (text: string): string => text.toLowerCase().replaceAll("iz", "is");

/** The layers that match a query, the best first: by title or type, then by keyword, then by summary. */
export function searchLayers(layers: LayerType[], query: string): LayerType[] {
  const words = normalizeSpelling(query).split(/\s+/).filter(Boolean);
  if (!words.length) return layers;
  const phrase = words.join(" ");
  const score = (layer: LayerType): number => {
    const [title, type, ...keywords] = [layer.title, layer.type, ...layer.keywords].map(normalizeSpelling) as [
      string,
      string,
    ];
    const names = [title, type, ...keywords].join(" ");
    const text = `${names} ${normalizeSpelling(`${layer.group} ${layer.summary}`)}`;
    if (!words.every((word) => text.includes(word))) return -1;
    const first = words[0] ?? "";
    const commonBonus = layer.common ? 1.5 : 0;
    if (title === phrase || type === phrase) return 6 + commonBonus;
    const isPrefix = title.startsWith(first) || type.startsWith(first);
    // A common layer with this prefix or keyword ranks above a rare layer with this exact name.
    if (layer.common && isPrefix) return 6.5;
    if (layer.common && (keywords as string[]).includes(phrase)) return 6.2;
    const rank = isPrefix ? 4 : title.includes(first) || type.includes(first) ? 3 : names.includes(first) ? 2 : 1;
    return rank + commonBonus;
  };
  return layers
    .map((layer, index) => ({ layer, index, score: score(layer) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .map(({ layer }) => layer);
}

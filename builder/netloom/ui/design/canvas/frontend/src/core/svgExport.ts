// Export of the network as an SVG image, laid out as on the canvas. The image has no scripts and no external resources.
import { NODE_HEIGHT, NODE_WIDTH } from "./edits";
import type { DocumentStore } from "./documentStore";
import { formatCount } from "./format";
import { COLORS, hiddenItems, isFolded } from "./frames";
import { edgeEndpoints, edgePath, findDetours } from "./routing";
import type { NodeRecord, NoteRecord } from "./generated";

export type SvgTheme = { text: string; background: string; dark: boolean };
const MARGIN = 40;
const FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";
const MONO = "ui-monospace, Menlo, Consolas, monospace";
/** The number of characters that fit into a layer. */
const TITLE_LENGTH = 25;

const escapeXml = (text: string): string =>
  // Characters that XML 1.0 forbids are dropped, because a single one makes the file unreadable.
  [...text]
    .filter((character) => /[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(character))
    .join("")
    .replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
const truncate = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;
const textElement = (x: number, y: number, size: number, text: string, attributes = ""): string =>
  `<text x="${x}" y="${y}" font-size="${size}" ${attributes}>${escapeXml(text)}</text>`;

/** Render the visible network as SVG. Returns it with its width and height in pixels. */
export function renderSvg(store: DocumentStore, theme: SvgTheme) {
  const { graph } = store;
  const hidden = hiddenItems(graph);
  const nodes = Object.entries(graph.nodes).filter(([id]) => !hidden.has(id));
  const notes = Object.entries(graph.notes).filter(([id]) => !hidden.has(id));
  const at = (id: string) => (graph.nodes[id] ?? graph.notes[id])?.at;
  const detours = findDetours(store);
  const sizes = [
    ...nodes.map(([, record]) => [...record.at, NODE_WIDTH, NODE_HEIGHT]),
    ...notes.map(([, note]) => [
      ...note.at,
      ...(isFolded(note) ? [NODE_WIDTH, NODE_HEIGHT] : [note.width, note.height]),
    ]),
  ] as [number, number, number, number][];
  const detourXs = [...detours.values()];
  const left = Math.min(...sizes.map(([x]) => x), ...detourXs) - MARGIN;
  const top = Math.min(...sizes.map(([, y]) => y)) - MARGIN;
  const right = Math.max(...sizes.map(([x, , width]) => x + width), ...detourXs.map((x) => x + 90)) + MARGIN;
  const bottom = Math.max(...sizes.map(([, y, , height]) => y + height)) + MARGIN;
  const [paths, labels]: [string[], string[]] = [[], []];
  for (const [id, edge] of Object.entries(graph.edges)) {
    const endpoints = edgeEndpoints(store, edge, at);
    if (!endpoints) continue;
    const curve = edgePath(endpoints.start, endpoints.end, detours.get(id));
    const facts = store.data.derived.edges[id];
    paths.push(
      `<path d="${curve.path}" fill="none" stroke="${facts?.error ? "#e5484d" : theme.text}" stroke-opacity="0.45" stroke-width="1.6"/>`,
    );
    if (facts?.label) labels.push(shapeLabelSvg(curve.label, facts.label, theme));
  }
  const frames = notes.filter(([, note]) => note.frame).sort(([, a], [, b]) => b.width * b.height - a.width * a.height);
  const textNotes = notes.filter(([, note]) => !note.frame);
  const elements = [
    ...[...frames, ...textNotes].filter(([, note]) => !isFolded(note)).map(([, note]) => noteSvg(note, theme)),
    ...paths,
    ...nodes.map(([id, record]) => layerSvg(store, id, record, theme)),
    ...frames
      .filter(([, note]) => isFolded(note))
      .map(([, note]) => boxSvg(note.at, COLORS[note.color], note.text || "Frame", "", "", theme)),
    ...labels,
  ];
  const [width, height] = [Math.ceil(right - left), Math.ceil(bottom - top)];
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="${left} ${top} ${width} ${height}" font-family="${FONT}" fill="${theme.text}">\n` +
    `<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="${theme.background}"/>\n${elements.join("\n")}\n</svg>\n`;
  return { svg, width, height };
}

function layerSvg(store: DocumentStore, id: string, record: NodeRecord, theme: SvgTheme): string {
  const type = store.layerTypeOf(record);
  const facts = store.data.derived.nodes[id];
  const title = record.title || type?.title || record.type;
  const summary = facts?.summary === title ? "" : (facts?.summary ?? "");
  const color = /^#[0-9a-f]{3,8}$/i.test(type?.color ?? "") ? (type?.color ?? "") : theme.text;
  return boxSvg(record.at, color, title, summary, facts?.parameters ? formatCount(facts.parameters) : "", theme);
}

function boxSvg(
  [x, y]: [number, number],
  color: string,
  title: string,
  summary: string,
  size: string,
  theme: SvgTheme,
): string {
  const card = theme.dark ? "#1c2027" : "#ffffff";
  const secondLine = summary || size;
  return [
    `<rect x="${x}" y="${y}" width="${NODE_WIDTH}" height="${NODE_HEIGHT}" rx="10" fill="${card}" stroke="${color}" stroke-opacity="0.55"/>`,
    `<rect x="${x + 5}" y="${y + 9}" width="4" height="${NODE_HEIGHT - 18}" rx="2" fill="${color}"/>`,
    textElement(x + 17, y + (secondLine ? 26 : 34), 13, truncate(title, TITLE_LENGTH), 'font-weight="600"'),
    secondLine &&
      textElement(x + 17, y + 44, 12, truncate(summary, size ? TITLE_LENGTH - 6 : TITLE_LENGTH), 'fill-opacity="0.65"'),
    size && textElement(x + NODE_WIDTH - 12, y + 44, 12, size, 'fill-opacity="0.65" text-anchor="end"'),
  ].join("");
}

function shapeLabelSvg([x, y]: [number, number], text: string, theme: SvgTheme): string {
  const width = text.length * 6.7 + 12;
  return (
    `<rect x="${x - width / 2}" y="${y - 9}" width="${width}" height="18" rx="6" fill="${theme.background}"/>` +
    `<rect x="${x - width / 2}" y="${y - 9}" width="${width}" height="18" rx="6" fill="${theme.text}" fill-opacity="0.1"/>` +
    textElement(x, y + 4, 11, text, `text-anchor="middle" font-family="${MONO}"`)
  );
}

function noteSvg({ at: [x, y], width, height, text, color, frame }: NoteRecord, theme: SvgTheme): string {
  const fill = COLORS[color];
  const body =
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${frame ? 12 : 8}" fill="${fill}" ` +
    `fill-opacity="${frame ? 0.08 : 0.17}" stroke="${fill}" stroke-opacity="0.5"/>`;
  if (frame) return body + textElement(x + 14, y + 21, 13, truncate(text || "Frame", width / 8), 'font-weight="600"');
  return (
    body +
    wrapText(text, Math.floor((width - 24) / 7))
      .slice(0, Math.floor((height - 14) / 18))
      .map((line, index) => textElement(x + 12, y + 24 + 18 * index, 13, line, `fill="${theme.text}"`))
      .join("")
  );
}

/** Break text into lines of at most `length` characters. Longer words are not broken. */
function wrapText(text: string, length: number): string[] {
  return text.split("\n").flatMap((line) => {
    const lines = [""];
    for (const word of line.split(" ")) {
      const last = lines.length - 1;
      const extended = lines[last] ? `${lines[last]} ${word}` : word;
      if (extended.length <= length || !lines[last]) lines[last] = extended;
      else lines.push(word);
    }
    return lines;
  });
}

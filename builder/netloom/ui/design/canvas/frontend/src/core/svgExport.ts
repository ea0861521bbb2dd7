// The network as a picture: an SVG drawn from the document, as it lies on the canvas. It loads nothing and runs nothing.
import { NODE_HEIGHT, NODE_WIDTH } from "./edits";
import type { Engine } from "./documentStore";
import { count } from "./format";
import { COLORS, folds, isFolded } from "./frames";
import { detours, ends, way } from "./routing";
import type { NodeRecord, NoteRecord } from "./generated";

export type Look = { text: string; background: string; dark: boolean };
const MARGIN = 40;
const FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";
const MONO = "ui-monospace, Menlo, Consolas, monospace";
/** How many letters have room in a layer. */
const LETTERS = 25;

const safe = (text: string): string =>
  // What XML 1.0 does not know is left out; a picture with one such letter would not open at all.
  [...text]
    .filter((letter) => /[\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(letter))
    .join("")
    .replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
const fit = (text: string, letters: number): string => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);
const label = (x: number, y: number, size: number, text: string, more = ""): string =>
  `<text x="${x}" y="${y}" font-size="${size}" ${more}>${safe(text)}</text>`;

/** A network as SVG, with its width and height. */
export function picture(engine: Engine, look: Look) {
  const { graph } = engine;
  const hidden = folds(graph);
  const nodes = Object.entries(graph.nodes).filter(([id]) => !hidden.has(id));
  const notes = Object.entries(graph.notes).filter(([id]) => !hidden.has(id));
  const at = (id: string) => (graph.nodes[id] ?? graph.notes[id])?.at;
  const bends = detours(engine);
  const sizes = [
    ...nodes.map(([, record]) => [...record.at, NODE_WIDTH, NODE_HEIGHT]),
    ...notes.map(([, note]) => [...note.at, ...(isFolded(note) ? [NODE_WIDTH, NODE_HEIGHT] : [note.width, note.height])]),
  ] as [number, number, number, number][];
  const bent = [...bends.values()];
  const left = Math.min(...sizes.map(([x]) => x), ...bent) - MARGIN;
  const top = Math.min(...sizes.map(([, y]) => y)) - MARGIN;
  const right = Math.max(...sizes.map(([x, , width]) => x + width), ...bent.map((x) => x + 90)) + MARGIN;
  const bottom = Math.max(...sizes.map(([, y, , height]) => y + height)) + MARGIN;
  const [paths, labels]: [string[], string[]] = [[], []];
  for (const [id, edge] of Object.entries(graph.edges)) {
    const line = ends(engine, edge, at);
    if (!line) continue;
    const drawn = way(line.start, line.end, bends.get(id));
    const facts = engine.data.derived.edges[id];
    paths.push(`<path d="${drawn.path}" fill="none" stroke="${facts?.error ? "#e5484d" : look.text}" stroke-opacity="0.45" stroke-width="1.6"/>`);
    if (facts?.label) labels.push(shape(drawn.label, facts.label, look));
  }
  const frames = notes.filter(([, note]) => note.frame).sort(([, a], [, b]) => b.width * b.height - a.width * a.height);
  const others = notes.filter(([, note]) => !note.frame);
  const lines = [
    ...[...frames, ...others].filter(([, note]) => !isFolded(note)).map(([, note]) => remark(note, look)),
    ...paths,
    ...nodes.map(([id, record]) => layer(engine, id, record, look)),
    ...frames.filter(([, note]) => isFolded(note)).map(([, note]) => box(note.at, COLORS[note.color], note.text || "Frame", "", "", look)),
    ...labels,
  ];
  const [width, height] = [Math.ceil(right - left), Math.ceil(bottom - top)];
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="${left} ${top} ${width} ${height}" font-family="${FONT}" fill="${look.text}">\n` +
    `<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="${look.background}"/>\n${lines.join("\n")}\n</svg>\n`;
  return { svg, width, height };
}

function layer(engine: Engine, id: string, record: NodeRecord, look: Look): string {
  const type = engine.layerOf(record);
  const facts = engine.data.derived.nodes[id];
  const title = record.title || type?.title || record.type;
  const summary = facts?.summary === title ? "" : (facts?.summary ?? "");
  const color = /^#[0-9a-f]{3,8}$/i.test(type?.color ?? "") ? (type?.color ?? "") : look.text;
  return box(record.at, color, title, summary, facts?.parameters ? count(facts.parameters) : "", look);
}

function box([x, y]: [number, number], color: string, title: string, summary: string, size: string, look: Look): string {
  const card = look.dark ? "#1c2027" : "#ffffff";
  const low = summary || size;
  return [
    `<rect x="${x}" y="${y}" width="${NODE_WIDTH}" height="${NODE_HEIGHT}" rx="10" fill="${card}" stroke="${color}" stroke-opacity="0.55"/>`,
    `<rect x="${x + 5}" y="${y + 9}" width="4" height="${NODE_HEIGHT - 18}" rx="2" fill="${color}"/>`,
    label(x + 17, y + (low ? 26 : 34), 13, fit(title, LETTERS), 'font-weight="600"'),
    low && label(x + 17, y + 44, 12, fit(summary, size ? LETTERS - 6 : LETTERS), 'fill-opacity="0.65"'),
    size && label(x + NODE_WIDTH - 12, y + 44, 12, size, 'fill-opacity="0.65" text-anchor="end"'),
  ].join("");
}

function shape([x, y]: [number, number], text: string, look: Look): string {
  const width = text.length * 6.7 + 12;
  return (
    `<rect x="${x - width / 2}" y="${y - 9}" width="${width}" height="18" rx="6" fill="${look.background}"/>` +
    `<rect x="${x - width / 2}" y="${y - 9}" width="${width}" height="18" rx="6" fill="${look.text}" fill-opacity="0.1"/>` +
    label(x, y + 4, 11, text, `text-anchor="middle" font-family="${MONO}"`)
  );
}

function remark({ at: [x, y], width, height, text, color, frame }: NoteRecord, look: Look): string {
  const fill = COLORS[color];
  const body =
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${frame ? 12 : 8}" fill="${fill}" ` +
    `fill-opacity="${frame ? 0.08 : 0.17}" stroke="${fill}" stroke-opacity="0.5"/>`;
  if (frame) return body + label(x + 14, y + 21, 13, fit(text || "Frame", width / 8), 'font-weight="600"');
  return body + wrapped(text, Math.floor((width - 24) / 7)).slice(0, Math.floor((height - 14) / 18))
    .map((line, place) => label(x + 12, y + 24 + 18 * place, 13, line, `fill="${look.text}"`)).join("");
}

/** A text in lines of so many letters. */
function wrapped(text: string, letters: number): string[] {
  return text.split("\n").flatMap((line) => {
    const lines = [""];
    for (const word of line.split(" ")) {
      const last = lines.length - 1;
      const longer = lines[last] ? `${lines[last]} ${word}` : word;
      if (longer.length <= letters || !lines[last]) lines[last] = longer;
      else lines.push(word);
    }
    return lines;
  });
}

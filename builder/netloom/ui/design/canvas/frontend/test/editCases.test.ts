// Runs the edit cases, which Python tests too, with the optimistic copy of the document; see their README.md.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { copyItems, pasteItems } from "../src/core/clipboard";
import type { Edit, Graph, NewNode, NewNote } from "../src/core/generated";
import { canvasData, storeWith } from "./fixtures";

type Network = {
  nodes?: Record<string, Omit<NewNode, "id">>;
  edges?: Record<string, string>;
  notes?: Record<string, NewNote>;
};
type Networks = Record<string, Network>;
type Case = {
  name: string;
  before: string;
  shown: string;
  edits: Edit[];
  after?: Record<string, unknown>;
  refused?: string[];
  paste?: { ids: string[]; by: [number, number] };
  browser?: "waits" | "corrected" | "unchanged";
};
const FILES = Object.entries(
  import.meta.glob<unknown>("../../../../../../../tests/document/edit_cases/*.json", {
    eager: true,
    import: "default",
  }),
).map(([path, content]): [string, unknown] => [path.split("/").at(-1)!, content]);
const DOCUMENTS = Object.fromEntries(FILES)["documents.json"] as Record<string, Networks>;
const CASES = FILES.filter(([name]) => name !== "documents.json") as [string, Case[]][];
const LATER = ["waits", "corrected"];

/** A JSON merge patch (RFC 7396). */
function mergePatch(value: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const after: Record<string, unknown> = typeof value === "object" && !Array.isArray(value) ? { ...value } : {};
  for (const [key, part] of Object.entries(patch)) {
    if (part === null) delete after[key];
    else after[key] = mergePatch(after[key], part);
  }
  return after;
}

/** A network as Python sends it. */
function graphOf(network: Network = {}): Graph {
  const node = { params: {}, title: "", at: [0, 0] as [number, number], frozen: false, shares: null, note: "" };
  const note = {
    at: [0, 0] as [number, number],
    width: 200,
    height: 100,
    color: "yellow" as const,
    frame: false,
    folded: false,
  };
  const each = <T, U>(record: Record<string, T> = {}, make: (value: T, key: string) => U): Record<string, U> =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key, make(value, key)]));
  return {
    nodes: each(network.nodes, (value) => ({ ...node, ...value })),
    edges: each(network.edges, (source, target) => ({ source, target })),
    notes: each(network.notes, (value) => ({ ...note, ...value })),
  };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe.each(CASES)("%s", (_name, cases) => {
  it.each(cases)("$name", ({ before, shown, edits, after, refused, browser, paste: copied }) => {
    const networks = DOCUMENTS[before]!;
    const initial = graphOf(networks[shown]);
    const expected = graphOf((mergePatch(networks, after ?? {}) as Networks)[shown]);
    const { store } = storeWith(initial, { shown });
    if (copied) expect(pasteItems(initial, copyItems(initial, copied.ids)!, copied.by).edit).toEqual(edits[0]);
    for (const edit of edits) store.dispatch(edit);
    if (browser === "waits") expect(store.graph).toEqual(initial);
    else if (browser !== "corrected") expect(store.graph).toEqual(expected);
    // Python sends the whole network, which replaces the copy if the revision is by another client.
    const foreign = refused || LATER.includes(browser ?? "") ? 2 : 0;
    const ack = { [store.client]: edits.length };
    store.receive(canvasData(expected, { shown, revision: 2, foreign, ack }));
    expect(store.pending).toEqual([]);
    expect(store.graph).toEqual(expected);
  });
});

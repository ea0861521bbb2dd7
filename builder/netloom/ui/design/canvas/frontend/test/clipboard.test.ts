import { describe, expect, it } from "vitest";
import { copyItems, pasteItems, pasteOffset, parseClipboard } from "../src/core/clipboard";
import { applyEdit, freeId } from "../src/core/graph";
import type { Graph } from "../src/core/generated";
import { chainGraph } from "./fixtures";

const noted = (): Graph => ({
  ...chainGraph("Input", "Conv2d", "Flatten"),
  notes: {
    note_1: { text: "Comment", at: [300, 0], width: 200, height: 100, color: "yellow", frame: false, folded: false },
  },
});
const VIEW: [number, number, number, number] = [-1000, -1000, 1000, 1000];

describe("the clipboard", () => {
  it("copies the edges between nodes and pastes with new ids", () => {
    const graph = noted();
    const clip = parseClipboard(JSON.stringify(copyItems(graph, ["conv2d_1", "flatten_1", "note_1"])))!;
    const { edit, ids } = pasteItems(graph, clip, [40, 40]);
    const after = applyEdit(graph, edit);
    expect(ids).toEqual(["conv2d_2", "flatten_2", "note_2"]);
    expect(after.edges["flatten_2"]?.source).toBe("conv2d_2");
    expect(after.edges["conv2d_2"]).toBeUndefined();
    expect(after.notes["note_2"]).toEqual({
      text: "Comment",
      at: [340, 40],
      width: 200,
      height: 100,
      color: "yellow",
      frame: false,
      folded: false,
    });
    expect(copyItems(graph, [])).toBeNull();
  });
  it("names the source project if it is another one", () => {
    const graph = noted();
    const clip = parseClipboard(JSON.stringify(copyItems(graph, ["conv2d_1"], "project a")))!;
    expect(pasteItems(graph, clip, [0, 0], "project b").edit).toMatchObject({ kind: "add", document: "project a" });
    expect(pasteItems(graph, clip, [0, 0], "project a").edit).not.toHaveProperty("document");
  });
  it("pastes in one edit, as a batch only if necessary", () => {
    const graph = noted();
    const kind = (...ids: string[]) => pasteItems(graph, copyItems(graph, ids)!, [0, 0]).edit.kind;
    expect([kind("conv2d_1"), kind("note_1"), kind("conv2d_1", "note_1")]).toEqual(["add", "note", "batch"]);
  });
  it("does not cover an earlier copy", () => {
    const graph = noted();
    const clip = copyItems(graph, ["conv2d_1"])!;
    const first = pasteOffset(graph, clip, VIEW);
    const after = applyEdit(graph, pasteItems(graph, clip, first).edit);
    expect(first).toEqual([40, 40]);
    expect(pasteOffset(after, clip, VIEW)).toEqual([80, 80]);
  });
  it("pastes into the view if the original is not visible", () => {
    const clip = copyItems(noted(), ["input_1"])!;
    const [dx, dy] = pasteOffset(chainGraph(), clip, [5000, 5000, 6000, 6000]);
    expect(dx).toBeGreaterThan(5000);
    expect(dy).toBeLessThan(6000);
  });
  it("ignores other text and drops malformed items", () => {
    for (const text of ["anything else", "null", "[]", "5", '{"netloom":1}', '{"netloom":1,"nodes":null,"edges":[]}'])
      expect(parseClipboard(text)).toBeNull();
    const clip = parseClipboard(
      JSON.stringify({
        netloom: 1,
        nodes: { a: 5, b: { type: "ReLU", at: ["x", 2], params: [] }, c: { at: [0, 0] }, d: { type: "ReLU" } },
        edges: [null, { source: "b" }, { source: "b", target: "gone" }, { source: "b", target: "d" }],
        notes: { n: { text: 5 } },
      }),
    )!;
    expect(Object.keys(clip.nodes)).toEqual(["b", "d"]);
    expect(clip.nodes["b"]).toEqual({
      type: "ReLU",
      params: {},
      title: "",
      at: [0, 0],
      frozen: false,
      shares: null,
      note: "",
    });
    expect(clip.edges).toEqual([{ source: "b", target: "d" }]);
    expect(clip.notes["n"]?.text).toBe("");
  });
  it("creates ids that Python accepts for any type", () => {
    for (const type of ["2D", "Ärger", "", "__proto__", "X".repeat(500)])
      expect(freeId(chainGraph(), type)).toMatch(/^[a-z][a-z0-9_]{0,63}$/);
  });
});

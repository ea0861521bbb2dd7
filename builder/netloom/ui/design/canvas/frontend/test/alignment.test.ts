import { describe, expect, it } from "vitest";
import { alignBoxes, distributeBoxes, type Box } from "../src/core/alignment";
import { swapInputs } from "../src/core/edits";
import { COLORS, withFrameMembers, hiddenItems, frameAround, frameMembers } from "../src/core/frames";
import { applyEdit } from "../src/core/graph";
import { renderSvg } from "../src/core/svgExport";
import { findDetours, edgeEndpoints, edgePath } from "../src/core/routing";
import { flowEdges, flowNodes } from "../src/views/flowElements";
import { chainGraph, storeWith } from "./fixtures";

const box = (id: string, x: number, y: number, width = 100, height = 50): Box => ({ id, at: [x, y], width, height });

describe("alignment", () => {
  const boxes = [box("a", 0, 0), box("b", 300, 10, 200), box("c", 130, 100, 100, 70)];
  it("aligns boxes by their sides or centers", () => {
    expect(alignBoxes(boxes, "left")).toEqual({ a: [0, 0], b: [0, 10], c: [0, 100] });
    expect(alignBoxes(boxes, "right")).toEqual({ a: [400, 0], b: [300, 10], c: [400, 100] });
    expect(alignBoxes(boxes, "center")).toEqual({ a: [200, 0], b: [150, 10], c: [200, 100] });
    expect(alignBoxes(boxes, "middle")).toEqual({ a: [0, 60], b: [300, 60], c: [130, 50] });
    expect(alignBoxes(boxes, "bottom")).toEqual({ a: [0, 120], b: [300, 120], c: [130, 100] });
  });
  it("distributes boxes with equal gaps and keeps the outer ones", () => {
    expect(distributeBoxes(boxes, "horizontal")).toEqual({ a: [0, 0], c: [150, 100], b: [300, 10] });
    expect(distributeBoxes(boxes.slice(0, 2), "horizontal")).toEqual({});
  });
});

describe("swapping inputs", () => {
  const graph = chainGraph("Input", "Flatten", "Add");
  graph.edges = {
    "add_1.a": { source: "input_1", target: "add_1.a" },
    "add_1.b": { source: "flatten_1", target: "add_1.b" },
  };
  const sources = (after: typeof graph) =>
    Object.fromEntries(Object.values(after.edges).map((edge) => [edge.target, edge.source]));
  it("swaps the sources of two inputs, and swaps them back", () => {
    const edit = swapInputs(graph, "add_1", "a", "b");
    const after = edit && applyEdit(graph, edit);
    expect(after && sources(after)).toEqual({ "add_1.a": "flatten_1", "add_1.b": "input_1" });
    const back = after && swapInputs(after, "add_1", "b", "a");
    expect(after && back && sources(applyEdit(after, back))).toEqual(sources(graph));
  });
  it("moves an edge to an input without one, and returns null for two inputs without edges", () => {
    const single = { ...graph, edges: { "add_1.a": graph.edges["add_1.a"]! } };
    const edit = swapInputs(single, "add_1", "a", "b");
    expect(edit && sources(applyEdit(single, edit))).toEqual({ "add_1.b": "input_1" });
    expect(swapInputs(graph, "add_1", "c", "d")).toBeNull();
  });
});

const framed = () => {
  const graph = chainGraph("Input", "Conv2d", "Flatten", "Linear");
  const inner = ["conv2d_1", "flatten_1"].map((id) => box(id, ...graph.nodes[id]!.at, 196, 58));
  graph.notes = { frame_1: { ...frameAround(inner, "blue"), text: "Stem" } };
  return graph;
};

describe("a frame", () => {
  it("encloses boxes and moves with its members", () => {
    const graph = framed();
    expect(graph.notes.frame_1).toMatchObject({ at: [-24, 52], width: 244, height: 250, frame: true });
    expect(frameMembers(graph, "frame_1")).toEqual(["conv2d_1", "flatten_1"]);
    expect(withFrameMembers(graph, ["frame_1", "flatten_1"])).toEqual(["frame_1", "flatten_1", "conv2d_1"]);
  });
  it("hides its members when folded, and edges end at the frame", () => {
    const { store } = storeWith(framed());
    const fold = (folded: boolean) =>
      store.dispatch({ kind: "note", id: "frame_1", note: { ...store.graph.notes.frame_1!, folded } });
    fold(true);
    const nodes = flowNodes(store, []);
    expect(nodes.filter((node) => node.hidden).map((node) => node.id)).toEqual(["conv2d_1", "flatten_1"]);
    expect(nodes.find((node) => node.id === "frame_1")).toMatchObject({ width: 196, height: 58 });
    const edges = flowEdges(store, []).map(({ id, source, target }) => [id, source, target]);
    expect(edges).toEqual([
      ["conv2d_1", "input_1", "frame_1"],
      ["linear_1", "frame_1", "linear_1"],
    ]);
    fold(false);
    const open = flowNodes(store, nodes);
    expect(open.every((node) => !node.hidden)).toBe(true);
    expect(open.find((node) => node.id === "frame_1")).toMatchObject({ width: 244, height: 250 });
  });
  it("is hidden with its members inside a folded frame", () => {
    const graph = framed();
    graph.notes.frame_2 = {
      text: "",
      at: [-100, -100],
      width: 900,
      height: 900,
      color: "red",
      frame: true,
      folded: true,
    };
    graph.notes.frame_1!.folded = true;
    expect(hiddenItems(graph).get("conv2d_1")).toBe("frame_2");
    expect(hiddenItems(graph).get("frame_1")).toBe("frame_2");
    expect(hiddenItems({ ...graph, notes: {} }).size).toBe(0);
  });
});

describe("edge routing", () => {
  it("adds a detour only to edges that layers would cover", () => {
    const graph = chainGraph("Input", "Conv2d", "Flatten", "Add");
    graph.edges["add_1.b"] = { source: "input_1", target: "add_1.b" };
    const { store } = storeWith(graph);
    const detours = findDetours(store);
    expect([...detours.keys()]).toEqual(["add_1.b"]);
    const x = detours.get("add_1.b") ?? 0;
    expect(x < 0 || x > 196).toBe(true);
    const line = edgeEndpoints(store, graph.edges["add_1.b"], (id) => graph.nodes[id]?.at);
    expect(line && edgePath(line.start, line.end, x).path).toContain(`L${x} `);
  });
});

describe("SVG export", () => {
  it("contains layers, shapes and frames, and escapes text of users", () => {
    const graph = framed();
    graph.nodes.linear_1!.title = `<b onload="x">&\u0000\ud800`;
    const { store } = storeWith(graph);
    store.data.derived.edges = { linear_1: { label: "(N, 9)", kind: "vector", error: false } };
    const { svg, width, height } = renderSvg(store, { text: "#000", background: "#fff", dark: false });
    expect([width, height]).toEqual([324, 468]);
    for (const text of ["Input", "Conv2d", "Stem", "(N, 9)", COLORS.blue]) expect(svg).toContain(text);
    expect(svg).toContain("&#60;b onload=&#34;x&#34;&#62;&#38;</text>");
    expect(svg.match(/<text /g)).toHaveLength(6);
  });
});

import { describe, expect, it } from "vitest";
import { aligned, distributed, exchanged, type Box } from "../src/core/alignment";
import { COLORS, carried, folds, frameAround, members } from "../src/core/frames";
import { applyEdit } from "../src/core/graph";
import { picture } from "../src/core/svgExport";
import { detours, ends, way } from "../src/core/routing";
import { flowEdges, flowNodes } from "../src/views/flowElements";
import { chain, engineOn } from "./fixtures";

const box = (id: string, x: number, y: number, width = 100, height = 50): Box => ({ id, at: [x, y], width, height });

describe("boxes", () => {
  const boxes = [box("a", 0, 0), box("b", 300, 10, 200), box("c", 130, 100, 100, 70)];
  it("are aligned by their sides or their middles", () => {
    expect(aligned(boxes, "left")).toEqual({ a: [0, 0], b: [0, 10], c: [0, 100] });
    expect(aligned(boxes, "right")).toEqual({ a: [400, 0], b: [300, 10], c: [400, 100] });
    expect(aligned(boxes, "centre")).toEqual({ a: [200, 0], b: [150, 10], c: [200, 100] });
    expect(aligned(boxes, "middle")).toEqual({ a: [0, 60], b: [300, 60], c: [130, 50] });
    expect(aligned(boxes, "bottom")).toEqual({ a: [0, 120], b: [300, 120], c: [130, 100] });
  });
  it("get the same gaps, and the outer ones stay", () => {
    expect(distributed(boxes, "horizontal")).toEqual({ a: [0, 0], c: [150, 100], b: [300, 10] });
    expect(distributed(boxes.slice(0, 2), "horizontal")).toEqual({});
  });
});

describe("two inputs", () => {
  const graph = chain("Input", "Flatten", "Add");
  graph.edges = { "add_1.a": { source: "input_1", target: "add_1.a" }, "add_1.b": { source: "flatten_1", target: "add_1.b" } };
  const sources = (after: typeof graph) => Object.fromEntries(Object.values(after.edges).map((edge) => [edge.target, edge.source]));
  it("exchange what arrives at them, and back", () => {
    const edit = exchanged(graph, "add_1", "a", "b");
    const after = edit && applyEdit(graph, edit);
    expect(after && sources(after)).toEqual({ "add_1.a": "flatten_1", "add_1.b": "input_1" });
    const back = after && exchanged(after, "add_1", "b", "a");
    expect(after && back && sources(applyEdit(after, back))).toEqual(sources(graph));
  });
  it("exchange an edge with nothing, and nothing with nothing is no edit", () => {
    const one = { ...graph, edges: { "add_1.a": graph.edges["add_1.a"]! } };
    const edit = exchanged(one, "add_1", "a", "b");
    expect(edit && sources(applyEdit(one, edit))).toEqual({ "add_1.b": "input_1" });
    expect(exchanged(graph, "add_1", "c", "d")).toBeNull();
  });
});

const framed = () => {
  const graph = chain("Input", "Conv2d", "Flatten", "Linear");
  const inner = ["conv2d_1", "flatten_1"].map((id) => box(id, ...graph.nodes[id]!.at, 196, 58));
  graph.notes = { frame_1: { ...frameAround(inner, "blue"), text: "Stem" } };
  return graph;
};

describe("a frame", () => {
  it("stands around what was chosen, and takes it along", () => {
    const graph = framed();
    expect(graph.notes.frame_1).toMatchObject({ at: [-24, 52], width: 244, height: 250, frame: true });
    expect(members(graph, "frame_1")).toEqual(["conv2d_1", "flatten_1"]);
    expect(carried(graph, ["frame_1", "flatten_1"])).toEqual(["frame_1", "flatten_1", "conv2d_1"]);
  });
  it("that is folded hides what lies in it; edges end at it", () => {
    const { engine } = engineOn(framed());
    const fold = (folded: boolean) =>
      engine.do({ kind: "note", id: "frame_1", note: { ...engine.graph.notes.frame_1!, folded } });
    fold(true);
    const nodes = flowNodes(engine, []);
    expect(nodes.filter((node) => node.hidden).map((node) => node.id)).toEqual(["conv2d_1", "flatten_1"]);
    expect(nodes.find((node) => node.id === "frame_1")).toMatchObject({ width: 196, height: 58 });
    const edges = flowEdges(engine, []).map(({ id, source, target }) => [id, source, target]);
    expect(edges).toEqual([
      ["conv2d_1", "input_1", "frame_1"],
      ["linear_1", "frame_1", "linear_1"],
    ]);
    fold(false);
    const open = flowNodes(engine, nodes);
    expect(open.every((node) => !node.hidden)).toBe(true);
    expect(open.find((node) => node.id === "frame_1")).toMatchObject({ width: 244, height: 250 });
  });
  it("in a folded frame is hidden, with all that it holds, behind the outer one", () => {
    const graph = framed();
    graph.notes.frame_2 = { text: "", at: [-100, -100], width: 900, height: 900, color: "red", frame: true, folded: true };
    graph.notes.frame_1!.folded = true;
    expect(folds(graph).get("conv2d_1")).toBe("frame_2");
    expect(folds(graph).get("frame_1")).toBe("frame_2");
    expect(folds({ ...graph, notes: {} }).size).toBe(0);
  });
});

describe("an edge", () => {
  it("goes around the layers that would hide it, and otherwise straight", () => {
    const graph = chain("Input", "Conv2d", "Flatten", "Add");
    graph.edges["add_1.b"] = { source: "input_1", target: "add_1.b" };
    const { engine } = engineOn(graph);
    const found = detours(engine);
    expect([...found.keys()]).toEqual(["add_1.b"]);
    const x = found.get("add_1.b") ?? 0;
    expect(x < 0 || x > 196).toBe(true);
    const line = ends(engine, graph.edges["add_1.b"], (id) => graph.nodes[id]?.at);
    expect(line && way(line.start, line.end, x).path).toContain(`L${x} `);
  });
});

describe("a picture", () => {
  it("holds every layer, shape and frame, and nothing that people write can break it", () => {
    const graph = framed();
    graph.nodes.linear_1!.title = `<b onload="x">&\u0000\ud800`;
    const { engine } = engineOn(graph);
    engine.data.derived.edges = { linear_1: { label: "(N, 9)", kind: "vector", error: false } };
    const { svg, width, height } = picture(engine, { text: "#000", background: "#fff", dark: false });
    expect([width, height]).toEqual([324, 468]);
    for (const text of ["Input", "Conv2d", "Stem", "(N, 9)", COLORS.blue]) expect(svg).toContain(text);
    expect(svg).toContain("&#60;b onload=&#34;x&#34;&#62;&#38;</text>");
    expect(svg.match(/<text /g)).toHaveLength(6);
  });
});

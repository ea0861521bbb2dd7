import { describe, expect, it } from "vitest";
import { flowEdges, flowNodes } from "../src/views/flowElements";
import { chainGraph, storeWith } from "./fixtures";

describe("React Flow elements", () => {
  it("are in reading order, and keep this order", () => {
    const graph = chainGraph("Input", "Conv2d", "Flatten");
    graph.nodes = Object.fromEntries(Object.entries(graph.nodes).reverse());
    const { store } = storeWith(graph);
    const first = flowNodes(store, []);
    expect(first.map((node) => node.id)).toEqual(["input_1", "conv2d_1", "flatten_1"]);
    store.dispatch({ kind: "move", at: { input_1: [0, 900] } });
    const moved = flowNodes(store, first);
    expect(moved.map((node) => node.id)).toEqual(["input_1", "conv2d_1", "flatten_1"]);
  });
  it("keep their identity if unchanged, and the state that React Flow adds", () => {
    const { store } = storeWith(chainGraph("Input", "Conv2d"));
    const first = flowNodes(store, [], new Set(["conv2d_1"])).map((node) => ({ ...node, measured: { width: 1 } }));
    store.dispatch({ kind: "move", at: { input_1: [5, 5] } });
    const [input, conv] = flowNodes(store, first);
    expect(conv).toBe(first[1]);
    expect(conv?.selected).toBe(true);
    expect(input).not.toBe(first[0]);
    expect(input).toMatchObject({ position: { x: 5, y: 5 }, measured: { width: 1 } });
  });
  it("include edges that keep their identity", () => {
    const { store } = storeWith(chainGraph("Input", "Conv2d", "Flatten"));
    const first = flowEdges(store, []);
    store.dispatch({ kind: "connect", source: "input_1", target: "flatten_1" });
    const [conv, flatten] = flowEdges(store, first);
    expect(conv).toBe(first[0]);
    expect(flatten).toMatchObject({ id: "flatten_1", source: "input_1", sourceHandle: "out", targetHandle: "in" });
  });
});

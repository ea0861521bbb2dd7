import { describe, expect, it } from "vitest";
import { computeLayout } from "../src/elk";
import { chainGraph, storeWith } from "./fixtures";

describe("automatic layout", () => {
  it("places a chain in one column, from top to bottom", async () => {
    const { store } = storeWith(chainGraph("Input", "Conv2d", "Flatten"));
    const at = await computeLayout(store);
    expect(new Set(Object.values(at).map(([x]) => x)).size).toBe(1);
    expect(at["input_1"]![1]).toBeLessThan(at["conv2d_1"]![1]);
    expect(at["conv2d_1"]![1]).toBeLessThan(at["flatten_1"]![1]);
  });
  it("places branches on the side of their port", async () => {
    const graph = chainGraph("Flatten", "Linear", "Linear", "Add");
    graph.edges = {
      linear_1: { source: "flatten_1", target: "linear_1" },
      linear_2: { source: "flatten_1", target: "linear_2" },
      "add_1.a": { source: "linear_2", target: "add_1.a" },
      "add_1.b": { source: "linear_1", target: "add_1.b" },
    };
    const at = await computeLayout(storeWith(graph).store);
    expect(at["linear_2"]![0]).toBeLessThan(at["linear_1"]![0]);
  });
  it("leaves room for an edge beside the layers that it skips", async () => {
    const graph = chainGraph("Flatten", "Linear", "Linear", "Add");
    delete graph.edges["add_1"];
    graph.edges["add_1.a"] = { source: "linear_2", target: "add_1.a" };
    graph.edges["add_1.b"] = { source: "flatten_1", target: "add_1.b" };
    const at = await computeLayout(storeWith(graph).store);
    expect(at["linear_1"]![0] + 196).toBeLessThan(at["flatten_1"]![0] + 98);
    expect(at["linear_1"]![0]).toBe(at["linear_2"]![0]);
  });
  it("accepts edges to missing ports, and unknown layers", async () => {
    const graph = chainGraph("Input", "Add", "Linear");
    graph.nodes["linear_1"] = { ...graph.nodes["linear_1"]!, type: "Gone" };
    graph.edges["add_1.z"] = { source: "input_1.y", target: "add_1.z" };
    expect(Object.keys(await computeLayout(storeWith(graph).store)).sort()).toEqual(["add_1", "input_1", "linear_1"]);
    expect(await computeLayout(storeWith(chainGraph()).store)).toEqual({});
  });
});

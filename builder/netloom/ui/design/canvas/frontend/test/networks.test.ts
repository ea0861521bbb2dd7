import { describe, expect, it } from "vitest";
import { addLayer } from "../src/core/edits";
import { copyItems, pasteItems } from "../src/core/clipboard";
import { searchLayers } from "../src/core/search";
import {
  withNetwork,
  applyToNetwork,
  subnetworkLayer,
  toNetworkName,
  unusedName,
  inputParams,
  layerKey,
  addableLayers,
  subnetworkOf,
} from "../src/core/networks";
import { inputsOf } from "../src/core/connectionRules";
import type { Edit } from "../src/core/generated";
import { PALETTE, chainGraph, canvasData, storeWith, networkFacts } from "./fixtures";

const block = networkFacts("block", {
  may_stand: true,
  inputs: [
    { name: "in", kinds: ["any"], doc: "" },
    { name: "side", kinds: ["any"], doc: "" },
  ],
});

describe("edits of networks", () => {
  const move: Edit = { kind: "move", at: { input_1: [5, 5] } };
  it("name their network in every part", () => {
    const fix: Edit = { kind: "set", network: "block", node: "a", params: {} };
    expect(withNetwork(move, "main")).toEqual({ ...move, network: "main" });
    expect(withNetwork({ kind: "batch", edits: [move, fix] }, "main")).toEqual({
      kind: "batch",
      edits: [{ ...move, network: "main" }, fix],
    });
    expect(withNetwork({ kind: "undo" }, "main")).toEqual({ kind: "undo" });
    expect(withNetwork({ kind: "delete_network", name: "block" }, "main")).toEqual({
      kind: "delete_network",
      name: "block",
    });
  });
  it("change no other network", () => {
    const graph = chainGraph("Input");
    const batch: Edit = { kind: "batch", edits: [{ ...move, network: "block" }] };
    expect(applyToNetwork(graph, batch, "main")).toEqual(graph);
    expect(applyToNetwork(graph, { ...move, network: "main" }, "main").nodes["input_1"]?.at).toEqual([5, 5]);
    expect(applyToNetwork(graph, { kind: "group", network: "main", nodes: ["input_1"], name: "x" }, "main")).toEqual(
      graph,
    );
  });
});

describe("the visible network", () => {
  const move = (y: number) => ({ kind: "move" as const, at: { input_1: [0, y] as [number, number] } });
  const blockGraph = chainGraph("Input", "Flatten");
  const blockData = { shown: "block", networks: [networkFacts("main"), block] };

  it("is replaced as a whole, while edits of another one stay pending", () => {
    const { store, sent } = storeWith(chainGraph("Input", "Conv2d"));
    store.dispatch(move(7));
    store.requestNetwork("block");
    expect(sent.at(-1)).toMatchObject({ name: "network", value: { name: "block" } });
    const wish = sent.at(-1)!.value.number;
    store.receive(canvasData(blockGraph, { ...blockData, wish }));
    expect(store.network).toBe("block");
    expect(store.graph).toEqual(blockGraph);
    store.dispatch(move(9));
    expect(store.pending.map((edit) => "network" in edit && edit.network)).toEqual(["main", "block"]);
    store.receive(canvasData(chainGraph("Input", "Conv2d"), { wish: wish + 1 }));
    expect(store.graph.nodes["input_1"]?.at).toEqual([0, 7]);
  });
  it("is not replaced by the reply to an earlier request", () => {
    const { store } = storeWith(chainGraph("Input"));
    store.receive(canvasData(blockGraph, { ...blockData, wish: 20 }));
    store.receive(canvasData(chainGraph("Input"), { wish: 10 }));
    expect(store.network).toBe("block");
    store.receive(canvasData(chainGraph("Input"), { wish: null })); // Python knows no request, as after a restart
    expect(store.network).toBe("main");
  });
  it("is deferred until the end of a drag", () => {
    const { store } = storeWith(chainGraph("Input"));
    store.beginInteraction();
    store.receive(canvasData(blockGraph, { ...blockData, wish: 20 }));
    expect(store.network).toBe("main");
    store.endInteraction();
    expect(store.network).toBe("block");
  });
});

describe("subnetwork nodes", () => {
  it("are offered unless the network would contain itself, and never for the main network", () => {
    const networks = [networkFacts("main", { may_stand: true }), block, networkFacts("outer")];
    expect(addableLayers(PALETTE, networks, "main", "main").map(layerKey)).toEqual([
      "network:block",
      ...PALETTE.map(layerKey),
    ]);
  });
  it("have the ports of their network immediately", () => {
    const { store } = storeWith(chainGraph("Input"));
    store.receive(canvasData(chainGraph("Input"), { networks: [networkFacts("main"), block] }));
    const { edit, id } = addLayer(store, subnetworkLayer(block), [0, 200], {
      node: "input_1",
      port: "out",
      side: "source",
    });
    store.dispatch(edit);
    expect(id).toBe("block_1");
    expect(subnetworkOf(store.graph.nodes[id])).toBe("block");
    expect(inputsOf(store, id).map((port) => port.name)).toEqual(["in", "side"]);
    expect(store.graph.edges["block_1"]?.source).toBe("input_1");
  });
  it("have names that Python accepts", () => {
    expect([" Residual Block! ", "2nd", "ok_1"].map(toNetworkName)).toEqual(["residual_block", "nd", "ok_1"]);
    expect(unusedName([networkFacts("block_1")], "block")).toBe("block_2");
  });
  it("derive the parameters of their Inputs from the incoming edges", () => {
    const edge = (label: string) => ({ label, kind: "image" as const, error: false });
    const params = inputParams(chainGraph("Input", "Conv2d", "Conv2d"), { conv2d_1: edge("(N, 1, 8, 8)") }, [
      "conv2d_1",
      "conv2d_2",
    ]);
    expect(params).toEqual({ input_1: { kind: "image", shape: [1, 8, 8] } });
  });
});

describe("pasted nodes", () => {
  it("share weights with the pasted node, else with the original, else with none", () => {
    const graph = chainGraph("Linear", "Linear");
    graph.nodes["linear_2"] = { ...graph.nodes["linear_2"]!, shares: "linear_1" };
    const shares = (into: typeof graph, ids: string[]) => {
      const { edit } = pasteItems(into, copyItems(graph, ids)!, [0, 0]);
      return edit.kind === "add" ? edit.nodes.at(-1)?.shares : undefined;
    };
    expect(shares(graph, ["linear_1", "linear_2"])).toBe("linear_3");
    expect(shares(graph, ["linear_2"])).toBe("linear_1");
    expect(shares(chainGraph("Input"), ["linear_2"])).toBeNull();
  });
});

describe("the palette", () => {
  const named = (title: string, common: boolean, keywords: string[] = []) => ({
    ...PALETTE[0]!,
    type: title.replace(" ", ""),
    title,
    common,
    keywords,
  });
  it("ranks exact names first, then common layers, then prefixes, then keywords", () => {
    const layers = [
      named("Dice", false, ["relu"]),
      named("ReLU6", false),
      named("Leaky ReLU", true),
      named("ReLU", true),
    ];
    expect(searchLayers(layers, "relu").map((layer) => layer.title)).toEqual(["ReLU", "Leaky ReLU", "ReLU6", "Dice"]);
  });
  it("is sent once, and is requested if its version is missing", () => {
    const { store, sent } = storeWith(chainGraph("Input"));
    store.receive(canvasData(chainGraph("Input"), { revision: 2, palette: null }));
    expect(store.layers.length).toBe(PALETTE.length);
    expect(sent.length).toBe(0);
    store.receive(canvasData(chainGraph("Input"), { revision: 3, palette: null, palette_version: "2" }));
    store.receive(canvasData(chainGraph("Input"), { revision: 4, palette: null, palette_version: "2" }));
    expect(sent.map((message) => message.value.palette)).toEqual(["1"]);
  });
});

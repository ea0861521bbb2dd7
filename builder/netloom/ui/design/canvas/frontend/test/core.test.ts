import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { appendLayer, freePosition, insertLayer, insertNode, nearestNeighbor, removeItems } from "../src/core/edits";
import { formatBytes, formatCount } from "../src/core/format";
import { applyEdit, freeId, hasPath } from "../src/core/graph";
import { searchLayers } from "../src/core/search";
import { canConnect, canInsert, compatiblePort, connectableInputs } from "../src/core/connectionRules";
import { PALETTE, chainGraph, canvasData, storeWith } from "./fixtures";

const layer = (type: string) => PALETTE.find((item) => item.type === type)!;

describe("edits", () => {
  it("replace the edge of a port without changing the old graph", () => {
    const graph = chainGraph("Input", "Conv2d", "Flatten");
    const after = applyEdit(graph, { kind: "connect", source: "input_1", target: "flatten_1" });
    expect(after.edges["flatten_1"]?.source).toBe("input_1");
    expect(graph.edges["flatten_1"]?.source).toBe("conv2d_1");
  });
  it("remove a node with its edges", () => {
    const after = applyEdit(chainGraph("Input", "Conv2d", "Flatten"), {
      kind: "remove",
      nodes: ["conv2d_1"],
      edges: [],
    });
    expect(Object.keys(after.nodes)).toEqual(["input_1", "flatten_1"]);
    expect(after.edges).toEqual({});
  });
  it("find downstream nodes and unused ids", () => {
    const graph = chainGraph("Input", "Conv2d", "Conv2d");
    const reached = Object.keys(graph.nodes).filter((id) => hasPath(graph, "conv2d_1", id));
    expect(reached).toEqual(["conv2d_1", "conv2d_2"]);
    expect(freeId(graph, "Conv2d")).toBe("conv2d_3");
  });
});

describe("connection rules", () => {
  it("allow only compatible kinds and no cycles", () => {
    const { store } = storeWith({ ...chainGraph("Input", "Conv2d", "Flatten"), edges: {} });
    expect(canConnect(store, "input_1", "out", "conv2d_1", "in")).toBe(true);
    expect(canConnect(store, "flatten_1", "out", "conv2d_1", "in")).toBe(false);
    expect(canConnect(store, "conv2d_1", "out", "conv2d_1", "in")).toBe(false);
    expect(canConnect(store, "input_1", "nothing", "conv2d_1", "in")).toBe(false);
    const connected = storeWith(chainGraph("Flatten", "Linear")).store;
    expect(canConnect(connected, "linear_1", "out", "flatten_1", "in")).toBe(false);
  });
  it("find the compatible port of a new layer", () => {
    const { store } = storeWith(chainGraph("Input", "Conv2d"));
    expect(compatiblePort(store, layer("Conv2d"), { node: "input_1", port: "out", side: "source" })).toBe("in");
    expect(compatiblePort(store, layer("LSTM"), { node: "input_1", port: "out", side: "source" })).toBeNull();
    expect(canInsert(store, layer("Conv2d"), "conv2d_1")).toBe(true);
    expect(canInsert(store, layer("Flatten"), "conv2d_1")).toBe(false);
    expect(connectableInputs(store, "input_1", "out").map((end) => end.node)).toEqual(["conv2d_1"]);
  });
});

describe("edits of user actions", () => {
  it("append a layer below and connect it", () => {
    const { store } = storeWith(chainGraph("Input"));
    const { edit, id } = appendLayer(store, layer("Conv2d"), "input_1");
    const after = applyEdit(store.graph, edit);
    expect(after.edges[id]?.source).toBe("input_1");
    expect(after.nodes[id]?.at[1]).toBeGreaterThan(after.nodes["input_1"]!.at[1]);
  });
  it("find a position that overlaps no layer", () => {
    const graph = chainGraph("Input", "Conv2d");
    expect(freePosition(graph, [0, 400])).toEqual([0, 400]);
    const [x, y] = freePosition(graph, [10, 100]);
    expect(x).toBeGreaterThanOrEqual(196);
    expect(y).toBe(100);
  });
  it("insert a layer into an edge and make room", () => {
    const { store } = storeWith(chainGraph("Input", "Conv2d", "Flatten"));
    const inserted = insertLayer(store, layer("Conv2d"), "conv2d_1")!;
    const after = applyEdit(store.graph, inserted.edit);
    expect(after.edges["conv2d_1"]?.source).toBe("conv2d_2");
    expect(after.edges["conv2d_2"]?.source).toBe("input_1");
    expect(after.nodes["flatten_1"]?.at[1]).toBe(330);
  });
  it("insert an unconnected node into an edge without nested batches", () => {
    const graph = chainGraph("Input", "Conv2d", "Flatten");
    graph.nodes["conv2d_2"] = { ...graph.nodes["conv2d_1"]!, at: [500, 0] };
    const { store } = storeWith(graph);
    const edits = insertNode(store, "conv2d_2", "flatten_1")!;
    expect(edits.map((edit) => edit.kind)).toEqual(["connect", "connect"]); // Python refuses nested batches
    const after = edits.reduce(applyEdit, store.graph);
    expect(after.edges["flatten_1"]?.source).toBe("conv2d_2");
    expect(after.edges["conv2d_2"]?.source).toBe("conv2d_1");
    expect(insertNode(store, "conv2d_1", "flatten_1")).toBeNull();
  });
  it("return null if nothing is removed, and find the nearest neighbor", () => {
    const graph = chainGraph("Input", "Conv2d");
    expect(removeItems(graph, [], [])).toBeNull();
    expect(nearestNeighbor(graph, "input_1", [0, 1])).toBe("conv2d_1");
    expect(nearestNeighbor(graph, "input_1", [0, -1])).toBeNull();
  });
});

describe("the outbox", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  const move = (y: number) => ({ kind: "move" as const, at: { input_1: [0, y] as [number, number] } });

  it("has one message in flight and queues later edits", () => {
    const { store, sent } = storeWith(chainGraph("Input"));
    store.dispatch(move(1));
    store.dispatch(move(2));
    expect(sent.length).toBe(1);
    store.receive(canvasData(chainGraph("Input"), { revision: 2, ack: { [store.client]: 1 } }));
    expect(sent.length).toBe(2);
    expect(sent[1]?.value.ops.map((operation) => operation.seq)).toEqual([2]);
  });
  it("resends unacknowledged edits", () => {
    const { store, sent } = storeWith(chainGraph("Input"));
    store.dispatch(move(1));
    vi.advanceTimersByTime(2100);
    expect(sent.length).toBe(2);
    expect(sent[1]?.value.ops).toEqual(sent[0]?.value.ops);
    expect(sent[1]?.value).not.toEqual(sent[0]?.value);
  });
  it("sends the selection after the reply to edits, and again when the other parts of the page change", () => {
    const { store, sent } = storeWith(chainGraph("Input"));
    const selections = () => sent.filter(({ name }) => name === "selection").map(({ value }) => value);
    const answer = (ack: number, changes = 0) =>
      store.receive(canvasData(chainGraph("Input"), { revision: 1 + ack, ack: { [store.client]: ack }, changes }));
    const selection = { network: "main", nodes: ["input_1"], edges: [] };
    store.dispatch(move(1));
    store.setSelection(selection);
    store.dispatch(move(2));
    vi.advanceTimersByTime(500);
    answer(1);
    vi.advanceTimersByTime(500);
    expect(selections()).toEqual([]); // the second edit is in flight
    answer(2);
    expect(selections()).toEqual([]);
    vi.advanceTimersByTime(100);
    expect(selections()).toMatchObject([selection]);
    store.setSelection({ ...selection });
    store.dispatch(move(3));
    answer(3);
    vi.advanceTimersByTime(500);
    expect(selections().length).toBe(1); // a move does not change the other parts of the page
    store.dispatch(move(4));
    answer(4, 1);
    vi.advanceTimersByTime(100);
    expect(selections().length).toBe(2);
    expect(selections()[1]).not.toEqual(selections()[0]); // Streamlit ignores a state that has not changed
    store.receive(canvasData(chainGraph("Input"), { revision: 8, foreign: 8, changes: 2 }));
    vi.advanceTimersByTime(100);
    expect(selections().length).toBe(3); // an edit by another client
  });
  it("resends the selection after a remount, without items that are no longer selected", () => {
    const { store, sent } = storeWith(chainGraph("Input"));
    const selection = { network: "main", nodes: ["input_1"], edges: [] };
    store.setSelection(selection);
    vi.advanceTimersByTime(100);
    const resent: unknown[] = [];
    store.remount(canvasData(chainGraph("Input")), (_name, value) => resent.push(value));
    store.setSelection(selection);
    vi.advanceTimersByTime(100);
    expect(resent).toEqual([sent[0]?.value]);
    store.remount(canvasData(chainGraph("Input")), (_name, value) => resent.push(value));
    store.dispatch(move(1));
    store.receive(canvasData(chainGraph("Input"), { revision: 2, ack: { [store.client]: 1 } }));
    vi.advanceTimersByTime(100);
    expect(resent.at(-1)).toMatchObject({ nodes: [] });
  });
  it("replays pending edits on a foreign snapshot and ignores outdated snapshots", () => {
    const { store } = storeWith(chainGraph("Input"));
    store.dispatch(move(7));
    store.receive(canvasData(chainGraph("Input", "Conv2d"), { revision: 5, foreign: 5 }));
    expect(store.graph.nodes["input_1"]?.at[1]).toBe(7);
    expect(store.graph.nodes["conv2d_1"]).toBeDefined();
    store.receive(canvasData(chainGraph("Input"), { revision: 3, foreign: 3 }));
    expect(store.graph.nodes["conv2d_1"]).toBeDefined();
  });
  it("shows a refusal once, and none from before the page loaded", () => {
    const refusal = { refusals: ["No."], refused_at: 5 };
    const { store } = storeWith(chainGraph("Input"), refusal);
    expect(store.refusals).toEqual([]);
    for (const refused_at of [6, 7]) {
      store.receive(canvasData(chainGraph("Input"), { ...refusal, refused_at, revision: 2 }));
      expect(store.refusals).toEqual(["No."]);
      store.dismissRefusals();
      store.receive(canvasData(chainGraph("Input"), { ...refusal, refused_at, revision: 2 }));
      expect(store.refusals).toEqual([]);
    }
  });
  it("defers a snapshot until the end of a drag", () => {
    const { store } = storeWith(chainGraph("Input"));
    store.beginInteraction();
    store.receive(canvasData(chainGraph("Input", "Conv2d"), { revision: 2, foreign: 2 }));
    expect(store.graph.nodes["conv2d_1"]).toBeUndefined();
    store.endInteraction();
    expect(store.graph.nodes["conv2d_1"]).toBeDefined();
  });
  it("keeps the resend timer of the message in flight when a drag ends", () => {
    const { store, sent } = storeWith(chainGraph("Input"));
    store.dispatch(move(1));
    store.dispatch(move(2), 150);
    vi.advanceTimersByTime(2200);
    expect(sent.length).toBe(2);
    expect(sent[1]?.value.ops.map((operation) => operation.seq)).toEqual([1, 2]);
  });
  it("accepts snapshots without its acknowledgement, as after a visit to another page", () => {
    const { store, sent } = storeWith(chainGraph("Input"));
    store.dispatch(move(7));
    store.receive(canvasData(chainGraph("Input"), { revision: 2, ack: { [store.client]: 1 } }));
    store.dispatch(move(8));
    store.receive(canvasData(chainGraph("Input", "Conv2d"), { revision: 4, foreign: 4, ack: { "": 0 } }));
    expect(store.graph.nodes["conv2d_1"]).toBeDefined();
    expect(store.graph.nodes["input_1"]?.at[1]).toBe(8);
    expect(store.pending.map((operation) => operation.seq)).toEqual([2]);
    vi.advanceTimersByTime(2100);
    expect(sent.at(-1)?.value.ops.map((operation) => operation.seq)).toEqual([2]);
  });
  it("starts over with another epoch", () => {
    const { store } = storeWith(chainGraph("Input"));
    store.dispatch(move(1));
    const client = store.client;
    store.receive(canvasData(chainGraph("Conv2d"), { epoch: "other" }));
    expect(store.pending).toEqual([]);
    expect(store.client).not.toBe(client);
    expect(Object.keys(store.graph.nodes)).toEqual(["conv2d_1"]);
  });
});

describe("format and search", () => {
  it("shorten numbers", () => {
    expect([999, 1000, 63050, 1.5e9].map(formatCount)).toEqual(["999", "1.00K", "63.0K", "1.50G"]);
    expect([0, 2048, 18874016].map(formatBytes)).toEqual(["0 B", "2.00 KiB", "18.0 MiB"]);
  });
  it("find layers by title, type and keyword", () => {
    expect(searchLayers(PALETTE, "conv").map((item) => item.type)).toEqual(["Conv2d"]);
    expect(searchLayers(PALETTE, "zzz")).toEqual([]);
  });
});

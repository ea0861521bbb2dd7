import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { appendLayer, freePlace, insertLayer, insertNode, neighbour, removal } from "../src/core/edits";
import { bytes, count, search } from "../src/core/format";
import { applyEdit, freeId, leadsTo } from "../src/core/graph";
import { mayConnect, mayInsert, portFor, targetsOf } from "../src/core/connectionRules";
import { PALETTE, chain, data, engineOn } from "./fixtures";

const layer = (type: string) => PALETTE.find((item) => item.type === type)!;

describe("edits", () => {
  it("replace the edge at a port and leave the old graph alone", () => {
    const graph = chain("Input", "Conv2d", "Flatten");
    const after = applyEdit(graph, { kind: "connect", source: "input_1", target: "flatten_1" });
    expect(after.edges["flatten_1"]?.source).toBe("input_1");
    expect(graph.edges["flatten_1"]?.source).toBe("conv2d_1");
  });
  it("remove a node with its edges", () => {
    const after = applyEdit(chain("Input", "Conv2d", "Flatten"), { kind: "remove", nodes: ["conv2d_1"], edges: [] });
    expect(Object.keys(after.nodes)).toEqual(["input_1", "flatten_1"]);
    expect(after.edges).toEqual({});
  });
  it("find what lies downstream, and free names", () => {
    const graph = chain("Input", "Conv2d", "Conv2d");
    const reached = Object.keys(graph.nodes).filter((id) => leadsTo(graph, "conv2d_1", id));
    expect(reached).toEqual(["conv2d_1", "conv2d_2"]);
    expect(freeId(graph, "Conv2d")).toBe("conv2d_3");
  });
});

describe("rules", () => {
  it("join fitting kinds only, and never in a circle", () => {
    const { engine } = engineOn({ ...chain("Input", "Conv2d", "Flatten"), edges: {} });
    expect(mayConnect(engine, "input_1", "out", "conv2d_1", "in")).toBe(true);
    expect(mayConnect(engine, "flatten_1", "out", "conv2d_1", "in")).toBe(false);
    expect(mayConnect(engine, "conv2d_1", "out", "conv2d_1", "in")).toBe(false);
    expect(mayConnect(engine, "input_1", "nothing", "conv2d_1", "in")).toBe(false);
    const joined = engineOn(chain("Flatten", "Linear")).engine;
    expect(mayConnect(joined, "linear_1", "out", "flatten_1", "in")).toBe(false);
  });
  it("offer the port of a new layer that fits", () => {
    const { engine } = engineOn(chain("Input", "Conv2d"));
    expect(portFor(engine, layer("Conv2d"), { node: "input_1", port: "out", side: "source" })).toBe("in");
    expect(portFor(engine, layer("LSTM"), { node: "input_1", port: "out", side: "source" })).toBeNull();
    expect(mayInsert(engine, layer("Conv2d"), "conv2d_1")).toBe(true);
    expect(mayInsert(engine, layer("Flatten"), "conv2d_1")).toBe(false);
    expect(targetsOf(engine, "input_1", "out").map((end) => end.node)).toEqual(["conv2d_1"]);
  });
});

describe("building", () => {
  it("appends below and joins", () => {
    const { engine } = engineOn(chain("Input"));
    const { edit, id } = appendLayer(engine, layer("Conv2d"), "input_1");
    const after = applyEdit(engine.graph, edit);
    expect(after.edges[id]?.source).toBe("input_1");
    expect(after.nodes[id]?.at[1]).toBeGreaterThan(after.nodes["input_1"]!.at[1]);
  });
  it("finds a place that no layer covers", () => {
    const graph = chain("Input", "Conv2d");
    expect(freePlace(graph, [0, 400])).toEqual([0, 400]);
    const [x, y] = freePlace(graph, [10, 100]);
    expect(x).toBeGreaterThanOrEqual(196);
    expect(y).toBe(100);
  });
  it("inserts in an edge and makes room", () => {
    const { engine } = engineOn(chain("Input", "Conv2d", "Flatten"));
    const found = insertLayer(engine, layer("Conv2d"), "conv2d_1")!;
    const after = applyEdit(engine.graph, found.edit);
    expect(after.edges["conv2d_1"]?.source).toBe("conv2d_2");
    expect(after.edges["conv2d_2"]?.source).toBe("input_1");
    expect(after.nodes["flatten_1"]?.at[1]).toBe(330);
  });
  it("puts a loose node in an edge, without a step inside a step", () => {
    const graph = chain("Input", "Conv2d", "Flatten");
    graph.nodes["conv2d_2"] = { ...graph.nodes["conv2d_1"]!, at: [500, 0] };
    const { engine } = engineOn(graph);
    const edits = insertNode(engine, "conv2d_2", "flatten_1")!;
    expect(edits.map((edit) => edit.kind)).toEqual(["connect", "connect"]); // Python takes no batch within a batch
    const after = edits.reduce(applyEdit, engine.graph);
    expect(after.edges["flatten_1"]?.source).toBe("conv2d_2");
    expect(after.edges["conv2d_2"]?.source).toBe("conv2d_1");
    expect(insertNode(engine, "conv2d_1", "flatten_1")).toBeNull();
  });
  it("removes nothing as no edit, and walks by arrows", () => {
    const graph = chain("Input", "Conv2d");
    expect(removal(graph, [], [])).toBeNull();
    expect(neighbour(graph, "input_1", [0, 1])).toBe("conv2d_1");
    expect(neighbour(graph, "input_1", [0, -1])).toBeNull();
  });
});

describe("the outbox", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  const move = (y: number) => ({ kind: "move" as const, at: { input_1: [0, y] as [number, number] } });

  it("has one message on its way, and queues behind it", () => {
    const { engine, sent } = engineOn(chain("Input"));
    engine.do(move(1));
    engine.do(move(2));
    expect(sent.length).toBe(1);
    engine.receive(data(chain("Input"), { revision: 2, ack: { [engine.client]: 1 } }));
    expect(sent.length).toBe(2);
    expect(sent[1]?.value.ops.map((operation) => operation.seq)).toEqual([2]);
  });
  it("sends again what nobody acknowledged", () => {
    const { engine, sent } = engineOn(chain("Input"));
    engine.do(move(1));
    vi.advanceTimersByTime(2100);
    expect(sent.length).toBe(2);
    expect(sent[1]?.value.ops).toEqual(sent[0]?.value.ops);
    expect(sent[1]?.value).not.toEqual(sent[0]?.value);
  });
  it("asks for what stands beside the canvas once edits are answered and seen, with the selection that came of them", () => {
    const { engine, sent } = engineOn(chain("Input"));
    const looks = () => sent.filter(({ name }) => name === "selection").map(({ value }) => value);
    const answer = (ack: number, changes = 0) =>
      engine.receive(data(chain("Input"), { revision: 1 + ack, ack: { [engine.client]: ack }, changes }));
    const chosen = { network: "main", nodes: ["input_1"], edges: [] };
    engine.do(move(1));
    engine.choose(chosen);
    engine.do(move(2));
    vi.advanceTimersByTime(500);
    answer(1);
    vi.advanceTimersByTime(500);
    expect(looks()).toEqual([]); // the second edit is on its way
    answer(2);
    expect(looks()).toEqual([]);
    vi.advanceTimersByTime(100);
    expect(looks()).toMatchObject([chosen]);
    engine.choose({ ...chosen });
    engine.do(move(3));
    answer(3);
    vi.advanceTimersByTime(500);
    expect(looks().length).toBe(1); // a move changes nothing beside the canvas
    engine.do(move(4));
    answer(4, 1);
    vi.advanceTimersByTime(100);
    expect(looks().length).toBe(2);
    expect(looks()[1]).not.toEqual(looks()[0]); // or Streamlit would keep it back
    engine.receive(data(chain("Input"), { revision: 8, foreign: 8, changes: 2 }));
    vi.advanceTimersByTime(100);
    expect(looks().length).toBe(3); // what others do
  });
  it("says again what is selected when the canvas comes back to the page, and what is no more selected not", () => {
    const { engine, sent } = engineOn(chain("Input"));
    const chosen = { network: "main", nodes: ["input_1"], edges: [] };
    engine.choose(chosen);
    vi.advanceTimersByTime(100);
    const again: unknown[] = [];
    engine.arrive(data(chain("Input")), (_name, value) => again.push(value));
    engine.choose(chosen);
    vi.advanceTimersByTime(100);
    expect(again).toEqual([sent[0]?.value]);
    engine.arrive(data(chain("Input")), (_name, value) => again.push(value));
    engine.do(move(1));
    engine.receive(data(chain("Input"), { revision: 2, ack: { [engine.client]: 1 } }));
    vi.advanceTimersByTime(100);
    expect(again.at(-1)).toMatchObject({ nodes: [] });
  });
  it("replays its own edits on a foreign snapshot, and ignores old news", () => {
    const { engine } = engineOn(chain("Input"));
    engine.do(move(7));
    engine.receive(data(chain("Input", "Conv2d"), { revision: 5, foreign: 5 }));
    expect(engine.graph.nodes["input_1"]?.at[1]).toBe(7);
    expect(engine.graph.nodes["conv2d_1"]).toBeDefined();
    engine.receive(data(chain("Input"), { revision: 3, foreign: 3 }));
    expect(engine.graph.nodes["conv2d_1"]).toBeDefined();
  });
  it("shows a refusal once, however often it is told, and none from before the page was there", () => {
    const said = { refusals: ["No."], refused_at: 5 };
    const { engine } = engineOn(chain("Input"), said);
    expect(engine.refusals).toEqual([]);
    for (const refused_at of [6, 7]) {
      engine.receive(data(chain("Input"), { ...said, refused_at, revision: 2 }));
      expect(engine.refusals).toEqual(["No."]);
      engine.forgetRefusals();
      engine.receive(data(chain("Input"), { ...said, refused_at, revision: 2 }));
      expect(engine.refusals).toEqual([]);
    }
  });
  it("waits with a snapshot until a drag is over", () => {
    const { engine } = engineOn(chain("Input"));
    engine.hold();
    engine.receive(data(chain("Input", "Conv2d"), { revision: 2, foreign: 2 }));
    expect(engine.graph.nodes["conv2d_1"]).toBeUndefined();
    engine.release();
    expect(engine.graph.nodes["conv2d_1"]).toBeDefined();
  });
  it("keeps the clock of what is on its way when a drag ends meanwhile", () => {
    const { engine, sent } = engineOn(chain("Input"));
    engine.do(move(1));
    engine.do(move(2), 150);
    vi.advanceTimersByTime(2200);
    expect(sent.length).toBe(2);
    expect(sent[1]?.value.ops.map((operation) => operation.seq)).toEqual([1, 2]);
  });
  it("listens to a Python that does not know it, as after a visit to another page", () => {
    const { engine, sent } = engineOn(chain("Input"));
    engine.do(move(7));
    engine.receive(data(chain("Input"), { revision: 2, ack: { [engine.client]: 1 } }));
    engine.do(move(8));
    engine.receive(data(chain("Input", "Conv2d"), { revision: 4, foreign: 4, ack: { "": 0 } }));
    expect(engine.graph.nodes["conv2d_1"]).toBeDefined();
    expect(engine.graph.nodes["input_1"]?.at[1]).toBe(8);
    expect(engine.pending.map((operation) => operation.seq)).toEqual([2]);
    vi.advanceTimersByTime(2100);
    expect(sent.at(-1)?.value.ops.map((operation) => operation.seq)).toEqual([2]);
  });
  it("begins anew with another history", () => {
    const { engine } = engineOn(chain("Input"));
    engine.do(move(1));
    const client = engine.client;
    engine.receive(data(chain("Conv2d"), { epoch: "other" }));
    expect(engine.pending).toEqual([]);
    expect(engine.client).not.toBe(client);
    expect(Object.keys(engine.graph.nodes)).toEqual(["conv2d_1"]);
  });
});

describe("words", () => {
  it("are short numbers", () => {
    expect([999, 1000, 63050, 1.5e9].map(count)).toEqual(["999", "1.00K", "63.0K", "1.50G"]);
    expect([0, 2048, 18874016].map(bytes)).toEqual(["0 B", "2.00 KiB", "18.0 MiB"]);
  });
  it("find layers by title, type and keyword", () => {
    expect(search(PALETTE, "conv").map((item) => item.type)).toEqual(["Conv2d"]);
    expect(search(PALETTE, "zzz")).toEqual([]);
  });
});

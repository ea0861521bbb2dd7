import { describe, expect, it } from "vitest";
import { addLayer } from "../src/core/edits";
import { copy, paste } from "../src/core/clipboard";
import { search } from "../src/core/format";
import { addressed, applyTo, asLayer, asName, freeName, incoming, keyOf, offered, standsFor } from "../src/core/networks";
import { inputsOf } from "../src/core/connectionRules";
import type { Edit } from "../src/core/generated";
import { PALETTE, chain, data, engineOn, facts } from "./fixtures";

const block = facts("block", { may_stand: true, inputs: [{ name: "in", kinds: ["any"], doc: "" }, { name: "side", kinds: ["any"], doc: "" }] });

describe("edits of networks", () => {
  const move: Edit = { kind: "move", at: { input_1: [5, 5] } };
  it("name the network that they concern, part by part", () => {
    const fix: Edit = { kind: "set", network: "block", node: "a", params: {} };
    expect(addressed(move, "main")).toEqual({ ...move, network: "main" });
    expect(addressed({ kind: "batch", edits: [move, fix] }, "main")).toEqual({
      kind: "batch",
      edits: [{ ...move, network: "main" }, fix],
    });
    expect(addressed({ kind: "undo" }, "main")).toEqual({ kind: "undo" });
    expect(addressed({ kind: "delete_network", name: "block" }, "main")).toEqual({ kind: "delete_network", name: "block" });
  });
  it("change no other network", () => {
    const graph = chain("Input");
    const batch: Edit = { kind: "batch", edits: [{ ...move, network: "block" }] };
    expect(applyTo(graph, batch, "main")).toEqual(graph);
    expect(applyTo(graph, { ...move, network: "main" }, "main").nodes["input_1"]?.at).toEqual([5, 5]);
    expect(applyTo(graph, { kind: "group", network: "main", nodes: ["input_1"], name: "x" }, "main")).toEqual(graph);
  });
});

describe("the network that is shown", () => {
  const move = (y: number) => ({ kind: "move" as const, at: { input_1: [0, y] as [number, number] } });
  const other = chain("Input", "Flatten");
  const inside = { shown: "block", networks: [facts("main"), block] };

  it("is taken as a whole, and edits of another one stay on their way", () => {
    const { engine, sent } = engineOn(chain("Input", "Conv2d"));
    engine.do(move(7));
    engine.open("block");
    expect(sent.at(-1)).toMatchObject({ name: "network", value: { name: "block" } });
    const wish = sent.at(-1)!.value.number;
    engine.receive(data(other, { ...inside, wish }));
    expect(engine.network).toBe("block");
    expect(engine.graph).toEqual(other);
    engine.do(move(9));
    expect(engine.pending.map((edit) => "network" in edit && edit.network)).toEqual(["main", "block"]);
    engine.receive(data(chain("Input", "Conv2d"), { wish: wish + 1 }));
    expect(engine.graph.nodes["input_1"]?.at).toEqual([0, 7]);
  });
  it("is not exchanged for one that was wished for before", () => {
    const { engine } = engineOn(chain("Input"));
    engine.receive(data(other, { ...inside, wish: 20 }));
    engine.receive(data(chain("Input"), { wish: 10 }));
    expect(engine.network).toBe("block");
    engine.receive(data(chain("Input"), { wish: null })); // Python knows of no wish any more, as after a restart
    expect(engine.network).toBe("main");
  });
  it("waits until a drag is over", () => {
    const { engine } = engineOn(chain("Input"));
    engine.hold();
    engine.receive(data(other, { ...inside, wish: 20 }));
    expect(engine.network).toBe("main");
    engine.release();
    expect(engine.network).toBe("block");
  });
});

describe("nodes that stand for networks", () => {
  it("are offered where they would not stand in themselves, and never the main one", () => {
    const networks = [facts("main", { may_stand: true }), block, facts("outer")];
    expect(offered(PALETTE, networks, "main", "main").map(keyOf)).toEqual(["network:block", ...PALETTE.map(keyOf)]);
  });
  it("have the ports of their network, at once", () => {
    const { engine } = engineOn(chain("Input"));
    engine.receive(data(chain("Input"), { networks: [facts("main"), block] }));
    const { edit, id } = addLayer(engine, asLayer(block), [0, 200], { node: "input_1", port: "out", side: "source" });
    engine.do(edit);
    expect(id).toBe("block_1");
    expect(standsFor(engine.graph.nodes[id])).toBe("block");
    expect(inputsOf(engine, id).map((port) => port.name)).toEqual(["in", "side"]);
    expect(engine.graph.edges["block_1"]?.source).toBe("input_1");
  });
  it("are named as Python takes it", () => {
    expect([" Residual Block! ", "2nd", "ok_1"].map(asName)).toEqual(["residual_block", "nd", "ok_1"]);
    expect(freeName([facts("block_1")], "block")).toBe("block_2");
  });
  it("tell their Inputs what comes in", () => {
    const edge = (label: string) => ({ label, kind: "image" as const, error: false });
    const found = incoming(chain("Input", "Conv2d", "Conv2d"), { conv2d_1: edge("(N, 1, 8, 8)") }, ["conv2d_1", "conv2d_2"]);
    expect(found).toEqual({ input_1: { kind: "image", shape: [1, 8, 8] } });
  });
});

describe("copies", () => {
  it("share weights with the copy, else with what is here, else with nothing", () => {
    const graph = chain("Linear", "Linear");
    graph.nodes["linear_2"] = { ...graph.nodes["linear_2"]!, shares: "linear_1" };
    const shares = (into: typeof graph, ids: string[]) => {
      const { edit } = paste(into, copy(graph, ids)!, [0, 0]);
      return edit.kind === "add" ? edit.nodes.at(-1)?.shares : undefined;
    };
    expect(shares(graph, ["linear_1", "linear_2"])).toBe("linear_3");
    expect(shares(graph, ["linear_2"])).toBe("linear_1");
    expect(shares(chain("Input"), ["linear_2"])).toBeNull();
  });
});

describe("a long palette", () => {
  const named = (title: string, common: boolean, keywords: string[] = []) => ({
    ...PALETTE[0]!,
    type: title.replace(" ", ""),
    title,
    common,
    keywords,
  });
  it("finds the exact name first, then what is common, then the rest, and last what is only said of it", () => {
    const layers = [named("Dice", false, ["relu"]), named("ReLU6", false), named("Leaky ReLU", true), named("ReLU", true)];
    expect(search(layers, "relu").map((layer) => layer.title)).toEqual(["ReLU", "Leaky ReLU", "ReLU6", "Dice"]);
  });
  it("comes once, and is asked for again where it is missing", () => {
    const { engine, sent } = engineOn(chain("Input"));
    engine.receive(data(chain("Input"), { revision: 2, palette: null }));
    expect(engine.layers.length).toBe(PALETTE.length);
    expect(sent.length).toBe(0);
    engine.receive(data(chain("Input"), { revision: 3, palette: null, palette_version: "2" }));
    engine.receive(data(chain("Input"), { revision: 4, palette: null, palette_version: "2" }));
    expect(sent.map((message) => message.value.palette)).toEqual(["1"]);
  });
});

import { DocumentStore, type Operation } from "../src/core/documentStore";
import type { CanvasData, Graph, LayerType, NetworkFacts, Port } from "../src/core/generated";

const port = (name: string, ...kinds: Port["kinds"]): Port => ({ name, kinds, doc: "" });
const layer = (type: string, inputs: Port[], outputs: Port[]): LayerType => ({
  type,
  title: type,
  group: "Group",
  summary: `A ${type}`,
  keywords: [],
  color: "#888",
  inputs,
  outputs,
  params: {},
  common: true,
});
export const PALETTE = [
  layer("Input", [], [port("out", "image")]),
  layer("Conv2d", [port("in", "image")], [port("out", "image")]),
  layer("Flatten", [port("in", "any")], [port("out", "vector")]),
  layer("Linear", [port("in", "vector", "sequence", "image")], [port("out", "any")]),
  layer("LSTM", [port("in", "sequence")], [port("out", "sequence"), port("state", "vector")]),
  layer("Add", [port("a", "vector"), port("b", "vector")], [port("out", "vector")]),
  layer("Output", [port("in", "any")], []),
];

/** A chain of layers, connected by their default ports, with ids as the canvas creates them. */
export function chainGraph(...types: string[]): Graph {
  const graph: Graph = { nodes: {}, edges: {}, notes: {} };
  let previous = "";
  types.forEach((type, index) => {
    const id = `${type.toLowerCase()}_${types.slice(0, index + 1).filter((other) => other === type).length}`;
    graph.nodes[id] = { type, params: {}, title: "", at: [0, 110 * index], frozen: false, shares: null, note: "" };
    if (previous) graph.edges[id] = { source: previous, target: id };
    previous = id;
  });
  return graph;
}

export const networkFacts = (name: string, overrides: Partial<NetworkFacts> = {}): NetworkFacts => ({
  name,
  used: false,
  may_stand: false,
  inputs: [port("in", "any")],
  outputs: [port("out", "any")],
  ...overrides,
});

export function canvasData(network: Graph, overrides: Partial<CanvasData> = {}): CanvasData {
  return {
    document: "d",
    epoch: "e",
    revision: 1,
    ack: {},
    foreign: 0,
    refusals: [],
    refused_at: 0,
    shown: "main",
    network,
    wish: null,
    main: "main",
    networks: [networkFacts("main")],
    about: null,
    derived: {
      nodes: {},
      edges: {},
      issues: [],
      data: true,
      totals: { parameters: 0, flops: 0, memory_bytes: 0, layers: 0 },
    },
    palette: PALETTE,
    palette_version: "1",
    can_undo: false,
    can_redo: false,
    saved: true,
    changes: 0,
    height: 600,
    ...overrides,
  };
}

type Sent = {
  name: string;
  value: { client: string; ops: Operation[]; name: string; number: number; palette: string };
};
export function storeWith(network: Graph, overrides: Partial<CanvasData> = {}): { store: DocumentStore; sent: Sent[] } {
  const sent: Sent[] = [];
  return {
    store: new DocumentStore(canvasData(network, overrides), (name, value) => sent.push({ name, value } as Sent)),
    sent,
  };
}

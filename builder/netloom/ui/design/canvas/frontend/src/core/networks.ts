// The networks of a project: the network of an edit, subnetwork layers, and names of new networks.
import { applyBatch, nodeOf, tryEdit } from "./graph";
import type { EdgeFacts, Edit, Graph, LayerType, NetworkFacts, NodeRecord, Params } from "./generated";

/** The type of a node that contains a network. */
export const SUBNETWORK = "Subnetwork";
const SUBNETWORK_GROUP = "Networks";
// Dark in the light theme and light in the dark theme, unlike the colors of layers.
const SUBNETWORK_COLOR = "color-mix(in srgb, #64748b 60%, var(--st-text-color))";
const NETWORK_EDITS = new Set(["add", "remove", "move", "connect", "set", "update", "note", "group", "unpack"]);

/** Add the network to every part of an edit, so that no part is applied to another network. */
export function withNetwork(edit: Edit, network: string): Edit {
  if (edit.kind === "batch") return { ...edit, edits: edit.edits.map((part) => withNetwork(part, network)) };
  return NETWORK_EDITS.has(edit.kind) ? ({ network, ...edit } as Edit) : edit;
}

/** The graph of a network after an edit. Parts of other networks are skipped. */
export function applyToNetwork(graph: Graph, edit: Edit, network: string): Graph {
  const applyPart = (current: Graph, part: Edit) =>
    "network" in part && part.network === network ? tryEdit(current, part) : current;
  return (edit.kind === "batch" ? applyBatch(graph, edit.edits, applyPart) : applyPart(graph, edit)) ?? graph;
}

/** The name of the network that a node contains, or null. */
export function subnetworkOf(node: NodeRecord | undefined): string | null {
  const name = node?.type === SUBNETWORK ? node.params.network : null;
  return typeof name === "string" && name ? name : null;
}

/** A network as a layer of the palette. */
export const subnetworkLayer = (facts: NetworkFacts): LayerType => ({
  type: SUBNETWORK,
  title: facts.name,
  group: SUBNETWORK_GROUP,
  summary: "A network of this project as one layer; double-click the node to open it",
  keywords: ["network", "block", "subnetwork"],
  color: SUBNETWORK_COLOR,
  inputs: facts.inputs,
  outputs: facts.outputs,
  params: { network: facts.name },
  common: true,
  network: facts.name,
});

/** The layers that can be added to a network: the other networks, and the palette. */
export function addableLayers(
  palette: LayerType[],
  networks: NetworkFacts[],
  network: string,
  main: string,
): LayerType[] {
  const others = networks.filter((facts) => facts.may_stand && facts.name !== main);
  const layers = palette
    .filter((layer) => layer.type !== SUBNETWORK)
    // Only the main network reads the data. Inputs of other networks get their shape from the outside.
    .map((layer) => (layer.type === "Input" && network !== main ? { ...layer, params: {} } : layer));
  return [...others.map(subnetworkLayer), ...layers];
}

/** The unique key of a layer in the palette. */
export const layerKey = (layer: LayerType): string => (layer.network ? `network:${layer.network}` : layer.type);

/** The first unused name, such as block_1. */
export function unusedName(networks: NetworkFacts[], base: string): string {
  const names = new Set(networks.map((facts) => facts.name));
  for (let number = 1; ; number++) if (!names.has(`${base}_${number}`)) return `${base}_${number}`;
}

/** Convert text to a valid network name: "Residual block" becomes residual_block. */
export const toNetworkName = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "_")
    .replace(/^[^a-z]+|_+$/g, "")
    .slice(0, 64);

/** The parameters of the Inputs of a new network that contains the nodes, by source port. */
export function inputParams(graph: Graph, facts: Record<string, EdgeFacts>, nodes: string[]): Record<string, Params> {
  const selected = new Set(nodes);
  const params: Record<string, Params> = {};
  for (const [target, edge] of Object.entries(graph.edges)) {
    if (!selected.has(nodeOf(target)) || selected.has(nodeOf(edge.source))) continue;
    const { kind, label } = facts[target] ?? { kind: null, label: "" };
    const shape = label
      .replace(/[()\s]/g, "")
      .split(",")
      .slice(1)
      .map(Number);
    if (kind && kind !== "any" && shape.length && shape.every((length) => length > 0))
      params[edge.source] = { kind, shape };
  }
  return params;
}

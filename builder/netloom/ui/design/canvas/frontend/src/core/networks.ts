// The networks of a project: which one an edit concerns, what may stand in which, and names for new ones.
import { applyBatch, nodeOf, tryEdit } from "./graph";
import type { EdgeFacts, Edit, Graph, LayerType, NetworkFacts, NodeRecord, Params } from "./generated";

/** The type of a node that stands for a network. */
export const SUBNETWORK = "Subnetwork";
const SUBNETWORK_GROUP = "Networks";
// Dark in the light and light in the dark, as no other group is.
const SUBNETWORK_COLOR = "color-mix(in srgb, #64748b 60%, var(--st-text-color))";
const NETWORK_EDITS = new Set(["add", "remove", "move", "connect", "set", "update", "note", "group", "unpack"]);

/** The edit with the network named that each part of it concerns, so that none can land in another one. */
export function withNetwork(edit: Edit, network: string): Edit {
  if (edit.kind === "batch") return { ...edit, edits: edit.edits.map((part) => withNetwork(part, network)) };
  return NETWORK_EDITS.has(edit.kind) ? ({ network, ...edit } as Edit) : edit;
}

/** The graph of one network after an edit, of which parts may concern other ones. */
export function applyToNetwork(graph: Graph, edit: Edit, network: string): Graph {
  const applyPart = (current: Graph, part: Edit) => ("network" in part && part.network === network ? tryEdit(current, part) : current);
  return (edit.kind === "batch" ? applyBatch(graph, edit.edits, applyPart) : applyPart(graph, edit)) ?? graph;
}

/** The network for which a node stands. */
export function subnetworkOf(node: NodeRecord | undefined): string | null {
  const name = node?.type === SUBNETWORK ? node.params.network : null;
  return typeof name === "string" && name ? name : null;
}

/** What a network looks like where it stands as a node. */
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

/** What can be added to the network that is shown: the other networks, and all layers. */
export function addableLayers(palette: LayerType[], networks: NetworkFacts[], network: string, main: string): LayerType[] {
  const others = networks.filter((facts) => facts.may_stand && facts.name !== main);
  const layers = palette
    .filter((layer) => layer.type !== SUBNETWORK)
    // What comes into a network from outside has the shape that it has there; only main reads the data.
    .map((layer) => (layer.type === "Input" && network !== main ? { ...layer, params: {} } : layer));
  return [...others.map(subnetworkLayer), ...layers];
}

/** What tells a layer of the palette from all others. */
export const layerKey = (layer: LayerType): string => (layer.network ? `network:${layer.network}` : layer.type);

/** The first free name such as block_1. */
export function unusedName(networks: NetworkFacts[], base: string): string {
  const names = new Set(networks.map((facts) => facts.name));
  for (let number = 1; ; number++) if (!names.has(`${base}_${number}`)) return `${base}_${number}`;
}

/** What was typed as a name that Python takes: "Residual block" becomes residual_block. */
export const toNetworkName = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "_")
    .replace(/^[^a-z]+|_+$/g, "")
    .slice(0, 64);

/** For the Inputs of a new network: what comes in from outside of these nodes, by its source. */
export function inputParams(graph: Graph, facts: Record<string, EdgeFacts>, nodes: string[]): Record<string, Params> {
  const selected = new Set(nodes);
  const params: Record<string, Params> = {};
  for (const [target, edge] of Object.entries(graph.edges)) {
    if (!selected.has(nodeOf(target)) || selected.has(nodeOf(edge.source))) continue;
    const { kind, label } = facts[target] ?? { kind: null, label: "" };
    const shape = label.replace(/[()\s]/g, "").split(",").slice(1).map(Number);
    if (kind && kind !== "any" && shape.length && shape.every((length) => length > 0))
      params[edge.source] = { kind, shape };
  }
  return params;
}

// The networks of a project: which one an edit concerns, what may stand in which, and names for new ones.
import { attempt, inTurn, nodeOf } from "./graph";
import type { EdgeFacts, Edit, Graph, LayerType, NetworkFacts, NodeRecord, Params } from "./generated";

/** The type of a node that stands for a network. */
export const SUBNETWORK = "Subnetwork";
const GROUP = "Networks";
// Dark in the light and light in the dark, as no other group is.
const COLOR = "color-mix(in srgb, #64748b 60%, var(--st-text-color))";
const INSIDE = new Set(["add", "remove", "move", "connect", "set", "update", "note", "group", "unpack"]);

/** The edit with the network named that each part of it concerns, so that none can land in another one. */
export function addressed(edit: Edit, network: string): Edit {
  if (edit.kind === "batch") return { ...edit, edits: edit.edits.map((part) => addressed(part, network)) };
  return INSIDE.has(edit.kind) ? ({ network, ...edit } as Edit) : edit;
}

/** The graph of one network after an edit, of which parts may concern other ones. */
export function applyTo(graph: Graph, edit: Edit, network: string): Graph {
  const inside = (now: Graph, part: Edit) => ("network" in part && part.network === network ? attempt(now, part) : now);
  return (edit.kind === "batch" ? inTurn(graph, edit.edits, inside) : inside(graph, edit)) ?? graph;
}

/** The network for which a node stands. */
export function standsFor(node: NodeRecord | undefined): string | null {
  const name = node?.type === SUBNETWORK ? node.params.network : null;
  return typeof name === "string" && name ? name : null;
}

/** What a network looks like where it stands as a node. */
export const asLayer = (facts: NetworkFacts): LayerType => ({
  type: SUBNETWORK,
  title: facts.name,
  group: GROUP,
  summary: "A network of this project as one layer; double-click the node to open it",
  keywords: ["network", "block", "subnetwork"],
  color: COLOR,
  inputs: facts.inputs,
  outputs: facts.outputs,
  params: { network: facts.name },
  common: true,
  network: facts.name,
});

/** What can be added to the network that is shown: the other networks, and all layers. */
export function offered(palette: LayerType[], networks: NetworkFacts[], shown: string, main: string): LayerType[] {
  const others = networks.filter((facts) => facts.may_stand && facts.name !== main);
  const layers = palette
    .filter((layer) => layer.type !== SUBNETWORK)
    // What comes into a network from outside has the shape that it has there; only main reads the data.
    .map((layer) => (layer.type === "Input" && shown !== main ? { ...layer, params: {} } : layer));
  return [...others.map(asLayer), ...layers];
}

/** What tells a layer of the palette from all others. */
export const keyOf = (layer: LayerType): string => (layer.network ? `network:${layer.network}` : layer.type);

/** The first free name such as block_1. */
export function freeName(networks: NetworkFacts[], base: string): string {
  const taken = new Set(networks.map((facts) => facts.name));
  for (let number = 1; ; number++) if (!taken.has(`${base}_${number}`)) return `${base}_${number}`;
}

/** What was typed as a name that Python takes: "Residual block" becomes residual_block. */
export const asName = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, "_")
    .replace(/^[^a-z]+|_+$/g, "")
    .slice(0, 64);

/** For the Inputs of a new network: what comes in from outside of these nodes, by its source. */
export function incoming(graph: Graph, facts: Record<string, EdgeFacts>, nodes: string[]): Record<string, Params> {
  const chosen = new Set(nodes);
  const found: Record<string, Params> = {};
  for (const [target, edge] of Object.entries(graph.edges)) {
    if (!chosen.has(nodeOf(target)) || chosen.has(nodeOf(edge.source))) continue;
    const { kind, label } = facts[target] ?? { kind: null, label: "" };
    const shape = label.replace(/[()\s]/g, "").split(",").slice(1).map(Number);
    if (kind && kind !== "any" && shape.length && shape.every((length) => length > 0))
      found[edge.source] = { kind, shape };
  }
  return found;
}

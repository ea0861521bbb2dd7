// Rules for connecting ports. Python validates edges again, with shapes.
import type { DocumentStore } from "./documentStore";
import { hasPath, nodeOf, outgoingEdges, sourcePort, sourceRef, targetPort, targetRef } from "./graph";
import type { Kind, LayerType, Port } from "./generated";

export type PortRef = { node: string; port: string; side: "source" | "target" };

export const inputsOf = (store: DocumentStore, id: string): Port[] =>
  store.data.derived.nodes[id]?.inputs ?? store.layerTypeOf(store.graph.nodes[id])?.inputs ?? [];
export const outputsOf = (store: DocumentStore, id: string): Port[] =>
  store.data.derived.nodes[id]?.outputs ?? store.layerTypeOf(store.graph.nodes[id])?.outputs ?? [];

/** The kind that an output is known to produce, or the kinds that it can produce. */
export function outputKinds(store: DocumentStore, id: string, port: string): Kind[] {
  for (const edge of outgoingEdges(store.graph).get(id) ?? []) {
    if (sourcePort(edge.source) !== port) continue;
    const kind = store.data.derived.edges[edge.target]?.kind;
    if (kind) return [kind];
  }
  return outputsOf(store, id).find((item) => item.name === port)?.kinds ?? ["any"];
}

export const inputKinds = (store: DocumentStore, id: string, port: string): Kind[] =>
  inputsOf(store, id).find((item) => item.name === port)?.kinds ?? ["any"];

export const areCompatible = (outputs: Kind[], inputs: Kind[]): boolean =>
  outputs.includes("any") || inputs.includes("any") || outputs.some((kind) => inputs.includes(kind));

/** Whether an edge between two ports is valid: their kinds are compatible, and it creates no cycle. */
export function canConnect(store: DocumentStore, source: string, from: string, target: string, to: string): boolean {
  if (!outputsOf(store, source).some((port) => port.name === from)) return false;
  if (!inputsOf(store, target).some((port) => port.name === to)) return false;
  if (!areCompatible(outputKinds(store, source, from), inputKinds(store, target, to))) return false;
  return !hasPath(store.graph, target, source);
}

/** Whether a port can be the end of a connection that begins at `start`. */
export function canConnectPorts(store: DocumentStore, start: PortRef, end: PortRef): boolean {
  if (start.side === end.side || start.node === end.node) return false;
  return start.side === "source"
    ? canConnect(store, start.node, start.port, end.node, end.port)
    : canConnect(store, end.node, end.port, start.node, start.port);
}

/** The first port of a new layer that can connect to `start`, or null. */
export function compatiblePort(store: DocumentStore, layer: LayerType, start: PortRef): string | null {
  const match =
    start.side === "source"
      ? layer.inputs.find((port) => areCompatible(outputKinds(store, start.node, start.port), port.kinds))
      : layer.outputs.find((port) => areCompatible(port.kinds, inputKinds(store, start.node, start.port)));
  return match?.name ?? null;
}

/** Whether a layer can be inserted into an edge. */
export function canInsert(store: DocumentStore, layer: LayerType, target: string): boolean {
  const edge = store.graph.edges[target];
  const [input, output] = [layer.inputs[0], layer.outputs[0]];
  if (!edge || !input || !output) return false;
  const outputs = outputKinds(store, nodeOf(edge.source), sourcePort(edge.source));
  const inputs = inputKinds(store, nodeOf(target), targetPort(target));
  return areCompatible(outputs, input.kinds) && areCompatible(output.kinds, inputs);
}

/** The first output of a node without an edge, or else its first output. */
export function freeOutput(store: DocumentStore, id: string): string | null {
  const used = new Set(
    outgoingEdges(store.graph)
      .get(id)
      ?.map((edge) => edge.source),
  );
  const ports = outputsOf(store, id);
  const free = ports.find((port) => !used.has(sourceRef(id, port.name)));
  return (free ?? ports[0])?.name ?? null;
}

/** The inputs of other nodes that an output can connect to; those without an edge come first. */
export function connectableInputs(
  store: DocumentStore,
  source: string,
  port: string,
): { node: string; port: string }[] {
  const ports = Object.keys(store.graph.nodes).flatMap((node) =>
    inputsOf(store, node)
      .filter((item) => node !== source && canConnect(store, source, port, node, item.name))
      .map((item) => ({ node, port: item.name })),
  );
  const isUsed = (input: { node: string; port: string }) =>
    targetRef(input.node, input.port) in store.graph.edges ? 1 : 0;
  return ports.sort((a, b) => isUsed(a) - isUsed(b));
}

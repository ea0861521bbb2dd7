// Which ports may be joined. Python checks the same again, with shapes.
import type { Engine } from "./documentStore";
import { leadsTo, nodeOf, outgoing, sourcePort, sourceRef, targetPort, targetRef } from "./graph";
import type { Kind, LayerType, Port } from "./generated";

export type End = { node: string; port: string; side: "source" | "target" };

export const inputsOf = (engine: Engine, id: string): Port[] =>
  engine.data.derived.nodes[id]?.inputs ?? engine.layerOf(engine.graph.nodes[id])?.inputs ?? [];
export const outputsOf = (engine: Engine, id: string): Port[] =>
  engine.data.derived.nodes[id]?.outputs ?? engine.layerOf(engine.graph.nodes[id])?.outputs ?? [];

/** What a port is known to give, or may give. */
export function kindsGiven(engine: Engine, id: string, port: string): Kind[] {
  for (const edge of outgoing(engine.graph).get(id) ?? []) {
    if (sourcePort(edge.source) !== port) continue;
    const kind = engine.data.derived.edges[edge.target]?.kind;
    if (kind) return [kind];
  }
  return outputsOf(engine, id).find((item) => item.name === port)?.kinds ?? ["any"];
}

export const kindsTaken = (engine: Engine, id: string, port: string): Kind[] =>
  inputsOf(engine, id).find((item) => item.name === port)?.kinds ?? ["any"];

export const compatible = (given: Kind[], taken: Kind[]): boolean =>
  given.includes("any") || taken.includes("any") || given.some((kind) => taken.includes(kind));

/** Whether an edge may lead from one port to another: kinds fit, and no layer would feed itself. */
export function mayConnect(engine: Engine, source: string, from: string, target: string, to: string): boolean {
  if (!outputsOf(engine, source).some((port) => port.name === from)) return false;
  if (!inputsOf(engine, target).some((port) => port.name === to)) return false;
  if (!compatible(kindsGiven(engine, source, from), kindsTaken(engine, target, to))) return false;
  return !leadsTo(engine.graph, target, source);
}

/** Whether a port could take part in the connection that begins at `start`. */
export function mayJoin(engine: Engine, start: End, end: End): boolean {
  if (start.side === end.side || start.node === end.node) return false;
  return start.side === "source"
    ? mayConnect(engine, start.node, start.port, end.node, end.port)
    : mayConnect(engine, end.node, end.port, start.node, start.port);
}

/** The port of a new layer that would join `start`, if there is one. */
export function portFor(engine: Engine, layer: LayerType, start: End): string | null {
  const found =
    start.side === "source"
      ? layer.inputs.find((port) => compatible(kindsGiven(engine, start.node, start.port), port.kinds))
      : layer.outputs.find((port) => compatible(port.kinds, kindsTaken(engine, start.node, start.port)));
  return found?.name ?? null;
}

/** Whether a layer could stand in the middle of an edge. */
export function mayInsert(engine: Engine, layer: LayerType, target: string): boolean {
  const edge = engine.graph.edges[target];
  const [input, output] = [layer.inputs[0], layer.outputs[0]];
  if (!edge || !input || !output) return false;
  const given = kindsGiven(engine, nodeOf(edge.source), sourcePort(edge.source));
  const taken = kindsTaken(engine, nodeOf(target), targetPort(target));
  return compatible(given, input.kinds) && compatible(output.kinds, taken);
}

/** The first output of a node that nothing reads yet, or else its first output. */
export function freeOutput(engine: Engine, id: string): string | null {
  const used = new Set(outgoing(engine.graph).get(id)?.map((edge) => edge.source));
  const ports = outputsOf(engine, id);
  const free = ports.find((port) => !used.has(sourceRef(id, port.name)));
  return (free ?? ports[0])?.name ?? null;
}

/** The inputs of other nodes that `source` may be joined to; free ones first. */
export function targetsOf(engine: Engine, source: string, port: string): { node: string; port: string }[] {
  const found = Object.keys(engine.graph.nodes).flatMap((node) =>
    inputsOf(engine, node)
      .filter((item) => node !== source && mayConnect(engine, source, port, node, item.name))
      .map((item) => ({ node, port: item.name })),
  );
  const taken = (end: { node: string; port: string }) => (targetRef(end.node, end.port) in engine.graph.edges ? 1 : 0);
  return found.sort((a, b) => taken(a) - taken(b));
}

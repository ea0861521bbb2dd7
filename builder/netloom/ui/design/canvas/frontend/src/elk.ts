// Automatic arrangement by ELK's layered algorithm, loaded when first asked for. https://eclipse.dev/elk/
import ELK, { type ElkNode, type ElkPort } from "elkjs/lib/elk.bundled.js";
import { NODE_HEIGHT, NODE_WIDTH } from "./core/edits";
import type { DocumentStore } from "./core/documentStore";
import { nodeOf, sourcePort, targetPort } from "./core/graph";
import { inputsOf, outputsOf } from "./core/connectionRules";
import type { Port } from "./core/generated";

const OPTIONS = {
  "elk.algorithm": "layered",
  "elk.direction": "DOWN",
  "elk.layered.spacing.nodeNodeBetweenLayers": "62",
  "elk.spacing.nodeNode": "40",
  // Room beside a layer for an edge that passes it, and for the shape that is written on that edge.
  "elk.spacing.edgeNode": "180",
  "elk.layered.nodePlacement.strategy": "BRANDES_KOEPF",
  "elk.layered.nodePlacement.bk.fixedAlignment": "BALANCED",
};

/** A place for every layer, by id. */
export async function computeLayout(store: DocumentStore): Promise<Record<string, [number, number]>> {
  const { nodes, edges } = store.graph;
  const result = await new ELK().layout({
    id: "root",
    layoutOptions: OPTIONS,
    children: Object.keys(nodes).map((id) => elkNode(store, id)),
    edges: Object.entries(edges).map(([id, { source, target }]) => ({
      id,
      sources: [portId(nodeOf(source), "source", sourcePort(source))],
      targets: [portId(nodeOf(target), "target", targetPort(target))],
    })),
  });
  const children = result.children ?? [];
  return Object.fromEntries(children.map((node) => [node.id, [Math.round(node.x ?? 0), Math.round(node.y ?? 0)]]));
}

const portId = (node: string, side: "source" | "target", port: string): string => `${node} ${side} ${port}`;

/** The ports are where the canvas draws them, so that edges do not cross on their way to an Add or a Concat. */
function elkNode(store: DocumentStore, id: string): ElkNode {
  const portRow = (ports: Port[], side: "source" | "target"): ElkPort[] =>
    ports.map((port, index) => ({
      id: portId(id, side, port.name),
      x: ((index + 1) / (ports.length + 1)) * NODE_WIDTH,
      y: side === "source" ? NODE_HEIGHT : 0,
      width: 0,
      height: 0,
      layoutOptions: { "elk.port.side": side === "source" ? "SOUTH" : "NORTH" },
    }));
  const declared = [...portRow(inputsOf(store, id), "target"), ...portRow(outputsOf(store, id), "source")];
  // An edge may lead to a port that its layer no longer has; it is an error, and still has to be drawn.
  const connectedPorts = Object.values(store.graph.edges).flatMap(({ source, target }): string[] => [
    ...(nodeOf(source) === id ? [portId(id, "source", sourcePort(source))] : []),
    ...(nodeOf(target) === id ? [portId(id, "target", targetPort(target))] : []),
  ]);
  const declaredIds = new Set(declared.map((port) => port.id));
  const missingPorts = [...new Set(connectedPorts)].filter((port) => !declaredIds.has(port));
  const ports = [...declared, ...missingPorts.map((port) => ({ id: port, x: NODE_WIDTH / 2, y: 0, width: 0, height: 0 }))];
  return { id, width: NODE_WIDTH, height: NODE_HEIGHT, ports, layoutOptions: { "elk.portConstraints": "FIXED_POS" } };
}

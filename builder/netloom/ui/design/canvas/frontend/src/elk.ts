// Automatic layout by ELK's layered algorithm, loaded on first use. https://eclipse.dev/elk/
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
  // Room beside a layer for a passing edge and its shape label.
  "elk.spacing.edgeNode": "180",
  "elk.layered.nodePlacement.strategy": "BRANDES_KOEPF",
  "elk.layered.nodePlacement.bk.fixedAlignment": "BALANCED",
};

/** Compute the position of every layer, by id. */
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

/** The ports have the positions of the canvas, so that the edges of an Add or a Concat do not cross. */
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
  // An edge can refer to a port that its layer no longer has. Validation reports it, and the canvas still draws it.
  const connectedPorts = Object.values(store.graph.edges).flatMap(({ source, target }): string[] => [
    ...(nodeOf(source) === id ? [portId(id, "source", sourcePort(source))] : []),
    ...(nodeOf(target) === id ? [portId(id, "target", targetPort(target))] : []),
  ]);
  const declaredIds = new Set(declared.map((port) => port.id));
  const missingPorts = [...new Set(connectedPorts)].filter((port) => !declaredIds.has(port));
  const ports = [
    ...declared,
    ...missingPorts.map((port) => ({ id: port, x: NODE_WIDTH / 2, y: 0, width: 0, height: 0 })),
  ];
  return { id, width: NODE_WIDTH, height: NODE_HEIGHT, ports, layoutOptions: { "elk.portConstraints": "FIXED_POS" } };
}

// Automatic arrangement by ELK's layered algorithm, loaded when first asked for. https://eclipse.dev/elk/
import ELK from "elkjs/lib/elk.bundled.js";
import { nodeOf } from "./core/graph";
import type { Graph } from "./core/types";

const OPTIONS = {
  "elk.algorithm": "layered",
  "elk.direction": "DOWN",
  "elk.layered.spacing.nodeNodeBetweenLayers": "62",
  "elk.spacing.nodeNode": "40",
  "elk.layered.nodePlacement.strategy": "BRANDES_KOEPF",
  "elk.layered.nodePlacement.bk.fixedAlignment": "BALANCED",
};

/** A place for every layer, by id. */
export async function arrange(graph: Graph, width: number, height: number): Promise<Record<string, [number, number]>> {
  const result = await new ELK().layout({
    id: "root",
    layoutOptions: OPTIONS,
    children: Object.keys(graph.nodes).map((id) => ({ id, width, height })),
    edges: Object.entries(graph.edges).map(([id, edge]) => ({
      id,
      sources: [nodeOf(edge.source)],
      targets: [nodeOf(edge.target)],
    })),
  });
  const places = result.children ?? [];
  return Object.fromEntries(places.map((node) => [node.id, [Math.round(node.x ?? 0), Math.round(node.y ?? 0)]]));
}

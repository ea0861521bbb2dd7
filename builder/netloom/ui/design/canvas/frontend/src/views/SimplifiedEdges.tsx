// The edges of a large network that is zoomed out: one path for all, because an element for each would be too slow.
import { ViewportPortal } from "@xyflow/react";
import { useMemo } from "react";
import type { DocumentStore } from "../core/documentStore";
import { hiddenItems } from "../core/frames";
import { nodeOf } from "../core/graph";
import { edgeEndpoints, edgePath } from "../core/routing";
import type { EdgeRecord } from "../core/generated";
import { useCanvas } from "./context";
import type { FlowNode } from "./flowElements";

type NodesById = Map<string, FlowNode>;
type EdgePaths = { valid: string; invalid: string };

export function SimplifiedEdges({ nodes }: { nodes: FlowNode[] }) {
  const { store } = useCanvas();
  const { edges } = store.graph;
  const { derived } = store.data;
  const draggedIds = nodes.flatMap((node) => (node.dragging ? [node.id] : [])).join(" ");
  const nodesById: NodesById = new Map(nodes.map((node) => [node.id, node]));
  const draggedSet = new Set(draggedIds.split(" "));
  const hidden = hiddenItems(store.graph);
  const drawEdges = (predicate: (edge: EdgeRecord) => boolean) => edgePaths(store, nodesById, predicate);
  // During a drag, only the edges of the dragged layers are drawn again.
  const staticPaths = useMemo(
    () => drawEdges((edge) => !isIncident(edge, draggedSet)),
    [edges, derived, hidden, draggedIds, draggedIds ? null : nodes],
  );
  return (
    <ViewportPortal>
      <EdgeLayer {...staticPaths} />
      {draggedIds && <EdgeLayer {...drawEdges((edge) => isIncident(edge, draggedSet))} />}
    </ViewportPortal>
  );
}

const EdgeLayer = ({ valid, invalid }: EdgePaths) => (
  <svg className="nl-simplified-edges" width="1" height="1" data-plain-edges>
    <path d={valid} />
    <path d={invalid} className="error" />
  </svg>
);

const isIncident = (edge: EdgeRecord, nodes: Set<string>): boolean =>
  nodes.has(nodeOf(edge.source)) || nodes.has(nodeOf(edge.target));

/** The paths of the edges that match the predicate and have two visible ends. */
function edgePaths(store: DocumentStore, nodesById: NodesById, predicate: (edge: EdgeRecord) => boolean): EdgePaths {
  const paths: EdgePaths = { valid: "", invalid: "" };
  const at = (id: string): [number, number] | undefined => {
    const position = nodesById.get(id)?.position;
    return position && [position.x, position.y];
  };
  for (const [id, edge] of Object.entries(store.graph.edges)) {
    const endpoints = predicate(edge) ? edgeEndpoints(store, edge, at) : null;
    if (endpoints)
      paths[store.data.derived.edges[id]?.error ? "invalid" : "valid"] += edgePath(endpoints.start, endpoints.end).path;
  }
  return paths;
}

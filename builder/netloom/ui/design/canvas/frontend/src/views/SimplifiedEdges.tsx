// The edges of very many layers, seen from afar: one drawing for all, as an element for each would be too slow.
import { ViewportPortal } from "@xyflow/react";
import { useMemo } from "react";
import type { Engine } from "../core/documentStore";
import { folds } from "../core/frames";
import { nodeOf } from "../core/graph";
import { ends, way } from "../core/routing";
import type { EdgeRecord } from "../core/generated";
import { useShared } from "./context";
import type { FlowNode } from "./flowElements";

type Table = Map<string, FlowNode>;
type Drawing = { sound: string; wrong: string };

export function PlainEdges({ nodes }: { nodes: FlowNode[] }) {
  const { engine } = useShared();
  const { edges } = engine.graph;
  const { derived } = engine.data;
  const moving = nodes.flatMap((node) => (node.dragging ? [node.id] : [])).join(" ");
  const table: Table = new Map(nodes.map((node) => [node.id, node]));
  const held = new Set(moving.split(" "));
  const hidden = folds(engine.graph);
  const draw = (wanted: (edge: EdgeRecord) => boolean) => drawn(engine, table, wanted);
  // While layers are dragged, what is not joined to them stays as it is and is not drawn again.
  const still = useMemo(() => draw((edge) => !touches(edge, held)), [edges, derived, hidden, moving, moving ? null : nodes]);
  return (
    <ViewportPortal>
      <Ways {...still} />
      {moving && <Ways {...draw((edge) => touches(edge, held))} />}
    </ViewportPortal>
  );
}

const Ways = ({ sound, wrong }: Drawing) => (
  <svg className="nl-ways" width="1" height="1" data-plain-edges>
    <path d={sound} />
    <path d={wrong} className="error" />
  </svg>
);

const touches = (edge: EdgeRecord, nodes: Set<string>): boolean =>
  nodes.has(nodeOf(edge.source)) || nodes.has(nodeOf(edge.target));

/** The paths of those edges that are wanted, as far as both of their ends are there. */
function drawn(engine: Engine, table: Table, wanted: (edge: EdgeRecord) => boolean): Drawing {
  const paths: Drawing = { sound: "", wrong: "" };
  const at = (id: string): [number, number] | undefined => {
    const place = table.get(id)?.position;
    return place && [place.x, place.y];
  };
  for (const [id, edge] of Object.entries(engine.graph.edges)) {
    const line = wanted(edge) ? ends(engine, edge, at) : null;
    if (line) paths[engine.data.derived.edges[id]?.error ? "wrong" : "sound"] += way(line.start, line.end).path;
  }
  return paths;
}

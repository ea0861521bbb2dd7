import { BaseEdge, useStore, type EdgeProps, type ReactFlowState } from "@xyflow/react";
import { memo, useMemo } from "react";
import { createPortal } from "react-dom";
import { way } from "../core/routing";
import { useSlice, useUi } from "./context";

const surfaceOf = (state: ReactFlowState) => state.domNode;

/** Where labels are drawn. React Flow's own EdgeLabelRenderer looks for it again with each move of anything. */
function useLabels(): Element | null {
  const surface = useStore(surfaceOf);
  return useMemo(() => surface?.querySelector(".react-flow__edgelabel-renderer") ?? null, [surface]);
}

export const ShapeEdge = memo((props: EdgeProps) => {
  const facts = useSlice("derived", (engine) => engine.data.derived.edges[props.id] ?? null);
  const aimed = useUi((state) => state.edge === props.id);
  const labels = useLabels();
  const { path, label: [x, y] } = way(
    [props.sourceX, props.sourceY],
    [props.targetX, props.targetY],
    props.data?.bend as number | undefined,
  );
  const state = `${facts?.error ? " error" : ""}${aimed ? " aimed" : ""}${props.selected ? " selected" : ""}`;
  return (
    <>
      <BaseEdge path={path} className={`nl-edge${state}`} interactionWidth={22} data-edge={props.id} />
      {facts?.label &&
        labels &&
        createPortal(
          <div
            className={`nl-shape${state}`}
            data-shape={props.id}
            style={{ transform: `translate(-50%, -50%) translate(${x}px, ${y}px)` }}
          >
            {facts.label}
          </div>,
          labels,
        )}
    </>
  );
});

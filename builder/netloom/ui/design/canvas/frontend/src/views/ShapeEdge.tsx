// An edge with the shape of its tensor as a label.
import { BaseEdge, useStore, type EdgeProps, type ReactFlowState } from "@xyflow/react";
import { memo, useMemo } from "react";
import { createPortal } from "react-dom";
import { edgePath } from "../core/routing";
import { useDocument, useUiState } from "./context";

const surfaceOf = (state: ReactFlowState) => state.domNode;

/** The container of edge labels. React Flow's EdgeLabelRenderer would query it on every move of a node. */
function useLabelContainer(): Element | null {
  const surface = useStore(surfaceOf);
  return useMemo(() => surface?.querySelector(".react-flow__edgelabel-renderer") ?? null, [surface]);
}

export const ShapeEdge = memo((props: EdgeProps) => {
  const facts = useDocument("derived", (store) => store.data.derived.edges[props.id] ?? null);
  const isDropTarget = useUiState((state) => state.dropEdge === props.id);
  const labelContainer = useLabelContainer();
  const {
    path,
    label: [x, y],
  } = edgePath([props.sourceX, props.sourceY], [props.targetX, props.targetY], props.data?.bend as number | undefined);
  const state = `${facts?.error ? " error" : ""}${isDropTarget ? " drop-target" : ""}${props.selected ? " selected" : ""}`;
  return (
    <>
      <BaseEdge path={path} className={`nl-edge${state}`} interactionWidth={22} data-edge={props.id} />
      {facts?.label &&
        labelContainer &&
        createPortal(
          <div
            className={`nl-shape${state}`}
            data-shape={props.id}
            style={{ transform: `translate(-50%, -50%) translate(${x}px, ${y}px)` }}
          >
            {facts.label}
          </div>,
          labelContainer,
        )}
    </>
  );
});

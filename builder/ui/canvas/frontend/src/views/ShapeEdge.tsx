import { BaseEdge, EdgeLabelRenderer, getBezierPath, type EdgeProps } from "@xyflow/react";
import { memo } from "react";
import { useHover, useShared, useSlice } from "./context";

export const ShapeEdge = memo((props: EdgeProps) => {
  const { engine } = useShared();
  const facts = useSlice("derived", () => engine.data.derived.edges[props.id] ?? null);
  const aimed = useHover((hover) => hover.edge === props.id);
  const [path, x, y] = getBezierPath(props);
  const state = `${facts?.error ? " error" : ""}${aimed ? " aimed" : ""}${props.selected ? " selected" : ""}`;
  return (
    <>
      <BaseEdge path={path} className={`nl-edge${state}`} interactionWidth={22} data-edge={props.id} />
      {facts?.label && (
        <EdgeLabelRenderer>
          <div
            className={`nl-shape${state}`}
            data-shape={props.id}
            style={{ transform: `translate(-50%, -50%) translate(${x}px, ${y}px)` }}
          >
            {facts.label}
          </div>
        </EdgeLabelRenderer>
      )}
    </>
  );
});

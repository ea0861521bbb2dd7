// Tells Python what is selected, a moment after it settles.
import type { Edge } from "@xyflow/react";
import { useEffect, useRef } from "react";
import type { FlowNode } from "./flowElements";
import type { Stage } from "./canvasView";

const SETTLE_MS = 20;

export function useSelection(stage: Stage, nodes: FlowNode[], edges: Edge[]): void {
  const selected = {
    network: stage.engine.network,
    nodes: nodes.filter((node) => node.selected && node.type === "layer").map((node) => node.id),
    edges: edges.filter((edge) => edge.selected).map((edge) => edge.id),
  };
  const text = JSON.stringify(selected);
  const told = useRef(JSON.stringify({ network: stage.engine.network, nodes: [], edges: [] }));
  useEffect(() => {
    if (told.current === text) return;
    const timer = setTimeout(() => {
      told.current = text;
      const { network, nodes, edges } = JSON.parse(text) as typeof selected;
      if (network === stage.engine.network) stage.remember(nodes);
      stage.engine.choose({ network, nodes, edges });
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [stage, text]);
}

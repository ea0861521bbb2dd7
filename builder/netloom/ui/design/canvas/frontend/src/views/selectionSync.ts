// Sends the selection to Python once it has settled.
import type { Edge } from "@xyflow/react";
import { useEffect, useRef } from "react";
import type { FlowNode } from "./flowElements";
import type { CanvasView } from "./canvasView";

const SETTLE_MS = 20;

export function useSelectionSync(view: CanvasView, nodes: FlowNode[], edges: Edge[]): void {
  const selection = {
    network: view.store.network,
    nodes: nodes.filter((node) => node.selected && node.type === "layer").map((node) => node.id),
    edges: edges.filter((edge) => edge.selected).map((edge) => edge.id),
  };
  const serialized = JSON.stringify(selection);
  const lastSent = useRef(JSON.stringify({ network: view.store.network, nodes: [], edges: [] }));
  useEffect(() => {
    if (lastSent.current === serialized) return;
    const timer = setTimeout(() => {
      lastSent.current = serialized;
      const { network, nodes, edges } = JSON.parse(serialized) as typeof selection;
      if (network === view.store.network) view.rememberSelection(nodes);
      view.store.setSelection({ network, nodes, edges });
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [view, serialized]);
}

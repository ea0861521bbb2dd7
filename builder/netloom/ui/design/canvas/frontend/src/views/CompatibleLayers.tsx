// Layers that are compatible with the clicked port, or else with the selected layer. They are below the list of the
// palette, so that a selection does not move the list under the pointer.
import { useMemo, useSyncExternalStore } from "react";
import { sourceRef, targetRef } from "../core/graph";
import { layerKey } from "../core/networks";
import { freeOutput, compatiblePort, type PortRef } from "../core/connectionRules";
import type { LayerType } from "../core/generated";
import { useCanvas, useDocument, useUiState } from "./context";
import { PaletteItem } from "./PaletteItem";
import { favorites, compatibleOnly, recent, toggleName } from "./storedLists";

const MAX_SUGGESTIONS = 5;

/** The port to which a new layer would be connected. */
export function useTargetPort(): PortRef | null {
  const port = useUiState((state) => state.selectedPort);
  const selectedLayers = useUiState((state) => state.selectedLayers);
  return useDocument("derived", (store): PortRef | null => {
    if (port) return port.node in store.graph.nodes ? port : null;
    const output = selectedLayers && !selectedLayers.includes(" ") ? freeOutput(store, selectedLayers) : null;
    return output ? { node: selectedLayers, port: output, side: "source" } : null;
  });
}

/** The compatible layers, ranked: favorites, recent layers, layers for specific kinds of tensors, then the others. */
function rankLayers(all: LayerType[], start: PortRef, isCompatible: (layer: LayerType) => boolean): LayerType[] {
  const rankIn = (names: string[], layer: LayerType) => names.indexOf(layerKey(layer)) + 1 || Infinity;
  const rank = (layer: LayerType) => {
    const ports = start.side === "source" ? layer.inputs : layer.outputs;
    const isSpecific = ports.some((port) => !port.kinds.includes("any"));
    const personalRank = Math.min(rankIn(favorites.get(), layer), rankIn(recent.get(), layer) + 50);
    return Math.min(personalRank, (isSpecific ? 100 : 200) + (layer.common ? 0 : 400));
  };
  const ranked = all.filter(isCompatible).map((layer, order) => ({ layer, order, rank: rank(layer) }));
  return ranked.sort((a, b) => a.rank - b.rank || a.order - b.order).map(({ layer }) => layer);
}

export function CompatibleLayers({ start, layers }: { start: PortRef; layers: LayerType[] }) {
  const { store } = useCanvas();
  const isFilterActive = useSyncExternalStore(compatibleOnly.subscribe, compatibleOnly.get).length > 0;
  const compatible = useMemo(
    () => rankLayers(layers, start, (layer) => compatiblePort(store, layer, start) !== null),
    [store, layers, start],
  );
  const reference = start.side === "source" ? sourceRef(start.node, start.port) : targetRef(start.node, start.port);
  return (
    <div className="nl-compatible-layers" data-fits={reference} onMouseDown={(event) => event.preventDefault()}>
      <button
        className="nl-group-name"
        aria-pressed={isFilterActive}
        data-action="only-fitting"
        title={isFilterActive ? "Show all layers" : "Show only compatible layers in the list above"}
        onClick={() => toggleName(compatibleOnly, "only")}
      >
        <span>
          {start.side === "source" ? "Compatible after" : "Compatible before"} {reference}
        </span>
        <small>{isFilterActive ? "All" : `Compatible only (${compatible.length})`}</small>
      </button>
      {!isFilterActive &&
        compatible
          .slice(0, MAX_SUGGESTIONS)
          .map((layer) => (
            <PaletteItem
              key={layerKey(layer)}
              layer={layer}
              attributes={{ "data-fit": layerKey(layer) }}
              isTabStop={false}
            />
          ))}
    </div>
  );
}

// What fits the port that was clicked, or else the selected layer. At the foot of the palette, so that nothing in the
// list moves under the pointer when something is selected.
import { useMemo, useSyncExternalStore } from "react";
import { sourceRef, targetRef } from "../core/graph";
import { keyOf } from "../core/networks";
import { freeOutput, portFor, type End } from "../core/connectionRules";
import type { LayerType } from "../core/generated";
import { useShared, useSlice, useUi } from "./context";
import { Item } from "./PaletteItem";
import { favourites, fitting, recent, toggle } from "./storedLists";

const MOST = 5;

/** The port to which something could be added. */
export function useStart(): End | null {
  const port = useUi((state) => state.port);
  const picked = useUi((state) => state.picked);
  return useSlice("derived", (engine): End | null => {
    if (port) return port.node in engine.graph.nodes ? port : null;
    const output = picked && !picked.includes(" ") ? freeOutput(engine, picked) : null;
    return output ? { node: picked, port: output, side: "source" } : null;
  });
}

/** Those that fit, the likeliest first: what one likes, what was used last, what takes just this kind of tensor. */
function likely(all: LayerType[], start: End, fits: (layer: LayerType) => boolean): LayerType[] {
  const place = (names: string[], layer: LayerType) => names.indexOf(keyOf(layer)) + 1 || Infinity;
  const rank = (layer: LayerType) => {
    const ports = start.side === "source" ? layer.inputs : layer.outputs;
    const exact = ports.some((port) => !port.kinds.includes("any"));
    const known = Math.min(place(favourites.get(), layer), place(recent.get(), layer) + 50);
    return Math.min(known, (exact ? 100 : 200) + (layer.common ? 0 : 400));
  };
  const found = all.filter(fits).map((layer, order) => ({ layer, order, rank: rank(layer) }));
  return found.sort((a, b) => a.rank - b.rank || a.order - b.order).map(({ layer }) => layer);
}

export function Fits({ start, layers }: { start: End; layers: LayerType[] }) {
  const { engine } = useShared();
  const only = useSyncExternalStore(fitting.listen, fitting.get).length > 0;
  const found = useMemo(
    () => likely(layers, start, (layer) => portFor(engine, layer, start) !== null),
    [engine, layers, start],
  );
  const place = start.side === "source" ? sourceRef(start.node, start.port) : targetRef(start.node, start.port);
  return (
    <div className="nl-fits" data-fits={place} onMouseDown={(event) => event.preventDefault()}>
      <button
        className="nl-group-name"
        aria-pressed={only}
        data-action="only-fitting"
        title={only ? "Show all layers" : "Show only compatible layers in the list above"}
        onClick={() => toggle(fitting, "only")}
      >
        <span>
          {start.side === "source" ? "Fits after" : "Fits before"} {place}
        </span>
        <small>{only ? "All" : `Compatible only (${found.length})`}</small>
      </button>
      {!only &&
        found.slice(0, MOST).map((layer) => (
          <Item key={keyOf(layer)} layer={layer} name={{ "data-fit": keyOf(layer) }} stop={false} />
        ))}
    </div>
  );
}

// A layer in the palette, with buttons for its help and for favorites.
import { useSyncExternalStore } from "react";
import { layerKey } from "../core/networks";
import type { LayerType } from "../core/generated";
import { useCanvas } from "./context";
import { Icon } from "./icons";
import { favorites, toggleName } from "./storedLists";

type Props = { layer: LayerType; attributes: Record<string, string>; isTabStop: boolean; onFocus?: () => void };

export function PaletteItem({ layer, attributes, isTabStop, onFocus }: Props) {
  const { commands, gestures } = useCanvas();
  const key = layerKey(layer);
  const isFavorite = useSyncExternalStore(favorites.subscribe, () => favorites.get().includes(key));
  const favoriteText = isFavorite ? "Remove from favorites (S)" : "Add to favorites (S)";
  return (
    <div className={isFavorite ? "nl-palette-row favorite" : "nl-palette-row"}>
      <button
        {...attributes}
        className="nl-palette-item"
        style={{ "--c": layer.color } as React.CSSProperties}
        title={layer.summary}
        onPointerDown={(event) => gestures.startPaletteDrag(layer, event)}
        tabIndex={isTabStop ? 0 : -1}
        onFocus={onFocus}
        onClick={(event) => event.detail === 0 && commands.addFromPalette(layer)} // by key; startPaletteDrag handles the pointer
        onKeyDown={(event) => {
          if (event.ctrlKey || event.metaKey || event.altKey || !["i", "s"].includes(event.key)) return;
          event.stopPropagation();
          if (event.key === "i") commands.selection.showHelp(layer);
          else toggleName(favorites, key);
        }}
      >
        {layer.title}
      </button>
      <span className="nl-palette-row-tools" onMouseDown={(event) => event.preventDefault()}>
        <button
          tabIndex={-1}
          data-about-layer={key}
          title="Layer help (I)"
          aria-label={`Help on ${layer.title}`}
          onClick={() => commands.selection.showHelp(layer)}
        >
          <Icon name="info" />
        </button>
        <button
          tabIndex={-1}
          data-star={key}
          title={favoriteText}
          aria-label={`${layer.title}: ${favoriteText}`}
          aria-pressed={isFavorite}
          onClick={() => toggleName(favorites, key)}
        >
          <Icon name="star" />
        </button>
      </span>
    </div>
  );
}

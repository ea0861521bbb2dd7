// A layer in the palette: dragged, clicked or chosen by key; with a star, and with what it is.
import { useSyncExternalStore } from "react";
import { keyOf } from "../core/networks";
import type { LayerType } from "../core/generated";
import { useShared } from "./context";
import { Icon } from "./icons";
import { favourites, toggle } from "./storedLists";

type Props = { layer: LayerType; name: Record<string, string>; stop: boolean; onFocus?: () => void };

export function Item({ layer, name, stop, onFocus }: Props) {
  const { commands, gestures } = useShared();
  const key = keyOf(layer);
  const starred = useSyncExternalStore(favourites.listen, () => favourites.get().includes(key));
  const say = starred ? "Remove from favorites (S)" : "Add to favorites (S)";
  return (
    <div className={starred ? "nl-row starred" : "nl-row"}>
      <button
        {...name}
        className="nl-item"
        style={{ "--c": layer.color } as React.CSSProperties}
        title={layer.summary}
        onPointerDown={(event) => gestures.press(layer, event)}
        tabIndex={stop ? 0 : -1}
        onFocus={onFocus}
        onClick={(event) => event.detail === 0 && commands.pick(layer)} // by key; the pointer is in press
        onKeyDown={(event) => {
          if (event.ctrlKey || event.metaKey || event.altKey || !["i", "s"].includes(event.key)) return;
          event.stopPropagation();
          if (event.key === "i") commands.tidy.about(layer);
          else toggle(favourites, key);
        }}
      >
        {layer.title}
      </button>
      <span className="nl-row-tools" onMouseDown={(event) => event.preventDefault()}>
        <button tabIndex={-1} data-about-layer={key} title="Layer help (I)" aria-label={`Help on ${layer.title}`} onClick={() => commands.tidy.about(layer)}>
          <Icon name="info" />
        </button>
        <button tabIndex={-1} data-star={key} title={say} aria-label={`${layer.title}: ${say}`} aria-pressed={starred} onClick={() => toggle(favourites, key)}>
          <Icon name="star" />
        </button>
      </span>
    </div>
  );
}

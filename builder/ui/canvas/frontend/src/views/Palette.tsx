import { memo, useMemo, useState } from "react";
import { search } from "../core/format";
import type { LayerType } from "../core/types";
import { useShared, useSlice } from "./context";
import { Icon } from "./icons";

export const Palette = memo(() => {
  const { commands, gestures } = useShared();
  const layers = useSlice("derived", (engine) => engine.data.palette);
  const [query, setQuery] = useState("");
  const found = useMemo(() => search(layers, query), [layers, query]);
  const groups = useMemo(() => {
    const table = new Map<string, LayerType[]>();
    for (const layer of found) table.set(layer.group, [...(table.get(layer.group) ?? []), layer]);
    return [...table];
  }, [found]);
  return (
    <div className="nl-palette" role="region" aria-label="Layers">
      <label className="nl-search">
        <Icon name="search" />
        <input
          type="search"
          placeholder="Search layers"
          aria-label="Search layers"
          data-action="search"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && found[0]) commands.pick(found[0]);
            if (event.key === "Escape") setQuery("");
          }}
        />
      </label>
      <div className="nl-palette-list">
        {groups.map(([group, items]) => (
          <div key={group} className="nl-group">
            <div className="nl-group-name">{group}</div>
            {items.map((layer) => (
              <button
                key={layer.type}
                className="nl-item"
                style={{ "--c": layer.color } as React.CSSProperties}
                data-layer={layer.type}
                title={layer.summary}
                onPointerDown={(event) => gestures.press(layer, event)}
                onKeyDown={(event) => {
                  if (event.key === "Enter" || event.key === " ") {
                    event.preventDefault();
                    commands.pick(layer);
                  }
                }}
              >
                {layer.title}
              </button>
            ))}
          </div>
        ))}
        {!found.length && <div className="nl-none">No layer is called “{query}”.</div>}
      </div>
    </div>
  );
});

// The layers that can be added: dragged, clicked, or chosen by key.
import { memo, useMemo, useRef, useState } from "react";
import { search } from "../core/format";
import type { LayerType } from "../core/types";
import { useShared, useSlice } from "./context";
import { Icon } from "./icons";

export const Palette = memo(() => {
  const { commands, gestures } = useShared();
  const layers = useSlice("derived", (engine) => engine.data.palette);
  const [query, setQuery] = useState("");
  const [current, setCurrent] = useState("");
  const list = useRef<HTMLDivElement>(null);
  const found = useMemo(() => search(layers, query), [layers, query]);
  const groups = useMemo(() => {
    const table = new Map<string, LayerType[]>();
    for (const layer of found) table.set(layer.group, [...(table.get(layer.group) ?? []), layer]);
    return [...table];
  }, [found]);
  // One stop for the Tab key, and from there on the arrows.
  const stop = found.some((layer) => layer.type === current) ? current : found[0]?.type;
  const step = (event: React.KeyboardEvent, by: 1 | -1) => {
    const items = [...(list.current?.querySelectorAll<HTMLElement>("[data-layer]") ?? [])];
    const place = items.indexOf(event.target as HTMLElement);
    items[Math.max(0, Math.min(place + by, items.length - 1))]?.focus();
    event.preventDefault();
    event.stopPropagation();
  };
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
            if (event.key === "ArrowDown") step(event, 1);
          }}
        />
      </label>
      <div
        className="nl-palette-list"
        ref={list}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") step(event, 1);
          if (event.key === "ArrowUp") step(event, -1);
        }}
      >
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
                tabIndex={layer.type === stop ? 0 : -1}
                onFocus={() => setCurrent(layer.type)}
                onClick={(event) => event.detail === 0 && commands.pick(layer)} // by key; the pointer is in press
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

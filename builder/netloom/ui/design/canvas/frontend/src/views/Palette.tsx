// The layers that can be added: dragged, clicked, or chosen by key.
import { memo, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { search } from "../core/format";
import { keyOf } from "../core/networks";
import type { LayerType } from "../core/generated";
import { portFor } from "../core/connectionRules";
import { useLayers, useShared, useUi } from "./context";
import { Icon } from "./icons";
import { Fits, useStart } from "./CompatibleLayers";
import { Item } from "./PaletteItem";
import { favourites, fitting, open, recent, toggle } from "./storedLists";

type Group = { name: string; items: LayerType[]; more: number; opened: boolean };

/** By group: the common layers, and the rest where the group is open or something is searched for. */
function grouped(found: LayerType[], opened: string[], searching: boolean): Group[] {
  const table = new Map<string, LayerType[]>();
  for (const layer of found) {
    const items = table.get(layer.group);
    if (items) items.push(layer);
    else table.set(layer.group, [layer]);
  }
  return [...table].map(([name, all]) => {
    const common = all.filter((layer) => layer.common);
    const whole = searching || opened.includes(name);
    return { name, items: whole ? all : common, more: all.length - common.length, opened: opened.includes(name) };
  });
}

export const Palette = memo(() => {
  const { engine, commands } = useShared();
  const layers = useLayers();
  const start = useStart();
  const only = useSyncExternalStore(fitting.listen, fitting.get).length > 0 && start;
  const drawer = useUi((state) => state.drawer);
  const [query, setQuery] = useState("");
  const [current, setCurrent] = useState("");
  const opened = useSyncExternalStore(open.listen, open.get);
  const list = useRef<HTMLDivElement>(null);
  const searching = !!query.trim();
  const found = useMemo(
    () => search(layers, query).filter((layer) => !only || portFor(engine, layer, only) !== null),
    [engine, layers, query, only],
  );
  const groups = useMemo(() => grouped(found, opened, searching), [found, opened, searching]);
  // One stop for the Tab key, and from there on the arrows.
  const shown = groups.flatMap((group) => group.items);
  const stop = shown.some((layer) => keyOf(layer) === current) ? current : shown[0] && keyOf(shown[0]);
  const step = (event: React.KeyboardEvent, by: 1 | -1) => {
    const items = [...(list.current?.querySelectorAll<HTMLElement>("[data-layer], .nl-group-name") ?? [])].filter(
      (item) => !(searching && item.matches(".nl-group-name")),
    );
    const place = items.indexOf(event.target as HTMLElement);
    items[Math.max(0, Math.min(place + by, items.length - 1))]?.focus();
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      className={drawer ? "nl-palette open" : "nl-palette"}
      role="region"
      aria-label="Layers"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !commands.closeDrawer()) return;
        event.stopPropagation();
        commands.stage.focus();
      }}
    >
      <label className="nl-search">
        <Icon name="search" />
        <input
          type="search"
          placeholder={`Search ${layers.length} layers`}
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
        {!searching && !only && <Few layers={layers} memory={favourites} title="Favorites" mark="data-favourite" />}
        {!searching && !only && <Few layers={layers} memory={recent} title="Recent" mark="data-recent" />}
        {groups.map(({ name, items, more, opened }) => (
          <div key={name} className="nl-group">
            {searching || !more ? (
              <div className="nl-group-name">{name}</div>
            ) : (
              <button
                className="nl-group-name"
                data-group={name}
                aria-expanded={opened}
                tabIndex={-1}
                title={opened ? "Show fewer" : `Show ${more} more`}
                onClick={() => toggle(open, name)}
              >
                <span>{name}</span>
                <small>{opened ? "fewer" : `+${more}`}</small>
                <Icon name="chevron" />
              </button>
            )}
            {items.map((layer) => (
              <Item
                key={keyOf(layer)}
                layer={layer}
                name={{ "data-layer": keyOf(layer) }}
                stop={keyOf(layer) === stop}
                onFocus={() => setCurrent(keyOf(layer))}
              />
            ))}
          </div>
        ))}
        {!found.length && <div className="nl-none">No {only ? "compatible " : ""}layer matches “{query}”.</div>}
      </div>
      {start && <Fits start={start} layers={layers} />}
    </div>
  );
});

/** Favourites, or the layers that were added last. */
function Few({ layers, memory, title, mark }: { layers: LayerType[]; memory: typeof recent; title: string; mark: string }) {
  const keys = useSyncExternalStore(memory.listen, memory.get);
  const items = keys.flatMap((key) => layers.filter((layer) => keyOf(layer) === key));
  if (!items.length) return null;
  return (
    <div className="nl-group" data-few={title}>
      <div className="nl-group-name">{title}</div>
      <div className="nl-recents">
        {items.map((layer) => (
          <Item key={keyOf(layer)} layer={layer} name={{ [mark]: keyOf(layer) }} stop={false} />
        ))}
      </div>
    </div>
  );
}

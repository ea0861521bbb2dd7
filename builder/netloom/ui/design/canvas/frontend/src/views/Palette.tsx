// The palette of layers, which users drag, click, or choose by key.
import { memo, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { searchLayers } from "../core/search";
import { layerKey } from "../core/networks";
import type { LayerType } from "../core/generated";
import { compatiblePort } from "../core/connectionRules";
import { useLayers, useCanvas, useUiState } from "./context";
import { Icon } from "./icons";
import { CompatibleLayers, useTargetPort } from "./CompatibleLayers";
import { PaletteItem } from "./PaletteItem";
import { favorites, compatibleOnly, openGroups, recent, toggleName } from "./storedLists";

type Group = { name: string; items: LayerType[]; hiddenCount: number; isOpen: boolean };

/** Group the layers: the common ones, or all of them if the group is open or users search. */
function groupLayers(matches: LayerType[], openGroupNames: string[], isSearching: boolean): Group[] {
  const byGroup = new Map<string, LayerType[]>();
  for (const layer of matches) {
    const items = byGroup.get(layer.group);
    if (items) items.push(layer);
    else byGroup.set(layer.group, [layer]);
  }
  return [...byGroup].map(([name, members]) => {
    const common = members.filter((layer) => layer.common);
    const isOpen = openGroupNames.includes(name);
    const items = isSearching || isOpen ? members : common;
    return { name, items, hiddenCount: members.length - common.length, isOpen };
  });
}

export const Palette = memo(() => {
  const { store, commands } = useCanvas();
  const layers = useLayers();
  const targetPort = useTargetPort();
  const filterPort = useSyncExternalStore(compatibleOnly.subscribe, compatibleOnly.get).length > 0 && targetPort;
  const isDrawerOpen = useUiState((state) => state.isDrawerOpen);
  const [query, setQuery] = useState("");
  const [current, setCurrent] = useState("");
  const openGroupNames = useSyncExternalStore(openGroups.subscribe, openGroups.get);
  const list = useRef<HTMLDivElement>(null);
  const isSearching = !!query.trim();
  const matches = useMemo(
    () =>
      searchLayers(layers, query).filter((layer) => !filterPort || compatiblePort(store, layer, filterPort) !== null),
    [store, layers, query, filterPort],
  );
  const groups = useMemo(
    () => groupLayers(matches, openGroupNames, isSearching),
    [matches, openGroupNames, isSearching],
  );
  // Roving tabindex: the list is one tab stop, and arrow keys move within it.
  const visibleLayers = groups.flatMap((group) => group.items);
  const firstLayer = visibleLayers[0];
  const isCurrentVisible = visibleLayers.some((layer) => layerKey(layer) === current);
  const tabStop = isCurrentVisible ? current : firstLayer && layerKey(firstLayer);
  const moveFocus = (event: React.KeyboardEvent, offset: 1 | -1) => {
    const items = [...(list.current?.querySelectorAll<HTMLElement>("[data-layer], .nl-group-name") ?? [])].filter(
      (item) => !(isSearching && item.matches(".nl-group-name")),
    );
    const index = items.indexOf(event.target as HTMLElement);
    items[Math.max(0, Math.min(index + offset, items.length - 1))]?.focus();
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      className={isDrawerOpen ? "nl-palette open" : "nl-palette"}
      role="region"
      aria-label="Layers"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !commands.closeDrawer()) return;
        event.stopPropagation();
        commands.view.focus();
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
            if (event.key === "Enter" && matches[0]) commands.addFromPalette(matches[0]);
            if (event.key === "Escape") setQuery("");
            if (event.key === "ArrowDown") moveFocus(event, 1);
          }}
        />
      </label>
      <div
        className="nl-palette-list"
        ref={list}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") moveFocus(event, 1);
          if (event.key === "ArrowUp") moveFocus(event, -1);
        }}
      >
        {!isSearching && !filterPort && (
          <StoredLayers layers={layers} storedList={favorites} title="Favorites" attribute="data-favourite" />
        )}
        {!isSearching && !filterPort && (
          <StoredLayers layers={layers} storedList={recent} title="Recent" attribute="data-recent" />
        )}
        {groups.map(({ name, items, hiddenCount, isOpen }) => (
          <div key={name} className="nl-group">
            {isSearching || !hiddenCount ? (
              <div className="nl-group-name">{name}</div>
            ) : (
              <button
                className="nl-group-name"
                data-group={name}
                aria-expanded={isOpen}
                tabIndex={-1}
                title={isOpen ? "Show fewer" : `Show ${hiddenCount} more`}
                onClick={() => toggleName(openGroups, name)}
              >
                <span>{name}</span>
                <small>{isOpen ? "fewer" : `+${hiddenCount}`}</small>
                <Icon name="chevron" />
              </button>
            )}
            {items.map((layer) => (
              <PaletteItem
                key={layerKey(layer)}
                layer={layer}
                attributes={{ "data-layer": layerKey(layer) }}
                isTabStop={layerKey(layer) === tabStop}
                onFocus={() => setCurrent(layerKey(layer))}
              />
            ))}
          </div>
        ))}
        {!matches.length && (
          <div className="nl-no-results">
            No {filterPort ? "compatible " : ""}layer matches “{query}”.
          </div>
        )}
      </div>
      {targetPort && <CompatibleLayers start={targetPort} layers={layers} />}
    </div>
  );
});

/** The favorites or the recent layers. */
function StoredLayers({
  layers,
  storedList,
  title,
  attribute,
}: {
  layers: LayerType[];
  storedList: typeof recent;
  title: string;
  attribute: string;
}) {
  const keys = useSyncExternalStore(storedList.subscribe, storedList.get);
  const items = keys.flatMap((key) => layers.filter((layer) => layerKey(layer) === key));
  if (!items.length) return null;
  return (
    <div className="nl-group" data-few={title}>
      <div className="nl-group-name">{title}</div>
      <div className="nl-stored-layers">
        {items.map((layer) => (
          <PaletteItem
            key={layerKey(layer)}
            layer={layer}
            attributes={{ [attribute]: layerKey(layer) }}
            isTabStop={false}
          />
        ))}
      </div>
    </div>
  );
}

// A searchable menu, to add a layer or to choose the target of an edge.
import { useEffect, useMemo, useRef, useState } from "react";
import type { SearchMenuItem } from "./uiStore";

type Props = {
  label: string;
  x: number;
  y: number;
  search: (query: string) => SearchMenuItem[];
  onPick: (key: string) => void;
  onClose: () => void;
};

export function SearchMenu({ label, x, y, search, onPick, onClose }: Props) {
  const [query, setQuery] = useState("");
  const [highlightedIndex, setHighlightedIndex] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const items = useMemo(() => search(query), [search, query]);
  const activeIndex = Math.min(highlightedIndex, Math.max(0, items.length - 1));
  useEffect(() => {
    input.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    // In recent versions of Chromium this returns a promise, which React would take for a cleanup function.
    void list.current?.children[activeIndex]?.scrollIntoView({ block: "nearest" });
  }, [activeIndex]);
  const onKey = (event: React.KeyboardEvent) => {
    event.stopPropagation();
    if (event.key === "Escape") onClose();
    if (event.key === "ArrowDown") setHighlightedIndex(Math.min(activeIndex + 1, items.length - 1));
    if (event.key === "ArrowUp") setHighlightedIndex(Math.max(activeIndex - 1, 0));
    const item = items[activeIndex];
    if (event.key === "Enter" && item) onPick(item.key);
    if (["ArrowDown", "ArrowUp", "Enter"].includes(event.key)) event.preventDefault();
  };
  return (
    <div
      className="nl-popover nl-search-menu"
      style={{ left: x, top: y }}
      role="dialog"
      aria-label={label}
      data-menu
      tabIndex={-1} // pressing the scroll bar focuses this element, which must not close the menu
      onKeyDown={onKey}
      onBlur={(event) => event.currentTarget.contains(event.relatedTarget) || onClose()}
    >
      <input
        ref={input}
        type="search"
        role="combobox"
        placeholder={label}
        aria-label={label}
        aria-expanded
        aria-controls="nl-search-menu-items"
        aria-activedescendant={items.length ? `nl-search-menu-item-${activeIndex}` : undefined}
        value={query}
        onChange={(event) => {
          setQuery(event.target.value);
          setHighlightedIndex(0);
        }}
      />
      <div className="nl-search-menu-list" ref={list} role="listbox" id="nl-search-menu-items" aria-label={label}>
        {items.map((item, index) => (
          <button
            key={item.key}
            id={`nl-search-menu-item-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === activeIndex}
            className={`nl-search-menu-item${index === activeIndex ? " active" : ""}`}
            style={{ "--c": item.color } as React.CSSProperties}
            data-choice={item.key}
            onPointerEnter={() => setHighlightedIndex(index)}
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => onPick(item.key)}
          >
            <b>{item.title}</b>
            <span>{item.detail}</span>
          </button>
        ))}
        {!items.length && <div className="nl-no-results">There is no compatible layer.</div>}
      </div>
    </div>
  );
}

// A list that is searched by typing: to add a layer, or to choose where an edge leads.
import { useEffect, useMemo, useRef, useState } from "react";
import type { Choice } from "./uiStore";

type Props = {
  label: string;
  x: number;
  y: number;
  find: (query: string) => Choice[];
  onPick: (key: string) => void;
  onClose: () => void;
};

export function Menu({ label, x, y, find, onPick, onClose }: Props) {
  const [query, setQuery] = useState("");
  const [place, setPlace] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const choices = useMemo(() => find(query), [find, query]);
  const marked = Math.min(place, Math.max(0, choices.length - 1));
  useEffect(() => {
    input.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    // Chromium's newest scrolling returns a promise, which React must not take for a way to clean up.
    void list.current?.children[marked]?.scrollIntoView({ block: "nearest" });
  }, [marked]);
  const onKey = (event: React.KeyboardEvent) => {
    event.stopPropagation();
    if (event.key === "Escape") onClose();
    if (event.key === "ArrowDown") setPlace(Math.min(marked + 1, choices.length - 1));
    if (event.key === "ArrowUp") setPlace(Math.max(marked - 1, 0));
    const choice = choices[marked];
    if (event.key === "Enter" && choice) onPick(choice.key);
    if (["ArrowDown", "ArrowUp", "Enter"].includes(event.key)) event.preventDefault();
  };
  return (
    <div
      className="nl-popover nl-menu"
      style={{ left: x, top: y }}
      role="dialog"
      aria-label={label}
      data-menu
      tabIndex={-1} // takes the focus when its scroll bar is pressed, which must not close it
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
        aria-controls="nl-choices"
        aria-activedescendant={choices.length ? `nl-choice-${marked}` : undefined}
        value={query}
        onChange={(event) => {
          setQuery(event.target.value);
          setPlace(0);
        }}
      />
      <div className="nl-menu-list" ref={list} role="listbox" id="nl-choices" aria-label={label}>
        {choices.map((choice, index) => (
          <button
            key={choice.key}
            id={`nl-choice-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === marked}
            className={`nl-choice${index === marked ? " marked" : ""}`}
            style={{ "--c": choice.color } as React.CSSProperties}
            data-choice={choice.key}
            onPointerEnter={() => setPlace(index)}
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => onPick(choice.key)}
          >
            <b>{choice.title}</b>
            <span>{choice.detail}</span>
          </button>
        ))}
        {!choices.length && <div className="nl-none">No compatible layer.</div>}
      </div>
    </div>
  );
}

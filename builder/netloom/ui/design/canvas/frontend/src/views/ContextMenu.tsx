// The menu that a right click opens, or the key for it: what can be done with a node, or with the canvas.
import { useEffect, useRef } from "react";
import { useShared, useUi } from "./context";
import { items } from "./contextMenuItems";

export function OpenContextMenu() {
  const { commands, ui } = useShared();
  const context = useUi((state) => state.context);
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.querySelector("button")?.focus({ preventScroll: true });
  }, [context]);
  if (!context) return null;
  const close = () => {
    ui.set({ context: null });
    commands.stage.focus();
  };
  const step = (by: number) => {
    const buttons = [...(list.current?.querySelectorAll("button") ?? [])];
    const focused = (list.current?.getRootNode() as ShadowRoot | Document).activeElement as HTMLButtonElement;
    buttons[(buttons.indexOf(focused) + by + buttons.length) % buttons.length]?.focus();
  };
  return (
    <div
      className="nl-popover nl-context"
      style={{ left: context.x, top: context.y }}
      role="menu"
      aria-label="Actions"
      data-context
      ref={list}
      onContextMenu={(event) => event.preventDefault()}
      onBlur={(event) => event.currentTarget.contains(event.relatedTarget) || ui.set({ context: null })}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Escape" || event.key === "Tab") close();
        if (event.key === "ArrowDown") step(1);
        if (event.key === "ArrowUp") step(-1);
        if (["ArrowDown", "ArrowUp", "Tab"].includes(event.key)) event.preventDefault();
      }}
    >
      {items(commands, context.node).map((part, place) => (
        <div key={place} role="group">
          {part.map((item) => (
            <button
              key={item.name}
              role="menuitem"
              data-item={item.name}
              onPointerDown={(event) => event.preventDefault()}
              onClick={() => {
                close();
                item.run();
              }}
            >
              <span>{item.text}</span>
              <small>{item.keys}</small>
            </button>
          ))}
        </div>
      ))}
    </div>
  );
}

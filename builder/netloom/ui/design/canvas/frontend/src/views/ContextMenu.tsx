// The context menu of a node or of the canvas, opened by right-click or by key.
import { useEffect, useRef } from "react";
import { useCanvas, useUiState } from "./context";
import { contextMenuItems } from "./contextMenuItems";

export function ContextMenu() {
  const { commands, ui } = useCanvas();
  const contextMenu = useUiState((state) => state.contextMenu);
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.querySelector("button")?.focus({ preventScroll: true });
  }, [contextMenu]);
  if (!contextMenu) return null;
  const close = () => {
    ui.update({ contextMenu: null });
    commands.view.focus();
  };
  const moveFocus = (offset: number) => {
    const buttons = [...(list.current?.querySelectorAll("button") ?? [])];
    const focused = (list.current?.getRootNode() as ShadowRoot | Document).activeElement as HTMLButtonElement;
    buttons[(buttons.indexOf(focused) + offset + buttons.length) % buttons.length]?.focus();
  };
  return (
    <div
      className="nl-popover nl-context-menu"
      style={{ left: contextMenu.x, top: contextMenu.y }}
      role="menu"
      aria-label="Actions"
      data-context
      ref={list}
      onContextMenu={(event) => event.preventDefault()}
      onBlur={(event) => event.currentTarget.contains(event.relatedTarget) || ui.update({ contextMenu: null })}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Escape" || event.key === "Tab") close();
        if (event.key === "ArrowDown") moveFocus(1);
        if (event.key === "ArrowUp") moveFocus(-1);
        if (["ArrowDown", "ArrowUp", "Tab"].includes(event.key)) event.preventDefault();
      }}
    >
      {contextMenuItems(commands, contextMenu.node).map((group, index) => (
        <div key={index} role="group">
          {group.map((item) => (
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

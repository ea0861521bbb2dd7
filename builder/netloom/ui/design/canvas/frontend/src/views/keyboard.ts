// Keyboard shortcuts of the canvas.
import type { Side } from "../core/alignment";
import type { Commands } from "./commands";

const MODIFIERS = ["Shift", "Control", "Meta", "Alt"];

/** With Control. Their default action is not prevented, because it fires the clipboard events. */
const CLIPBOARD_KEYS = ["c", "x", "v"];

const targetOf = (event: React.KeyboardEvent): HTMLElement | undefined =>
  event.nativeEvent.composedPath()[0] as HTMLElement | undefined;
const isTextField = (target: HTMLElement | undefined): boolean =>
  /^(INPUT|TEXTAREA|SELECT)$/.test(target?.tagName ?? "");

export function onKey(commands: Commands, event: React.KeyboardEvent): void {
  // React Flow listens at the window for the keys of multi-selection.
  if (MODIFIERS.includes(event.key)) return;
  const target = targetOf(event);
  if (!isTextField(target) && handleKey(commands, event, target)) event.preventDefault();
  event.stopPropagation(); // Streamlit has its own shortcuts, such as c for "Clear cache"
}

/** Runs before React Flow, which would move the focused node by arrow keys, and blur it by Escape. */
export function onKeyCapture(commands: Commands, event: React.KeyboardEvent): void {
  const target = targetOf(event);
  if (!event.key.startsWith("Arrow") && event.key !== "Escape") return;
  if (!isTextField(target) && target?.closest?.(".react-flow__node, .react-flow__edge")) onKey(commands, event);
}

function handleKey(commands: Commands, event: React.KeyboardEvent, target: HTMLElement | undefined): boolean {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) return handleControlKey(commands, key, event.shiftKey);
  if (event.altKey && handleAlignKey(commands, event)) return true;
  if (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) {
    commands.openContextMenuAtSelection();
    return true;
  }
  if (key.startsWith("Arrow")) {
    if (event.altKey) commands.nudge(key);
    else commands.selectNeighbor(key);
    return true;
  }
  if (key === "Enter" || key === "F2") return handleEnter(commands, key, target);
  const actions: Record<string, () => void> = {
    Delete: commands.remove,
    Backspace: commands.remove,
    Escape: () => handleEscape(commands),
    a: commands.openAddMenuAtSelection,
    "/": commands.openAddMenuAtSelection,
    c: commands.openConnectMenu,
    l: () => void commands.applyLayout(),
    f: commands.fit,
    m: commands.toggleMap,
    u: commands.goBack,
    n: commands.addNote,
    i: commands.selection.toggleHelp,
    g: commands.selection.addFrame,
    e: commands.selection.selectNextEdge,
    "?": () => commands.togglePanel("keyboardHelp"),
  };
  const action = actions[key];
  action?.();
  return !!action;
}

const SIDES_BY_CODE: Record<string, Side> = {
  KeyA: "left",
  KeyH: "center",
  KeyD: "right",
  KeyW: "top",
  KeyV: "middle",
  KeyS: "bottom",
};

/** By the physical key, because some keyboard layouts produce other characters with Alt. */
function handleAlignKey(commands: Commands, event: React.KeyboardEvent): boolean {
  const side = SIDES_BY_CODE[event.code];
  if (!side) return false;
  if (event.shiftKey && side === "center") commands.selection.distribute("horizontal");
  else if (event.shiftKey && side === "middle") commands.selection.distribute("vertical");
  else commands.selection.align(side);
  return true;
}

function handleControlKey(commands: Commands, key: string, isShifted: boolean): boolean {
  const { clipboard } = commands;
  const actions: Record<string, () => void> = {
    z: isShifted ? commands.redo : commands.undo,
    y: commands.redo,
    c: clipboard.copy,
    x: clipboard.cut,
    v: clipboard.waitForPasteEvent,
    d: clipboard.duplicate,
    g: isShifted ? commands.ungroup : commands.startGrouping,
    a: commands.selectAll,
  };
  const action = actions[key];
  action?.();
  return !!action && !CLIPBOARD_KEYS.includes(key);
}

/** Clipboard events carry the text even where the page has no access to the clipboard API. */
export function onClipboard(commands: Commands, event: React.ClipboardEvent): void {
  if (isTextField(event.nativeEvent.composedPath()[0] as HTMLElement | undefined)) return;
  const data = event.clipboardData;
  if (event.type === "paste") commands.clipboard.pasteText(data.getData("text/plain"), data.types.length > 0);
  else {
    const text = commands.clipboard.takeEventText();
    if (text === null) return; // no layer is copied; the event may be about selected text
    data.setData("text/plain", text);
  }
  event.preventDefault();
}

/** Select the focused element. If it is selected already, open its network, or else edit its text. */
function handleEnter(commands: Commands, key: string, target: HTMLElement | undefined): boolean {
  const { view } = commands;
  const node = target?.closest?.(".react-flow__node")?.getAttribute("data-id");
  const edge = target?.closest?.(".react-flow__edge")?.getAttribute("data-id");
  if (target?.tagName === "BUTTON" && key === "Enter") return false;
  if (edge) view.selectEdge(edge);
  else if (node && !view.selectedIds().includes(node)) view.select([node]);
  else return (key === "Enter" && commands.openSelected()) || commands.rename();
  return true;
}

/** Close the open panel or menu, or else clear the selection. */
function handleEscape(commands: Commands): void {
  const { view } = commands;
  const { panel, searchMenu, nodesToGroup, selectedPort } = view.ui.state;
  if (panel || searchMenu || nodesToGroup || selectedPort)
    view.ui.update({ panel: null, searchMenu: null, nodesToGroup: null, selectedPort: null });
  else view.select([]);
  view.focus();
}

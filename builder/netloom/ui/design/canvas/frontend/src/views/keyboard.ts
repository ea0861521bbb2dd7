// What the keys do while the canvas has the focus.
import type { Side } from "../core/alignment";
import type { Commands } from "./commands";

const MODIFIERS = ["Shift", "Control", "Meta", "Alt"];

/** With Control; what they do by themselves goes on, as the browser tells of it by an event. */
const CLIPBOARD = ["c", "x", "v"];

const targetOf = (event: React.KeyboardEvent): HTMLElement | undefined =>
  event.nativeEvent.composedPath()[0] as HTMLElement | undefined;
const typing = (target: HTMLElement | undefined): boolean => /^(INPUT|TEXTAREA|SELECT)$/.test(target?.tagName ?? "");

export function onKey(commands: Commands, event: React.KeyboardEvent): void {
  // React Flow listens at the window for the keys that select more than one.
  if (MODIFIERS.includes(event.key)) return;
  const target = targetOf(event);
  if (!typing(target) && handle(commands, event, target)) event.preventDefault();
  event.stopPropagation(); // Streamlit has keys of its own, such as c for "Clear cache"
}

/** Before React Flow: it would move a focused node by the arrows, and Escape would take the focus from the canvas. */
export function onKeyCapture(commands: Commands, event: React.KeyboardEvent): void {
  const target = targetOf(event);
  if (!event.key.startsWith("Arrow") && event.key !== "Escape") return;
  if (!typing(target) && target?.closest?.(".react-flow__node, .react-flow__edge")) onKey(commands, event);
}

function handle(commands: Commands, event: React.KeyboardEvent, target: HTMLElement | undefined): boolean {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) return withControl(commands, key, event.shiftKey);
  if (event.altKey && align(commands, event)) return true;
  if (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) {
    commands.openContextHere();
    return true;
  }
  if (key.startsWith("Arrow")) {
    if (event.altKey) commands.nudge(key);
    else commands.walk(key);
    return true;
  }
  if (key === "Enter" || key === "F2") return enter(commands, key, target);
  const plain: Record<string, () => void> = {
    Delete: commands.remove,
    Backspace: commands.remove,
    Escape: () => escape(commands),
    a: commands.openAddHere,
    "/": commands.openAddHere,
    c: commands.openConnect,
    l: () => void commands.arrange(),
    f: commands.fit,
    m: commands.toggleMap,
    u: commands.back,
    n: commands.addNote,
    i: commands.tidy.toggleAbout,
    g: commands.tidy.frame,
    e: commands.tidy.walkEdges,
    "?": () => commands.toggle("help"),
  };
  const run = plain[key];
  run?.();
  return !!run;
}

const SIDES: Record<string, Side> = { KeyA: "left", KeyH: "centre", KeyD: "right", KeyW: "top", KeyV: "middle", KeyS: "bottom" };

/** By the place of a key, as some keyboards write other letters with Alt. */
function align(commands: Commands, event: React.KeyboardEvent): boolean {
  const side = SIDES[event.code];
  if (!side) return false;
  if (event.shiftKey && side === "centre") commands.tidy.distribute("horizontal");
  else if (event.shiftKey && side === "middle") commands.tidy.distribute("vertical");
  else commands.tidy.align(side);
  return true;
}

function withControl(commands: Commands, key: string, shift: boolean): boolean {
  const { copies } = commands;
  const keys: Record<string, () => void> = {
    z: shift ? commands.redo : commands.undo,
    y: commands.redo,
    c: copies.copy,
    x: copies.cut,
    v: copies.awaitPaste,
    d: copies.duplicate,
    g: shift ? commands.unpack : commands.askName,
    a: commands.selectAll,
  };
  const run = keys[key];
  run?.();
  return !!run && !CLIPBOARD.includes(key);
}

/** The browser's own events of these keys: they carry text also where a page may not read the clipboard, or has none. */
export function onClipboard(commands: Commands, event: React.ClipboardEvent): void {
  if (typing(event.nativeEvent.composedPath()[0] as HTMLElement | undefined)) return;
  const data = event.clipboardData;
  if (event.type === "paste") commands.copies.pasteText(data.getData("text/plain"), data.types.length > 0);
  else {
    const text = commands.copies.take();
    if (text === null) return; // nothing of the network is selected, perhaps words of a page are
    data.setData("text/plain", text);
  }
  event.preventDefault();
}

/** Select what has the focus; what is selected already is opened, if it stands for a network, or else written in. */
function enter(commands: Commands, key: string, target: HTMLElement | undefined): boolean {
  const { stage } = commands;
  const node = target?.closest?.(".react-flow__node")?.getAttribute("data-id");
  const edge = target?.closest?.(".react-flow__edge")?.getAttribute("data-id");
  if (target?.tagName === "BUTTON" && key === "Enter") return false;
  if (edge) stage.selectEdge(edge);
  else if (node && !stage.chosen().includes(node)) stage.select([node]);
  else return (key === "Enter" && commands.enter()) || commands.rename();
  return true;
}

/** Close what is open, or else let go of the selection. */
function escape(commands: Commands): void {
  const { stage } = commands;
  const { panel, menu, naming, port } = stage.ui.state;
  if (panel || menu || naming || port) stage.ui.set({ panel: null, menu: null, naming: null, port: null });
  else stage.select([]);
  stage.focus();
}

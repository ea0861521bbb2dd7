// What all views share: the engine, the commands, and slices of state that redraw only what reads them.
import { createContext, useCallback, useContext, useRef, useSyncExternalStore } from "react";
import type { Engine, Topic } from "../core/engine";
import type { End } from "../core/rules";
import type { LayerType } from "../core/generated";
import type { Commands } from "./commands";
import type { Gestures } from "./gestures";

export type MenuState =
  | { kind: "add"; x: number; y: number; at: [number, number]; start?: End }
  | { kind: "connect"; x: number; y: number; node: string };
const SAID_MS = 3000;
type State = {
  /** The port from which an edge is being drawn. */
  connecting: End | null;
  /** The edge that would take what is being dragged. */
  edge: string | null;
  /** The layer whose title, or the note whose text, is being written. */
  editing: string | null;
  menu: MenuState | null;
  ghost: { layer: LayerType; x: number; y: number } | null;
  panel: "issues" | "help" | "about" | null;
  /** The layer about which one asks: its key in the palette, and the node where it is one's. */
  about: { key: string; node: string | null } | null;
  /** The port that was clicked. */
  port: End | null;
  /** The menu of a node, or of the canvas. */
  context: { x: number; y: number; node: string | null } | null;
  map: boolean;
  boxing: boolean;
  /** Whether there are very many layers, seen from afar, which are then drawn without their ports and words. */
  plain: boolean;
  /** The networks through which one came to the one that is shown, by their nodes. */
  trail: string[];
  /** The layers of which a network is made, while its name is asked for. */
  naming: string[] | null;
  /** The ids of the selected layers, with spaces between them. */
  picked: string;
  /** What is said for a moment. */
  said: string;
};

/** What goes on in the view and is no part of the document. Nodes and edges listen to it one by one. */
export class Ui {
  state: State = {
    connecting: null,
    edge: null,
    editing: null,
    menu: null,
    ghost: null,
    panel: null,
    about: null,
    port: null,
    context: null,
    map: true,
    boxing: false,
    plain: false,
    trail: [],
    naming: null,
    picked: "",
    said: "",
  };
  private listeners = new Set<() => void>();
  listen = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  /** Say something for a moment. */
  say(text: string): void {
    this.set({ said: text });
    clearTimeout(this.saying);
    this.saying = setTimeout(() => this.set({ said: "" }), SAID_MS);
  }
  private saying: ReturnType<typeof setTimeout> | undefined;

  set(change: Partial<State>): void {
    const keys = Object.keys(change) as (keyof State)[];
    if (keys.every((key) => this.state[key] === change[key])) return;
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }
}

export type Shared = { engine: Engine; ui: Ui; commands: Commands; gestures: Gestures };
export const SharedContext = createContext<Shared | null>(null);

export function useShared(): Shared {
  const shared = useContext(SharedContext);
  if (!shared) throw new Error("A view stands outside of the canvas.");
  return shared;
}

/** A value read from the engine, renewed on a topic; equal values (as JSON) keep their identity. */
export function useSlice<T>(topic: Topic, read: (engine: Engine) => T): T {
  const { engine } = useShared();
  const last = useRef<{ text: string | undefined; value: T } | null>(null);
  const listen = useCallback(
    (redraw: () => void) => engine.listen((told) => told === topic && redraw()),
    [engine, topic],
  );
  return useSyncExternalStore(listen, () => {
    const value = read(engine);
    const text = JSON.stringify(value);
    if (last.current?.text !== text) last.current = { text, value };
    return (last.current as { value: T }).value;
  });
}

/** What can be added to the network that is shown. */
export function useLayers(): LayerType[] {
  const { engine } = useShared();
  const listen = useCallback((redraw: () => void) => engine.listen((told) => told === "derived" && redraw()), [engine]);
  return useSyncExternalStore(listen, () => engine.layers);
}

export function useUi<T>(read: (state: State) => T): T {
  const { ui } = useShared();
  return useSyncExternalStore(ui.listen, () => read(ui.state));
}

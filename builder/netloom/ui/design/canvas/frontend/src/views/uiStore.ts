// What goes on in the view and is no part of the document, without a framework.
import type { LayerType } from "../core/generated";
import type { End } from "../core/connectionRules";

/** What can be chosen in a list. */
export type Choice = { key: string; title: string; detail: string; color: string };
export type MenuState =
  | { kind: "add"; x: number; y: number; at: [number, number]; start?: End }
  | { kind: "connect"; x: number; y: number; node: string };
const SAID_MS = 3000;
export type State = {
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
  /** Whether the palette covers the canvas where there is no room beside it. */
  drawer: boolean;
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
    drawer: false,
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

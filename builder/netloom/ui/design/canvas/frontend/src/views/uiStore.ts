// What goes on in the view and is no part of the document, without a framework.
import type { LayerType } from "../core/generated";
import type { PortRef } from "../core/connectionRules";

/** What can be chosen in a list. */
export type SearchMenuItem = { key: string; title: string; detail: string; color: string };
export type SearchMenuState =
  | { kind: "add"; x: number; y: number; at: [number, number]; start?: PortRef }
  | { kind: "connect"; x: number; y: number; node: string };
const NOTIFICATION_MS = 3000;
export type UiState = {
  /** The port from which an edge is being drawn. */
  connectionStart: PortRef | null;
  /** The edge that would take what is being dragged. */
  dropEdge: string | null;
  /** The layer whose title, or the note whose text, is being written. */
  editedId: string | null;
  searchMenu: SearchMenuState | null;
  dragPreview: { layer: LayerType; x: number; y: number } | null;
  panel: "issues" | "keyboardHelp" | "layerHelp" | null;
  /** The layer about which one asks: its key in the palette, and the node where it is one's. */
  helpTarget: { key: string; node: string | null } | null;
  /** The port that was clicked. */
  selectedPort: PortRef | null;
  /** The menu of a node, or of the canvas. */
  contextMenu: { x: number; y: number; node: string | null } | null;
  isMapVisible: boolean;
  /** Whether the palette covers the canvas where there is no room beside it. */
  isDrawerOpen: boolean;
  isBoxSelecting: boolean;
  /** Whether there are very many layers, seen from afar, which are then drawn without their ports and words. */
  isSimplified: boolean;
  /** The networks through which one came to the one that is shown, by their nodes. */
  breadcrumbs: string[];
  /** The layers of which a network is made, while its name is asked for. */
  nodesToGroup: string[] | null;
  /** The ids of the selected layers, with spaces between them. */
  selectedLayers: string;
  /** What is said for a moment. */
  notification: string;
};

/** What goes on in the view and is no part of the document. Nodes and edges listen to it one by one. */
export class UiStore {
  state: UiState = {
    connectionStart: null,
    dropEdge: null,
    editedId: null,
    searchMenu: null,
    dragPreview: null,
    panel: null,
    helpTarget: null,
    selectedPort: null,
    contextMenu: null,
    isMapVisible: true,
    isDrawerOpen: false,
    isBoxSelecting: false,
    isSimplified: false,
    breadcrumbs: [],
    nodesToGroup: null,
    selectedLayers: "",
    notification: "",
  };
  private listeners = new Set<() => void>();
  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  /** Say something for a moment. */
  notify(text: string): void {
    this.update({ notification: text });
    clearTimeout(this.notificationTimer);
    this.notificationTimer = setTimeout(() => this.update({ notification: "" }), NOTIFICATION_MS);
  }
  private notificationTimer: ReturnType<typeof setTimeout> | undefined;

  update(change: Partial<UiState>): void {
    const keys = Object.keys(change) as (keyof UiState)[];
    if (keys.every((key) => this.state[key] === change[key])) return;
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }
}

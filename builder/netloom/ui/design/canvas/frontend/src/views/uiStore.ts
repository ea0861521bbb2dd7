// The state of the user interface that is not part of the document.
import type { LayerType } from "../core/generated";
import type { PortRef } from "../core/connectionRules";

/** An item of a searchable menu. */
export type SearchMenuItem = { key: string; title: string; detail: string; color: string };
export type SearchMenuState =
  | { kind: "add"; x: number; y: number; at: [number, number]; start?: PortRef }
  | { kind: "connect"; x: number; y: number; node: string };
const NOTIFICATION_MS = 3000;
export type UiState = {
  /** The port from which an edge is being drawn. */
  connectionStart: PortRef | null;
  /** The edge into which the dragged layer would be inserted. */
  dropEdge: string | null;
  /** The id of the layer, frame or note whose text is being edited. */
  editedId: string | null;
  searchMenu: SearchMenuState | null;
  dragPreview: { layer: LayerType; x: number; y: number } | null;
  panel: "issues" | "keyboardHelp" | "layerHelp" | null;
  /** The layer whose help is shown: its key in the palette, and the id of its node, if any. */
  helpTarget: { key: string; node: string | null } | null;
  /** The port that was clicked. */
  selectedPort: PortRef | null;
  /** The context menu of a node, or of the canvas if `node` is null. */
  contextMenu: { x: number; y: number; node: string | null } | null;
  isMapVisible: boolean;
  /** Whether the palette is open as a drawer, which it is on narrow screens. */
  isDrawerOpen: boolean;
  isBoxSelecting: boolean;
  /** Whether a large network is zoomed out, and its layers are drawn without ports and text. */
  isSimplified: boolean;
  /** The names of the networks through which users opened the visible one. */
  breadcrumbs: string[];
  /** The layers to group, while users enter the name of their network. */
  nodesToGroup: string[] | null;
  /** The ids of the selected layers, joined by spaces, so that equal selections are equal values. */
  selectedLayers: string;
  /** The text of the temporary notification. */
  notification: string;
};

/** The store of this state. Every node and edge subscribes to it. */
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
  /** Show a temporary notification. */
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

// The context of all views: the stores, the commands, and hooks that rerender a view only when its state changes.
import { createContext, useCallback, useContext, useRef, useSyncExternalStore } from "react";
import type { DocumentStore, Topic } from "../core/documentStore";
import type { LayerType } from "../core/generated";
import type { Commands } from "./commands";
import type { Gestures } from "./gestures";
import type { UiState, UiStore } from "./uiStore";

export type CanvasContextValue = { store: DocumentStore; ui: UiStore; commands: Commands; gestures: Gestures };
export const CanvasContext = createContext<CanvasContextValue | null>(null);

export function useCanvas(): CanvasContextValue {
  const value = useContext(CanvasContext);
  if (!value) throw new Error("useCanvas was called outside the canvas.");
  return value;
}

/** Subscribe to a value of the document store. Equal values (as JSON) keep their identity. */
export function useDocument<T>(topic: Topic, select: (store: DocumentStore) => T): T {
  const { store } = useCanvas();
  const cached = useRef<{ text: string | undefined; value: T } | null>(null);
  const subscribe = useCallback(
    (onChange: () => void) => store.subscribe((changed) => changed === topic && onChange()),
    [store, topic],
  );
  return useSyncExternalStore(subscribe, () => {
    const value = select(store);
    const text = JSON.stringify(value);
    if (cached.current?.text !== text) cached.current = { text, value };
    return (cached.current as { value: T }).value;
  });
}

/** Subscribe to the layers that can be added to the visible network. */
export function useLayers(): LayerType[] {
  const { store } = useCanvas();
  const subscribe = useCallback(
    (onChange: () => void) => store.subscribe((changed) => changed === "derived" && onChange()),
    [store],
  );
  return useSyncExternalStore(subscribe, () => store.layers);
}

export function useUiState<T>(select: (state: UiState) => T): T {
  const { ui } = useCanvas();
  return useSyncExternalStore(ui.subscribe, () => select(ui.state));
}

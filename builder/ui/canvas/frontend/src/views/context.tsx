// What all views share: the engine, and slices of it that redraw only when they change.
import { createContext, useCallback, useContext, useRef, useSyncExternalStore } from "react";
import type { Engine, Topic } from "../core/engine";
import type { End } from "../core/rules";
import type { Edit } from "../core/types";

/** What views may ask of the canvas. */
export type Actions = {
  do(edit: Edit): void;
  rename(id: string | null): void;
  show(id: string): void;
};

/** A little store for what is going on under the pointer; nodes and edges listen to it one by one. */
export class Hover {
  connecting: End | null = null;
  edge: string | null = null;
  renaming: string | null = null;
  private listeners = new Set<() => void>();
  listen = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  set(change: Partial<Pick<Hover, "connecting" | "edge" | "renaming">>): void {
    Object.assign(this, change);
    for (const listener of this.listeners) listener();
  }
}

export type Shared = { engine: Engine; hover: Hover; actions: Actions };
export const SharedContext = createContext<Shared | null>(null);

export function useShared(): Shared {
  const shared = useContext(SharedContext);
  if (!shared) throw new Error("A view stands outside of the canvas.");
  return shared;
}

/** A value read from the engine, renewed on a topic; equal values (as JSON) keep their identity. */
export function useSlice<T>(topic: Topic | Topic[], read: () => T): T {
  const { engine } = useShared();
  const last = useRef<{ text: string | undefined; value: T } | null>(null);
  const topics = Array.isArray(topic) ? topic : [topic];
  const listen = useCallback(
    (redraw: () => void) => engine.listen((told) => topics.includes(told) && redraw()),
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [engine, topics.join()],
  );
  return useSyncExternalStore(listen, () => {
    const value = read();
    const text = JSON.stringify(value);
    if (last.current?.text !== text) last.current = { text, value };
    return (last.current as { value: T }).value;
  });
}

export function useHover<T extends string | number | boolean | null>(read: (hover: Hover) => T): T {
  const { hover } = useShared();
  return useSyncExternalStore(hover.listen, () => read(hover));
}

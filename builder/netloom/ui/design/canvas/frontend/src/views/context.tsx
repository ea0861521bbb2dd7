// What all views share: the engine, the commands, and slices of state that redraw only what reads them.
import { createContext, useCallback, useContext, useRef, useSyncExternalStore } from "react";
import type { Engine, Topic } from "../core/documentStore";
import type { LayerType } from "../core/generated";
import type { Commands } from "./commands";
import type { Gestures } from "./gestures";
import type { State, Ui } from "./uiStore";

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

// The interface of Commands for its parts. A separate module avoids an import cycle.
import type { Edit } from "../core/generated";
import type { CanvasView } from "./canvasView";

export interface CommandContext {
  readonly view: CanvasView;
  /** Apply an edit, and then select the given ids. */
  apply(edit: Edit | null | undefined, selected?: string[]): void;
  /** Remove the selection. */
  remove(): void;
}

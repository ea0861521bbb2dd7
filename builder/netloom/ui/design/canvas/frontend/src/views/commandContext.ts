// What the parts of the commands ask of the whole.
import type { Edit } from "../core/generated";
import type { CanvasView } from "./canvasView";

export interface CommandContext {
  readonly view: CanvasView;
  /** Make an edit, and select what came of it. */
  apply(edit: Edit | null | undefined, selected?: string[]): void;
  /** Remove what is selected. */
  remove(): void;
}

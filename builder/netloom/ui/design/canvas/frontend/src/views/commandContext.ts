// What the parts of the commands ask of the whole.
import type { Edit } from "../core/generated";
import type { Stage } from "./canvasView";

export interface Editing {
  readonly stage: Stage;
  /** Make an edit, and select what came of it. */
  apply(edit: Edit | null | undefined, selected?: string[]): void;
  /** Remove what is selected. */
  remove(): void;
}

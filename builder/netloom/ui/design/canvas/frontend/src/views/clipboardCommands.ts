// Copies of layers: on the clipboard, for this project, another one or another tab.
import { copy, paste, placed, readClip, type Clip } from "../core/clipboard";
import type { Editing } from "./commandContext";

/** How long after the key the browser's own event may come. */
const EVENT_MS = 100;
// A copy lives as long as the tab, so that it can be pasted into another project.
let clipboard: Clip | null = null;
/** Whether the copy reached the clipboard: where it did, what is on the clipboard now is newer. */
let written = false;

export class Copies {
  private taken: string | null = null;
  private pasting: ReturnType<typeof setTimeout> | undefined;

  constructor(private commands: Editing) {}

  private get stage() {
    return this.commands.stage;
  }

  private get engine() {
    return this.stage.engine;
  }

  copy = (): boolean => {
    const clip = copy(this.engine.graph, this.stage.chosen(), this.engine.data.document);
    if (!clip) return false;
    clipboard = clip;
    written = false;
    this.taken = JSON.stringify(clip);
    // Absent on plain http from another machine, where the key's own event carries it; see onClipboard.
    void navigator.clipboard?.writeText(this.taken).then(
      () => (written ||= clipboard === clip),
      () => undefined,
    );
    return true;
  };

  cut = (): void => {
    if (this.copy()) this.commands.remove();
  };

  /** The text of what a key has just copied or cut, once. */
  take(): string | null {
    const text = this.taken;
    this.taken = null;
    written ||= text !== null;
    return text;
  }

  /** The key was pressed: what is on the clipboard comes with an event, or else it is asked for. */
  awaitPaste = (): void => {
    clearTimeout(this.pasting);
    this.pasting = setTimeout(() => void this.paste(), EVENT_MS);
  };

  paste = async (): Promise<void> =>
    this.pasteText(await (navigator.clipboard?.readText?.() ?? Promise.resolve("")).catch(() => ""));

  /** Paste the layers that a text holds; or what was copied in this tab, where the clipboard could not be used. */
  pasteText = (text: string, holds = text !== ""): void => {
    clearTimeout(this.pasting);
    const clip = readClip(text) ?? (holds && written ? null : clipboard);
    if (clip) this.insert(clip);
    else this.stage.ui.say("There are no copied layers on the clipboard.");
  };

  duplicate = (): void => {
    const clip = copy(this.engine.graph, this.stage.chosen());
    if (clip) this.insert(clip);
  };

  private insert(clip: Clip): void {
    const { left, top, right, bottom } = this.stage.box;
    const from = this.stage.flow.screenToFlowPosition({ x: left, y: top });
    const to = this.stage.flow.screenToFlowPosition({ x: right, y: bottom });
    const offset = placed(this.engine.graph, clip, [from.x, from.y, to.x, to.y]);
    const { edit, ids } = paste(this.engine.graph, clip, offset, this.engine.data.document);
    this.commands.apply(edit, ids);
  }
}

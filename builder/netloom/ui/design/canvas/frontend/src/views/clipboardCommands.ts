// Commands of the clipboard: copy, cut, paste and duplicate.
import { copyItems, pasteItems, pasteOffset, parseClipboard, type ClipboardContent } from "../core/clipboard";
import type { CommandContext } from "./commandContext";

/** The time that the browser's paste event may take after the key. */
const PASTE_EVENT_MS = 100;
// Not part of the class, so that a copy can be pasted into another project of the same tab.
let tabClipboard: ClipboardContent | null = null;
/** Whether the copy reached the system clipboard; any other content there is then newer. */
let isOnSystemClipboard = false;

export class ClipboardCommands {
  private eventText: string | null = null;
  private pasteTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private commands: CommandContext) {}

  private get view() {
    return this.commands.view;
  }

  private get store() {
    return this.view.store;
  }

  copy = (): boolean => {
    const content = copyItems(this.store.graph, this.view.selectedIds(), this.store.data.document);
    if (!content) return false;
    tabClipboard = content;
    isOnSystemClipboard = false;
    this.eventText = JSON.stringify(content);
    // Not available over HTTP from another machine, where the copy event carries the text; see onClipboard.
    void navigator.clipboard?.writeText(this.eventText).then(
      () => (isOnSystemClipboard ||= tabClipboard === content),
      () => undefined,
    );
    return true;
  };

  cut = (): void => {
    if (this.copy()) this.commands.remove();
  };

  /** Return the text for a copy or cut event, once. */
  takeEventText(): string | null {
    const text = this.eventText;
    this.eventText = null;
    isOnSystemClipboard ||= text !== null;
    return text;
  }

  /** Wait for the paste event of the key, and read the clipboard if there is none. */
  waitForPasteEvent = (): void => {
    clearTimeout(this.pasteTimer);
    this.pasteTimer = setTimeout(() => void this.paste(), PASTE_EVENT_MS);
  };

  paste = async (): Promise<void> =>
    this.pasteText(await (navigator.clipboard?.readText?.() ?? Promise.resolve("")).catch(() => ""));

  /** Paste the layers in a text, or the copy of this tab if the system clipboard was not available. */
  pasteText = (text: string, hasContent = text !== ""): void => {
    clearTimeout(this.pasteTimer);
    const content = parseClipboard(text) ?? (hasContent && isOnSystemClipboard ? null : tabClipboard);
    if (content) this.insertContent(content);
    else this.view.ui.notify("There are no copied layers on the clipboard.");
  };

  duplicate = (): void => {
    const content = copyItems(this.store.graph, this.view.selectedIds());
    if (content) this.insertContent(content);
  };

  private insertContent(content: ClipboardContent): void {
    const { left, top, right, bottom } = this.view.bounds;
    const topLeft = this.view.flow.screenToFlowPosition({ x: left, y: top });
    const bottomRight = this.view.flow.screenToFlowPosition({ x: right, y: bottom });
    const offset = pasteOffset(this.store.graph, content, [topLeft.x, topLeft.y, bottomRight.x, bottomRight.y]);
    const { edit, ids } = pasteItems(this.store.graph, content, offset, this.store.data.document);
    this.commands.apply(edit, ids);
  }
}

// Copies of layers: on the clipboard, for this project, another one or another tab.
import { copyItems, pasteItems, pasteOffset, parseClipboard, type ClipboardContent } from "../core/clipboard";
import type { CommandContext } from "./commandContext";

/** How long after the key the browser's own event may come. */
const PASTE_EVENT_MS = 100;
// A copy lives as long as the tab, so that it can be pasted into another project.
let tabClipboard: ClipboardContent | null = null;
/** Whether the copy reached the clipboard: where it did, what is on the clipboard now is newer. */
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
    // Absent on plain http from another machine, where the key's own event carries it; see onClipboard.
    void navigator.clipboard?.writeText(this.eventText).then(
      () => (isOnSystemClipboard ||= tabClipboard === content),
      () => undefined,
    );
    return true;
  };

  cut = (): void => {
    if (this.copy()) this.commands.remove();
  };

  /** The text of what a key has just copied or cut, once. */
  takeEventText(): string | null {
    const text = this.eventText;
    this.eventText = null;
    isOnSystemClipboard ||= text !== null;
    return text;
  }

  /** The key was pressed: what is on the clipboard comes with an event, or else it is asked for. */
  waitForPasteEvent = (): void => {
    clearTimeout(this.pasteTimer);
    this.pasteTimer = setTimeout(() => void this.paste(), PASTE_EVENT_MS);
  };

  paste = async (): Promise<void> =>
    this.pasteText(await (navigator.clipboard?.readText?.() ?? Promise.resolve("")).catch(() => ""));

  /** Paste the layers that a text holds; or what was copied in this tab, where the clipboard could not be used. */
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

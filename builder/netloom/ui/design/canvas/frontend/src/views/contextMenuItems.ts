// The items of the context menu of a node or of the canvas.
import { isFolded } from "../core/frames";
import { subnetworkOf } from "../core/networks";
import { inputsOf } from "../core/connectionRules";
import type { Commands } from "./commands";

export type ContextMenuItem = { name: string; text: string; keys?: string; run: () => void };

/** The items by group; the menu draws a line between groups. */
export function contextMenuItems(commands: Commands, node: string | null): ContextMenuItem[][] {
  const { view, selection, clipboard } = commands;
  const canvasItems: ContextMenuItem[] = [
    { name: "add", text: "Add a layer", keys: "A", run: commands.openAddMenuAtSelection },
    { name: "paste", text: "Paste", keys: "Ctrl V", run: () => void clipboard.paste() },
    { name: "select-all", text: "Select all", keys: "Ctrl A", run: commands.selectAll },
    { name: "arrange", text: "Arrange", keys: "L", run: () => void commands.applyLayout() },
  ];
  const imageItems: ContextMenuItem[] = [
    { name: "copy-image", text: "Copy as image", run: () => void selection.copyImage() },
    { name: "save-image", text: "Download as PNG", run: () => void selection.saveImage() },
    { name: "save-svg", text: "Download as SVG", run: selection.saveSvg },
  ];
  if (!node)
    return [canvasItems, Object.keys(view.store.graph.nodes).length ? imageItems : []].filter((group) => group.length);
  const graph = view.store.graph;
  const selectedIds = view.selectedIds();
  const editItems: ContextMenuItem[] = [
    { name: "copy", text: "Copy", keys: "Ctrl C", run: clipboard.copy },
    { name: "duplicate", text: "Duplicate", keys: "Ctrl D", run: clipboard.duplicate },
    { name: "remove", text: "Remove", keys: "Delete", run: commands.remove },
  ];
  if (!(node in graph.nodes)) {
    const noteItems: ContextMenuItem[] = [{ name: "rename", text: "Edit text", keys: "Enter", run: commands.rename }];
    const foldText = isFolded(graph.notes[node]) ? "Unfold" : "Fold";
    if (graph.notes[node]?.frame)
      noteItems.push({ name: "fold", text: foldText, run: () => selection.toggleFold(node) });
    return [noteItems, editItems];
  }
  const nodeItems: ContextMenuItem[] = [
    { name: "about", text: "Layer help", keys: "I", run: () => selection.showNodeHelp(node) },
    { name: "rename", text: "Rename", keys: "F2", run: commands.rename },
    { name: "connect", text: "Connect to another layer", keys: "C", run: commands.openConnectMenu },
  ];
  const subnetwork = subnetworkOf(graph.nodes[node]);
  if (subnetwork)
    nodeItems.push({ name: "open", text: `Open ${subnetwork}`, keys: "Enter", run: commands.openSelected });
  const labelOf = (name: string) => inputsOf(view.store, node).find((port) => port.name === name)?.label ?? name;
  const swapItems = selection.swappableInputs(node).map(([first, second]): ContextMenuItem => ({
    name: `exchange-${first}-${second}`,
    text: `Swap inputs ${labelOf(first)} and ${labelOf(second)}`,
    run: () => selection.swapInputs(node, first, second),
  }));
  const groupItems: ContextMenuItem[] = [
    { name: "frame", text: "Add a frame", keys: "G", run: selection.addFrame },
    { name: "group", text: "Create subnetwork", keys: "Ctrl G", run: commands.startGrouping },
  ];
  return [
    selectedIds.length > 1 ? [] : nodeItems,
    selectedIds.length > 1 ? [] : swapItems,
    groupItems,
    editItems,
  ].filter((group) => group.length);
}

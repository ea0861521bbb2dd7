// What the menu of a node, or of the empty canvas, offers.
import { isFolded } from "../core/frames";
import { standsFor } from "../core/networks";
import { inputsOf } from "../core/connectionRules";
import type { Commands } from "./commands";

export type Item = { name: string; text: string; keys?: string; run: () => void };

/** By part, between which a line is drawn. */
export function items(commands: Commands, node: string | null): Item[][] {
  const { stage, tidy, copies } = commands;
  const all: Item[] = [
    { name: "add", text: "Add a layer …", keys: "A", run: commands.openAddHere },
    { name: "paste", text: "Paste", keys: "Ctrl V", run: () => void copies.paste() },
    { name: "select-all", text: "Select everything", keys: "Ctrl A", run: commands.selectAll },
    { name: "arrange", text: "Arrange", keys: "L", run: () => void commands.arrange() },
  ];
  const pictures: Item[] = [
    { name: "copy-image", text: "Copy as image", run: () => void tidy.copyImage() },
    { name: "save-image", text: "Download as PNG", run: () => void tidy.saveImage() },
    { name: "save-svg", text: "Download as SVG", run: tidy.saveSvg },
  ];
  if (!node) return [all, Object.keys(stage.engine.graph.nodes).length ? pictures : []].filter((part) => part.length);
  const graph = stage.engine.graph;
  const chosen = stage.chosen();
  const edit: Item[] = [
    { name: "copy", text: "Copy", keys: "Ctrl C", run: copies.copy },
    { name: "duplicate", text: "Duplicate", keys: "Ctrl D", run: copies.duplicate },
    { name: "remove", text: "Remove", keys: "Delete", run: commands.remove },
  ];
  if (!(node in graph.nodes)) {
    const write: Item[] = [{ name: "rename", text: "Write", keys: "Enter", run: commands.rename }];
    const fold = isFolded(graph.notes[node]) ? "Unfold" : "Fold";
    if (graph.notes[node]?.frame) write.push({ name: "fold", text: fold, run: () => tidy.fold(node) });
    return [write, edit];
  }
  const one: Item[] = [
    { name: "about", text: "Layer help", keys: "I", run: () => tidy.aboutNode(node) },
    { name: "rename", text: "Rename", keys: "F2", run: commands.rename },
    { name: "connect", text: "Connect to …", keys: "C", run: commands.openConnect },
  ];
  const inside = standsFor(graph.nodes[node]);
  if (inside) one.push({ name: "open", text: `Open ${inside}`, keys: "Enter", run: commands.enter });
  const said = (name: string) => inputsOf(stage.engine, node).find((port) => port.name === name)?.label ?? name;
  const inputs = tidy.neighbours(node).map(
    ([first, second]): Item => ({
      name: `exchange-${first}-${second}`,
      text: `Swap inputs ${said(first)} and ${said(second)}`,
      run: () => tidy.exchange(node, first, second),
    }),
  );
  const whole: Item[] = [
    { name: "frame", text: "Add a frame", keys: "G", run: tidy.frame },
    { name: "group", text: "Create subnetwork", keys: "Ctrl G", run: commands.askName },
  ];
  return [chosen.length > 1 ? [] : one, chosen.length > 1 ? [] : inputs, whole, edit].filter((part) => part.length);
}

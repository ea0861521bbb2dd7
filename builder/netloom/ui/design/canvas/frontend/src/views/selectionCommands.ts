// Commands on the selection: alignment, frames, images, edges, order of inputs, and layer help.
import { alignBoxes, distributeBoxes, type Box, type Direction, type Side } from "../core/alignment";
import { NODE_HEIGHT, NODE_WIDTH, swapInputs } from "../core/edits";
import { layerKey } from "../core/networks";
import { frameAround } from "../core/frames";
import { freeId } from "../core/graph";
import { inputsOf } from "../core/connectionRules";
import type { Color, LayerType } from "../core/generated";
import type { CommandContext } from "./commandContext";
import { copyImage, downloadBlob, renderPng, renderSvgBlob } from "./imageExport";

const FRAME_COLORS: Color[] = ["blue", "green", "purple", "red", "gray"];

export class SelectionCommands {
  constructor(private commands: CommandContext) {}

  private get view() {
    return this.commands.view;
  }

  private get store() {
    return this.view.store;
  }

  private selectedBoxes(): Box[] {
    return this.view.nodes
      .filter((node) => node.selected && node.type !== "frame" && !node.hidden)
      .map((node) => ({
        id: node.id,
        at: [node.position.x, node.position.y],
        width: node.measured?.width ?? node.width ?? NODE_WIDTH,
        height: node.measured?.height ?? node.height ?? NODE_HEIGHT,
      }));
  }

  align = (side: Side): void => {
    const boxes = this.selectedBoxes();
    if (boxes.length > 1) this.commands.apply({ kind: "move", at: alignBoxes(boxes, side) });
  };

  /** Add a frame around the selection, and edit its title. */
  addFrame = (): void => {
    const { graph } = this.store;
    const boxes = this.selectedBoxes();
    if (!boxes.length) return;
    const id = freeId(graph, "frame");
    const frameCount = Object.values(graph.notes).filter((note) => note.frame).length;
    const color = FRAME_COLORS[frameCount % FRAME_COLORS.length] ?? "blue";
    this.view.ui.update({ editedId: id });
    this.commands.apply({ kind: "note", id, note: frameAround(boxes, color) }, [id]);
  };

  /** Copy the network as an image, or download it if the clipboard is not available. */
  copyImage = async (): Promise<void> => {
    const image = renderPng(this.view);
    if (await copyImage(image)) this.view.ui.notify("The image was copied to the clipboard.");
    else downloadBlob(await image, `${this.store.network}.png`);
  };

  saveImage = async (): Promise<void> => downloadBlob(await renderPng(this.view), `${this.store.network}.png`);
  saveSvg = (): void => downloadBlob(renderSvgBlob(this.view), `${this.store.network}.svg`);

  /** Select the next edge of the selected layer, or of the layer whose edge was selected last. */
  selectNextEdge = (): void => {
    const current = this.view.edges.find((edge) => edge.selected);
    const node = this.view.selectedLayer() ?? this.edgeNode;
    if (!node) return;
    const incident = this.view.edges.filter((edge) => edge.source === node || edge.target === node);
    const next = incident[(incident.findIndex((edge) => edge.id === current?.id) + 1) % incident.length];
    if (!next) return;
    this.edgeNode = node;
    this.view.selectEdge(next.id);
  };
  private edgeNode: string | undefined;

  /** Fold or unfold a frame. */
  toggleFold = (id: string): void => {
    this.view.toggleFold(id);
    this.view.focus();
  };

  distribute = (direction: Direction): void => {
    const at = distributeBoxes(this.selectedBoxes(), direction);
    if (Object.keys(at).length) this.commands.apply({ kind: "move", at });
  };

  /** The pairs of adjacent inputs of a node with at least one edge. */
  swappableInputs(node: string): [string, string][] {
    const names = inputsOf(this.store, node).map((port) => port.name);
    const pairs = names.slice(1).map((name, index): [string, string] => [names[index] ?? name, name]);
    return pairs.filter(([first, second]) => swapInputs(this.store.graph, node, first, second));
  }

  swapInputs = (node: string, first: string, second: string): void =>
    this.commands.apply(swapInputs(this.store.graph, node, first, second));

  /** Show the help of a layer of the palette, or of a node. */
  showHelp = (layer: LayerType | undefined, node: string | null = null): void => {
    if (!layer) return;
    this.view.ui.update({ panel: "layerHelp", helpTarget: { key: layerKey(layer), node } });
    this.store.requestHelp({ type: layer.type, node });
  };

  showNodeHelp = (node: string | undefined): void => {
    if (node) this.showHelp(this.store.layerTypeOf(this.store.graph.nodes[node]), node);
  };

  /** Show or hide the help of the selected layer. */
  toggleHelp = (): void => {
    if (this.view.ui.state.panel === "layerHelp") this.closeHelp();
    else this.showNodeHelp(this.view.selectedLayer());
  };

  closeHelp = (): void => {
    this.view.ui.update({ panel: null, helpTarget: null });
    this.store.requestHelp(null);
    this.view.focus();
  };
}

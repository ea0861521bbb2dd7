// What people do with the selection beside editing it: line it up, exchange inputs, ask what a layer is.
import { aligned, distributed, exchanged, type Box, type Direction, type Side } from "../core/alignment";
import { NODE_HEIGHT, NODE_WIDTH } from "../core/edits";
import { keyOf } from "../core/networks";
import { frameAround } from "../core/frames";
import { freeId } from "../core/graph";
import { inputsOf } from "../core/connectionRules";
import type { Color, LayerType } from "../core/generated";
import type { Editing } from "./commandContext";
import { asImage, asSvg, copied, download } from "./imageExport";

const FRAME_COLORS: Color[] = ["blue", "green", "purple", "red", "grey"];

export class Tidy {
  constructor(private commands: Editing) {}

  private get stage() {
    return this.commands.stage;
  }

  private get engine() {
    return this.stage.engine;
  }

  private boxes(): Box[] {
    return this.stage.nodes
      .filter((node) => node.selected && node.type !== "frame" && !node.hidden)
      .map((node) => ({
        id: node.id,
        at: [node.position.x, node.position.y],
        width: node.measured?.width ?? node.width ?? NODE_WIDTH,
        height: node.measured?.height ?? node.height ?? NODE_HEIGHT,
      }));
  }

  align = (side: Side): void => {
    const boxes = this.boxes();
    if (boxes.length > 1) this.commands.apply({ kind: "move", at: aligned(boxes, side) });
  };

  /** Put a frame around what is selected, and ask for its title. */
  frame = (): void => {
    const { graph } = this.engine;
    const boxes = this.boxes();
    if (!boxes.length) return;
    const id = freeId(graph, "frame");
    const used = Object.values(graph.notes).filter((note) => note.frame).length;
    const color = FRAME_COLORS[used % FRAME_COLORS.length] ?? "blue";
    this.stage.ui.set({ editing: id });
    this.commands.apply({ kind: "note", id, note: frameAround(boxes, color) }, [id]);
  };

  /** Copy the network as a picture; where a page may not write to the clipboard, it comes as a file. */
  copyImage = async (): Promise<void> => {
    const image = asImage(this.stage);
    if (await copied(image)) this.stage.ui.say("The image was copied to the clipboard.");
    else download(await image, `${this.engine.network}.png`);
  };

  saveImage = async (): Promise<void> => download(await asImage(this.stage), `${this.engine.network}.png`);
  saveSvg = (): void => download(asSvg(this.stage), `${this.engine.network}.svg`);

  /** Go on to the next edge of the selected layer, or to the next one of the layer at which the selected one ends. */
  walkEdges = (): void => {
    const chosen = this.stage.edges.find((edge) => edge.selected);
    const node = this.stage.layer() ?? this.walked;
    if (!node) return;
    const around = this.stage.edges.filter((edge) => edge.source === node || edge.target === node);
    const next = around[(around.findIndex((edge) => edge.id === chosen?.id) + 1) % around.length];
    if (!next) return;
    this.walked = node;
    this.stage.selectEdge(next.id);
  };
  private walked: string | undefined;

  /** Fold a frame, or unfold it. */
  fold = (id: string): void => {
    this.stage.fold(id);
    this.stage.focus();
  };

  distribute = (direction: Direction): void => {
    const at = distributed(this.boxes(), direction);
    if (Object.keys(at).length) this.commands.apply({ kind: "move", at });
  };

  /** The inputs of a node that lie beside each other, where something arrives at one of them at least. */
  neighbours(node: string): [string, string][] {
    const names = inputsOf(this.engine, node).map((port) => port.name);
    const pairs = names.slice(1).map((name, place): [string, string] => [names[place] ?? name, name]);
    return pairs.filter(([one, other]) => exchanged(this.engine.graph, node, one, other));
  }

  exchange = (node: string, one: string, other: string): void =>
    this.commands.apply(exchanged(this.engine.graph, node, one, other));

  /** Say what a layer is: one of the palette, or that of a node. */
  about = (layer: LayerType | undefined, node: string | null = null): void => {
    if (!layer) return;
    this.stage.ui.set({ panel: "about", about: { key: keyOf(layer), node } });
    this.engine.ask({ type: layer.type, node });
  };

  aboutNode = (node: string | undefined): void => {
    if (node) this.about(this.engine.layerOf(this.engine.graph.nodes[node]), node);
  };

  /** Show or hide what the selected layer is. */
  toggleAbout = (): void => {
    if (this.stage.ui.state.panel === "about") this.closeAbout();
    else this.aboutNode(this.stage.layer());
  };

  closeAbout = (): void => {
    this.stage.ui.set({ panel: null, about: null });
    this.engine.ask(null);
    this.stage.focus();
  };
}

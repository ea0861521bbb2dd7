// What people can ask for, by key, button or menu. Each becomes an edit.
import { NODE_HEIGHT, NODE_WIDTH, STEP, addLayer, appendLayer, freePlace, neighbour, removal } from "../core/edits";
import { carried } from "../core/frames";
import { search } from "../core/format";
import { freeId, sourceRef, targetRef } from "../core/graph";
import { freeOutput, outputsOf, portFor, targetsOf, type End } from "../core/connectionRules";
import { asName, freeName, incoming, keyOf, standsFor } from "../core/networks";
import type { Edit, Issue, LayerType, NoteRecord } from "../core/generated";
import { Copies } from "./clipboardCommands";
import type { Editing } from "./commandContext";
import { recent, used } from "./storedLists";
import type { Stage } from "./canvasView";
import { Tidy } from "./selectionCommands";
import type { Choice, MenuState } from "./uiStore";

const NUDGE = 10;
const DIRECTIONS: Record<string, [number, number]> = {
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
};

export class Commands implements Editing {
  /** Set when the node that has the focus may be about to go; see Canvas.tsx. */
  refocus = false;
  /** What to do as soon as a graph arrives in which it can be done. */
  private waiting: (() => boolean) | null = null;

  readonly tidy: Tidy;
  readonly copies: Copies;

  constructor(readonly stage: Stage) {
    this.tidy = new Tidy(this);
    this.copies = new Copies(this);
  }

  private get engine() {
    return this.stage.engine;
  }

  apply = (edit: Edit | null | undefined, selected?: string[]): void => {
    if (!edit) return;
    this.engine.do(edit);
    if (selected) requestAnimationFrame(() => this.stage.select(selected));
  };

  /** Apply the mend of a problem. Its button disappears with it, and must not take the focus along. */
  fix = (edit: Edit): void => {
    this.stage.focus();
    this.apply(edit);
  };

  undo = () => this.apply({ kind: "undo" });
  redo = () => this.apply({ kind: "redo" });
  fit = () => this.stage.fit();

  /** Show the layer that has a problem, in whichever network it is. */
  showIssue = (issue: Issue): void => {
    const { node, network } = issue;
    if (network !== this.engine.network) this.openNetwork(network);
    this.when(() => {
      if (this.engine.network !== network || (node && !this.stage.nodes.some((found) => found.id === node))) return false;
      if (node) this.stage.show(node);
      return true;
    });
  };

  toggleMap = () => this.stage.ui.set({ map: !this.stage.ui.state.map });
  toggleDrawer = () => this.stage.ui.set({ drawer: !this.stage.ui.state.drawer });

  /** Close the palette that covers the canvas; false where it does not. */
  closeDrawer = (): boolean => {
    const { drawer } = this.stage.ui.state;
    if (drawer) this.stage.ui.set({ drawer: false });
    return drawer;
  };

  toggleBoxing = () => this.stage.ui.set({ boxing: !this.stage.ui.state.boxing });
  toggle = (panel: "issues" | "help") =>
    this.stage.ui.set({ panel: this.stage.ui.state.panel === panel ? null : panel });

  /** Add a layer behind the selection, or in the middle of the view. */
  pick = (layer: LayerType): void => {
    this.closeDrawer();
    const after = this.stage.chosen().filter((id) => id in this.engine.graph.nodes);
    const { port } = this.stage.ui.state;
    if (port && portFor(this.engine, layer, port) !== null) return this.addAt(layer, port);
    const added =
      after.length === 1 && after[0]
        ? appendLayer(this.engine, layer, after[0])
        : addLayer(this.engine, layer, freePlace(this.engine.graph, this.stage.centre()));
    this.added(layer, added);
  };

  /** Add a layer at a port: below an output, above an input. */
  private addAt(layer: LayerType, port: End): void {
    const [x, y] = this.engine.graph.nodes[port.node]?.at ?? [0, 0];
    const at = freePlace(this.engine.graph, [x, y + (port.side === "source" ? STEP : -STEP)]);
    this.stage.ui.set({ port: null });
    this.added(layer, addLayer(this.engine, layer, at, port));
  }

  private added(layer: LayerType, { edit, id }: { edit: Edit; id: string }): void {
    this.apply(edit, [id]);
    this.stage.reveal(id);
    used(keyOf(layer));
  }

  /** A layer that was dropped from the palette. */
  dropped = (layer: LayerType, { edit, id }: { edit: Edit; id: string }): void => {
    this.apply(edit, [id]);
    used(keyOf(layer));
  };

  private when(act: () => boolean): void {
    this.waiting = act() ? null : act;
  }

  /** Called when another graph has been drawn. */
  arrived = (): void => {
    if (this.waiting?.()) this.waiting = null;
  };

  openNetwork = (name: string, trail: string[] = []): void => {
    this.waiting = null;
    this.stage.leaveTrail(trail);
    this.stage.ui.set({ naming: null, editing: null, menu: null });
    if (name !== this.engine.network) this.engine.open(name);
    this.stage.focus();
  };

  /** Open the network for which a node stands. Returns whether it stands for one. */
  openNode = (id: string): boolean => {
    const name = standsFor(this.engine.graph.nodes[id]);
    if (!name || !this.engine.data.networks.some((facts) => facts.name === name)) return false;
    this.openNetwork(name, [...this.stage.ui.state.trail, this.engine.network]);
    return true;
  };

  enter = (): boolean => {
    const id = this.stage.layer();
    return !!id && this.openNode(id);
  };

  /** Back to the network from whose node this one was opened, or else to main. */
  back = (): void => {
    const known = new Set(this.engine.data.networks.map((facts) => facts.name));
    const trail = this.stage.ui.state.trail.filter((name) => known.has(name));
    this.openNetwork(trail.at(-1) ?? this.engine.data.main, trail.slice(0, -1));
  };

  newNetwork = (): void => {
    const name = freeName(this.engine.data.networks, "network");
    this.apply({ kind: "create_network", name });
    this.openNetwork(name);
  };

  renameNetwork = (name: string, typed: string): void => {
    this.stage.focus();
    const to = asName(typed) || typed;
    if (to && to !== name) this.apply({ kind: "rename_network", name, to });
  };

  deleteNetwork = (name: string): void => this.apply({ kind: "delete_network", name });

  private chosenLayers(): string[] {
    return this.stage.chosen().filter((id) => id in this.engine.graph.nodes);
  }

  /** Ask for the name of the network that the selected layers become. */
  askName = (): void => {
    const nodes = this.chosenLayers();
    if (nodes.length) this.stage.ui.set({ naming: nodes });
  };

  group = (nodes: string[], typed: string): void => {
    const name = asName(typed) || freeName(this.engine.data.networks, "block");
    const inputs = incoming(this.engine.graph, this.engine.data.derived.edges, nodes);
    this.apply({ kind: "group", nodes, name, inputs });
    this.when(() => this.selectNew((id) => standsFor(this.engine.graph.nodes[id]) === name));
  };

  unpack = (): void => {
    const node = this.chosenLayers().find((id) => standsFor(this.engine.graph.nodes[id]));
    if (!node) return;
    const before = new Set(this.stage.nodes.map((found) => found.id));
    this.apply({ kind: "unpack", node });
    this.when(() => !(node in this.engine.graph.nodes) && this.selectNew((id) => !before.has(id)));
  };

  private selectNew(is: (id: string) => boolean): boolean {
    const found = this.stage.nodes.map((node) => node.id).filter(is);
    if (found.length) this.stage.select(found);
    return !!found.length;
  }

  begin = (): void => {
    const input = this.engine.types.get("Input");
    this.stage.focus();
    if (input) this.pick(input);
  };

  addNote = (): void => {
    const [x, y] = this.stage.centre();
    const id = freeId(this.engine.graph, "note");
    this.stage.ui.set({ editing: id });
    const at: [number, number] = [Math.round(x), Math.round(y)];
    const note: NoteRecord = { text: "", at, width: 200, height: 100, color: "yellow", frame: false, folded: false };
    this.apply({ kind: "note", id, note }, [id]);
  };

  /** Write the title of the selected layer, or the text of the selected note. */
  rename = (): boolean => {
    const id = this.stage.layer() ?? this.stage.chosen()[0];
    if (id) this.stage.ui.set({ editing: id });
    return !!id;
  };

  stopEditing = (): void => {
    this.stage.ui.set({ editing: null });
    this.stage.focus();
  };

  remove = (): void => {
    const gone = this.stage.edges.filter((edge) => edge.selected).map((edge) => edge.id);
    this.refocus = true; // the focus would go with the node that has it
    this.apply(removal(this.engine.graph, this.stage.chosen(), gone));
  };

  selectAll = (): void => this.stage.select(this.stage.nodes.map((node) => node.id));

  /** Open the menu of a node at a point of the screen, or without one that of the canvas. */
  openContext = (x: number, y: number, node: string | null): void => {
    if (node && !this.stage.chosen().includes(node)) this.stage.select([node]);
    this.stage.ui.set({ context: { ...this.stage.menuPlace(x, y), node } });
  };

  /** The canvas's own menu, below its button. */
  openCanvasMenu = (): void => {
    const { left = 0, top = 0 } = this.stage.wrapper?.getBoundingClientRect() ?? {};
    this.openContext(left + 210, top + 44, null);
  };

  /** The same by key, at the selected layer. */
  openContextHere = (): void => {
    const id = this.stage.layer();
    const [x, y] = (id && this.engine.graph.nodes[id]?.at) || this.stage.centre();
    const point = this.stage.flow.flowToScreenPosition({ x: x + NODE_WIDTH / 2, y: y + NODE_HEIGHT / 2 });
    this.openContext(point.x, point.y, id ?? null);
  };

  nudge = (key: string): void => {
    const [dx, dy] = DIRECTIONS[key] ?? [0, 0];
    const at: Record<string, [number, number]> = {};
    for (const id of carried(this.engine.graph, this.stage.chosen())) {
      const item = this.engine.graph.nodes[id] ?? this.engine.graph.notes[id];
      if (item) at[id] = [item.at[0] + dx * NUDGE, item.at[1] + dy * NUDGE];
    }
    if (Object.keys(at).length) this.apply({ kind: "move", at });
  };

  /** Go on to the next layer in a direction. */
  walk = (key: string): void => {
    const from = this.stage.layer();
    const next = from
      ? neighbour(this.stage.seen, from, DIRECTIONS[key] ?? [0, 0])
      : Object.keys(this.stage.seen.nodes)[0];
    if (!next) return;
    this.stage.focus(); // the node that has the focus may leave the screen, and is then no longer drawn
    this.stage.select([next]);
    this.stage.reveal(next);
  };

  arrange = async (): Promise<void> => {
    const { arrange: run } = await import("../elk");
    const at = await run(this.engine);
    if (Object.keys(at).length) this.apply({ kind: "move", at });
    requestAnimationFrame(() => requestAnimationFrame(() => this.stage.fit()));
  };

  /** Search for a layer to add at a point of the screen. */
  openAdd = (x: number, y: number, start?: End): void => {
    const point = this.stage.flow.screenToFlowPosition({ x, y });
    const above = start?.side === "target" ? NODE_HEIGHT : 0;
    const at: [number, number] = [point.x - NODE_WIDTH / 2, point.y - above];
    this.stage.ui.set({ menu: { kind: "add", ...this.stage.menuPlace(x, y), at, start } });
  };

  /** Search for a layer to add behind the selection. */
  openAddHere = (): void => {
    const after = this.stage.layer();
    const node = after ? this.engine.graph.nodes[after] : undefined;
    if (!after || !node) {
      const { left, top, width, height } = this.stage.box;
      this.openAdd(left + width / 2, top + height / 3);
      return;
    }
    const port = freeOutput(this.engine, after);
    const at: [number, number] = [node.at[0], node.at[1] + NODE_HEIGHT + 62];
    const point = this.stage.flow.flowToScreenPosition({ x: at[0] + NODE_WIDTH / 2, y: at[1] });
    const start: End | undefined = port ? { node: after, port, side: "source" } : undefined;
    this.stage.ui.set({ menu: { kind: "add", ...this.stage.menuPlace(point.x, point.y), at, start } });
  };

  openConnect = (): void => {
    const node = this.stage.layer();
    const record = node ? this.engine.graph.nodes[node] : undefined;
    if (!node || !record || !outputsOf(this.engine, node).length) return;
    const [x, y] = [record.at[0] + NODE_WIDTH / 2, record.at[1] + NODE_HEIGHT];
    const point = this.stage.flow.flowToScreenPosition({ x, y });
    this.stage.ui.set({ menu: { kind: "connect", ...this.stage.menuPlace(point.x, point.y), node } });
  };

  closeMenu = (): void => {
    this.stage.ui.set({ menu: null });
    this.stage.focus();
  };

  find = (menu: MenuState, query: string): Choice[] => {
    if (menu.kind === "connect") return this.targets(menu.node, query);
    const names = recent.get();
    const place = (layer: LayerType) => (names.indexOf(keyOf(layer)) + 1 || Infinity);
    const fitting = search(this.engine.layers, query).filter(
      (layer) => !menu.start || portFor(this.engine, layer, menu.start) !== null,
    );
    // With nothing typed yet: what was used last, then what is common, then the rest.
    const rank = (layer: LayerType) => (place(layer) < Infinity ? 0 : layer.common ? 1 : 2);
    const first = (a: LayerType, b: LayerType) => rank(a) - rank(b) || (rank(a) ? 0 : place(a) - place(b));
    return (query.trim() ? fitting : fitting.sort(first))
      .map((layer) => ({ key: keyOf(layer), title: layer.title, detail: layer.summary, color: layer.color }));
  };

  private targets(node: string, query: string): Choice[] {
    const outputs = outputsOf(this.engine, node);
    const first = freeOutput(this.engine, node);
    const choices = [...outputs].sort((a, b) => Number(b.name === first) - Number(a.name === first)).flatMap((output) =>
      targetsOf(this.engine, node, output.name).map((end): Choice => {
        const record = this.engine.graph.nodes[end.node];
        const layer = this.engine.layerOf(record);
        const target = targetRef(end.node, end.port);
        const source = sourceRef(node, output.name);
        return {
          key: output.name === first ? target : `${source}>${target}`,
          title: record?.title || layer?.title || end.node,
          detail: outputs.length > 1 ? `${output.name} → ${target}` : target,
          color: layer?.color ?? "#888",
        };
      }),
    );
    return choices.filter((choice) => `${choice.title} ${choice.detail}`.toLowerCase().includes(query.toLowerCase()));
  }

  choose = (menu: MenuState, key: string): void => {
    if (menu.kind === "connect") {
      const [source, target] = key.includes(">") ? key.split(">") : [null, key];
      const from = source ?? sourceRef(menu.node, freeOutput(this.engine, menu.node) ?? "out");
      this.apply({ kind: "connect", source: from, target: target ?? key });
    } else {
      const layer = this.engine.layers.find((found) => keyOf(found) === key);
      if (layer) this.added(layer, addLayer(this.engine, layer, menu.at, menu.start));
    }
    this.closeMenu();
  };
}

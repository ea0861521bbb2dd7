// The commands of keys, buttons and menus.
import {
  LAYER_SPACING,
  NODE_HEIGHT,
  NODE_WIDTH,
  addLayer,
  appendLayer,
  freePosition,
  nearestNeighbor,
  removeItems,
} from "../core/edits";
import { withFrameMembers } from "../core/frames";
import { searchLayers } from "../core/search";
import { freeId, sourceRef, targetRef } from "../core/graph";
import { compatiblePort, connectableInputs, freeOutput, outputsOf, type PortRef } from "../core/connectionRules";
import { inputParams, layerKey, subnetworkOf, toNetworkName, unusedName } from "../core/networks";
import type { Edit, Issue, LayerType, NoteRecord } from "../core/generated";
import { ClipboardCommands } from "./clipboardCommands";
import type { CommandContext } from "./commandContext";
import { addRecent, recent } from "./storedLists";
import type { CanvasView } from "./canvasView";
import { SelectionCommands } from "./selectionCommands";
import type { SearchMenuItem, SearchMenuState } from "./uiStore";

const NUDGE = 10;
const DIRECTIONS: Record<string, [number, number]> = {
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
};

export class Commands implements CommandContext {
  /** Whether the canvas takes the focus after the next render, because the focused node may be removed. */
  needsFocus = false;
  /** An action that waits for a graph. It returns whether it was possible. */
  private pendingAction: (() => boolean) | null = null;

  readonly selection: SelectionCommands;
  readonly clipboard: ClipboardCommands;

  constructor(readonly view: CanvasView) {
    this.selection = new SelectionCommands(this);
    this.clipboard = new ClipboardCommands(this);
  }

  private get store() {
    return this.view.store;
  }

  apply = (edit: Edit | null | undefined, selected?: string[]): void => {
    if (!edit) return;
    this.store.dispatch(edit);
    if (selected) requestAnimationFrame(() => this.view.select(selected));
  };

  /** Apply the fix of an issue. The canvas takes the focus, because the button disappears. */
  fix = (edit: Edit): void => {
    this.view.focus();
    this.apply(edit);
  };

  undo = () => this.apply({ kind: "undo" });
  redo = () => this.apply({ kind: "redo" });
  fit = () => this.view.fitView();

  /** Show the layer of an issue, and open its network if it is not visible. */
  showIssue = (issue: Issue): void => {
    const { node, network } = issue;
    if (network !== this.store.network) this.openNetwork(network);
    this.runWhenReady(() => {
      if (this.store.network !== network || (node && !this.view.nodes.some(({ id }) => id === node))) return false;
      if (node) this.view.showNode(node);
      return true;
    });
  };

  toggleMap = () => this.view.ui.update({ isMapVisible: !this.view.ui.state.isMapVisible });
  toggleDrawer = () => this.view.ui.update({ isDrawerOpen: !this.view.ui.state.isDrawerOpen });

  /** Close the palette drawer. Returns whether it was open. */
  closeDrawer = (): boolean => {
    const { isDrawerOpen } = this.view.ui.state;
    if (isDrawerOpen) this.view.ui.update({ isDrawerOpen: false });
    return isDrawerOpen;
  };

  toggleBoxSelection = () => this.view.ui.update({ isBoxSelecting: !this.view.ui.state.isBoxSelecting });
  togglePanel = (panel: "issues" | "keyboardHelp") =>
    this.view.ui.update({ panel: this.view.ui.state.panel === panel ? null : panel });

  /** Add a layer at the selected port, after the selected layer, or in the middle of the view. */
  addFromPalette = (layer: LayerType): void => {
    this.closeDrawer();
    const selected = this.view.selectedIds().filter((id) => id in this.store.graph.nodes);
    const { selectedPort: port } = this.view.ui.state;
    if (port && compatiblePort(this.store, layer, port) !== null) return this.addAtPort(layer, port);
    const added =
      selected.length === 1 && selected[0]
        ? appendLayer(this.store, layer, selected[0])
        : addLayer(this.store, layer, freePosition(this.store.graph, this.view.newNodePosition()));
    this.selectAdded(layer, added);
  };

  /** Add a layer at a port: below an output, or above an input. */
  private addAtPort(layer: LayerType, port: PortRef): void {
    const [x, y] = this.store.graph.nodes[port.node]?.at ?? [0, 0];
    const at = freePosition(this.store.graph, [x, y + (port.side === "source" ? LAYER_SPACING : -LAYER_SPACING)]);
    this.view.ui.update({ selectedPort: null });
    this.selectAdded(layer, addLayer(this.store, layer, at, port));
  }

  private selectAdded(layer: LayerType, { edit, id }: { edit: Edit; id: string }): void {
    this.apply(edit, [id]);
    this.view.scrollToNode(id);
    addRecent(layerKey(layer));
  }

  /** Add a layer that was dropped on the canvas. */
  addDropped = (layer: LayerType, { edit, id }: { edit: Edit; id: string }): void => {
    this.apply(edit, [id]);
    addRecent(layerKey(layer));
  };

  private runWhenReady(action: () => boolean): void {
    this.pendingAction = action() ? null : action;
  }

  /** Called after a graph was rendered. */
  onGraphDrawn = (): void => {
    if (this.pendingAction?.()) this.pendingAction = null;
  };

  openNetwork = (name: string, breadcrumbs: string[] = []): void => {
    this.pendingAction = null;
    this.view.setBreadcrumbs(breadcrumbs);
    this.view.ui.update({ nodesToGroup: null, editedId: null, searchMenu: null });
    if (name !== this.store.network) this.store.requestNetwork(name);
    this.view.focus();
  };

  /** Open the network that a node contains. Returns whether it contains one. */
  openNode = (id: string): boolean => {
    const name = subnetworkOf(this.store.graph.nodes[id]);
    if (!name || !this.store.data.networks.some((facts) => facts.name === name)) return false;
    this.openNetwork(name, [...this.view.ui.state.breadcrumbs, this.store.network]);
    return true;
  };

  openSelected = (): boolean => {
    const id = this.view.selectedLayer();
    return !!id && this.openNode(id);
  };

  /** Go back to the network from which this one was opened, or to the main network. */
  goBack = (): void => {
    const names = new Set(this.store.data.networks.map((facts) => facts.name));
    const breadcrumbs = this.view.ui.state.breadcrumbs.filter((name) => names.has(name));
    this.openNetwork(breadcrumbs.at(-1) ?? this.store.data.main, breadcrumbs.slice(0, -1));
  };

  newNetwork = (): void => {
    const name = unusedName(this.store.data.networks, "network");
    this.apply({ kind: "create_network", name });
    this.openNetwork(name);
  };

  renameNetwork = (name: string, text: string): void => {
    this.view.focus();
    const to = toNetworkName(text) || text;
    if (to && to !== name) this.apply({ kind: "rename_network", name, to });
  };

  deleteNetwork = (name: string): void => this.apply({ kind: "delete_network", name });

  private selectedLayers(): string[] {
    return this.view.selectedIds().filter((id) => id in this.store.graph.nodes);
  }

  /** Ask for the name of a subnetwork for the selected layers. */
  startGrouping = (): void => {
    const nodes = this.selectedLayers();
    if (nodes.length) this.view.ui.update({ nodesToGroup: nodes });
  };

  group = (nodes: string[], text: string): void => {
    const name = toNetworkName(text) || unusedName(this.store.data.networks, "block");
    const inputs = inputParams(this.store.graph, this.store.data.derived.edges, nodes);
    this.apply({ kind: "group", nodes, name, inputs });
    this.runWhenReady(() => this.selectNew((id) => subnetworkOf(this.store.graph.nodes[id]) === name));
  };

  ungroup = (): void => {
    const node = this.selectedLayers().find((id) => subnetworkOf(this.store.graph.nodes[id]));
    if (!node) return;
    const previousIds = new Set(this.view.nodes.map(({ id }) => id));
    this.apply({ kind: "unpack", node });
    this.runWhenReady(() => !(node in this.store.graph.nodes) && this.selectNew((id) => !previousIds.has(id)));
  };

  private selectNew(predicate: (id: string) => boolean): boolean {
    const ids = this.view.nodes.map((node) => node.id).filter(predicate);
    if (ids.length) this.view.select(ids);
    return !!ids.length;
  }

  addInput = (): void => {
    const input = this.store.layerTypes.get("Input");
    this.view.focus();
    if (input) this.addFromPalette(input);
  };

  addNote = (): void => {
    const [x, y] = this.view.newNodePosition();
    const id = freeId(this.store.graph, "note");
    this.view.ui.update({ editedId: id });
    const at: [number, number] = [Math.round(x), Math.round(y)];
    const note: NoteRecord = { text: "", at, width: 200, height: 100, color: "yellow", frame: false, folded: false };
    this.apply({ kind: "note", id, note }, [id]);
  };

  /** Edit the title of the selected layer, or the text of the selected note. */
  rename = (): boolean => {
    const id = this.view.selectedLayer() ?? this.view.selectedIds()[0];
    if (id) this.view.ui.update({ editedId: id });
    return !!id;
  };

  stopEditing = (): void => {
    this.view.ui.update({ editedId: null });
    this.view.focus();
  };

  remove = (): void => {
    const edgeIds = this.view.edges.filter((edge) => edge.selected).map((edge) => edge.id);
    this.needsFocus = true; // the focused node may be removed
    this.apply(removeItems(this.store.graph, this.view.selectedIds(), edgeIds));
  };

  selectAll = (): void => this.view.select(this.view.nodes.map((node) => node.id));

  /** Open the context menu of a node, or of the canvas, at a point of the screen. */
  openContextMenu = (x: number, y: number, node: string | null): void => {
    if (node && !this.view.selectedIds().includes(node)) this.view.select([node]);
    this.view.ui.update({ contextMenu: { ...this.view.menuPosition(x, y), node } });
  };

  /** Open the menu of the canvas below its button. */
  openCanvasMenu = (): void => {
    const { left = 0, top = 0 } = this.view.wrapper?.getBoundingClientRect() ?? {};
    this.openContextMenu(left + 210, top + 44, null);
  };

  /** Open the context menu at the selected layer. */
  openContextMenuAtSelection = (): void => {
    const id = this.view.selectedLayer();
    const [x, y] = (id && this.store.graph.nodes[id]?.at) || this.view.newNodePosition();
    const point = this.view.flow.flowToScreenPosition({ x: x + NODE_WIDTH / 2, y: y + NODE_HEIGHT / 2 });
    this.openContextMenu(point.x, point.y, id ?? null);
  };

  nudge = (key: string): void => {
    const [dx, dy] = DIRECTIONS[key] ?? [0, 0];
    const at: Record<string, [number, number]> = {};
    for (const id of withFrameMembers(this.store.graph, this.view.selectedIds())) {
      const item = this.store.graph.nodes[id] ?? this.store.graph.notes[id];
      if (item) at[id] = [item.at[0] + dx * NUDGE, item.at[1] + dy * NUDGE];
    }
    if (Object.keys(at).length) this.apply({ kind: "move", at });
  };

  /** Select the next layer in a direction. */
  selectNeighbor = (key: string): void => {
    const from = this.view.selectedLayer();
    const next = from
      ? nearestNeighbor(this.view.visibleGraph, from, DIRECTIONS[key] ?? [0, 0])
      : Object.keys(this.view.visibleGraph.nodes)[0];
    if (!next) return;
    this.view.focus(); // the focused node may leave the screen, and is then not rendered
    this.view.select([next]);
    this.view.scrollToNode(next);
  };

  applyLayout = async (): Promise<void> => {
    const { computeLayout } = await import("../elk");
    const at = await computeLayout(this.store);
    if (Object.keys(at).length) this.apply({ kind: "move", at });
    requestAnimationFrame(() => requestAnimationFrame(() => this.view.fitView()));
  };

  /** Open the menu to add a layer at a point of the screen. */
  openAddMenu = (x: number, y: number, start?: PortRef): void => {
    const point = this.view.flow.screenToFlowPosition({ x, y });
    const above = start?.side === "target" ? NODE_HEIGHT : 0;
    const at: [number, number] = [point.x - NODE_WIDTH / 2, point.y - above];
    this.view.ui.update({ searchMenu: { kind: "add", ...this.view.menuPosition(x, y), at, start } });
  };

  /** Open the menu to add a layer after the selected one. */
  openAddMenuAtSelection = (): void => {
    const selected = this.view.selectedLayer();
    const node = selected ? this.store.graph.nodes[selected] : undefined;
    if (!selected || !node) {
      const { left, top, width, height } = this.view.bounds;
      this.openAddMenu(left + width / 2, top + height / 3);
      return;
    }
    const port = freeOutput(this.store, selected);
    const at: [number, number] = [node.at[0], node.at[1] + NODE_HEIGHT + 62];
    const point = this.view.flow.flowToScreenPosition({ x: at[0] + NODE_WIDTH / 2, y: at[1] });
    const start: PortRef | undefined = port ? { node: selected, port, side: "source" } : undefined;
    this.view.ui.update({ searchMenu: { kind: "add", ...this.view.menuPosition(point.x, point.y), at, start } });
  };

  openConnectMenu = (): void => {
    const node = this.view.selectedLayer();
    const record = node ? this.store.graph.nodes[node] : undefined;
    if (!node || !record || !outputsOf(this.store, node).length) return;
    const [x, y] = [record.at[0] + NODE_WIDTH / 2, record.at[1] + NODE_HEIGHT];
    const point = this.view.flow.flowToScreenPosition({ x, y });
    this.view.ui.update({ searchMenu: { kind: "connect", ...this.view.menuPosition(point.x, point.y), node } });
  };

  closeMenu = (): void => {
    this.view.ui.update({ searchMenu: null });
    this.view.focus();
  };

  searchItems = (menu: SearchMenuState, query: string): SearchMenuItem[] => {
    if (menu.kind === "connect") return this.connectionItems(menu.node, query);
    const names = recent.get();
    const recency = (layer: LayerType) => names.indexOf(layerKey(layer)) + 1 || Infinity;
    const compatible = searchLayers(this.store.layers, query).filter(
      (layer) => !menu.start || compatiblePort(this.store, layer, menu.start) !== null,
    );
    // Without a query, recent layers come first, then common ones, then the others.
    const rank = (layer: LayerType) => (recency(layer) < Infinity ? 0 : layer.common ? 1 : 2);
    const byRank = (a: LayerType, b: LayerType) => rank(a) - rank(b) || (rank(a) ? 0 : recency(a) - recency(b));
    return (query.trim() ? compatible : compatible.sort(byRank)).map((layer) => ({
      key: layerKey(layer),
      title: layer.title,
      detail: layer.summary,
      color: layer.color,
    }));
  };

  private connectionItems(node: string, query: string): SearchMenuItem[] {
    const outputs = outputsOf(this.store, node);
    const defaultOutput = freeOutput(this.store, node);
    const items = [...outputs]
      .sort((a, b) => Number(b.name === defaultOutput) - Number(a.name === defaultOutput))
      .flatMap((output) =>
        connectableInputs(this.store, node, output.name).map((input): SearchMenuItem => {
          const record = this.store.graph.nodes[input.node];
          const layer = this.store.layerTypeOf(record);
          const target = targetRef(input.node, input.port);
          const source = sourceRef(node, output.name);
          return {
            key: output.name === defaultOutput ? target : `${source}>${target}`,
            title: record?.title || layer?.title || input.node,
            detail: outputs.length > 1 ? `${output.name} → ${target}` : target,
            color: layer?.color ?? "#888",
          };
        }),
      );
    return items.filter((item) => `${item.title} ${item.detail}`.toLowerCase().includes(query.toLowerCase()));
  }

  pickItem = (menu: SearchMenuState, key: string): void => {
    if (menu.kind === "connect") {
      const [source, target] = key.includes(">") ? key.split(">") : [null, key];
      const from = source ?? sourceRef(menu.node, freeOutput(this.store, menu.node) ?? "out");
      this.apply({ kind: "connect", source: from, target: target ?? key });
    } else {
      const layer = this.store.layers.find((candidate) => layerKey(candidate) === key);
      if (layer) this.selectAdded(layer, addLayer(this.store, layer, menu.at, menu.start));
    }
    this.closeMenu();
  };
}

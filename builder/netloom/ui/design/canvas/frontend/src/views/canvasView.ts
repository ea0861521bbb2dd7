// The view of a network: its elements on the screen, the selection and the viewport.
import type { Edge, ReactFlowInstance, Viewport } from "@xyflow/react";
import type { Dispatch, SetStateAction } from "react";
import { NODE_HEIGHT, NODE_WIDTH } from "../core/edits";
import type { DocumentStore } from "../core/documentStore";
import { hiddenItems, isFolded } from "../core/frames";
import type { Graph } from "../core/generated";
import type { UiStore } from "./uiStore";
import type { FlowNode } from "./flowElements";

type Setter<T> = Dispatch<SetStateAction<T>>;
const READABLE_ZOOM = 0.72;
/** The fraction of the view that the network fills initially. */
const INITIAL_FILL = 0.92;
const MENU_SIZE = { width: 296, height: 330 };

export class CanvasView {
  nodes: FlowNode[] = [];
  edges: Edge[] = [];
  setNodes: Setter<FlowNode[]> = () => undefined;
  setEdges: Setter<Edge[]> = () => undefined;
  wrapper: HTMLDivElement | null = null;
  surface: HTMLDivElement | null = null;
  /** The viewport and the selection of each network, restored when users return to it. */
  private static viewportsByNetwork = new Map<string, Viewport>();
  private static selectionsByNetwork = new Map<string, string[]>();
  private static breadcrumbsByDocument = new Map<string, string[]>();

  constructor(
    readonly store: DocumentStore,
    readonly ui: UiStore,
    readonly flow: ReactFlowInstance<FlowNode, Edge>,
  ) {
    ui.update({ breadcrumbs: CanvasView.breadcrumbsByDocument.get(store.data.document) ?? [] });
  }

  /** Set the breadcrumbs, and remember them for the next mount. */
  setBreadcrumbs(breadcrumbs: string[]): void {
    CanvasView.breadcrumbsByDocument.set(this.store.data.document, breadcrumbs);
    this.ui.update({ breadcrumbs });
  }

  /** The graph without the layers that folded frames hide. */
  get visibleGraph(): Graph {
    const { graph } = this.store;
    const hidden = hiddenItems(graph);
    const nodes = Object.entries(graph.nodes).filter(([id]) => !hidden.has(id));
    return hidden.size ? { ...graph, nodes: Object.fromEntries(nodes) } : graph;
  }

  /** Fold or unfold a frame. */
  toggleFold(id: string): void {
    const note = this.store.graph.notes[id];
    if (note?.frame) this.store.dispatch({ kind: "note", id, note: { ...note, folded: !isFolded(note) } });
  }

  /** Unfold the frames that hide a layer. */
  unfoldAround(id: string): void {
    const frame = hiddenItems(this.store.graph).get(id);
    if (!frame) return;
    this.toggleFold(frame);
    this.unfoldAround(id);
  }

  private get networkKey(): string {
    return `${this.store.data.document} ${this.store.network}`;
  }

  get viewport(): Viewport | undefined {
    return CanvasView.viewportsByNetwork.get(this.networkKey);
  }

  set viewport(viewport: Viewport) {
    CanvasView.viewportsByNetwork.set(this.networkKey, viewport);
  }

  get rootNode(): ShadowRoot | Document {
    return (this.wrapper ?? document.body).getRootNode() as ShadowRoot | Document;
  }

  get bounds(): DOMRect {
    return this.surface?.getBoundingClientRect() ?? new DOMRect();
  }

  /** Focus the canvas, which receives keys only while it has the focus. */
  focus(): void {
    this.wrapper?.focus({ preventScroll: true });
  }

  /** The ids of the selected nodes and notes. */
  selectedIds(): string[] {
    return this.nodes.filter((node) => node.selected).map((node) => node.id);
  }

  /** The first selected layer. */
  selectedLayer(): string | undefined {
    return this.selectedIds().find((id) => id in this.store.graph.nodes);
  }

  rememberSelection(layers: string[]): void {
    CanvasView.selectionsByNetwork.set(this.networkKey, layers);
  }

  rememberedSelection(): Set<string> {
    return new Set(CanvasView.selectionsByNetwork.get(this.networkKey));
  }

  select(ids: string[]): void {
    const selected = new Set(ids);
    this.setNodes((previous) =>
      previous.map((node) =>
        !!node.selected === selected.has(node.id) ? node : { ...node, selected: selected.has(node.id) },
      ),
    );
    this.setEdges((previous) => previous.map((edge) => (edge.selected ? { ...edge, selected: false } : edge)));
  }

  selectEdge(id: string): void {
    this.select([]);
    this.setEdges((previous) => previous.map((edge) => (edge.id === id ? { ...edge, selected: true } : edge)));
  }

  /** Hit test: the edge at a point of the screen. */
  edgeAt(x: number, y: number): string | null {
    for (const element of this.rootNode.elementsFromPoint(x, y)) {
      const edge = element.closest(".react-flow__edge");
      if (edge) return edge.getAttribute("data-id");
    }
    return null;
  }

  containsPoint(x: number, y: number): boolean {
    const { left, right, top, bottom } = this.bounds;
    return x >= left && x <= right && y >= top && y <= bottom;
  }

  /** The default position of a new node: the upper middle of the view. */
  newNodePosition(): [number, number] {
    const { left, top, width, height } = this.bounds;
    const point = this.flow.screenToFlowPosition({ x: left + width / 2, y: top + height / 3 });
    return [point.x - NODE_WIDTH / 2, point.y - NODE_HEIGHT / 2];
  }

  /** The position of a menu near a point of the screen, within the canvas. */
  menuPosition(x: number, y: number): { x: number; y: number } {
    const { left, top, width, height } = this.wrapper?.getBoundingClientRect() ?? new DOMRect();
    return {
      x: Math.max(8, Math.min(x - left, width - MENU_SIZE.width)),
      y: Math.max(8, Math.min(y - top, height - MENU_SIZE.height)),
    };
  }

  /** Center a layer if it is not on the screen. */
  scrollToNode(id: string): void {
    requestAnimationFrame(() => {
      const node = this.store.graph.nodes[id];
      if (!node || !this.surface) return;
      const { left, right, top, bottom } = this.bounds;
      const point = this.flow.flowToScreenPosition({ x: node.at[0] + NODE_WIDTH / 2, y: node.at[1] + NODE_HEIGHT });
      if (point.x > left && point.x < right && point.y > top + 60 && point.y < bottom - 20) return;
      void this.flow.setCenter(node.at[0] + NODE_WIDTH / 2, node.at[1], { zoom: this.flow.getZoom(), duration: 200 });
    });
  }

  showNode(id: string): void {
    this.unfoldAround(id);
    this.select([id]);
    this.focus();
    void this.flow.fitView({ nodes: [{ id }], duration: 250, maxZoom: 1.1 });
  }

  fitView(): void {
    void this.flow.fitView({ duration: 250, padding: 0.12, maxZoom: 1.1 });
  }

  /** Show the network as initially if it is off the screen, as after a resize of the window to the width of a phone. */
  keepInView(): void {
    const { left, right, top, bottom } = this.bounds;
    const nodes = Object.values(this.store.graph.nodes);
    const isOnScreen = nodes.some(({ at }) => {
      const { x, y } = this.flow.flowToScreenPosition({ x: at[0] + NODE_WIDTH / 2, y: at[1] + NODE_HEIGHT / 2 });
      return x > left && x < right && y > top && y < bottom;
    });
    if (!isOnScreen) void this.showNetwork();
  }

  async setInitialView(): Promise<void> {
    if (!this.viewport) await this.showNetwork();
  }

  /** Fit the network into the view if it stays readable, else show its beginning. */
  private async showNetwork(): Promise<void> {
    if (!this.nodes.length) return;
    const nodes = Object.values(this.store.graph.nodes);
    const first = [...nodes].sort((a, b) => a.at[1] - b.at[1])[0];
    // Computed, because fitting a large network first would render all of its layers for a moment.
    const extent = (axis: 0 | 1) =>
      Math.max(...nodes.map(({ at }) => at[axis])) - Math.min(...nodes.map(({ at }) => at[axis]));
    const [width, height] = [extent(0) + NODE_WIDTH, extent(1) + NODE_HEIGHT];
    const isReadable = Math.min(this.bounds.width / width, this.bounds.height / height) * INITIAL_FILL >= READABLE_ZOOM;
    if (isReadable || !first) return void (await this.flow.fitView({ padding: 0.08, maxZoom: 1 }));
    if (!this.surface) return;
    const x = this.bounds.width / 2 - (first.at[0] + NODE_WIDTH / 2) * READABLE_ZOOM;
    await this.flow.setViewport({ x, y: 24 - first.at[1] * READABLE_ZOOM, zoom: READABLE_ZOOM });
  }
}

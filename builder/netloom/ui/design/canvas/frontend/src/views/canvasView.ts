// The place where it happens: what is on the screen, what is selected, and where the view looks.
import type { Edge, ReactFlowInstance, Viewport } from "@xyflow/react";
import type { Dispatch, SetStateAction } from "react";
import { NODE_HEIGHT, NODE_WIDTH } from "../core/edits";
import type { Engine } from "../core/documentStore";
import { folds, isFolded } from "../core/frames";
import type { Graph } from "../core/generated";
import type { Ui } from "./uiStore";
import type { FlowNode } from "./flowElements";

type Set_<T> = Dispatch<SetStateAction<T>>;
const READABLE = 0.72;
/** What of the view a first look fills. */
const FIRST_SHARE = 0.92;
const MENU = { width: 296, height: 330 };

export class Stage {
  nodes: FlowNode[] = [];
  edges: Edge[] = [];
  setNodes: Set_<FlowNode[]> = () => undefined;
  setEdges: Set_<Edge[]> = () => undefined;
  wrapper: HTMLDivElement | null = null;
  surface: HTMLDivElement | null = null;
  /** Where the view looked and what was selected, by network, for when the canvas comes back to it. */
  private static viewports = new Map<string, Viewport>();
  private static selections = new Map<string, string[]>();
  private static trails = new Map<string, string[]>();

  constructor(
    readonly engine: Engine,
    readonly ui: Ui,
    readonly flow: ReactFlowInstance<FlowNode, Edge>,
  ) {
    ui.set({ trail: Stage.trails.get(engine.data.document) ?? [] });
  }

  /** Remember how one came to the network that is shown. */
  leaveTrail(trail: string[]): void {
    Stage.trails.set(this.engine.data.document, trail);
    this.ui.set({ trail });
  }

  /** The graph without what is folded away. */
  get seen(): Graph {
    const { graph } = this.engine;
    const hidden = folds(graph);
    const nodes = Object.entries(graph.nodes).filter(([id]) => !hidden.has(id));
    return hidden.size ? { ...graph, nodes: Object.fromEntries(nodes) } : graph;
  }

  /** Fold a frame, or unfold it. */
  fold(id: string): void {
    const note = this.engine.graph.notes[id];
    if (note?.frame) this.engine.do({ kind: "note", id, note: { ...note, folded: !isFolded(note) } });
  }

  /** Unfold what hides a layer. */
  uncover(id: string): void {
    const frame = folds(this.engine.graph).get(id);
    if (!frame) return;
    this.fold(frame);
    this.uncover(id);
  }

  private get place(): string {
    return `${this.engine.data.document} ${this.engine.network}`;
  }

  get viewport(): Viewport | undefined {
    return Stage.viewports.get(this.place);
  }

  set viewport(viewport: Viewport) {
    Stage.viewports.set(this.place, viewport);
  }

  get root(): ShadowRoot | Document {
    return (this.wrapper ?? document.body).getRootNode() as ShadowRoot | Document;
  }

  get box(): DOMRect {
    return this.surface?.getBoundingClientRect() ?? new DOMRect();
  }

  /** Keys reach the canvas only while the focus is in it. */
  focus(): void {
    this.wrapper?.focus({ preventScroll: true });
  }

  /** The ids of the selected nodes and notes. */
  chosen(): string[] {
    return this.nodes.filter((node) => node.selected).map((node) => node.id);
  }

  /** The first selected layer. */
  layer(): string | undefined {
    return this.chosen().find((id) => id in this.engine.graph.nodes);
  }

  remember(layers: string[]): void {
    Stage.selections.set(this.place, layers);
  }

  remembered(): Set<string> {
    return new Set(Stage.selections.get(this.place));
  }

  select(ids: string[]): void {
    const set = new Set(ids);
    this.setNodes((before) =>
      before.map((node) => (!!node.selected === set.has(node.id) ? node : { ...node, selected: set.has(node.id) })),
    );
    this.setEdges((before) => before.map((edge) => (edge.selected ? { ...edge, selected: false } : edge)));
  }

  selectEdge(id: string): void {
    this.select([]);
    this.setEdges((before) => before.map((edge) => (edge.id === id ? { ...edge, selected: true } : edge)));
  }

  /** The edge under a point of the screen. */
  edgeAt(x: number, y: number): string | null {
    for (const element of this.root.elementsFromPoint(x, y)) {
      const found = element.closest(".react-flow__edge");
      if (found) return found.getAttribute("data-id");
    }
    return null;
  }

  holds(x: number, y: number): boolean {
    const { left, right, top, bottom } = this.box;
    return x >= left && x <= right && y >= top && y <= bottom;
  }

  /** Where a new node goes when no place was said: the upper middle of the view. */
  centre(): [number, number] {
    const { left, top, width, height } = this.box;
    const point = this.flow.screenToFlowPosition({ x: left + width / 2, y: top + height / 3 });
    return [point.x - NODE_WIDTH / 2, point.y - NODE_HEIGHT / 2];
  }

  /** A place for the menu near a point of the screen, within the canvas. */
  menuPlace(x: number, y: number): { x: number; y: number } {
    const { left, top, width, height } = this.wrapper?.getBoundingClientRect() ?? new DOMRect();
    return {
      x: Math.max(8, Math.min(x - left, width - MENU.width)),
      y: Math.max(8, Math.min(y - top, height - MENU.height)),
    };
  }

  /** Move the view only if a layer is not on the screen. */
  reveal(id: string): void {
    requestAnimationFrame(() => {
      const node = this.engine.graph.nodes[id];
      if (!node || !this.surface) return;
      const { left, right, top, bottom } = this.box;
      const point = this.flow.flowToScreenPosition({ x: node.at[0] + NODE_WIDTH / 2, y: node.at[1] + NODE_HEIGHT });
      if (point.x > left && point.x < right && point.y > top + 60 && point.y < bottom - 20) return;
      void this.flow.setCenter(node.at[0] + NODE_WIDTH / 2, node.at[1], { zoom: this.flow.getZoom(), duration: 200 });
    });
  }

  show(id: string): void {
    this.uncover(id);
    this.select([id]);
    this.focus();
    void this.flow.fitView({ nodes: [{ id }], duration: 250, maxZoom: 1.1 });
  }

  fit(): void {
    void this.flow.fitView({ duration: 250, padding: 0.12, maxZoom: 1.1 });
  }

  /** The first look: everything where it can be read, else the beginning of the network. */
  async firstLook(): Promise<void> {
    if (this.viewport || !this.nodes.length) return;
    const nodes = Object.values(this.engine.graph.nodes);
    const first = [...nodes].sort((a, b) => a.at[1] - b.at[1])[0];
    // Not by trial: with very many layers, all would be drawn for a moment.
    const extent = (axis: 0 | 1) => Math.max(...nodes.map(({ at }) => at[axis])) - Math.min(...nodes.map(({ at }) => at[axis]));
    const [wide, high] = [extent(0) + NODE_WIDTH, extent(1) + NODE_HEIGHT];
    const fits = Math.min(this.box.width / wide, this.box.height / high) * FIRST_SHARE >= READABLE;
    if (fits || !first) return void (await this.flow.fitView({ padding: 0.08, maxZoom: 1 }));
    if (!this.surface) return;
    const x = this.box.width / 2 - (first.at[0] + NODE_WIDTH / 2) * READABLE;
    await this.flow.setViewport({ x, y: 24 - first.at[1] * READABLE, zoom: READABLE });
  }
}

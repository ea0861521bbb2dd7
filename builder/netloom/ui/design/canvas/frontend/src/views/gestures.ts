// What the pointer does: drag layers from the palette, move nodes, draw edges.
import type { Connection, Edge, FinalConnectionState, OnConnectStart, OnNodeDrag } from "@xyflow/react";
import { NODE_HEIGHT, NODE_WIDTH, addLayer, insertLayer, insertNode, isLoose } from "../core/edits";
import { members } from "../core/frames";
import { sourceRef, targetRef } from "../core/graph";
import { mayConnect, type End } from "../core/connectionRules";
import type { Edit, LayerType } from "../core/generated";
import type { Commands } from "./commands";
import type { FlowNode } from "./flowElements";
import type { Stage } from "./canvasView";

const DRAG_PX = 5;
const MOVE_DELAY_MS = 150;
type Place = { x: number; y: number };
type AnyPointer = MouseEvent | TouchEvent | React.MouseEvent;

const pointOf = (event: AnyPointer): { clientX: number; clientY: number } | undefined =>
  "changedTouches" in event ? event.changedTouches[0] : event;

export class Gestures {
  constructor(
    private stage: Stage,
    private commands: Commands,
  ) {}

  private get engine() {
    return this.stage.engine;
  }

  /** Follow the pointer from the palette; without a drag it was a click. Pointer events, so that touch works too. */
  press = (layer: LayerType, event: React.PointerEvent): void => {
    if (event.button !== 0) return;
    const [startX, startY] = [event.clientX, event.clientY];
    let dragging = false;
    const move = (moved: PointerEvent) => {
      dragging ||= Math.hypot(moved.clientX - startX, moved.clientY - startY) > DRAG_PX;
      if (!dragging) return;
      this.commands.closeDrawer(); // it covers the place where the layer goes
      const edge = this.stage.edgeAt(moved.clientX, moved.clientY);
      this.stage.ui.set({ ghost: { layer, x: moved.clientX, y: moved.clientY }, edge });
    };
    const end = (ended: Event) => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      window.removeEventListener("keydown", giveUp, true);
      this.stage.ui.set({ ghost: null, edge: null });
      if (ended instanceof PointerEvent && ended.type === "pointerup") {
        if (dragging) this.drop(layer, ended.clientX, ended.clientY);
        else this.commands.pick(layer);
      }
      this.stage.focus();
    };
    const giveUp = (pressed: KeyboardEvent) => {
      if (pressed.key !== "Escape") return;
      pressed.stopPropagation();
      end(pressed);
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
    window.addEventListener("keydown", giveUp, true);
  };

  private drop(layer: LayerType, x: number, y: number): void {
    if (!this.stage.holds(x, y)) return;
    const target = this.stage.edgeAt(x, y);
    const inserted = target ? insertLayer(this.engine, layer, target) : null;
    const point = this.stage.flow.screenToFlowPosition({ x, y });
    const at: [number, number] = [point.x - NODE_WIDTH / 2, point.y - NODE_HEIGHT / 2];
    const added = inserted ?? addLayer(this.engine, layer, at);
    this.commands.dropped(layer, added);
  }

  doubleClick = (event: React.MouseEvent): void => {
    const target = event.nativeEvent.composedPath()[0] as HTMLElement;
    if (target.classList.contains("react-flow__pane")) this.commands.openAdd(event.clientX, event.clientY);
  };

  doubleClickNode = (_: React.MouseEvent, node: FlowNode): void => {
    if (!this.commands.openNode(node.id)) this.stage.ui.set({ editing: node.id });
  };

  /** Frames take along what lies in them. What is dragged itself, React Flow moves. */
  private carried: { frame: string; start: Place; items: Map<string, Place> }[] = [];

  nodeDragStart: OnNodeDrag<FlowNode> = (event, _, moved): void => this.dragStart(event, moved);

  dragStart = (_: unknown, moved: FlowNode[]): void => {
    this.engine.hold();
    const own = new Set(moved.map((node) => node.id));
    const places = new Map(this.stage.nodes.map((node) => [node.id, node.position]));
    this.carried = moved.flatMap((frame) => {
      const items = new Map<string, Place>();
      for (const id of members(this.engine.graph, frame.id)) {
        const place = places.get(id);
        if (place && !own.has(id)) items.set(id, place);
        own.add(id);
      }
      return items.size ? [{ frame: frame.id, start: places.get(frame.id) ?? frame.position, items }] : [];
    });
  };

  /** Where what is carried lies now. */
  private carry(moved: FlowNode[]): Map<string, Place> {
    const found = new Map<string, Place>();
    for (const { frame, start, items } of this.carried) {
      const now = moved.find((node) => node.id === frame)?.position;
      if (!now) continue;
      for (const [id, place] of items) found.set(id, { x: place.x + now.x - start.x, y: place.y + now.y - start.y });
    }
    return found;
  }

  private follow(moved: FlowNode[]): void {
    const places = this.carry(moved);
    if (!places.size) return;
    const at = (node: FlowNode): FlowNode => {
      const position = places.get(node.id);
      return position ? { ...node, position } : node;
    };
    this.stage.setNodes((before) => before.map(at));
  }

  selectionDrag = (_: unknown, moved: FlowNode[]): void => this.follow(moved);

  drag: OnNodeDrag<FlowNode> = (event, node, moved): void => {
    this.follow(moved);
    const point = pointOf(event);
    if (moved.length !== 1 || !point || !(node.id in this.engine.graph.nodes)) return;
    if (!isLoose(this.engine.graph, node.id)) return;
    this.stage.ui.set({ edge: this.stage.edgeAt(point.clientX, point.clientY) });
  };

  dragStop = (event: AnyPointer, moved: FlowNode[]): void => {
    this.stage.ui.set({ edge: null });
    const at: Record<string, [number, number]> = {};
    const places = [...moved.map((node): [string, Place] => [node.id, node.position]), ...this.carry(moved)];
    for (const [id, { x, y }] of places) at[id] = [Math.round(x), Math.round(y)];
    this.carried = [];
    const only = moved.length === 1 ? moved[0] : undefined;
    const point = pointOf(event);
    const target = only && point ? this.stage.edgeAt(point.clientX, point.clientY) : null;
    const splice = only && target ? insertNode(this.engine, only.id, target) : null;
    const move: Edit = { kind: "move", at };
    if (splice) this.commands.apply({ kind: "batch", edits: [move, ...splice] });
    else this.engine.do(move, MOVE_DELAY_MS);
    this.engine.release();
  };

  nodeDragStop: OnNodeDrag<FlowNode> = (event, _, moved): void => this.dragStop(event, moved);

  connectStart: OnConnectStart = (_, { nodeId, handleId, handleType }): void => {
    if (!nodeId || !handleType) return;
    this.stage.ui.set({ connecting: { node: nodeId, port: handleId ?? "", side: handleType } });
  };

  /** A click on a port chooses it; the palette then says what fits there. */
  clickPort: OnConnectStart = (_, { nodeId, handleId, handleType }): void => {
    if (nodeId && handleType) this.stage.ui.set({ port: { node: nodeId, port: handleId ?? "", side: handleType } });
  };

  letGo = (): void => this.stage.ui.set({ port: null });

  nodeMenu = (event: React.MouseEvent, node: { id: string }): void => {
    event.preventDefault();
    this.commands.openContext(event.clientX, event.clientY, node.id);
  };

  selectionMenu = (event: React.MouseEvent): void => {
    event.preventDefault();
    this.commands.openContext(event.clientX, event.clientY, this.stage.chosen()[0] ?? null);
  };

  canvasMenu = (event: MouseEvent | React.MouseEvent): void => {
    event.preventDefault();
    this.commands.openContext(event.clientX, event.clientY, null);
  };

  valid = (end: Connection | Edge): boolean =>
    mayConnect(this.engine, end.source, end.sourceHandle ?? "out", end.target, end.targetHandle ?? "in");

  connect = (end: Connection): void => this.commands.apply({ kind: "connect", ...refs(end) });

  reconnect = (old: Edge, end: Connection): void => {
    const connect: Edit = { kind: "connect", ...refs(end) };
    const gone: Edit[] = old.id === connect.target ? [] : [{ kind: "remove", nodes: [], edges: [old.id] }];
    this.commands.apply({ kind: "batch", edits: [...gone, connect] });
  };

  /** An edge that ends on the empty canvas asks for a layer there. */
  connectEnd = (event: MouseEvent | TouchEvent, state: FinalConnectionState): void => {
    this.stage.ui.set({ connecting: null });
    if (state.isValid || state.toNode || state.toHandle || !state.fromNode || !state.fromHandle) return;
    const point = pointOf(event);
    const under = point && this.stage.root.elementFromPoint(point.clientX, point.clientY);
    if (!point || !under?.closest(".react-flow__pane, .react-flow__edges, .react-flow__viewport")) return;
    const start: End = { node: state.fromNode.id, port: state.fromHandle.id ?? "", side: state.fromHandle.type };
    this.commands.openAdd(point.clientX, point.clientY, start);
  };
}

const refs = (end: Connection): { source: string; target: string } => ({
  source: sourceRef(end.source, end.sourceHandle ?? "out"),
  target: targetRef(end.target, end.targetHandle ?? "in"),
});

// Pointer gestures: dragging layers from the palette, moving nodes, and drawing edges.
import type { Connection, Edge, FinalConnectionState, OnConnectStart, OnNodeDrag } from "@xyflow/react";
import { NODE_HEIGHT, NODE_WIDTH, addLayer, insertLayer, insertNode, isUnconnected } from "../core/edits";
import { frameMembers } from "../core/frames";
import { sourceRef, targetRef } from "../core/graph";
import { canConnect, type PortRef } from "../core/connectionRules";
import type { Edit, LayerType } from "../core/generated";
import type { Commands } from "./commands";
import type { FlowNode } from "./flowElements";
import type { CanvasView } from "./canvasView";

const DRAG_PX = 5;
const MOVE_DELAY_MS = 150;
type XYPosition = { x: number; y: number };
type PointerLikeEvent = MouseEvent | TouchEvent | React.MouseEvent;

const pointOf = (event: PointerLikeEvent): { clientX: number; clientY: number } | undefined =>
  "changedTouches" in event ? event.changedTouches[0] : event;

export class Gestures {
  constructor(
    private view: CanvasView,
    private commands: Commands,
  ) {}

  private get store() {
    return this.view.store;
  }

  /** Start a drag from the palette, or a click if the pointer does not move. Pointer events support touch, too. */
  startPaletteDrag = (layer: LayerType, event: React.PointerEvent): void => {
    if (event.button !== 0) return;
    const [startX, startY] = [event.clientX, event.clientY];
    let isDragging = false;
    const onMove = (moved: PointerEvent) => {
      isDragging ||= Math.hypot(moved.clientX - startX, moved.clientY - startY) > DRAG_PX;
      if (!isDragging) return;
      this.commands.closeDrawer(); // it covers the drop target
      const edge = this.view.edgeAt(moved.clientX, moved.clientY);
      this.view.ui.update({ dragPreview: { layer, x: moved.clientX, y: moved.clientY }, dropEdge: edge });
    };
    const onEnd = (ended: Event) => {
      window.removeEventListener("pointermove", onMove);
      window.removeEventListener("pointerup", onEnd);
      window.removeEventListener("pointercancel", onEnd);
      window.removeEventListener("keydown", onKeyDown, true);
      this.view.ui.update({ dragPreview: null, dropEdge: null });
      if (ended instanceof PointerEvent && ended.type === "pointerup") {
        if (isDragging) this.dropLayer(layer, ended.clientX, ended.clientY);
        else this.commands.addFromPalette(layer);
      }
      this.view.focus();
    };
    const onKeyDown = (pressed: KeyboardEvent) => {
      if (pressed.key !== "Escape") return;
      pressed.stopPropagation();
      onEnd(pressed);
    };
    window.addEventListener("pointermove", onMove);
    window.addEventListener("pointerup", onEnd);
    window.addEventListener("pointercancel", onEnd);
    window.addEventListener("keydown", onKeyDown, true);
  };

  private dropLayer(layer: LayerType, x: number, y: number): void {
    if (!this.view.containsPoint(x, y)) return;
    const target = this.view.edgeAt(x, y);
    const inserted = target ? insertLayer(this.store, layer, target) : null;
    const point = this.view.flow.screenToFlowPosition({ x, y });
    const at: [number, number] = [point.x - NODE_WIDTH / 2, point.y - NODE_HEIGHT / 2];
    const added = inserted ?? addLayer(this.store, layer, at);
    this.commands.addDropped(layer, added);
  }

  doubleClick = (event: React.MouseEvent): void => {
    const target = event.nativeEvent.composedPath()[0] as HTMLElement;
    if (target.classList.contains("react-flow__pane")) this.commands.openAddMenu(event.clientX, event.clientY);
  };

  doubleClickNode = (_: React.MouseEvent, node: FlowNode): void => {
    if (!this.commands.openNode(node.id)) this.view.ui.update({ editedId: node.id });
  };

  /** The members of dragged frames, which move along. React Flow moves the dragged nodes themselves. */
  private frameDrags: { frame: string; start: XYPosition; items: Map<string, XYPosition> }[] = [];

  nodeDragStart: OnNodeDrag<FlowNode> = (event, _, moved): void => this.dragStart(event, moved);

  dragStart = (_: unknown, moved: FlowNode[]): void => {
    this.store.beginInteraction();
    const draggedIds = new Set(moved.map((node) => node.id));
    const positions = new Map(this.view.nodes.map((node) => [node.id, node.position]));
    this.frameDrags = moved.flatMap((frame) => {
      const items = new Map<string, XYPosition>();
      for (const id of frameMembers(this.store.graph, frame.id)) {
        const position = positions.get(id);
        if (position && !draggedIds.has(id)) items.set(id, position);
        draggedIds.add(id);
      }
      return items.size ? [{ frame: frame.id, start: positions.get(frame.id) ?? frame.position, items }] : [];
    });
  };

  /** The current positions of the members of dragged frames. */
  private framedPositions(moved: FlowNode[]): Map<string, XYPosition> {
    const positions = new Map<string, XYPosition>();
    for (const { frame, start, items } of this.frameDrags) {
      const current = moved.find((node) => node.id === frame)?.position;
      if (!current) continue;
      for (const [id, position] of items)
        positions.set(id, { x: position.x + current.x - start.x, y: position.y + current.y - start.y });
    }
    return positions;
  }

  private moveFramedItems(moved: FlowNode[]): void {
    const positions = this.framedPositions(moved);
    if (!positions.size) return;
    const moveNode = (node: FlowNode): FlowNode => {
      const position = positions.get(node.id);
      return position ? { ...node, position } : node;
    };
    this.view.setNodes((previous) => previous.map(moveNode));
  }

  selectionDrag = (_: unknown, moved: FlowNode[]): void => this.moveFramedItems(moved);

  nodeDrag: OnNodeDrag<FlowNode> = (event, node, moved): void => {
    this.moveFramedItems(moved);
    const point = pointOf(event);
    if (moved.length !== 1 || !point || !(node.id in this.store.graph.nodes)) return;
    if (!isUnconnected(this.store.graph, node.id)) return;
    this.view.ui.update({ dropEdge: this.view.edgeAt(point.clientX, point.clientY) });
  };

  dragStop = (event: PointerLikeEvent, moved: FlowNode[]): void => {
    this.view.ui.update({ dropEdge: null });
    const at: Record<string, [number, number]> = {};
    const positions = [
      ...moved.map((node): [string, XYPosition] => [node.id, node.position]),
      ...this.framedPositions(moved),
    ];
    for (const [id, { x, y }] of positions) at[id] = [Math.round(x), Math.round(y)];
    this.frameDrags = [];
    const singleNode = moved.length === 1 ? moved[0] : undefined;
    const point = pointOf(event);
    const target = singleNode && point ? this.view.edgeAt(point.clientX, point.clientY) : null;
    const splice = singleNode && target ? insertNode(this.store, singleNode.id, target) : null;
    const move: Edit = { kind: "move", at };
    if (splice) this.commands.apply({ kind: "batch", edits: [move, ...splice] });
    else this.store.dispatch(move, MOVE_DELAY_MS);
    this.store.endInteraction();
  };

  nodeDragStop: OnNodeDrag<FlowNode> = (event, _, moved): void => this.dragStop(event, moved);

  connectStart: OnConnectStart = (_, { nodeId, handleId, handleType }): void => {
    if (!nodeId || !handleType) return;
    this.view.ui.update({ connectionStart: { node: nodeId, port: handleId ?? "", side: handleType } });
  };

  /** Select the clicked port; the palette then shows compatible layers. */
  selectPort: OnConnectStart = (_, { nodeId, handleId, handleType }): void => {
    if (nodeId && handleType)
      this.view.ui.update({ selectedPort: { node: nodeId, port: handleId ?? "", side: handleType } });
  };

  clearPort = (): void => this.view.ui.update({ selectedPort: null });

  openNodeMenu = (event: React.MouseEvent, node: { id: string }): void => {
    event.preventDefault();
    this.commands.openContextMenu(event.clientX, event.clientY, node.id);
  };

  openSelectionMenu = (event: React.MouseEvent): void => {
    event.preventDefault();
    this.commands.openContextMenu(event.clientX, event.clientY, this.view.selectedIds()[0] ?? null);
  };

  openCanvasMenu = (event: MouseEvent | React.MouseEvent): void => {
    event.preventDefault();
    this.commands.openContextMenu(event.clientX, event.clientY, null);
  };

  isValidConnection = (connection: Connection | Edge): boolean =>
    canConnect(
      this.store,
      connection.source,
      connection.sourceHandle ?? "out",
      connection.target,
      connection.targetHandle ?? "in",
    );

  connect = (connection: Connection): void => this.commands.apply({ kind: "connect", ...connectionRefs(connection) });

  reconnect = (edge: Edge, connection: Connection): void => {
    const connect: Edit = { kind: "connect", ...connectionRefs(connection) };
    const removed: Edit[] = edge.id === connect.target ? [] : [{ kind: "remove", nodes: [], edges: [edge.id] }];
    this.commands.apply({ kind: "batch", edits: [...removed, connect] });
  };

  /** An edge that is dropped on the empty canvas opens the menu to add a layer there. */
  connectEnd = (event: MouseEvent | TouchEvent, state: FinalConnectionState): void => {
    this.view.ui.update({ connectionStart: null });
    if (state.isValid || state.toNode || state.toHandle || !state.fromNode || !state.fromHandle) return;
    const point = pointOf(event);
    const element = point && this.view.rootNode.elementFromPoint(point.clientX, point.clientY);
    if (!point || !element?.closest(".react-flow__pane, .react-flow__edges, .react-flow__viewport")) return;
    const start: PortRef = { node: state.fromNode.id, port: state.fromHandle.id ?? "", side: state.fromHandle.type };
    this.commands.openAddMenu(point.clientX, point.clientY, start);
  };
}

const connectionRefs = (connection: Connection): { source: string; target: string } => ({
  source: sourceRef(connection.source, connection.sourceHandle ?? "out"),
  target: targetRef(connection.target, connection.targetHandle ?? "in"),
});

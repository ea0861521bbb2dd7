// The canvas connects React Flow to the document store. User actions are in commands.ts, gestures.ts and keyboard.ts.
import {
  Background,
  BackgroundVariant,
  MiniMap,
  ReactFlow,
  ReactFlowProvider,
  SelectionMode,
  applyEdgeChanges,
  applyNodeChanges,
  useReactFlow,
  useStore,
  type Edge,
  type EdgeChange,
  type Node,
  type NodeChange,
  type ReactFlowState,
  type Viewport,
} from "@xyflow/react";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { DocumentStore } from "../core/documentStore";
import { COLORS } from "../core/frames";
import type { NoteRecord } from "../core/generated";
import { LayerHelp } from "./LayerHelp";
import { AlignmentToolbar } from "./AlignmentToolbar";
import { Commands } from "./commands";
import { ContextMenu } from "./ContextMenu";
import { Breadcrumbs } from "./Breadcrumbs";
import { CanvasContext, useCanvas, useDocument, useUiState } from "./context";
import { FrameNode } from "./FrameNode";
import { Gestures } from "./gestures";
import { Header } from "./Header";
import { KeyboardHelp } from "./KeyboardHelp";
import { onClipboard, onKey, onKeyCapture } from "./keyboard";
import { LayerNode } from "./LayerNode";
import { SearchMenu } from "./SearchMenu";
import { NoteNode } from "./NoteNode";
import { flowEdges, flowNodes, type FlowNode } from "./flowElements";
import { Palette } from "./Palette";
import { SimplifiedEdges } from "./SimplifiedEdges";
import { ShapeEdge } from "./ShapeEdge";
import { CanvasView } from "./canvasView";
import { NetworkTabs } from "./NetworkTabs";
import { useSelectionSync } from "./selectionSync";
import { UiStore } from "./uiStore";

// React Flow writes every option whose identity changes to its store, which notifies every node. So all options are
// constants or memoized: this keeps a drag as fast with 300 nodes as with 10.
const NODE_TYPES = { layer: LayerNode, note: NoteNode, frame: FrameNode };
const EDGE_TYPES = { shape: ShapeEdge };
const MULTI_SELECTION_KEYS = ["Control", "Meta", "Shift"];
const PRO_OPTIONS = { hideAttribution: true };
const BOX_SELECTION_PAN_BUTTONS = [1, 2];
const ARIA_LABELS = {
  "node.a11yDescription.default":
    "Press Enter to select this node, and Enter again to rename it. Press Delete to remove it.",
  "edge.a11yDescription.default": "Press Enter to select this edge. Press Delete to remove it.",
};
/** With more nodes than this, only those on the screen are rendered. */
const VIRTUALIZATION_THRESHOLD = 60;
/** Below this zoom, text is not readable and is not rendered. */
const FAR_ZOOM = 0.35;
/** With more nodes than this, zoomed-out nodes are plain boxes, and all edges are one path. */
const SIMPLIFICATION_THRESHOLD = 150;
const NO_EDGES: Edge[] = [];
const isBelowFarZoom = (state: ReactFlowState) => state.transform[2] < FAR_ZOOM;
/** The size of the minimap with its margin, in pixels; see canvas.css. */
const MINIMAP_SIZE = { width: 176, height: 126 };
const MINIMAP_CORNERS = ["bottom-right", "top-right", "bottom-left", "top-left"] as const;
/** The first corner in which the minimap covers no node; null if there is none. */
const freeMinimapCorner = ({ width, height, transform: [x, y, zoom], nodeLookup }: ReactFlowState) => {
  const boxes = [...nodeLookup.values()].map(({ internals, measured }) => {
    const left = internals.positionAbsolute.x * zoom + x;
    const top = internals.positionAbsolute.y * zoom + y;
    return { left, top, right: left + (measured.width ?? 0) * zoom, bottom: top + (measured.height ?? 0) * zoom };
  });
  const isFree = (corner: string) => {
    const overlapsX = (box: (typeof boxes)[0]) =>
      corner.endsWith("right") ? box.right > width - MINIMAP_SIZE.width : box.left < MINIMAP_SIZE.width;
    const overlapsY = (box: (typeof boxes)[0]) =>
      corner.startsWith("bottom") ? box.bottom > height - MINIMAP_SIZE.height : box.top < MINIMAP_SIZE.height;
    const isOnScreen = (box: (typeof boxes)[0]) =>
      box.left < width && box.right > 0 && box.top < height && box.bottom > 0;
    return !boxes.some((box) => isOnScreen(box) && overlapsX(box) && overlapsY(box));
  };
  return MINIMAP_CORNERS.find(isFree) ?? null;
};

const surfaceSize = ({ width, height }: ReactFlowState) => `${width} ${height}`;
const UNMEASURED = "0 0"; // the size in the first render

const noteColor = (note: NoteRecord | undefined) =>
  `color-mix(in srgb, ${COLORS[note?.color ?? "yellow"]} 40%, transparent)`;

export const Canvas = ({ store }: { store: DocumentStore }) => (
  <ReactFlowProvider>
    <CanvasRoot store={store} />
  </ReactFlowProvider>
);

function CanvasRoot({ store }: { store: DocumentStore }) {
  const flow = useReactFlow<FlowNode, Edge>();
  const value = useMemo(() => {
    const ui = new UiStore();
    const view = new CanvasView(store, ui, flow);
    const commands = new Commands(view);
    return { store, ui, commands, gestures: new Gestures(view, commands) };
  }, [store, flow]);
  return (
    <CanvasContext.Provider value={value}>
      <CanvasLayout />
    </CanvasContext.Provider>
  );
}

/** The layout around the surface. Moving a node does not render it again. */
function CanvasLayout() {
  const { store, ui, commands } = useCanvas();
  const { view } = commands;
  const revision = useDocument("status", () => store.data.revision);
  const pending = useDocument("status", () => store.pending.length);
  const height = useDocument("derived", () => store.data.height);
  const network = useDocument("graph", () => store.network);
  const wrapper = useCallback((element: HTMLDivElement | null) => void (view.wrapper = element), [view]);
  const onPointerDown = (event: React.PointerEvent) => {
    const target = event.nativeEvent.composedPath()[0] as HTMLElement;
    if (!target.closest(".nl-issues-status") && ui.state.panel === "issues") ui.update({ panel: null });
    if (!target.closest(".nl-palette, [data-action=palette]")) commands.closeDrawer();
    if (!target.closest("input, button, textarea, .nl-popover")) view.focus();
  };
  return (
    <div
      className="nl-wrapper"
      ref={wrapper}
      tabIndex={0}
      role="group"
      aria-label="Network. Press A to add a layer, or question mark for keyboard shortcuts."
      style={{ height }}
      onKeyDownCapture={(event) => onKeyCapture(commands, event)}
      onKeyDown={(event) => onKey(commands, event)}
      onCopy={(event) => onClipboard(commands, event)}
      onCut={(event) => onClipboard(commands, event)}
      onPaste={(event) => onClipboard(commands, event)}
      onPointerDownCapture={onPointerDown}
      data-canvas={store.data.document}
      data-network={network}
      data-revision={revision}
      data-pending={pending}
    >
      <Header />
      <div className="nl-body">
        <Palette />
        <div className="nl-main">
          <NetworkTabs />
          <Surface key={network} />
        </div>
      </div>
      <DragPreview />
      <OpenSearchMenu />
      <OpenKeyboardHelp />
      <LayerHelp />
      <ContextMenu />
      <Refusals />
      <Notification />
    </div>
  );
}

function Surface() {
  const { store, commands, gestures } = useCanvas();
  const { view } = commands;
  const [nodes, setNodes] = useState<FlowNode[]>(() => flowNodes(store, [], view.rememberedSelection()));
  const [edges, setEdges] = useState<Edge[]>(() => flowEdges(store, []));
  Object.assign(view, { nodes, edges, setNodes, setEdges });
  const isBoxSelecting = useUiState((state) => state.isBoxSelecting);
  const isMapVisible = useUiState((state) => state.isMapVisible);
  const isFar = useStore(isBelowFarZoom);
  const minimapCorner = useStore(freeMinimapCorner);
  const isSimplified = isFar && nodes.length > SIMPLIFICATION_THRESHOLD;
  const initialViewport = useRef(view.viewport);
  const surface = useCallback((element: HTMLDivElement | null) => void (view.surface = element), [view]);

  useEffect(() => {
    const updateElements = () => {
      const { nodes, notes, edges } = store.graph;
      const focusedId = view.rootNode.activeElement
        ?.closest(".react-flow__node, .react-flow__edge")
        ?.getAttribute("data-id");
      // Another tab can remove the focused element.
      if (focusedId && !(focusedId in nodes || focusedId in notes || focusedId in edges)) commands.needsFocus = true;
      setNodes((previous) => flowNodes(store, previous));
      setEdges((previous) => flowEdges(store, previous));
    };
    updateElements(); // the graph can change between the first render and this effect
    return store.subscribe((topic) => topic === "graph" && updateElements());
  }, [store, view, commands]);
  useEffect(() => () => store.endInteraction(), [store]); // a drag may be in progress when the page changes
  useEffect(() => {
    if (commands.needsFocus) view.focus();
    commands.needsFocus = false;
    commands.onGraphDrawn();
  }, [commands, view, nodes, edges]);
  useLayoutEffect(() => view.ui.update({ isSimplified }), [view, isSimplified]);
  useSelectionSync(view, nodes, edges);
  const selectedLayers = nodes
    .filter((node) => node.selected && node.type === "layer")
    .map((node) => node.id)
    .join(" ");
  useEffect(() => view.ui.update({ selectedLayers }), [view, selectedLayers]);

  // Elements are removed only by edits of the document; see Commands.remove.
  const onNodesChange = useCallback(
    (changes: NodeChange<FlowNode>[]) =>
      setNodes((previous) =>
        applyNodeChanges(
          changes.filter((change) => change.type !== "remove"),
          previous,
        ),
      ),
    [],
  );
  const onEdgesChange = useCallback(
    (changes: EdgeChange[]) =>
      setEdges((previous) =>
        applyEdgeChanges(
          changes.filter((change) => change.type !== "remove"),
          previous,
        ),
      ),
    [],
  );
  const onInit = useCallback(() => void view.setInitialView(), [view]);
  const size = useStore(surfaceSize);
  const previousSize = useRef(size);
  useEffect(() => {
    if (previousSize.current !== UNMEASURED && previousSize.current !== size) view.keepInView();
    previousSize.current = size;
  }, [view, size]);
  const [network] = useState(store.network);
  const onMoveEnd = useCallback(
    (_: unknown, viewport: Viewport) => {
      if (network === store.network) view.viewport = viewport; // a move can end after another network was opened
    },
    [store, network, view],
  );
  const minimapColor = useCallback(
    (node: Node) => store.layerTypeOf(store.graph.nodes[node.id])?.color ?? noteColor(store.graph.notes[node.id]),
    [store],
  );
  return (
    <div className={isFar ? "nl-surface far" : "nl-surface"} ref={surface} onDoubleClick={gestures.doubleClick}>
      <ReactFlow<FlowNode, Edge>
        nodes={nodes}
        edges={isSimplified ? NO_EDGES : edges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        onNodesChange={onNodesChange}
        onEdgesChange={onEdgesChange}
        onConnectStart={gestures.connectStart}
        onConnect={gestures.connect}
        onConnectEnd={gestures.connectEnd}
        onReconnect={gestures.reconnect}
        onClickConnectStart={gestures.selectPort}
        onClickConnectEnd={gestures.clearPort}
        onPaneClick={gestures.clearPort}
        onNodeContextMenu={gestures.openNodeMenu}
        onPaneContextMenu={gestures.openCanvasMenu}
        onSelectionContextMenu={gestures.openSelectionMenu}
        isValidConnection={gestures.isValidConnection}
        connectionRadius={28}
        onNodeDragStart={gestures.nodeDragStart}
        onNodeDrag={gestures.nodeDrag}
        onNodeDragStop={gestures.nodeDragStop}
        onSelectionDragStart={gestures.dragStart}
        onSelectionDrag={gestures.selectionDrag}
        onSelectionDragStop={gestures.dragStop}
        onNodeDoubleClick={gestures.doubleClickNode}
        selectionOnDrag={isBoxSelecting}
        panOnDrag={isBoxSelecting ? BOX_SELECTION_PAN_BUTTONS : true}
        selectionMode={SelectionMode.Partial}
        selectionKeyCode="Shift"
        multiSelectionKeyCode={MULTI_SELECTION_KEYS}
        deleteKeyCode={null}
        zoomOnDoubleClick={false}
        edgesFocusable={false}
        onlyRenderVisibleElements={nodes.length > VIRTUALIZATION_THRESHOLD}
        minZoom={0.05}
        maxZoom={2}
        defaultViewport={initialViewport.current}
        onInit={onInit}
        onMoveEnd={onMoveEnd}
        ariaLabelConfig={ARIA_LABELS}
        proOptions={PRO_OPTIONS}
      >
        <Background variant={BackgroundVariant.Dots} gap={20} size={1.2} />
        {isSimplified && <SimplifiedEdges nodes={nodes} />}
        {isMapVisible && minimapCorner && !isSimplified && nodes.length > 0 && (
          <MiniMap pannable zoomable position={minimapCorner} nodeColor={minimapColor} ariaLabel="Minimap" />
        )}
      </ReactFlow>
      <AlignmentToolbar />
      <Breadcrumbs />
      {!nodes.length && <EmptyState onAdd={commands.addInput} isMain={store.network === store.data.main} />}
    </div>
  );
}

const EmptyState = ({ onAdd, isMain }: { onAdd: () => void; isMain: boolean }) => (
  <div className="nl-empty" data-empty>
    <b>{isMain ? "Build your network" : "Build this subnetwork"}</b>
    <p>Drag a layer from the left onto the canvas, or double-click the canvas to search.</p>
    {!isMain && <p>Other networks use it as one layer: each Input and Output is a port of that layer.</p>}
    <button className="nl-primary" data-action="add-input" onClick={onAdd}>
      Add an input layer
    </button>
  </div>
);

function DragPreview() {
  const { commands } = useCanvas();
  const dragPreview = useUiState((state) => state.dragPreview);
  if (!dragPreview) return null;
  const { left, top } = commands.view.wrapper?.getBoundingClientRect() ?? new DOMRect();
  const style = {
    left: dragPreview.x - left,
    top: dragPreview.y - top,
    "--c": dragPreview.layer.color,
  } as React.CSSProperties;
  return (
    <div className="nl-drag-preview" style={style}>
      {dragPreview.layer.title}
    </div>
  );
}

function OpenSearchMenu() {
  const { commands } = useCanvas();
  const searchMenu = useUiState((state) => state.searchMenu);
  const search = useCallback(
    (query: string) => (searchMenu ? commands.searchItems(searchMenu, query) : []),
    [commands, searchMenu],
  );
  if (!searchMenu) return null;
  return (
    <SearchMenu
      key={`${searchMenu.x} ${searchMenu.y}`}
      label={searchMenu.kind === "add" ? "Add a layer" : "Connect to"}
      x={searchMenu.x}
      y={searchMenu.y}
      search={search}
      onPick={(key) => commands.pickItem(searchMenu, key)}
      onClose={commands.closeMenu}
    />
  );
}

function OpenKeyboardHelp() {
  const { commands } = useCanvas();
  return useUiState((state) => state.panel === "keyboardHelp") ? (
    <KeyboardHelp onClose={() => commands.togglePanel("keyboardHelp")} />
  ) : null;
}

function Notification() {
  const notification = useUiState((state) => state.notification);
  return (
    <div className={notification ? "nl-toast info" : "nl-visually-hidden"} role="status">
      {notification}
    </div>
  );
}

function Refusals() {
  const { store } = useCanvas();
  const refusals = useDocument("status", () => store.refusals);
  if (!refusals.length) return null;
  return (
    <div className="nl-toast" role="alert">
      {refusals.join(" ")}
      <button className="nl-close" aria-label="Close" onClick={() => store.dismissRefusals()}>
        ×
      </button>
    </div>
  );
}

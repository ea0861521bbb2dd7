// The canvas itself: it joins React Flow to the engine. What people do is in commands.ts, gestures.ts and keyboard.ts.
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
import type { Engine } from "../core/documentStore";
import { COLORS } from "../core/frames";
import type { NoteRecord } from "../core/generated";
import { OpenAbout } from "./LayerHelp";
import { Alignment } from "./AlignmentToolbar";
import { Commands } from "./commands";
import { OpenContextMenu } from "./ContextMenu";
import { Crumbs } from "./Breadcrumbs";
import { SharedContext, useShared, useSlice, useUi } from "./context";
import { FrameNode } from "./FrameNode";
import { Gestures } from "./gestures";
import { Header } from "./Header";
import { Help } from "./KeyboardHelp";
import { onClipboard, onKey, onKeyCapture } from "./keyboard";
import { LayerNode } from "./LayerNode";
import { Menu } from "./SearchMenu";
import { NoteNode } from "./NoteNode";
import { flowEdges, flowNodes, type FlowNode } from "./flowElements";
import { Palette } from "./Palette";
import { PlainEdges } from "./SimplifiedEdges";
import { ShapeEdge } from "./ShapeEdge";
import { Stage } from "./canvasView";
import { Tabs } from "./NetworkTabs";
import { useSelection } from "./selectionSync";
import { Ui } from "./uiStore";

// React Flow tells its store of every option that is another object than before, and the store tells every node. So
// all of them stay the same objects for ever: while a node is dragged, this is what makes 300 nodes as quick as 10.
const NODE_TYPES = { layer: LayerNode, note: NoteNode, frame: FrameNode };
const EDGE_TYPES = { shape: ShapeEdge };
const MULTIPLE = ["Control", "Meta", "Shift"];
const PRO = { hideAttribution: true };
const BOX_BUTTONS = [1, 2];
const LABELS = {
  "node.a11yDescription.default": "Press Enter to select this, and Enter again to rename it. Delete removes it.",
  "edge.a11yDescription.default": "Press Enter to select this edge, and Delete to remove it.",
};
/** From this many nodes on, only those on the screen are drawn. */
const MANY = 60;
/** Seen from so far, words cannot be read, and are not drawn. */
const FAR = 0.35;
/** From this many on, those that are seen from so far are plain boxes, and their edges one drawing. */
const CROWD = 150;
const NONE: Edge[] = [];
const isFar = (state: ReactFlowState) => state.transform[2] < FAR;
/** What the map takes of a corner, in pixels: its size in canvas.css with its margin. */
const MAP = { width: 176, height: 126 };
const CORNERS = ["bottom-right", "top-right", "bottom-left", "top-left"] as const;
/** The first corner in which the map covers no node; null if there is none. */
const freeCorner = ({ width, height, transform: [x, y, zoom], nodeLookup }: ReactFlowState) => {
  const boxes = [...nodeLookup.values()].map(({ internals, measured }) => {
    const left = internals.positionAbsolute.x * zoom + x;
    const top = internals.positionAbsolute.y * zoom + y;
    return { left, top, right: left + (measured.width ?? 0) * zoom, bottom: top + (measured.height ?? 0) * zoom };
  });
  const isFree = (corner: string) => {
    const isBeside = (box: (typeof boxes)[0]) => (corner.endsWith("right") ? box.right > width - MAP.width : box.left < MAP.width);
    const isThere = (box: (typeof boxes)[0]) => (corner.startsWith("bottom") ? box.bottom > height - MAP.height : box.top < MAP.height);
    const isSeen = (box: (typeof boxes)[0]) => box.left < width && box.right > 0 && box.top < height && box.bottom > 0;
    return !boxes.some((box) => isSeen(box) && isBeside(box) && isThere(box));
  };
  return CORNERS.find(isFree) ?? null;
};

const pale = (note: NoteRecord | undefined) => `color-mix(in srgb, ${COLORS[note?.color ?? "yellow"]} 40%, transparent)`;

export const Canvas = ({ engine }: { engine: Engine }) => (
  <ReactFlowProvider>
    <Workplace engine={engine} />
  </ReactFlowProvider>
);

function Workplace({ engine }: { engine: Engine }) {
  const flow = useReactFlow<FlowNode, Edge>();
  const shared = useMemo(() => {
    const ui = new Ui();
    const stage = new Stage(engine, ui, flow);
    const commands = new Commands(stage);
    return { engine, ui, commands, gestures: new Gestures(stage, commands) };
  }, [engine, flow]);
  return (
    <SharedContext.Provider value={shared}>
      <Frame />
    </SharedContext.Provider>
  );
}

/** All that stands around the surface. It redraws seldom, and never because a node moves. */
function Frame() {
  const { engine, ui, commands } = useShared();
  const { stage } = commands;
  const revision = useSlice("status", () => engine.data.revision);
  const pending = useSlice("status", () => engine.pending.length);
  const height = useSlice("derived", () => engine.data.height);
  const network = useSlice("graph", () => engine.network);
  const wrapper = useCallback((element: HTMLDivElement | null) => void (stage.wrapper = element), [stage]);
  const onPointerDown = (event: React.PointerEvent) => {
    const target = event.nativeEvent.composedPath()[0] as HTMLElement;
    if (!target.closest(".nl-problems") && ui.state.panel === "issues") ui.set({ panel: null });
    if (!target.closest(".nl-palette, [data-action=palette]")) commands.closeDrawer();
    if (!target.closest("input, button, textarea, .nl-popover")) stage.focus();
  };
  return (
    <div
      className="nl-wrapper"
      ref={wrapper}
      tabIndex={0}
      role="group"
      aria-label="Network. Press A to add a layer, question mark for all keys."
      style={{ height }}
      onKeyDownCapture={(event) => onKeyCapture(commands, event)}
      onKeyDown={(event) => onKey(commands, event)}
      onCopy={(event) => onClipboard(commands, event)}
      onCut={(event) => onClipboard(commands, event)}
      onPaste={(event) => onClipboard(commands, event)}
      onPointerDownCapture={onPointerDown}
      data-canvas={engine.data.document}
      data-network={network}
      data-revision={revision}
      data-pending={pending}
    >
      <Header />
      <div className="nl-body">
        <Palette />
        <div className="nl-desk">
          <Tabs />
          <Surface key={network} />
        </div>
      </div>
      <Ghost />
      <OpenMenu />
      <OpenHelp />
      <OpenAbout />
      <OpenContextMenu />
      <Refusals />
      <Said />
    </div>
  );
}

function Surface() {
  const { engine, commands, gestures } = useShared();
  const { stage } = commands;
  const [nodes, setNodes] = useState<FlowNode[]>(() => flowNodes(engine, [], stage.remembered()));
  const [edges, setEdges] = useState<Edge[]>(() => flowEdges(engine, []));
  Object.assign(stage, { nodes, edges, setNodes, setEdges });
  const boxing = useUi((state) => state.boxing);
  const map = useUi((state) => state.map);
  const far = useStore(isFar);
  const corner = useStore(freeCorner);
  const plain = far && nodes.length > CROWD;
  const firstViewport = useRef(stage.viewport);
  const surface = useCallback((element: HTMLDivElement | null) => void (stage.surface = element), [stage]);

  useEffect(() => {
    const redraw = () => {
      const { nodes, notes, edges } = engine.graph;
      const held = stage.root.activeElement?.closest(".react-flow__node, .react-flow__edge")?.getAttribute("data-id");
      if (held && !(held in nodes || held in notes || held in edges)) commands.refocus = true; // another tab removed it
      setNodes((before) => flowNodes(engine, before));
      setEdges((before) => flowEdges(engine, before));
    };
    redraw(); // what came between the first drawing and now
    return engine.listen((topic) => topic === "graph" && redraw());
  }, [engine, stage, commands]);
  useEffect(() => () => engine.release(), [engine]); // a drag may be under way when the page changes
  useEffect(() => {
    if (commands.refocus) stage.focus();
    commands.refocus = false;
    commands.arrived();
  }, [commands, stage, nodes, edges]);
  useLayoutEffect(() => stage.ui.set({ plain }), [stage, plain]);
  useSelection(stage, nodes, edges);
  const picked = nodes
    .filter((node) => node.selected && node.type === "layer")
    .map((node) => node.id)
    .join(" ");
  useEffect(() => stage.ui.set({ picked }), [stage, picked]);

  // Whether something goes is for the document to say; see Commands.remove.
  const onNodesChange = useCallback(
    (changes: NodeChange<FlowNode>[]) =>
      setNodes((before) => applyNodeChanges(changes.filter((change) => change.type !== "remove"), before)),
    [],
  );
  const onEdgesChange = useCallback(
    (changes: EdgeChange[]) =>
      setEdges((before) => applyEdgeChanges(changes.filter((change) => change.type !== "remove"), before)),
    [],
  );
  const onInit = useCallback(() => void stage.firstLook(), [stage]);
  const [network] = useState(engine.network);
  const onMoveEnd = useCallback(
    (_: unknown, viewport: Viewport) => {
      if (network === engine.network) stage.viewport = viewport; // a movement may end when another one is there
    },
    [engine, network, stage],
  );
  const colour = useCallback(
    (node: Node) => engine.layerOf(engine.graph.nodes[node.id])?.color ?? pale(engine.graph.notes[node.id]),
    [engine],
  );
  return (
    <div className={far ? "nl-surface far" : "nl-surface"} ref={surface} onDoubleClick={gestures.doubleClick}>
      <ReactFlow<FlowNode, Edge>
        nodes={nodes}
        edges={plain ? NONE : edges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        onNodesChange={onNodesChange}
        onEdgesChange={onEdgesChange}
        onConnectStart={gestures.connectStart}
        onConnect={gestures.connect}
        onConnectEnd={gestures.connectEnd}
        onReconnect={gestures.reconnect}
        onClickConnectStart={gestures.clickPort}
        onClickConnectEnd={gestures.letGo}
        onPaneClick={gestures.letGo}
        onNodeContextMenu={gestures.nodeMenu}
        onPaneContextMenu={gestures.canvasMenu}
        onSelectionContextMenu={gestures.selectionMenu}
        isValidConnection={gestures.valid}
        connectionRadius={28}
        onNodeDragStart={gestures.nodeDragStart}
        onNodeDrag={gestures.drag}
        onNodeDragStop={gestures.nodeDragStop}
        onSelectionDragStart={gestures.dragStart}
        onSelectionDrag={gestures.selectionDrag}
        onSelectionDragStop={gestures.dragStop}
        onNodeDoubleClick={gestures.doubleClickNode}
        selectionOnDrag={boxing}
        panOnDrag={boxing ? BOX_BUTTONS : true}
        selectionMode={SelectionMode.Partial}
        selectionKeyCode="Shift"
        multiSelectionKeyCode={MULTIPLE}
        deleteKeyCode={null}
        zoomOnDoubleClick={false}
        edgesFocusable={false}
        onlyRenderVisibleElements={nodes.length > MANY}
        minZoom={0.05}
        maxZoom={2}
        defaultViewport={firstViewport.current}
        onInit={onInit}
        onMoveEnd={onMoveEnd}
        ariaLabelConfig={LABELS}
        proOptions={PRO}
      >
        <Background variant={BackgroundVariant.Dots} gap={20} size={1.2} />
        {plain && <PlainEdges nodes={nodes} />}
        {map && corner && !plain && nodes.length > 0 && (
          <MiniMap pannable zoomable position={corner} nodeColor={colour} ariaLabel="Map" />
        )}
      </ReactFlow>
      <Alignment />
      <Crumbs />
      {!nodes.length && <Empty onAdd={commands.begin} main={engine.network === engine.data.main} />}
    </div>
  );
}

const Empty = ({ onAdd, main }: { onAdd: () => void; main: boolean }) => (
  <div className="nl-empty" data-empty>
    <b>{main ? "Build your network" : "Build this subnetwork"}</b>
    <p>Drag a layer from the left onto the canvas, or double-click the canvas to search.</p>
    {!main && <p>Other networks use it as one layer: each Input and Output is a port of that layer.</p>}
    <button className="nl-primary" data-action="add-input" onClick={onAdd}>
      Add an input layer
    </button>
  </div>
);

function Ghost() {
  const { commands } = useShared();
  const ghost = useUi((state) => state.ghost);
  if (!ghost) return null;
  const { left, top } = commands.stage.wrapper?.getBoundingClientRect() ?? new DOMRect();
  const style = { left: ghost.x - left, top: ghost.y - top, "--c": ghost.layer.color } as React.CSSProperties;
  return (
    <div className="nl-ghost" style={style}>
      {ghost.layer.title}
    </div>
  );
}

function OpenMenu() {
  const { commands } = useShared();
  const menu = useUi((state) => state.menu);
  const find = useCallback((query: string) => (menu ? commands.find(menu, query) : []), [commands, menu]);
  if (!menu) return null;
  return (
    <Menu
      key={`${menu.x} ${menu.y}`}
      label={menu.kind === "add" ? "Add a layer" : "Connect to"}
      x={menu.x}
      y={menu.y}
      find={find}
      onPick={(key) => commands.choose(menu, key)}
      onClose={commands.closeMenu}
    />
  );
}

function OpenHelp() {
  const { commands } = useShared();
  return useUi((state) => state.panel === "help") ? <Help onClose={() => commands.toggle("help")} /> : null;
}

function Said() {
  const said = useUi((state) => state.said);
  return (
    <div className={said ? "nl-toast said" : "nl-unseen"} role="status">
      {said}
    </div>
  );
}

function Refusals() {
  const { engine } = useShared();
  const refusals = useSlice("status", () => engine.refusals);
  if (!refusals.length) return null;
  return (
    <div className="nl-toast" role="alert">
      {refusals.join(" ")}
      <button className="nl-close" aria-label="Close" onClick={() => engine.forgetRefusals()}>
        ×
      </button>
    </div>
  );
}

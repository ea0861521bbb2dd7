// The canvas itself: it joins React Flow to the engine and turns what people do into edits.
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
  type Connection,
  type Edge,
  type FinalConnectionState,
  type Node,
  type Viewport,
} from "@xyflow/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import {
  NODE_HEIGHT,
  NODE_WIDTH,
  addLayer,
  appendLayer,
  copy,
  insertLayer,
  insertNode,
  neighbour,
  paste,
  readClip,
  removal,
  type Clip,
} from "../core/build";
import type { Engine } from "../core/engine";
import { search } from "../core/format";
import { freeId, nodeOf, sourcePort, sourceRef, targetPort, targetRef } from "../core/graph";
import { freeOutput, mayConnect, portFor, targetsOf, type End } from "../core/rules";
import type { Edit, Graph, LayerType } from "../core/types";
import { Hover, SharedContext, type Actions } from "./context";
import { Header, type Tool } from "./Header";
import { Help } from "./Help";
import { LayerNode, type LayerFlowNode } from "./LayerNode";
import { Menu, type Choice } from "./Menu";
import { NoteNode, type NoteFlowNode } from "./NoteNode";
import { Palette } from "./Palette";
import { ShapeEdge } from "./ShapeEdge";

type FlowNode = LayerFlowNode | NoteFlowNode;
type Open =
  | { kind: "add"; x: number; y: number; at: [number, number]; start?: End }
  | { kind: "connect"; x: number; y: number; node: string; port: string };

const NODE_TYPES = { layer: LayerNode, note: NoteNode };
const EDGE_TYPES = { shape: ShapeEdge };
const DRAG_PX = 5;
const READABLE = 0.72;
const viewports = new Map<string, Viewport>();
let clipboard: Clip | null = null;

/** React Flow's nodes for the graph; one that did not change keeps its identity, and so is not drawn again. */
function flowNodes(graph: Graph, before: FlowNode[]): FlowNode[] {
  const known = new Map(before.map((node) => [node.id, node]));
  const layers = Object.entries(graph.nodes).map(([id, record]): FlowNode => {
    const old = known.get(id);
    if (old?.type === "layer" && old.data.record === record) return old;
    const position = { x: record.at[0], y: record.at[1] };
    return { ...(old as LayerFlowNode | undefined), id, type: "layer", position, data: { record } };
  });
  const notes = Object.entries(graph.notes).map(([id, record]): FlowNode => {
    const old = known.get(id);
    if (old?.type === "note" && old.data.record === record) return old;
    const position = { x: record.at[0], y: record.at[1] };
    const { width, height } = record;
    return { ...(old as NoteFlowNode | undefined), id, type: "note", position, width, height, data: { record }, zIndex: -1 };
  });
  return [...notes, ...layers];
}

function flowEdges(graph: Graph, before: Edge[]): Edge[] {
  const known = new Map(before.map((edge) => [edge.id, edge]));
  return Object.entries(graph.edges).map(([id, { source, target }]) => {
    const ends = {
      source: nodeOf(source),
      sourceHandle: sourcePort(source),
      target: nodeOf(target),
      targetHandle: targetPort(target),
    };
    const old = known.get(id);
    if (old && old.source === ends.source && old.sourceHandle === ends.sourceHandle) return old;
    return { id, type: "shape", ...ends };
  });
}

function Flow({ engine }: { engine: Engine }) {
  const flow = useReactFlow<FlowNode, Edge>();
  const [nodes, setNodes] = useState<FlowNode[]>(() => flowNodes(engine.graph, []));
  const [edges, setEdges] = useState<Edge[]>(() => flowEdges(engine.graph, []));
  const [open, setOpen] = useState<Open | null>(null);
  const [ghost, setGhost] = useState<{ layer: LayerType; x: number; y: number } | null>(null);
  const [boxing, setBoxing] = useState(false);
  const [map, setMap] = useState(true);
  const [help, setHelp] = useState(false);
  const wrapper = useRef<HTMLDivElement>(null);
  const surface = useRef<HTMLDivElement>(null);
  const refocus = useRef(false);
  const live = useRef({ nodes, edges });
  live.current = { nodes, edges };
  const hover = useMemo(() => new Hover(), []);
  const status = useSliceless(engine);

  const chosen = () => live.current.nodes.filter((node) => node.selected).map((node) => node.id);
  const redraw = useCallback(() => {
    setNodes((before) => flowNodes(engine.graph, before));
    setEdges((before) => flowEdges(engine.graph, before));
  }, [engine]);
  const focus = () => wrapper.current?.focus({ preventScroll: true });
  const select = (ids: string[]) => {
    const set = new Set(ids);
    setNodes((before) => before.map((node) => (!!node.selected === set.has(node.id) ? node : { ...node, selected: set.has(node.id) })));
    setEdges((before) => before.map((edge) => (edge.selected ? { ...edge, selected: false } : edge)));
  };
  const apply = (edit: Edit | null | undefined, selected?: string[]) => {
    if (!edit) return;
    engine.do(edit);
    if (selected) requestAnimationFrame(() => select(selected));
  };
  const show = (id: string) => {
    select([id]);
    void flow.fitView({ nodes: [{ id }], duration: 250, maxZoom: 1.1 });
  };

  useEffect(() => engine.listen((topic) => topic === "graph" && redraw()), [engine, redraw]);

  useEffect(() => {
    if (refocus.current) focus();
    refocus.current = false;
  }, [nodes, edges]);

  // Tell Python what is selected, a moment after it settles.
  const selection = [
    nodes.filter((node) => node.selected && node.type === "layer").map((node) => node.id),
    edges.filter((edge) => edge.selected).map((edge) => edge.id),
  ] as const;
  const selectionKey = JSON.stringify(selection);
  const told = useRef("[[],[]]");
  useEffect(() => {
    if (told.current === selectionKey) return;
    const timer = setTimeout(() => {
      told.current = selectionKey;
      engine.send("selection", { nodes: selection[0], edges: selection[1] });
    }, 60);
    return () => clearTimeout(timer);
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [selectionKey]);

  const centre = (): [number, number] => {
    const box = surface.current?.getBoundingClientRect();
    const point = flow.screenToFlowPosition({
      x: (box?.left ?? 0) + (box?.width ?? 0) / 2,
      y: (box?.top ?? 0) + (box?.height ?? 0) / 3,
    });
    return [point.x - NODE_WIDTH / 2, point.y - NODE_HEIGHT / 2];
  };
  const reveal = (id: string) =>
    requestAnimationFrame(() => {
      const node = engine.graph.nodes[id];
      const box = surface.current?.getBoundingClientRect();
      if (!node || !box) return;
      const point = flow.flowToScreenPosition({ x: node.at[0] + NODE_WIDTH / 2, y: node.at[1] + NODE_HEIGHT });
      const inside = point.x > box.left && point.x < box.right && point.y > box.top + 60 && point.y < box.bottom - 20;
      const middle: [number, number] = [node.at[0] + NODE_WIDTH / 2, node.at[1]];
      if (!inside) void flow.setCenter(...middle, { zoom: flow.getZoom(), duration: 200 });
    });

  /** Add a layer behind the selection, or in the middle of the view. */
  const pick = (layer: LayerType) => {
    const after = chosen().filter((id) => id in engine.graph.nodes);
    const added = after.length === 1 && after[0] ? appendLayer(engine, layer, after[0]) : addLayer(engine, layer, centre());
    apply(added.edit, [added.id]);
    reveal(added.id);
  };

  const edgeAt = (x: number, y: number): string | null => {
    const root = wrapper.current?.getRootNode() as ShadowRoot | Document;
    for (const element of root.elementsFromPoint(x, y)) {
      const found = element.closest?.(".react-flow__edge");
      if (found) return found.getAttribute("data-id");
    }
    return null;
  };
  const drop = (layer: LayerType, x: number, y: number) => {
    const box = surface.current?.getBoundingClientRect();
    if (!box || x < box.left || x > box.right || y < box.top || y > box.bottom) return;
    const target = edgeAt(x, y);
    const inserted = target ? insertLayer(engine, layer, target) : null;
    const point = flow.screenToFlowPosition({ x, y });
    const added = inserted ?? addLayer(engine, layer, [point.x - NODE_WIDTH / 2, point.y - NODE_HEIGHT / 2]);
    apply(added.edit, [added.id]);
  };
  /** Follow the pointer from the palette: pointer events, so that touch works as well. */
  const press = (layer: LayerType, event: React.PointerEvent) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const [startX, startY] = [event.clientX, event.clientY];
    let dragging = false;
    const move = (moved: PointerEvent) => {
      dragging ||= Math.hypot(moved.clientX - startX, moved.clientY - startY) > DRAG_PX;
      if (!dragging) return;
      setGhost({ layer, x: moved.clientX, y: moved.clientY });
      hover.set({ edge: edgeAt(moved.clientX, moved.clientY) });
    };
    const end = (ended: PointerEvent) => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      setGhost(null);
      hover.set({ edge: null });
      if (ended.type === "pointerup") {
        if (dragging) drop(layer, ended.clientX, ended.clientY);
        else pick(layer);
      }
      focus();
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  };

  const place = (x: number, y: number) => {
    const box = wrapper.current?.getBoundingClientRect();
    const [left, top] = [x - (box?.left ?? 0), y - (box?.top ?? 0)];
    return { x: Math.max(8, Math.min(left, (box?.width ?? 0) - 296)), y: Math.max(8, Math.min(top, (box?.height ?? 0) - 330)) };
  };
  const openAdd = (x: number, y: number, start?: End) => {
    const point = flow.screenToFlowPosition({ x, y });
    const above = start?.side === "target" ? NODE_HEIGHT : 0;
    setOpen({ kind: "add", ...place(x, y), at: [point.x - NODE_WIDTH / 2, point.y - above], start });
  };
  const openAddHere = () => {
    const box = surface.current?.getBoundingClientRect();
    const after = chosen().find((id) => id in engine.graph.nodes);
    const node = after ? engine.graph.nodes[after] : undefined;
    if (!after || !node) {
      openAdd((box?.left ?? 0) + (box?.width ?? 0) / 2, (box?.top ?? 0) + (box?.height ?? 0) / 3);
      return;
    }
    const port = freeOutput(engine, after);
    const at: [number, number] = [node.at[0], node.at[1] + NODE_HEIGHT + 62];
    const point = flow.flowToScreenPosition({ x: at[0] + NODE_WIDTH / 2, y: at[1] });
    setOpen({ kind: "add", ...place(point.x, point.y), at, start: port ? { node: after, port, side: "source" } : undefined });
  };
  const openConnect = () => {
    const node = chosen().find((id) => id in engine.graph.nodes);
    const port = node ? freeOutput(engine, node) : null;
    const record = node ? engine.graph.nodes[node] : undefined;
    if (!node || !port || !record) return;
    const point = flow.flowToScreenPosition({ x: record.at[0] + NODE_WIDTH / 2, y: record.at[1] + NODE_HEIGHT });
    setOpen({ kind: "connect", ...place(point.x, point.y), node, port });
  };
  const close = () => {
    setOpen(null);
    focus();
  };
  const find = useCallback(
    (query: string): Choice[] => {
      if (open?.kind === "connect")
        return targetsOf(engine, open.node, open.port)
          .map(({ node, port }) => {
            const record = engine.graph.nodes[node];
            const layer = engine.types.get(record?.type ?? "");
            const title = record?.title || layer?.title || node;
            return { key: targetRef(node, port), title, detail: targetRef(node, port), color: layer?.color ?? "#888" };
          })
          .filter((choice) => `${choice.title} ${choice.detail}`.toLowerCase().includes(query.toLowerCase()));
      const start = open?.kind === "add" ? open.start : undefined;
      return search(engine.data.palette, query)
        .filter((layer) => !start || portFor(engine, layer, start) !== null)
        .map((layer) => ({ key: layer.type, title: layer.title, detail: layer.summary, color: layer.color }));
    },
    [engine, open],
  );
  const choose = (key: string) => {
    if (open?.kind === "connect")
      apply({ kind: "connect", source: sourceRef(open.node, open.port), target: key });
    if (open?.kind === "add") {
      const layer = engine.types.get(key);
      const added = layer && addLayer(engine, layer, open.at, open.start);
      if (added) {
        apply(added.edit, [added.id]);
        reveal(added.id);
      }
    }
    close();
  };

  const arrange = async () => {
    const { arrange: run } = await import("../elk");
    const at = await run(engine.graph, NODE_WIDTH, NODE_HEIGHT);
    if (Object.keys(at).length) apply({ kind: "move", at });
    requestAnimationFrame(() => requestAnimationFrame(() => void fit()));
  };
  const fit = () => flow.fitView({ duration: 250, padding: 0.12, maxZoom: 1.1 });
  /** The first look: everything where it can be read, else the beginning of the network. */
  const firstLook = async () => {
    if (viewports.has(engine.data.document) || !live.current.nodes.length) return;
    await flow.fitView({ padding: 0.08, maxZoom: 1 });
    if (flow.getZoom() >= READABLE) return;
    const box = surface.current?.getBoundingClientRect();
    const first = [...Object.values(engine.graph.nodes)].sort((a, b) => a.at[1] - b.at[1])[0];
    if (!box || !first) return;
    const x = box.width / 2 - (first.at[0] + NODE_WIDTH / 2) * READABLE;
    await flow.setViewport({ x, y: 24 - first.at[1] * READABLE, zoom: READABLE });
  };
  const addNote = () => {
    const [x, y] = centre();
    const id = freeId(engine.graph, "note");
    apply({ kind: "note", id, note: { text: "", at: [Math.round(x), Math.round(y)], width: 200, height: 100 } }, [id]);
  };
  const remove = () => {
    const gone = live.current.edges.filter((edge) => edge.selected).map((edge) => edge.id);
    refocus.current = true; // the focus would go with the node that has it
    apply(removal(engine.graph, chosen(), gone));
  };
  const copyChosen = () => {
    const clip = copy(engine.graph, chosen());
    if (!clip) return;
    clipboard = clip;
    // Absent on plain http from another machine; the copy within this tab works all the same.
    void navigator.clipboard?.writeText(JSON.stringify(clip)).catch(() => undefined);
  };
  const pasteClip = async () => {
    const text = await (navigator.clipboard?.readText?.() ?? Promise.resolve("")).catch(() => "");
    const clip = readClip(text) ?? clipboard;
    if (!clip) return;
    const { edit, ids } = paste(engine, clip);
    apply(edit, ids);
  };
  const duplicate = () => {
    const clip = copy(engine.graph, chosen());
    if (!clip) return;
    const { edit, ids } = paste(engine, clip);
    apply(edit, ids);
  };
  const nudge = (key: string) => {
    const [dx, dy] = { ArrowUp: [0, -10], ArrowDown: [0, 10], ArrowLeft: [-10, 0], ArrowRight: [10, 0] }[key] ?? [0, 0];
    const at: Record<string, [number, number]> = {};
    for (const id of chosen()) {
      const item = engine.graph.nodes[id] ?? engine.graph.notes[id];
      if (item) at[id] = [item.at[0] + (dx ?? 0), item.at[1] + (dy ?? 0)];
    }
    if (Object.keys(at).length) apply({ kind: "move", at });
  };
  const walk = (key: string) => {
    const from = chosen().find((id) => id in engine.graph.nodes);
    const next = from ? neighbour(engine.graph, from, key) : Object.keys(engine.graph.nodes)[0];
    if (next) {
      select([next]);
      reveal(next);
    }
  };

  const onKey = (event: React.KeyboardEvent) => {
    const target = event.nativeEvent.composedPath()[0] as HTMLElement | undefined;
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(target?.tagName ?? "");
    if (!typing && handleKey(event, target)) {
      event.preventDefault();
    }
    event.stopPropagation(); // Streamlit has keys of its own, such as c for "Clear cache"
  };
  const handleKey = (event: React.KeyboardEvent, target: HTMLElement | undefined): boolean => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") apply({ kind: event.shiftKey ? "redo" : "undo" });
      else if (key === "y") apply({ kind: "redo" });
      else if (key === "c") copyChosen();
      else if (key === "x") (copyChosen(), remove());
      else if (key === "v") void pasteClip();
      else if (key === "d") duplicate();
      else if (key === "a") select(live.current.nodes.map((node) => node.id));
      else return false;
      return true;
    }
    if (key.startsWith("Arrow")) {
      if (event.altKey) nudge(key);
      else walk(key);
      return true;
    }
    const onButton = target?.tagName === "BUTTON";
    const focused = target?.closest?.(".react-flow__node")?.getAttribute("data-id");
    if (key === "Delete" || key === "Backspace") remove();
    else if (key === "Escape") (select([]), setHelp(false), setOpen(null));
    else if (key === "Enter" && focused && !chosen().includes(focused)) select([focused]);
    else if ((key === "Enter" && !onButton) || key === "F2") {
      const id = chosen().find((item) => item in engine.graph.nodes);
      if (!id) return false;
      hover.set({ renaming: id });
    } else if (key === "a" || key === "/") openAddHere();
    else if (key === "c") openConnect();
    else if (key === "l") void arrange();
    else if (key === "f") void fit();
    else if (key === "m") setMap(!map);
    else if (key === "n") addNote();
    else if (key === "?") setHelp(!help);
    else return false;
    return true;
  };

  const onConnectEnd = (event: MouseEvent | TouchEvent, state: FinalConnectionState) => {
    hover.set({ connecting: null });
    if (state.isValid || state.toNode || state.toHandle || !state.fromNode || !state.fromHandle) return;
    const point = "changedTouches" in event ? event.changedTouches[0] : event;
    const root = wrapper.current?.getRootNode() as ShadowRoot | Document;
    const under = point && root.elementFromPoint(point.clientX, point.clientY);
    if (!point || !under?.closest(".react-flow__pane, .react-flow__edges, .react-flow__viewport")) return;
    const start: End = { node: state.fromNode.id, port: state.fromHandle.id ?? "", side: state.fromHandle.type };
    openAdd(point.clientX, point.clientY, start);
  };
  const valid = useCallback(
    (end: Connection | Edge) =>
      mayConnect(engine, end.source, end.sourceHandle ?? "out", end.target, end.targetHandle ?? "in"),
    [engine],
  );
  const connect = (end: Connection) =>
    apply({
      kind: "connect",
      source: sourceRef(end.source, end.sourceHandle ?? "out"),
      target: targetRef(end.target, end.targetHandle ?? "in"),
    });
  const reconnect = (old: Edge, end: Connection) => {
    const source = sourceRef(end.source, end.sourceHandle ?? "out");
    const target = targetRef(end.target, end.targetHandle ?? "in");
    const edits: Edit[] = old.id === target ? [] : [{ kind: "remove", nodes: [], edges: [old.id] }];
    apply({ kind: "batch", edits: [...edits, { kind: "connect", source, target }] });
  };
  const dragStop = (event: React.MouseEvent | MouseEvent | TouchEvent, moved: FlowNode[]) => {
    hover.set({ edge: null });
    const at: Record<string, [number, number]> = {};
    for (const node of moved) at[node.id] = [Math.round(node.position.x), Math.round(node.position.y)];
    const only = moved.length === 1 ? moved[0] : undefined;
    const target = only && "clientX" in event ? edgeAt(event.clientX, event.clientY) : null;
    const inserted = only && target ? insertNode(engine, only.id, target) : null;
    const move: Edit = { kind: "move", at };
    if (inserted) apply({ kind: "batch", edits: [move, inserted] });
    else engine.do(move, 150);
    engine.release();
  };

  const actions: Actions = useMemo(
    () => ({
      do: (edit) => engine.do(edit),
      rename: (id) => {
        hover.set({ renaming: id });
        if (!id) focus();
      },
      show,
    }),
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [engine, hover],
  );
  const shared = useMemo(() => ({ engine, hover, actions }), [engine, hover, actions]);
  const tools: Tool[] = [
    { name: "undo", icon: "undo", title: "Undo (Ctrl + Z)", run: () => apply({ kind: "undo" }), disabled: !status.undo },
    { name: "redo", icon: "redo", title: "Redo (Ctrl + Shift + Z)", run: () => apply({ kind: "redo" }), disabled: !status.redo },
    { name: "add", icon: "plus", title: "Add a layer (A)", run: openAddHere },
    { name: "layout", icon: "layout", title: "Arrange (L)", run: () => void arrange() },
    { name: "fit", icon: "fit", title: "Fit into view (F)", run: () => void fit() },
    { name: "select", icon: "select", title: "Select with a box", run: () => setBoxing(!boxing), pressed: boxing },
    { name: "note", icon: "note", title: "Add a note (N)", run: addNote },
    { name: "map", icon: "map", title: "Map (M)", run: () => setMap(!map), pressed: map },
    { name: "help", icon: "help", title: "Keyboard (?)", run: () => setHelp(!help), pressed: help },
  ];
  const empty = !nodes.length;
  return (
    <SharedContext.Provider value={shared}>
      <div
        className="nl-wrapper"
        ref={wrapper}
        tabIndex={0}
        style={{ height: engine.data.height }}
        onKeyDownCapture={onArrowCapture}
        onKeyDown={onKey}
        onPointerDownCapture={(event) => {
          const target = event.nativeEvent.composedPath()[0] as HTMLElement;
          if (!target.closest("input, button, textarea")) focus();
        }}
        data-canvas={engine.data.document}
        data-revision={status.revision}
        data-pending={status.pending}
      >
        <Header tools={tools} />
        <div className="nl-body">
          <Palette layers={engine.data.palette} onPress={press} onPick={pick} />
          <div className="nl-surface" ref={surface} onDoubleClick={(event) => {
            const target = event.nativeEvent.composedPath()[0] as HTMLElement;
            if (target.classList.contains("react-flow__pane")) openAdd(event.clientX, event.clientY);
          }}>
            <ReactFlow<FlowNode, Edge>
              nodes={nodes}
              edges={edges}
              nodeTypes={NODE_TYPES}
              edgeTypes={EDGE_TYPES}
              onNodesChange={(changes) =>
                setNodes((before) => applyNodeChanges(changes.filter((change) => change.type !== "remove"), before))
              }
              onEdgesChange={(changes) =>
                setEdges((before) => applyEdgeChanges(changes.filter((change) => change.type !== "remove"), before))
              }
              onConnectStart={(_, { nodeId, handleId, handleType }) =>
                nodeId && handleType && hover.set({ connecting: { node: nodeId, port: handleId ?? "", side: handleType } })
              }
              onConnect={connect}
              onConnectEnd={onConnectEnd}
              onReconnect={reconnect}
              isValidConnection={valid}
              connectionRadius={28}
              onNodeDragStart={() => engine.hold()}
              onNodeDrag={(event, node) => {
                const loose = !Object.values(engine.graph.edges).some((edge) => [edge.source, edge.target].map(nodeOf).includes(node.id));
                if (loose && "clientX" in event) hover.set({ edge: edgeAt(event.clientX, event.clientY) });
              }}
              onNodeDragStop={(event, _, moved) => dragStop(event, moved)}
              onSelectionDragStart={() => engine.hold()}
              onSelectionDragStop={(event, moved) => dragStop(event, moved)}
              onNodeDoubleClick={(_, node) => node.type === "layer" && hover.set({ renaming: node.id })}
              selectionOnDrag={boxing}
              panOnDrag={boxing ? [1, 2] : true}
              selectionMode={SelectionMode.Partial}
              selectionKeyCode="Shift"
              multiSelectionKeyCode={["Control", "Meta", "Shift"]}
              deleteKeyCode={null}
              zoomOnDoubleClick={false}
              onlyRenderVisibleElements={nodes.length > 60}
              minZoom={0.05}
              maxZoom={2}
              defaultViewport={viewports.get(engine.data.document)}
              onInit={() => void firstLook()}
              onMoveEnd={(_, viewport) => viewports.set(engine.data.document, viewport)}
              proOptions={{ hideAttribution: true }}
            >
              <Background variant={BackgroundVariant.Dots} gap={20} size={1.2} />
              {map && !empty && <MiniMap pannable zoomable nodeColor={(node) => minimapColour(engine, node)} />}
            </ReactFlow>
            {empty && <Empty onAdd={() => {
              const input = engine.types.get("Input");
              if (input) pick(input);
            }} />}
          </div>
        </div>
        {ghost && <Ghost layer={ghost.layer} x={ghost.x} y={ghost.y} box={wrapper.current?.getBoundingClientRect()} />}
        {open && (
          <Menu
            key={`${open.x} ${open.y}`}
            label={open.kind === "add" ? "Add a layer" : "Connect to"}
            x={open.x}
            y={open.y}
            find={find}
            onPick={choose}
            onClose={close}
          />
        )}
        {help && <Help onClose={() => setHelp(false)} />}
        {status.refusals.length > 0 && (
          <div className="nl-toast" role="alert">
            {status.refusals.join(" ")}
            <button className="nl-close" aria-label="Close" onClick={() => engine.forgetRefusals()}>
              ×
            </button>
          </div>
        )}
      </div>
    </SharedContext.Provider>
  );

  /** React Flow would move a focused node by the arrow keys; here they walk from layer to layer. */
  function onArrowCapture(event: React.KeyboardEvent) {
    const target = event.nativeEvent.composedPath()[0] as HTMLElement | undefined;
    if (!event.key.startsWith("Arrow") || !target?.closest?.(".react-flow__node") || target.tagName === "TEXTAREA") return;
    if (target.tagName === "INPUT") return;
    onKey(event);
  }
}

const minimapColour = (engine: Engine, node: Node): string =>
  engine.types.get(engine.graph.nodes[node.id]?.type ?? "")?.color ?? "#d9b84a";

const Empty = ({ onAdd }: { onAdd: () => void }) => (
  <div className="nl-empty" data-empty>
    <b>Weave your network</b>
    <p>Drag a layer from the left onto this canvas, or double-click anywhere to search for one.</p>
    <button className="nl-primary" data-action="add-input" onClick={onAdd}>
      Begin with an Input
    </button>
  </div>
);

const Ghost = ({ layer, x, y, box }: { layer: LayerType; x: number; y: number; box: DOMRect | undefined }) => (
  <div
    className="nl-ghost"
    style={{ left: x - (box?.left ?? 0), top: y - (box?.top ?? 0), "--c": layer.color } as React.CSSProperties}
  >
    {layer.title}
  </div>
);

type Status = { undo: boolean; redo: boolean; revision: number; pending: number; refusals: string[] };

/** The engine's status for the canvas itself, which stands outside of the shared context. */
function useSliceless(engine: Engine): Status {
  const read = (): Status => ({
    undo: engine.data.can_undo,
    redo: engine.data.can_redo,
    revision: engine.data.revision,
    pending: engine.pending.length,
    refusals: engine.refusals,
  });
  const [status, setStatus] = useState(read);
  useEffect(() => {
    const update = () =>
      setStatus((before) => {
        const now = read();
        return JSON.stringify(now) === JSON.stringify(before) ? before : now;
      });
    update();
    return engine.listen((topic) => topic === "status" && update());
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [engine]);
  return status;
}

export const Canvas = ({ engine }: { engine: Engine }) => (
  <ReactFlowProvider>
    <Flow engine={engine} />
  </ReactFlowProvider>
);

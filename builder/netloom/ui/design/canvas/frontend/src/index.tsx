// The component that Streamlit mounts. It is called on every run of the script; the first call per container mounts.
import type { FrontendRenderer, FrontendRendererArgs } from "@streamlit/component-v2-lib";
import flowStyles from "@xyflow/react/dist/style.css?inline";
import { createRoot, type Root } from "react-dom/client";
import styles from "./canvas.css?inline";
import { DocumentStore } from "./core/documentStore";
import type { CanvasData } from "./core/generated";
import { Canvas } from "./views/Canvas";

// An adopted style sheet applies before the first paint; a linked one would flash unstyled content.
const sheet = new CSSStyleSheet();
sheet.replaceSync(flowStyles + styles);

type State = Record<string, unknown>;
type MountedCanvas = { root: Root; store: DocumentStore };
const UNMOUNT_DELAY_MS = 1000;
const decoder = new TextDecoder();
const mountedCanvases = new WeakMap<object, MountedCanvas>();
// Stores survive a change of page within the tab, with their pending edits.
const stores = new Map<string, DocumentStore>();

const render: FrontendRenderer<State, Uint8Array> = (component: FrontendRendererArgs<State, Uint8Array>) => {
  const container = component.parentElement as unknown as HTMLElement;
  // After a change of page, Python does not know the canvas, and would log every message.
  const send: DocumentStore["send"] = (name, value) => container.isConnected && component.setStateValue(name, value);
  const data = JSON.parse(decoder.decode(component.data)) as CanvasData;
  let mountedCanvas = mountedCanvases.get(container);
  if (mountedCanvas) {
    mountedCanvas.store.send = send;
    mountedCanvas.store.receive(data);
  } else {
    mountedCanvas = mount(container, data, send);
    mountedCanvases.set(container, mountedCanvas);
  }
  const { root } = mountedCanvas;
  const unmountIfRemoved = () => {
    if (container.isConnected || mountedCanvases.get(container)?.root !== root) return;
    root.unmount();
    mountedCanvases.delete(container);
  };
  // Streamlit also calls this after a run that was superseded. The canvas then stays mounted and keeps the focus; it is
  // unmounted when its container has left the page.
  return () => {
    unmountIfRemoved();
    setTimeout(unmountIfRemoved, UNMOUNT_DELAY_MS);
  };
};

function mount(container: HTMLElement, data: CanvasData, send: DocumentStore["send"]): MountedCanvas {
  const rootNode = container.getRootNode() as ShadowRoot | Document;
  if (!rootNode.adoptedStyleSheets.includes(sheet))
    rootNode.adoptedStyleSheets = [...rootNode.adoptedStyleSheets, sheet];
  const element = document.createElement("div");
  element.className = "nl-root";
  container.replaceChildren(element);
  let store = stores.get(data.document);
  if (store) {
    store.remount(data, send);
  } else {
    store = new DocumentStore(data, send);
    stores.set(data.document, store);
  }
  const root = createRoot(element);
  root.render(<Canvas store={store} />);
  return { root, store };
}

export default render;

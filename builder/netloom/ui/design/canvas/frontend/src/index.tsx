// The component that Streamlit mounts. It is called on every run of the script; only the first call in a place mounts.
import type { FrontendRenderer, FrontendRendererArgs } from "@streamlit/component-v2-lib";
import flowStyles from "@xyflow/react/dist/style.css?inline";
import { createRoot, type Root } from "react-dom/client";
import styles from "./canvas.css?inline";
import { DocumentStore } from "./core/documentStore";
import type { CanvasData } from "./core/generated";
import { Canvas } from "./views/Canvas";

// An adopted sheet is there before the first paint; a style file would come after it and flash.
const sheet = new CSSStyleSheet();
sheet.replaceSync(flowStyles + styles);

type State = Record<string, unknown>;
type MountedCanvas = { root: Root; store: DocumentStore };
const UNMOUNT_DELAY_MS = 1000;
const decoder = new TextDecoder();
const mountedCanvases = new WeakMap<object, MountedCanvas>();
// Engines outlive a change of page within the tab, and with them the edits that are still on their way.
const stores = new Map<string, DocumentStore>();

const render: FrontendRenderer<State, Uint8Array> = (component: FrontendRendererArgs<State, Uint8Array>) => {
  const container = component.parentElement as unknown as HTMLElement;
  // Once another page is there, Python does not know the canvas, and its log would say so.
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
  // Streamlit calls this as well after a run that another one overtook. The canvas, and the focus in it, has to stay
  // then: it goes with its place in the page.
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

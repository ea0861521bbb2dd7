// The component that Streamlit mounts. It is called on every run of the script; only the first call in a place mounts.
import type { FrontendRenderer, FrontendRendererArgs } from "@streamlit/component-v2-lib";
import flowStyles from "@xyflow/react/dist/style.css?inline";
import { createRoot, type Root } from "react-dom/client";
import styles from "./canvas.css?inline";
import { Engine } from "./core/documentStore";
import type { CanvasData } from "./core/generated";
import { Canvas } from "./views/Canvas";

// An adopted sheet is there before the first paint; a style file would come after it and flash.
const sheet = new CSSStyleSheet();
sheet.replaceSync(flowStyles + styles);

type State = Record<string, unknown>;
type Mounted = { root: Root; engine: Engine };
const LEAVE_MS = 1000;
const text = new TextDecoder();
const mounted = new WeakMap<object, Mounted>();
// Engines outlive a change of page within the tab, and with them the edits that are still on their way.
const engines = new Map<string, Engine>();

const render: FrontendRenderer<State, Uint8Array> = (component: FrontendRendererArgs<State, Uint8Array>) => {
  const place = component.parentElement as unknown as HTMLElement;
  // Once another page is there, Python does not know the canvas, and its log would say so.
  const send: Engine["send"] = (name, value) => place.isConnected && component.setStateValue(name, value);
  const data = JSON.parse(text.decode(component.data)) as CanvasData;
  let here = mounted.get(place);
  if (here) {
    here.engine.send = send;
    here.engine.receive(data);
  } else {
    here = mount(place, data, send);
    mounted.set(place, here);
  }
  const { root } = here;
  const leave = () => {
    if (place.isConnected || mounted.get(place)?.root !== root) return;
    root.unmount();
    mounted.delete(place);
  };
  // Streamlit calls this as well after a run that another one overtook. The canvas, and the focus in it, has to stay
  // then: it goes with its place in the page.
  return () => {
    leave();
    setTimeout(leave, LEAVE_MS);
  };
};

function mount(place: HTMLElement, data: CanvasData, send: Engine["send"]): Mounted {
  const document_ = place.getRootNode() as ShadowRoot | Document;
  if (!document_.adoptedStyleSheets.includes(sheet))
    document_.adoptedStyleSheets = [...document_.adoptedStyleSheets, sheet];
  const box = document.createElement("div");
  box.className = "nl-root";
  place.replaceChildren(box);
  let engine = engines.get(data.document);
  if (engine) {
    engine.arrive(data, send);
  } else {
    engine = new Engine(data, send);
    engines.set(data.document, engine);
  }
  const root = createRoot(box);
  root.render(<Canvas engine={engine} />);
  return { root, engine };
}

export default render;

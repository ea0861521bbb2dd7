// The browser's optimistic copy of the document, and the outbox of edits that Python has not acknowledged.
// One message is in flight at a time; later edits wait in the outbox.
import { EMPTY_GRAPH } from "./graph";
import { addableLayers, applyToNetwork, subnetworkLayer, subnetworkOf, withNetwork } from "./networks";
import type {
  AboutWish,
  CanvasData,
  Edit,
  Graph,
  Issue,
  LayerType,
  NetworkWish,
  NodeRecord,
  Selection,
  Sync,
} from "./generated";

export type Topic = "graph" | "derived" | "status";
/** The messages to Python, by name. */
type Messages = { sync: Sync; selection: Selection; network: NetworkWish };
export type Send = <Name extends keyof Messages>(name: Name, value: Messages[Name]) => void;
export type Operation = Edit & { seq: number };
type SelectedItems = Pick<Selection, "network" | "nodes" | "edges">;
const RESEND_MS = 2000;
/** The selection waits this long, so that the browser first paints Python's reply to the edits. */
const SELECTION_DELAY_MS = 40;
const NO_ISSUES: Issue[] = [];
const EMPTY_SELECTION: SelectedItems = { network: "", nodes: [], edges: [] };

export const randomClientId = (): string =>
  Array.from({ length: 12 }, () => "0123456789abcdefghijklmnopqrstuvwxyz"[Math.floor(Math.random() * 36)]).join("");

export class DocumentStore {
  client = randomClientId();
  /** The visible network, and the optimistic copy of its graph. */
  network = "";
  graph: Graph = EMPTY_GRAPH;
  data: CanvasData;
  pending: Operation[] = [];
  layerTypes = new Map<string, LayerType>();
  /** The layers that can be added to the visible network. The array is replaced when they change. */
  layers: LayerType[] = [];
  paletteVersion = "";
  /** The messages of refused edits, until users dismiss them. */
  refusals: string[] = [];
  send: Send;
  private selection = EMPTY_SELECTION;
  private helpRequest: AboutWish | null = null;
  private issueIndex: { issues?: Issue[]; network: string; byNode: Map<string, Issue[]> } = {
    network: "",
    byNode: new Map(),
  };
  private palette: LayerType[] = [];
  private palettesByVersion = new Map<string, LayerType[]>();
  private subnetworkLayers = new Map<string, LayerType>();
  private layersKey = "";
  private requestedPaletteVersion = "";
  /** The last selection that was sent, serialized; an equal one is not sent again. */
  private sentSelection = "";
  private selectionTimer: ReturnType<typeof setTimeout> | undefined;
  private lastNetworkRequest = 0;
  private lastSeq = 0;
  private messageCount = 0;
  private acknowledgedSeq = 0;
  private inFlightSeq = 0;
  private refusedAt: number;
  private sentAt = 0;
  private epoch = "";
  private foreignRevision = -1;
  private deferredData: CanvasData | null = null;
  private isInteracting = false;
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private listeners = new Set<(topic: Topic) => void>();

  constructor(data: CanvasData, send: Send) {
    this.data = data;
    this.send = send;
    this.refusedAt = data.refused_at; // refusals from before this page loaded are not shown
    this.receive(data);
  }

  /** Connect to a canvas that was mounted again. Python discards its selection while another page is shown. */
  remount(data: CanvasData, send: Send): void {
    this.send = send;
    this.selection = EMPTY_SELECTION;
    this.helpRequest = null;
    this.sentSelection = "";
    this.sentAt = 0;
    this.receive(data);
  }

  subscribe(listener: (topic: Topic) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Apply an edit optimistically and queue it for Python. With a `delay` in ms, quick moves share one message. */
  dispatch(edit: Edit, delay = 0): void {
    const addressedEdit = withNetwork(edit, this.network);
    this.graph = applyToNetwork(this.graph, addressedEdit, this.network);
    this.pending.push({ ...addressedEdit, seq: ++this.lastSeq });
    this.notify("graph");
    this.notify("status");
    if (delay) this.scheduleFlush(delay);
    else this.flush();
  }

  /** Request another network. Python replies with its graph; pending edits name the network that they apply to. */
  requestNetwork(name: string): void {
    // A timestamp instead of a counter, because the reply can arrive after a reload, which would reset a counter.
    this.lastNetworkRequest = Math.max(this.lastNetworkRequest + 1, Date.now());
    this.send("network", { name, number: this.lastNetworkRequest });
  }

  /** The layer type of a node. A subnetwork node has the ports of its network. */
  layerTypeOf(node: NodeRecord | undefined): LayerType | undefined {
    const network = subnetworkOf(node);
    return (network ? this.subnetworkLayers.get(network) : undefined) ?? this.layerTypes.get(node?.type ?? "");
  }

  /** Send the selection to Python. */
  setSelection(selection: SelectedItems): void {
    this.selection = selection;
    this.scheduleSelection(SELECTION_DELAY_MS);
  }

  /** Request the help of a layer, which Python sends as `about`; null ends the request. */
  requestHelp(helpRequest: AboutWish | null): void {
    if (helpRequest?.type === this.helpRequest?.type && helpRequest?.node === this.helpRequest?.node) return;
    this.helpRequest = helpRequest;
    this.scheduleSelection(0);
  }

  /** Let the other parts of the page update. This waits for the reply to edits, because it would delay the reply. */
  private scheduleSelection(delay: number): void {
    clearTimeout(this.selectionTimer);
    this.selectionTimer = setTimeout(() => {
      if (this.inFlightSeq > this.acknowledgedSeq) return; // the reply schedules it again
      const {
        selection,
        helpRequest: about,
        paletteVersion: palette,
        data: { changes },
      } = this;
      const text = JSON.stringify([selection, about, changes]);
      if (text === this.sentSelection) return;
      this.sentSelection = text;
      this.send("selection", { ...selection, about, palette, changes });
    }, delay);
  }

  /** The issues of a node of the visible network. They are indexed once, because each of 1,000 nodes reads its own. */
  issuesOf(id: string): Issue[] {
    const { issues } = this.data.derived;
    if (this.issueIndex.issues !== issues || this.issueIndex.network !== this.network) {
      const byNode = new Map<string, Issue[]>();
      for (const issue of issues) {
        if (!issue.node || issue.network !== this.network) continue;
        const nodeIssues = byNode.get(issue.node);
        if (nodeIssues) nodeIssues.push(issue);
        else byNode.set(issue.node, [issue]);
      }
      this.issueIndex = { issues, network: this.network, byNode };
    }
    return this.issueIndex.byNode.get(id) ?? NO_ISSUES;
  }

  /** Defer snapshots by other clients until the end of a drag. */
  beginInteraction(): void {
    this.isInteracting = true;
  }

  endInteraction(): void {
    this.isInteracting = false;
    const data = this.deferredData;
    this.deferredData = null;
    if (data) this.receive(data);
  }

  /** Apply a snapshot from Python. It comes with every run of the script, and not always in order. */
  receive(data: CanvasData): void {
    if (data.epoch !== this.epoch) this.reset(data);
    const isOtherNetwork = data.shown !== this.network;
    if (this.isInteracting && (isOtherNetwork || data.foreign > this.foreignRevision)) {
      this.deferredData = data;
      return;
    }
    // After a visit to another page, Python does not know this client, and the snapshot has no acknowledgement for it.
    const acknowledgedSeq = data.ack[this.client] ?? this.acknowledgedSeq;
    const isOutdated = data.wish !== null && data.wish < (this.data.wish ?? 0);
    if (isOutdated || acknowledgedSeq < this.acknowledgedSeq || data.revision < this.data.revision) return;
    if (acknowledgedSeq > this.acknowledgedSeq || data.changes !== this.data.changes)
      this.scheduleSelection(SELECTION_DELAY_MS);
    this.acknowledgedSeq = acknowledgedSeq;
    this.pending = this.pending.filter((operation) => operation.seq > acknowledgedSeq);
    this.data = data;
    this.updateLayers(data);
    if (data.refused_at !== this.refusedAt) this.refusals = data.refusals;
    this.refusedAt = data.refused_at;
    if (isOtherNetwork || data.foreign > this.foreignRevision) {
      this.foreignRevision = Math.max(this.foreignRevision, data.foreign);
      this.network = data.shown;
      this.graph = this.pending.reduce((graph, edit) => applyToNetwork(graph, edit, data.shown), data.network);
      this.notify("graph");
    }
    this.notify("derived");
    this.notify("status");
    this.flush();
  }

  dismissRefusals(): void {
    this.refusals = [];
    this.notify("status");
  }

  /** Discard the local state at a new epoch: the first snapshot, another document, or a replaced history. */
  private reset(data: CanvasData): void {
    if (this.epoch) this.scheduleSelection(SELECTION_DELAY_MS);
    this.epoch = data.epoch;
    this.client = randomClientId();
    this.pending = [];
    this.lastSeq = this.acknowledgedSeq = this.inFlightSeq = 0;
    this.foreignRevision = -1;
    this.network = "";
    this.data = { ...data, revision: -1, wish: null };
  }

  /** Update the palette, which Python sends once per version, and the networks, which are in every snapshot. */
  private updateLayers(data: CanvasData): void {
    if (data.palette) this.palettesByVersion.set(data.palette_version, data.palette);
    const palette = this.palettesByVersion.get(data.palette_version);
    if (palette && palette !== this.palette) {
      this.palette = palette;
      this.paletteVersion = data.palette_version;
      this.layerTypes = new Map(palette.map((layer) => [layer.type, layer]));
    } else if (!palette && this.requestedPaletteVersion !== data.palette_version) {
      this.requestedPaletteVersion = data.palette_version;
      this.sendSync([]); // the message names the version that this browser has
    }
    const layersKey = JSON.stringify([this.paletteVersion, data.shown, data.main, data.networks]);
    if (layersKey === this.layersKey) return;
    this.layersKey = layersKey;
    this.layers = addableLayers(this.palette, data.networks, data.shown, data.main);
    this.subnetworkLayers = new Map(data.networks.map((facts) => [facts.name, subnetworkLayer(facts)]));
  }

  private flush(): void {
    if (!this.pending.length) return;
    const now = Date.now();
    const wait = this.inFlightSeq > this.acknowledgedSeq ? this.sentAt + RESEND_MS - now : 0;
    if (wait > 0) {
      this.scheduleFlush(wait + 50);
      return;
    }
    this.inFlightSeq = this.lastSeq;
    this.sentAt = now;
    this.sendSync(this.pending);
    this.scheduleFlush(RESEND_MS + 50); // resending is safe: Python skips the sequence numbers that it has applied
  }

  private sendSync(ops: Operation[]): void {
    // The number makes a resent message differ from the previous one; Streamlit ignores a state that has not changed.
    const { epoch, client, paletteVersion: palette } = this;
    this.send("sync", { epoch, client, ops, palette, number: ++this.messageCount });
  }

  private scheduleFlush(delay: number): void {
    clearTimeout(this.flushTimer);
    this.flushTimer = setTimeout(() => this.flush(), delay);
  }

  private notify(topic: Topic): void {
    for (const listener of this.listeners) listener(topic);
  }
}

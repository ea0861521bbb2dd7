// The browser's copy of the document, and the outbox of edits that Python has not acknowledged yet.
// Edits are applied here at once. One message is on its way at a time; the edits made meanwhile wait behind it.
import { EMPTY_GRAPH } from "./graph";
import { addableLayers, applyToNetwork, subnetworkLayer, subnetworkOf, withNetwork } from "./networks";
import type {
  AboutWish, CanvasData, Edit, Graph, Issue, LayerType, NetworkWish, NodeRecord, Selection, Sync,
} from "./generated";

export type Topic = "graph" | "derived" | "status";
/** What is sent to Python, by name. */
type Messages = { sync: Sync; selection: Selection; network: NetworkWish };
export type Send = <Name extends keyof Messages>(name: Name, value: Messages[Name]) => void;
export type Operation = Edit & { seq: number };
type SelectedItems = Pick<Selection, "network" | "nodes" | "edges">;
const RESEND_MS = 2000;
/** An answer is seen by then. */
const SELECTION_DELAY_MS = 40;
const NO_ISSUES: Issue[] = [];
const EMPTY_SELECTION: SelectedItems = { network: "", nodes: [], edges: [] };

export const randomClientId = (): string =>
  Array.from({ length: 12 }, () => "0123456789abcdefghijklmnopqrstuvwxyz"[Math.floor(Math.random() * 36)]).join("");

export class DocumentStore {
  client = randomClientId();
  /** The network that is shown, and the copy of its graph. */
  network = "";
  graph: Graph = EMPTY_GRAPH;
  data: CanvasData;
  pending: Operation[] = [];
  layerTypes = new Map<string, LayerType>();
  /** What can be added to the network that is shown. Another array whenever it is something else. */
  layers: LayerType[] = [];
  paletteVersion = "";
  /** Refused edits, as sentences, until they are read. */
  refusals: string[] = [];
  send: Send;
  private selection = EMPTY_SELECTION;
  private helpRequest: AboutWish | null = null;
  private issueIndex: { issues?: Issue[]; network: string; byNode: Map<string, Issue[]> } = { network: "", byNode: new Map() };
  private palette: LayerType[] = [];
  private palettesByVersion = new Map<string, LayerType[]>();
  private subnetworkLayers = new Map<string, LayerType>();
  private layersKey = "";
  private requestedPaletteVersion = "";
  /** What Python was last told of what is beside the canvas. */
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
    this.refusedAt = data.refused_at; // what was refused before this page was there is past
    this.receive(data);
  }

  /** The canvas is on the page again after others were: Python has forgotten what it was told of it. */
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

  /** Apply an edit here and queue it for Python. A drag in quick steps may wait `delay` ms for the next. */
  dispatch(edit: Edit, delay = 0): void {
    const addressedEdit = withNetwork(edit, this.network);
    this.graph = applyToNetwork(this.graph, addressedEdit, this.network);
    this.pending.push({ ...addressedEdit, seq: ++this.lastSeq });
    this.notify("graph");
    this.notify("status");
    if (delay) this.scheduleFlush(delay);
    else this.flush();
  }

  /** Ask for another network. Python answers with its graph; edits still under way say which one they concern. */
  requestNetwork(name: string): void {
    // A clock, and not a count, as the answer to a wish may come after the page was loaded again.
    this.lastNetworkRequest = Math.max(this.lastNetworkRequest + 1, Date.now());
    this.send("network", { name, number: this.lastNetworkRequest });
  }

  /** What a node is; one that stands for a network has the ports of that network. */
  layerTypeOf(node: NodeRecord | undefined): LayerType | undefined {
    const network = subnetworkOf(node);
    return (network ? this.subnetworkLayers.get(network) : undefined) ?? this.layerTypes.get(node?.type ?? "");
  }

  /** Tell Python what is selected. */
  setSelection(selection: SelectedItems): void {
    this.selection = selection;
    this.scheduleSelection(SELECTION_DELAY_MS);
  }

  /** Ask Python what a layer is, or ask no more. It answers with `about`. */
  requestHelp(helpRequest: AboutWish | null): void {
    if (helpRequest?.type === this.helpRequest?.type && helpRequest?.node === this.helpRequest?.node) return;
    this.helpRequest = helpRequest;
    this.scheduleSelection(0);
  }

  /** Have the other parts of the page follow: they are asked for when edits were answered, so that none waits for it. */
  private scheduleSelection(delay: number): void {
    clearTimeout(this.selectionTimer);
    this.selectionTimer = setTimeout(() => {
      if (this.inFlightSeq > this.acknowledgedSeq) return; // the answer looks
      const { selection, helpRequest: about, paletteVersion: palette, data: { changes } } = this;
      const text = JSON.stringify([selection, about, changes]);
      if (text === this.sentSelection) return;
      this.sentSelection = text;
      this.send("selection", { ...selection, about, palette, changes });
    }, delay);
  }

  /** What is wrong with a node of the network that is shown. Sorted by node once, since each of 1,000 nodes asks. */
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

  /** While a drag is under way, a snapshot from elsewhere has to wait. */
  beginInteraction(): void {
    this.isInteracting = true;
  }

  endInteraction(): void {
    this.isInteracting = false;
    const data = this.deferredData;
    this.deferredData = null;
    if (data) this.receive(data);
  }

  /** Take what Python says. Called on every run of the script, and not always in order. */
  receive(data: CanvasData): void {
    if (data.epoch !== this.epoch) this.reset(data);
    const isOtherNetwork = data.shown !== this.network;
    if (this.isInteracting && (isOtherNetwork || data.foreign > this.foreignRevision)) {
      this.deferredData = data;
      return;
    }
    // After a visit to another page, Python has forgotten for whom it is, and says nothing of our edits.
    const acknowledgedSeq = data.ack[this.client] ?? this.acknowledgedSeq;
    const isOutdated = data.wish !== null && data.wish < (this.data.wish ?? 0);
    if (isOutdated || acknowledgedSeq < this.acknowledgedSeq || data.revision < this.data.revision) return;
    if (acknowledgedSeq > this.acknowledgedSeq || data.changes !== this.data.changes) this.scheduleSelection(SELECTION_DELAY_MS);
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

  /** First data, another document, or a history that was replaced: what was here belongs to the past. */
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

  /** Take the palette where it is new to this browser, and the networks, which come with every answer. */
  private updateLayers(data: CanvasData): void {
    if (data.palette) this.palettesByVersion.set(data.palette_version, data.palette);
    const palette = this.palettesByVersion.get(data.palette_version);
    if (palette && palette !== this.palette) {
      this.palette = palette;
      this.paletteVersion = data.palette_version;
      this.layerTypes = new Map(palette.map((layer) => [layer.type, layer]));
    } else if (!palette && this.requestedPaletteVersion !== data.palette_version) {
      this.requestedPaletteVersion = data.palette_version;
      this.sendSync([]); // it says which palette is here
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
    this.scheduleFlush(RESEND_MS + 50); // numbered operations can safely be sent again
  }

  private sendSync(ops: Operation[]): void {
    // The number makes a message that is sent again differ from the one before, or Streamlit would keep it back.
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

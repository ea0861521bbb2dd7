// The browser's copy of the document, and the outbox of edits that Python has not acknowledged yet.
// Edits are applied here at once. One message is on its way at a time; the edits made meanwhile wait behind it.
import { EMPTY } from "./graph";
import { addressed, applyTo, asLayer, offered, standsFor } from "./networks";
import type {
  AboutWish, CanvasData, Edit, Graph, Issue, LayerType, NetworkWish, NodeRecord, Selection, Sync,
} from "./generated";

export type Topic = "graph" | "derived" | "status";
/** What is sent to Python, by name. */
type Messages = { sync: Sync; selection: Selection; network: NetworkWish };
export type Send = <Name extends keyof Messages>(name: Name, value: Messages[Name]) => void;
export type Operation = Edit & { seq: number };
type Chosen = Pick<Selection, "network" | "nodes" | "edges">;
const RESEND_MS = 2000;
/** An answer is seen by then. */
const SEEN_MS = 40;
const NO_ISSUES: Issue[] = [];
const NOTHING: Chosen = { network: "", nodes: [], edges: [] };

export const randomName = (): string =>
  Array.from({ length: 12 }, () => "0123456789abcdefghijklmnopqrstuvwxyz"[Math.floor(Math.random() * 36)]).join("");

export class Engine {
  client = randomName();
  /** The network that is shown, and the copy of its graph. */
  network = "";
  graph: Graph = EMPTY;
  data: CanvasData;
  pending: Operation[] = [];
  types = new Map<string, LayerType>();
  /** What can be added to the network that is shown. Another array whenever it is something else. */
  layers: LayerType[] = [];
  paletteVersion = "";
  /** Refused edits, as sentences, until they are read. */
  refusals: string[] = [];
  send: Send;
  private chosen = NOTHING;
  private wish: AboutWish | null = null;
  private sorted: { issues?: Issue[]; network: string; byNode: Map<string, Issue[]> } = { network: "", byNode: new Map() };
  private palette: LayerType[] = [];
  private palettes = new Map<string, LayerType[]>();
  private standing = new Map<string, LayerType>();
  private offer = "";
  private lacking = "";
  /** What Python was last told of what is beside the canvas. */
  private looked = "";
  private looking: ReturnType<typeof setTimeout> | undefined;
  private wishes = 0;
  private seq = 0;
  private messages = 0;
  private acknowledged = 0;
  private inFlight = 0;
  private refusedAt: number;
  private sentAt = 0;
  private epoch = "";
  private foreign = -1;
  private deferred: CanvasData | null = null;
  private busy = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private listeners = new Set<(topic: Topic) => void>();

  constructor(data: CanvasData, send: Send) {
    this.data = data;
    this.send = send;
    this.refusedAt = data.refused_at; // what was refused before this page was there is past
    this.receive(data);
  }

  /** The canvas is on the page again after others were: Python has forgotten what it was told of it. */
  arrive(data: CanvasData, send: Send): void {
    this.send = send;
    this.chosen = NOTHING;
    this.wish = null;
    this.looked = "";
    this.sentAt = 0;
    this.receive(data);
  }

  listen(listener: (topic: Topic) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Apply an edit here and queue it for Python. A drag in quick steps may wait `delay` ms for the next. */
  do(edit: Edit, delay = 0): void {
    const whole = addressed(edit, this.network);
    this.graph = applyTo(this.graph, whole, this.network);
    this.pending.push({ ...whole, seq: ++this.seq });
    this.tell("graph");
    this.tell("status");
    if (delay) this.later(delay);
    else this.flush();
  }

  /** Ask for another network. Python answers with its graph; edits still under way say which one they concern. */
  open(name: string): void {
    // A clock, and not a count, as the answer to a wish may come after the page was loaded again.
    this.wishes = Math.max(this.wishes + 1, Date.now());
    this.send("network", { name, number: this.wishes });
  }

  /** What a node is; one that stands for a network has the ports of that network. */
  layerOf(node: NodeRecord | undefined): LayerType | undefined {
    const network = standsFor(node);
    return (network ? this.standing.get(network) : undefined) ?? this.types.get(node?.type ?? "");
  }

  /** Tell Python what is selected. */
  choose(chosen: Chosen): void {
    this.chosen = chosen;
    this.look(SEEN_MS);
  }

  /** Ask Python what a layer is, or ask no more. It answers with `about`. */
  ask(wish: AboutWish | null): void {
    if (wish?.type === this.wish?.type && wish?.node === this.wish?.node) return;
    this.wish = wish;
    this.look(0);
  }

  /** Have the other parts of the page follow: they are asked for when edits were answered, so that none waits for it. */
  private look(delay: number): void {
    clearTimeout(this.looking);
    this.looking = setTimeout(() => {
      if (this.inFlight > this.acknowledged) return; // the answer looks
      const { chosen, wish: about, paletteVersion: palette, data: { changes } } = this;
      const text = JSON.stringify([chosen, about, changes]);
      if (text === this.looked) return;
      this.looked = text;
      this.send("selection", { ...chosen, about, palette, changes });
    }, delay);
  }

  /** What is wrong with a node of the network that is shown. Sorted by node once, since each of 1,000 nodes asks. */
  issuesOf(id: string): Issue[] {
    const { issues } = this.data.derived;
    if (this.sorted.issues !== issues || this.sorted.network !== this.network) {
      const byNode = new Map<string, Issue[]>();
      for (const issue of issues) {
        if (!issue.node || issue.network !== this.network) continue;
        const known = byNode.get(issue.node);
        if (known) known.push(issue);
        else byNode.set(issue.node, [issue]);
      }
      this.sorted = { issues, network: this.network, byNode };
    }
    return this.sorted.byNode.get(id) ?? NO_ISSUES;
  }

  /** While a drag is under way, a snapshot from elsewhere has to wait. */
  hold(): void {
    this.busy = true;
  }

  release(): void {
    this.busy = false;
    const data = this.deferred;
    this.deferred = null;
    if (data) this.receive(data);
  }

  /** Take what Python says. Called on every run of the script, and not always in order. */
  receive(data: CanvasData): void {
    if (data.epoch !== this.epoch) this.start(data);
    const other = data.shown !== this.network;
    if (this.busy && (other || data.foreign > this.foreign)) {
      this.deferred = data;
      return;
    }
    // After a visit to another page, Python has forgotten for whom it is, and says nothing of our edits.
    const acknowledged = data.ack[this.client] ?? this.acknowledged;
    const overtaken = data.wish !== null && data.wish < (this.data.wish ?? 0);
    if (overtaken || acknowledged < this.acknowledged || data.revision < this.data.revision) return;
    if (acknowledged > this.acknowledged || data.changes !== this.data.changes) this.look(SEEN_MS);
    this.acknowledged = acknowledged;
    this.pending = this.pending.filter((operation) => operation.seq > acknowledged);
    this.data = data;
    this.offerLayers(data);
    if (data.refused_at !== this.refusedAt) this.refusals = data.refusals;
    this.refusedAt = data.refused_at;
    if (other || data.foreign > this.foreign) {
      this.foreign = Math.max(this.foreign, data.foreign);
      this.network = data.shown;
      this.graph = this.pending.reduce((graph, edit) => applyTo(graph, edit, data.shown), data.network);
      this.tell("graph");
    }
    this.tell("derived");
    this.tell("status");
    this.flush();
  }

  forgetRefusals(): void {
    this.refusals = [];
    this.tell("status");
  }

  /** First data, another document, or a history that was replaced: what was here belongs to the past. */
  private start(data: CanvasData): void {
    if (this.epoch) this.look(SEEN_MS);
    this.epoch = data.epoch;
    this.client = randomName();
    this.pending = [];
    this.seq = this.acknowledged = this.inFlight = 0;
    this.foreign = -1;
    this.network = "";
    this.data = { ...data, revision: -1, wish: null };
  }

  /** Take the palette where it is new to this browser, and the networks, which come with every answer. */
  private offerLayers(data: CanvasData): void {
    if (data.palette) this.palettes.set(data.palette_version, data.palette);
    const palette = this.palettes.get(data.palette_version);
    if (palette && palette !== this.palette) {
      this.palette = palette;
      this.paletteVersion = data.palette_version;
      this.types = new Map(palette.map((layer) => [layer.type, layer]));
    } else if (!palette && this.lacking !== data.palette_version) {
      this.lacking = data.palette_version;
      this.message([]); // it says which palette is here
    }
    const offer = JSON.stringify([this.paletteVersion, data.shown, data.main, data.networks]);
    if (offer === this.offer) return;
    this.offer = offer;
    this.layers = offered(this.palette, data.networks, data.shown, data.main);
    this.standing = new Map(data.networks.map((facts) => [facts.name, asLayer(facts)]));
  }

  private flush(): void {
    if (!this.pending.length) return;
    const now = Date.now();
    const wait = this.inFlight > this.acknowledged ? this.sentAt + RESEND_MS - now : 0;
    if (wait > 0) {
      this.later(wait + 50);
      return;
    }
    this.inFlight = this.seq;
    this.sentAt = now;
    this.message(this.pending);
    this.later(RESEND_MS + 50); // numbered operations can safely be sent again
  }

  private message(ops: Operation[]): void {
    // The number makes a message that is sent again differ from the one before, or Streamlit would keep it back.
    const { epoch, client, paletteVersion: palette } = this;
    this.send("sync", { epoch, client, ops, palette, number: ++this.messages });
  }

  private later(delay: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), delay);
  }

  private tell(topic: Topic): void {
    for (const listener of this.listeners) listener(topic);
  }
}

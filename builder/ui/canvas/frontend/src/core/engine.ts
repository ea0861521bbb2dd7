// The browser's copy of the document, and the outbox of edits that Python has not acknowledged yet.
// Edits are applied here at once. One message is on its way at a time; the edits made meanwhile wait behind it.
import { EMPTY, applyEdit } from "./graph";
import type { Data, Edit, Graph, LayerType, Operation } from "./types";

export type Topic = "graph" | "derived" | "status";
export type Send = (name: string, value: unknown) => void;
const RESEND_MS = 2000;

export const randomName = (): string =>
  Array.from({ length: 12 }, () => "0123456789abcdefghijklmnopqrstuvwxyz"[Math.floor(Math.random() * 36)]).join("");

export class Engine {
  client = randomName();
  graph: Graph = EMPTY;
  data: Data;
  pending: Operation[] = [];
  types = new Map<string, LayerType>();
  /** Refused edits, as sentences, until they are read. */
  refusals: string[] = [];
  send: Send;
  private palette: LayerType[] | null = null;
  private seq = 0;
  private messages = 0;
  private acknowledged = 0;
  private inFlight = 0;
  private sentAt = 0;
  private epoch = "";
  private foreign = -1;
  private deferred: Data | null = null;
  private busy = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private listeners = new Set<(topic: Topic) => void>();

  constructor(data: Data, send: Send) {
    this.data = data;
    this.send = send;
    this.receive(data);
  }

  listen(listener: (topic: Topic) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Apply an edit here and queue it for Python. A drag in quick steps may wait `delay` ms for the next. */
  do(edit: Edit, delay = 0): void {
    this.graph = applyEdit(this.graph, edit);
    this.pending.push({ ...edit, seq: ++this.seq });
    this.tell("graph");
    this.tell("status");
    if (delay) this.later(delay);
    else this.flush();
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
  receive(data: Data): void {
    if (data.epoch !== this.epoch) this.start(data);
    if (this.busy && data.foreign > this.foreign) {
      this.deferred = data;
      return;
    }
    // After a visit to another page, Python has forgotten for whom it is, and says nothing of our edits.
    const acknowledged = data.ack[this.client] ?? this.acknowledged;
    if (acknowledged < this.acknowledged || data.revision < (this.data?.revision ?? 0)) return; // overtaken on its way
    this.acknowledged = acknowledged;
    this.pending = this.pending.filter((operation) => operation.seq > acknowledged);
    if (data.palette !== this.palette) {
      this.palette = data.palette;
      this.types = new Map(data.palette.map((layer) => [layer.type, layer]));
    }
    this.data = data;
    if (data.refusals.length) this.refusals = data.refusals;
    if (data.foreign > this.foreign) {
      this.foreign = data.foreign;
      this.graph = this.pending.reduce(applyEdit, data.network);
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
  private start(data: Data): void {
    this.epoch = data.epoch;
    this.client = randomName();
    this.pending = [];
    this.seq = this.acknowledged = this.inFlight = 0;
    this.foreign = -1;
    this.data = { ...data, revision: -1 };
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
    // The number makes a message that is sent again differ from the one before, or Streamlit would keep it back.
    this.send("sync", { epoch: this.epoch, client: this.client, ops: this.pending, number: ++this.messages });
    this.later(RESEND_MS + 50); // numbered operations can safely be sent again
  }

  private later(delay: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), delay);
  }

  private tell(topic: Topic): void {
    for (const listener of this.listeners) listener(topic);
  }
}

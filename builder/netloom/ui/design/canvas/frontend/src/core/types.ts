// What passes between Python and the canvas. builder/graph and builder/ui/canvas/payload.py are the other side.

export type Params = Record<string, unknown>;
export type NodeRecord = {
  type: string;
  params: Params;
  title: string;
  at: [number, number];
  frozen: boolean;
  /** Another node of the network whose weights this one uses. */
  shares: string | null;
  note: string;
};
export type EdgeRecord = { source: string; target: string };
export type Color = "yellow" | "green" | "blue" | "purple" | "red" | "grey";
/** A remark, or a frame around layers, of which the text is the title. */
export type NoteRecord = {
  text: string;
  at: [number, number];
  width: number;
  height: number;
  color: Color;
  frame: boolean;
  /** Whether a frame hides what lies in it. */
  folded: boolean;
};
/** Edges stand under the input port that they lead to, as a port takes one edge. */
export type Graph = {
  nodes: Record<string, NodeRecord>;
  edges: Record<string, EdgeRecord>;
  notes: Record<string, NoteRecord>;
};

export type NewNode = Partial<NodeRecord> & { id: string; type: string };
/** An edit of one network: the one that `network` names, or else that which is shown. */
type NetworkEdit = { network?: string } & (
  | { kind: "add"; nodes: NewNode[]; edges?: EdgeRecord[]; document?: string }
  | { kind: "remove"; nodes: string[]; edges: string[] }
  | { kind: "move"; at: Record<string, [number, number]> }
  | { kind: "connect"; source: string; target: string }
  | { kind: "set"; node: string; params: Params }
  | { kind: "update"; node: string; title?: string; frozen?: boolean; shares?: string | null; note?: string }
  | { kind: "note"; id: string; note: NoteRecord | null }
);
/** Edits of which networks there are. Python alone applies them, and answers with a snapshot. */
type Composition =
  | { kind: "create_network"; name: string }
  | { kind: "delete_network"; name: string }
  | { kind: "rename_network"; name: string; to: string }
  | { kind: "parameters"; network: string; values: Record<string, number> }
  | { kind: "group"; network?: string; nodes: string[]; name: string; inputs?: Record<string, Params> }
  | { kind: "unpack"; network?: string; node: string };
export type Edit =
  | NetworkEdit
  | Composition
  | { kind: "project"; [key: string]: unknown }
  | { kind: "batch"; edits: Edit[] }
  | { kind: "undo" }
  | { kind: "redo" };
export type Operation = Edit & { seq: number };

export type Kind = "vector" | "sequence" | "image" | "volume" | "tokens" | "any";
/** `label` is what people call it, where that is another word than its name. */
export type Port = { name: string; kinds: Kind[]; doc: string; label?: string };
export type LayerType = {
  type: string;
  title: string;
  group: string;
  summary: string;
  keywords: string[];
  color: string;
  inputs: Port[];
  outputs: Port[];
  params: Params;
  /** Whether the palette shows it before one asks for more. */
  common: boolean;
  /** For a node that stands for a network of the project: its name. */
  network?: string;
};
/** A network of the project. It may stand in the one that is shown where that would not stand in itself. */
export type NetworkFacts = { name: string; used: boolean; may_stand: boolean; inputs: Port[]; outputs: Port[] };

/** What a layer is, in full; sent when it is asked for. `shapes` are those that `node` gives, by port. */
export type About = {
  type: string;
  node: string | null;
  formula: string;
  url: string;
  fields: { name: string; range: string; default: string; text: string }[];
  shapes: Record<string, string>;
};

export type Severity = "error" | "warning" | "hint";
export type Issue = {
  code: string;
  severity: Severity;
  message: string;
  network: string;
  node: string | null;
  port: string | null;
  fix: { title: string; edit: Edit } | null;
};
export type NodeFacts = { summary: string; parameters: number | null; inputs?: Port[]; outputs?: Port[] };
export type EdgeFacts = { label: string; kind: Kind | null; error: boolean };
export type Totals = { parameters: number; flops: number; memory_bytes: number; layers: number };
export type Derived = {
  nodes: Record<string, NodeFacts>;
  edges: Record<string, EdgeFacts>;
  issues: Issue[];
  /** Whether data is chosen. */
  data: boolean;
  totals: Totals;
};

export type Data = {
  document: string;
  epoch: string;
  revision: number;
  ack: Record<string, number>;
  foreign: number;
  /** Sentences on edits that were refused, and when that was. */
  refusals: string[];
  refused_at: number;
  /** The network that is shown: its name, its graph, and the number of the wish to see it, where there was one. */
  shown: string;
  network: Graph;
  wish: number | null;
  main: string;
  networks: NetworkFacts[];
  derived: Derived;
  about: About | null;
  /** Null where this browser has it already, in this version. */
  palette: LayerType[] | null;
  palette_version: string;
  can_undo: boolean;
  can_redo: boolean;
  saved: boolean;
  height: number;
};

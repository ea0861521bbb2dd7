// What passes between Python and the canvas. builder/graph and builder/ui/canvas/data.py are the other side.

export type Params = Record<string, unknown>;
export type NodeRecord = {
  type: string;
  params: Params;
  title: string;
  at: [number, number];
  frozen: boolean;
  note: string;
};
export type EdgeRecord = { source: string; target: string };
export type NoteRecord = { text: string; at: [number, number]; width: number; height: number };
/** Edges stand under the input port that they lead to, as a port takes one edge. */
export type Graph = {
  nodes: Record<string, NodeRecord>;
  edges: Record<string, EdgeRecord>;
  notes: Record<string, NoteRecord>;
};

export type NewNode = Partial<NodeRecord> & { id: string; type: string };
export type Edit =
  | { kind: "add"; nodes: NewNode[]; edges?: EdgeRecord[] }
  | { kind: "remove"; nodes: string[]; edges: string[] }
  | { kind: "move"; at: Record<string, [number, number]> }
  | { kind: "connect"; source: string; target: string }
  | { kind: "set"; node: string; params: Params }
  | { kind: "update"; node: string; title?: string; frozen?: boolean; note?: string }
  | { kind: "note"; id: string; note: NoteRecord | null }
  | { kind: "project"; [key: string]: unknown }
  | { kind: "batch"; edits: Edit[] }
  | { kind: "undo" }
  | { kind: "redo" };
export type Operation = Edit & { seq: number };

export type Kind = "vector" | "sequence" | "image" | "tokens" | "any";
export type Port = { name: string; kinds: Kind[]; doc: string };
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
};

export type Severity = "error" | "warning" | "hint";
export type Issue = {
  code: string;
  severity: Severity;
  message: string;
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
  totals: Totals;
};

export type Data = {
  document: string;
  epoch: string;
  revision: number;
  ack: Record<string, number>;
  foreign: number;
  refusals: string[];
  network: Graph;
  derived: Derived;
  palette: LayerType[];
  can_undo: boolean;
  can_redo: boolean;
  saved: boolean;
  height: number;
};

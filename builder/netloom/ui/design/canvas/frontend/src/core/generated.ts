// Generated from messages.py by `python -m netloom.ui.design.canvas.typescript`. Do not edit.

/** The help of a layer, sent on request. `shapes` are the output shapes of `node`, by port. */
export type About = {
  type: string;
  node: string | null;
  formula: string;
  url: string;
  fields: AboutField[];
  shapes: Record<string, string>;
};

/** The documentation of a parameter of a layer. */
export type AboutField = {
  name: string;
  range: string;
  default: string;
  text: string;
};

/** A request for the help of a layer, and optionally of its node. */
export type AboutWish = {
  type: string;
  node: string | null;
};

/** Add nodes and edges. `document` is the id of the project that they were copied from, if it is another one. */
export type AddEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "add";
  nodes: NewNode[];
  edges?: EdgeRecord[];
  document?: string;
};

/** Apply several edits as one undo step. Batches cannot be nested. */
export type BatchEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "batch";
  edits: Edit[];
};

/** Everything that the canvas shows. */
export type CanvasData = {
  document: string;
  epoch: string;
  revision: number;
  /** The sequence number of the last applied edit, by client. */
  ack: Record<string, number>;
  /** The last revision by another client. */
  foreign: number;
  /** The messages of refused edits; `refused_at` is their time. */
  refusals: string[];
  refused_at: number;
  /** The visible network; `wish` is the number of the request for it. */
  shown: string;
  wish: number | null;
  network: Graph;
  main: string;
  networks: NetworkFacts[];
  derived: Derived;
  about: About | null;
  /** Null if the browser has this version already. */
  palette: LayerType[] | null;
  palette_version: string;
  can_undo: boolean;
  can_redo: boolean;
  saved: boolean;
  /** A counter of changes of the other parts of the page. */
  changes: number;
  height: number;
};

export type Color = "yellow" | "green" | "blue" | "purple" | "red" | "gray";

/** Connect an output to an input, which replaces the previous edge of the input. */
export type ConnectEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "connect";
  source: string;
  target: string;
};

/** Add a network. */
export type CreateNetwork = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "create_network";
  name: string;
  content?: Record<string, unknown>;
};

/** Remove a network that no other network contains. */
export type DeleteNetwork = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "delete_network";
  name: string;
};

/** The results of validation. `data` is whether a dataset is chosen. */
export type Derived = {
  nodes: Record<string, NodeFacts>;
  edges: Record<string, EdgeFacts>;
  issues: Issue[];
  data: boolean;
  totals: Totals;
};

/** The shape of the tensor on an edge, and whether it is an error there. */
export type EdgeFacts = {
  label: string;
  kind: Kind | null;
  error: boolean;
};

/** An edge between two ports, written as `node.port`, or as `node` for the default port. */
export type EdgeRecord = {
  source: string;
  target: string;
};

export type Edit = AddEdit | RemoveEdit | MoveEdit | ConnectEdit | ParamsEdit | UpdateEdit | NoteEdit | OrderEdit | GroupEdit | UnpackEdit | CreateNetwork | DeleteNetwork | ReplaceNetwork | InsertNetworks | RenameNetwork | RenameParameter | ParametersEdit | ProjectEdit | BatchEdit | UndoEdit | RedoEdit;

/** A fix of an issue: the title of its button, and its edit. */
export type Fix = {
  title: string;
  edit: Edit;
};

/** A network. Edges are keyed by their input port, as a port accepts one edge. */
export type Graph = {
  nodes: Record<string, NodeRecord>;
  edges: Record<string, EdgeRecord>;
  notes: Record<string, NoteRecord>;
};

/** Replace nodes by a subnetwork that contains them. `inputs` are the parameters of its Inputs, by source port. */
export type GroupEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "group";
  nodes: string[];
  name: string;
  inputs?: Record<string, Params>;
};

/** Add the networks of a bundle, which is a document. */
export type InsertNetworks = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "insert_networks";
  bundle: Record<string, unknown>;
};

/** An issue and its location. `node` and `port` are null if it concerns the whole network. */
export type Issue = {
  code: string;
  severity: Severity;
  message: string;
  network: string;
  node: string | null;
  port: string | null;
  fix: Fix | null;
};

export type Kind = "vector" | "sequence" | "image" | "volume" | "tokens" | "any";

/** A layer of the palette. `network` is the name of the network if the layer is a subnetwork of the project. */
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
  /** Whether the palette shows it before it is expanded. */
  common: boolean;
  network?: string;
};

/** Move nodes and notes. */
export type MoveEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "move";
  at: Record<string, Position>;
};

/** A network of the project. `may_stand` is false if the visible network would then contain itself. */
export type NetworkFacts = {
  name: string;
  used: boolean;
  may_stand: boolean;
  inputs: Port[];
  outputs: Port[];
};

/** A request to show a network; a later request has a greater number. */
export type NetworkWish = {
  name: string;
  number: number;
};

/** A node to add. Missing fields have their defaults. */
export type NewNode = {
  id: string;
  type: string;
  params?: Params;
  title?: string;
  at?: Position;
  frozen?: boolean;
  shares?: string | null;
  note?: string;
  initialization?: Params;
};

/** The new state of a note or frame. Missing fields have their defaults. */
export type NewNote = {
  text: string;
  at?: Position;
  width?: number;
  height?: number;
  color?: Color;
  frame?: boolean;
  folded?: boolean;
};

/** The derived properties of a node. `inputs` and `outputs` are set if its ports differ from those of its type. */
export type NodeFacts = {
  summary: string;
  parameters: number | null;
  inputs?: Port[];
  outputs?: Port[];
};

/** A layer of a network. `shares` is the id of the node whose weights this one uses; `initialization` is missing if it is that of the network. */
export type NodeRecord = {
  type: string;
  params: Params;
  title: string;
  at: Position;
  frozen: boolean;
  shares: string | null;
  note: string;
  initialization?: Params;
};

/** Add, change or remove a note or frame; null removes it. */
export type NoteEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "note";
  id: string;
  note: NewNote | null;
};

/** A comment, or a frame around layers with `text` as its title. A folded frame hides its content. */
export type NoteRecord = {
  text: string;
  at: Position;
  width: number;
  height: number;
  color: Color;
  frame: boolean;
  folded: boolean;
};

/** Reorder the Inputs or Outputs of a network. */
export type OrderEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "order";
  inputs?: string[];
  outputs?: string[];
};

/** Replace the parameters that a network exposes. */
export type ParametersEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "parameters";
  network: string;
  values: Record<string, number>;
};

export type Params = Record<string, unknown>;

/** Change parameters of a node. */
export type ParamsEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "set";
  node: string;
  params: Params;
};

/** An input or output of a layer. `label` is its display name, if that differs from `name`. */
export type Port = {
  name: string;
  kinds: Kind[];
  doc: string;
  label?: string;
};

export type Position = [number, number];

/** Change the name or the notes of the project, or settings of its data and training. */
export type ProjectEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "project";
  name?: string;
  notes?: string;
  data?: Params;
  training?: Params;
};

/** Redo the step that was undone last. */
export type RedoEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "redo";
};

/** Remove nodes with their edges, and other edges by their input ports. */
export type RemoveEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "remove";
  nodes: string[];
  edges: string[];
};

/** Rename a network, also in the nodes that refer to it. */
export type RenameNetwork = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "rename_network";
  name: string;
  to: string;
};

/** Rename a parameter of a network, also in expressions. `numbers` are the numeric parameters, by type of layer. */
export type RenameParameter = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "rename_parameter";
  network: string;
  name: string;
  to: string;
  numbers: Record<string, string[]>;
};

/** Replace the content of a network. */
export type ReplaceNetwork = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "replace_network";
  name: string;
  content: Record<string, unknown>;
};

/** The selection in a network. It is sent again when `changes` increases, so that the page reruns. */
export type Selection = {
  network: string;
  nodes: string[];
  edges: string[];
  about: AboutWish | null;
  palette: string;
  changes: number;
};

export type Severity = "error" | "warning" | "hint";

/** The edits that Python has not acknowledged. `number` distinguishes a message that is sent again. */
export type Sync = {
  epoch: string;
  client: string;
  palette: string;
  ops: Edit[];
  number: number;
};

/** The size and the computational cost of the main network. */
export type Totals = {
  parameters: number;
  flops: number;
  memory_bytes: number;
  layers: number;
};

/** Undo the last step. */
export type UndoEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  kind: "undo";
};

/** Replace a subnetwork node by the layers of its network. */
export type UnpackEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "unpack";
  node: string;
};

/** Change the title or the note of a node, or freeze, share or initialize its weights. */
export type UpdateEdit = {
  /** The sequence number of the edit, by client. */
  seq?: number;
  network?: string;
  kind: "update";
  node: string;
  title?: string;
  frozen?: boolean;
  shares?: string | null;
  note?: string;
  initialization?: Params | null;
};

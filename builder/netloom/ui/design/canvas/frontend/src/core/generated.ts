// Made of messages.py by `python -m netloom.ui.design.canvas.typescript`. Do not edit.

/** What a layer is, in full; sent when it is asked for. `shapes` are those that `node` gives, by port. */
export type About = {
  type: string;
  node: string | null;
  formula: string;
  url: string;
  fields: AboutField[];
  shapes: Record<string, string>;
};

/** A parameter of a layer in words. */
export type AboutField = {
  name: string;
  range: string;
  default: string;
  text: string;
};

/** The layer, and perhaps the node, about which people ask. */
export type AboutWish = {
  type: string;
  node: string | null;
};

/** Add nodes, and edges. `document` is the project from which they were copied, if it is another one. */
export type AddEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "add";
  nodes: NewNode[];
  edges?: EdgeRecord[];
  document?: string;
};

/** Several edits as one step; it holds no other batch. */
export type BatchEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "batch";
  edits: Edit[];
};

/** All that the canvas shows. */
export type CanvasData = {
  document: string;
  epoch: string;
  revision: number;
  /** By client, the number of the last operation that was applied. */
  ack: Record<string, number>;
  /** The last revision that this client did not make itself. */
  foreign: number;
  /** Sentences on edits that were refused, and when that was. */
  refusals: string[];
  refused_at: number;
  /** The network that is shown, and the number of the wish to see it. */
  shown: string;
  wish: number | null;
  network: Graph;
  main: string;
  networks: NetworkFacts[];
  derived: Derived;
  about: About | null;
  /** Null where this browser has this version already. */
  palette: LayerType[] | null;
  palette_version: string;
  can_undo: boolean;
  can_redo: boolean;
  saved: boolean;
  /** How often other parts of the page had something else to show. */
  changes: number;
  height: number;
};

export type Color = "yellow" | "green" | "blue" | "purple" | "red" | "grey";

/** Lead an output to an input, in the place of what led there. */
export type ConnectEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "connect";
  source: string;
  target: string;
};

/** Add a network. */
export type CreateNetwork = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "create_network";
  name: string;
  content?: Record<string, unknown>;
};

/** Remove a network that stands nowhere. */
export type DeleteNetwork = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "delete_network";
  name: string;
};

/** What follows from the document. `data` tells whether a dataset is chosen. */
export type Derived = {
  nodes: Record<string, NodeFacts>;
  edges: Record<string, EdgeFacts>;
  issues: Issue[];
  data: boolean;
  totals: Totals;
};

/** The shape on an edge, and whether it is wrong there. */
export type EdgeFacts = {
  label: string;
  kind: Kind | null;
  error: boolean;
};

/** A tensor's way between two ports; a port's name is left out where it is the default. */
export type EdgeRecord = {
  source: string;
  target: string;
};

export type Edit = AddEdit | RemoveEdit | MoveEdit | ConnectEdit | ParamsEdit | UpdateEdit | NoteEdit | OrderEdit | GroupEdit | UnpackEdit | CreateNetwork | DeleteNetwork | ReplaceNetwork | InsertNetworks | RenameNetwork | RenameParameter | ParametersEdit | ProjectEdit | BatchEdit | UndoEdit | RedoEdit;

/** What a button says that fixes an issue, and the edit that it makes. */
export type Fix = {
  title: string;
  edit: Edit;
};

/** A network. Edges are keyed by the input port that they lead to, as a port takes one edge. */
export type Graph = {
  nodes: Record<string, NodeRecord>;
  edges: Record<string, EdgeRecord>;
  notes: Record<string, NoteRecord>;
};

/** Make a network of nodes. `inputs` are parameters of its Inputs, by what comes in. */
export type GroupEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "group";
  nodes: string[];
  name: string;
  inputs?: Record<string, Params>;
};

/** Add the networks of a bundle, which is a document. */
export type InsertNetworks = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "insert_networks";
  bundle: Record<string, unknown>;
};

/** What is wrong, and where; `node` and `port` are null where it concerns the whole network. */
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

/** A layer that can be added. Of a network of the project, `network` is the name. */
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
  network?: string;
};

/** Put nodes and notes in other places. */
export type MoveEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "move";
  at: Record<string, Position>;
};

/** A network of the project. It may stand in the one that is shown where it would not contain itself. */
export type NetworkFacts = {
  name: string;
  used: boolean;
  may_stand: boolean;
  inputs: Port[];
  outputs: Port[];
};

/** The network that people want to see; a later wish has a greater number. */
export type NetworkWish = {
  name: string;
  number: number;
};

/** A node to add; what is left out is as by default. */
export type NewNode = {
  id: string;
  type: string;
  params?: Params;
  title?: string;
  at?: Position;
  frozen?: boolean;
  shares?: string | null;
  note?: string;
};

/** A note or a frame to put in place; what is left out is as by default. */
export type NewNote = {
  text: string;
  at?: Position;
  width?: number;
  height?: number;
  color?: Color;
  frame?: boolean;
  folded?: boolean;
};

/** What is known of a node. It has ports of its own where they are not those of its type. */
export type NodeFacts = {
  summary: string;
  parameters: number | null;
  inputs?: Port[];
  outputs?: Port[];
};

/** A layer of a network. `shares` names another node of the network whose weights this one uses. */
export type NodeRecord = {
  type: string;
  params: Params;
  title: string;
  at: Position;
  frozen: boolean;
  shares: string | null;
  note: string;
};

/** Put a note or a frame in place; null removes it. */
export type NoteEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "note";
  id: string;
  note: NewNote | null;
};

/** A comment, or a frame around layers, of which the text is the title. A folded frame hides what lies in it. */
export type NoteRecord = {
  text: string;
  at: Position;
  width: number;
  height: number;
  color: Color;
  frame: boolean;
  folded: boolean;
};

/** Put Inputs or Outputs in another order. */
export type OrderEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "order";
  inputs?: string[];
  outputs?: string[];
};

/** Exchange the parameters that a network exposes. */
export type ParametersEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "parameters";
  network: string;
  values: Record<string, number>;
};

export type Params = Record<string, unknown>;

/** Change parameters of a node. */
export type ParamsEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "set";
  node: string;
  params: Params;
};

/** `label` is what people call it, where that is another word than its name. */
export type Port = {
  name: string;
  kinds: Kind[];
  doc: string;
  label?: string;
};

export type Position = [number, number];

/** Change the name of the project, or fields of its data and training. */
export type ProjectEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "project";
  name?: string;
  notes?: string;
  data?: Params;
  training?: Params;
};

/** Make the step again that was taken back last. */
export type RedoEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "redo";
};

/** Remove nodes with their edges, and the edges that lead to some ports. */
export type RemoveEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "remove";
  nodes: string[];
  edges: string[];
};

/** Give a network another name, wherever it stands. */
export type RenameNetwork = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "rename_network";
  name: string;
  to: string;
};

/** Give a parameter of a network another name. `numbers` are, by type of layer, the parameters that are numbers. */
export type RenameParameter = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "rename_parameter";
  network: string;
  name: string;
  to: string;
  numbers: Record<string, string[]>;
};

/** Put another content in the place of a network's. */
export type ReplaceNetwork = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "replace_network";
  name: string;
  content: Record<string, unknown>;
};

/** What is selected in a network, sent again once other parts of the page change: `changes` counts these. */
export type Selection = {
  network: string;
  nodes: string[];
  edges: string[];
  about: AboutWish | null;
  palette: string;
  changes: number;
};

export type Severity = "error" | "warning" | "hint";

/** The operations that Python has not acknowledged. `number` makes a message that is sent again another one. */
export type Sync = {
  epoch: string;
  client: string;
  palette: string;
  ops: Edit[];
  number: number;
};

/** The size and the cost of the main network. */
export type Totals = {
  parameters: number;
  flops: number;
  memory_bytes: number;
  layers: number;
};

/** Take the last step back. */
export type UndoEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  kind: "undo";
};

/** Put the layers of a network in the place of a node that stands for it. */
export type UnpackEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "unpack";
  node: string;
};

/** Change what is said of a node, and what its weights do. */
export type UpdateEdit = {
  /** Its number among the operations of a client. */
  seq?: number;
  network?: string;
  kind: "update";
  node: string;
  title?: string;
  frozen?: boolean;
  shares?: string | null;
  note?: string;
};

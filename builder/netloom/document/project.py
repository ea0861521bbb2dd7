"""The document: a project holds named networks, a choice of data and the way to train.

Every class is immutable and maps to plain JSON. Equal documents are written as equal bytes, and no other part of
Netloom stores a second copy of their content.
"""

from __future__ import annotations

import json
import keyword
import math
import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from netloom.core.text import natural
from netloom.document.base_model import Frozen
from netloom.document.initialization import Initialization
from netloom.document.training_settings import Training

FORMAT = 1
DEFAULT_SOURCE_PORT = "out"
DEFAULT_TARGET_PORT = "in"
MAX_PORT_LENGTH = 32
MAX_NODES = 2_000
MAX_EDGES = 20_000
MAX_PARAMS_BYTES = 65_536
# JSON is written and read recursively: this depth fits on the stack of a page with a wide margin.
MAX_PARAMS_DEPTH = 64
MAX_NETWORKS = 200
# The type of a node that uses another network of the project.
SUBNETWORK = "Subnetwork"

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PORT = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_PORT_LENGTH - 1}}}")
# Names that the generated class needs for itself or inherits from torch.nn.Module.
RESERVED = frozenset(
    """
    add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward functional get_buffer get_extra_state get_parameter get_submodule half ipu
    load_state_dict math modules mtia named_buffers named_children named_modules named_parameters nn
    parameters register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
    register_state_dict_pre_hook requires_grad_ self set_extra_state set_submodule share_memory state_dict
    super to to_empty torch train training type xpu zero_grad
    """.split()
)


def is_identifier(name: str) -> bool:
    """Whether `name` is a valid node id: a lowercase Python name that the generated class does not use."""
    return bool(_IDENTIFIER.fullmatch(name)) and not keyword.iskeyword(name) and name not in RESERVED


def misnamed(name: str, rule: str) -> str:
    """The message for a name that is not an identifier: the `rule` for names, or that this name is reserved."""
    if not _IDENTIFIER.fullmatch(name):
        return rule
    return f"{name} is reserved by Python or PyTorch; choose another name, such as {name[:60]}_1."


def _identifier(name: str) -> str:
    if not is_identifier(name):
        raise ValueError("an id must be a lowercase Python name of at most 64 letters, digits and _, such as conv2d_1")
    return name


def _reference(text: str) -> str:
    node, _, port = text.partition(".")
    _identifier(node)
    if "." in text and not _PORT.fullmatch(port):
        raise ValueError("the name of a port must be lowercase, such as out")
    return text


def _finite(value: float) -> float:
    if not math.isfinite(value) or abs(value) > 1e7:
        raise ValueError("a position on the canvas must be a finite number of pixels")
    return value


def _plain(params: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        size = len(json.dumps(params, allow_nan=False))
    except ValueError:
        raise ValueError("NaN and infinity are not allowed in a document") from None
    if size > MAX_PARAMS_BYTES:
        raise ValueError(f"the parameters of a layer can have at most {MAX_PARAMS_BYTES:,} bytes")
    # Each level takes at least two characters, so that most parameters need no search.
    if size > 2 * MAX_PARAMS_DEPTH and _is_deep(params):
        raise ValueError(f"the parameters of a layer can be nested at most {MAX_PARAMS_DEPTH} levels deep")
    return params


def _is_deep(value: JsonValue) -> bool:
    """Whether lists and objects are nested more deeply than allowed.

    Level by level instead of recursively, because the value may be nested more deeply than Python's stack.
    """
    level: list[JsonValue] = [value]
    for _ in range(MAX_PARAMS_DEPTH):
        inside = (part for part in level if isinstance(part, (dict, list)))
        level = [inner for part in inside for inner in (part.values() if isinstance(part, dict) else part)]
    return any(isinstance(part, (dict, list)) for part in level)


Identifier = Annotated[str, AfterValidator(_identifier)]
Reference = Annotated[str, AfterValidator(_reference)]
Pixels = Annotated[float, AfterValidator(_finite)]
# Validation is strict, but JSON has no tuples: `strict=False` accepts a list for a tuple, here and below.
Position = Annotated[tuple[Pixels, Pixels], Field(strict=False)]
Params = Annotated[dict[str, JsonValue], AfterValidator(_plain)]
# The fill of a note or a frame; the canvas defines each color for the light and the dark theme.
Color = Literal["yellow", "green", "blue", "purple", "red", "grey"]
EndKind = Literal["Input", "Output"]
Title = Annotated[str, Field(max_length=200)]
Value = Annotated[int, Field(ge=-(10**9), le=10**9)] | Annotated[float, Field(ge=-1e9, le=1e9)]


class Node(Frozen):
    """One layer of a network. `id` is its name in code; `title` is free text for people.

    `shares` is the id of another node of the same network whose weights this node uses. `initialization` is that of its
    weights; None: that of the network (see `Project.initialization`).
    """

    id: Identifier
    type: Annotated[str, Field(max_length=64)]
    params: Params = {}
    title: Title = ""
    at: Position = (0.0, 0.0)
    frozen: bool = False
    shares: Identifier | None = None
    note: Annotated[str, Field(max_length=5_000)] = ""
    initialization: Initialization | None = None


class Edge(Frozen):
    """The path of a tensor from an output port to an input port. The name of a default port is omitted."""

    source: Reference
    target: Reference

    @model_validator(mode="before")
    @classmethod
    def _canonical(cls, value: Any) -> Any:
        if isinstance(value, dict):
            value = dict(value)
            for key, default in (("source", DEFAULT_SOURCE_PORT), ("target", DEFAULT_TARGET_PORT)):
                if isinstance(value.get(key), str):
                    # One spelling for each port, so that edges can be compared by their text
                    value[key] = value[key].removesuffix(f".{default}")
        return value

    @property
    def source_node(self) -> str:
        return self.source.partition(".")[0]

    @property
    def source_port(self) -> str:
        return self.source.partition(".")[2] or DEFAULT_SOURCE_PORT

    @property
    def target_node(self) -> str:
        return self.target.partition(".")[0]

    @property
    def target_port(self) -> str:
        return self.target.partition(".")[2] or DEFAULT_TARGET_PORT


class Note(Frozen):
    """A comment on the canvas. Positions and sizes are in pixels.

    A `frame` surrounds layers: its text is their title, and they move with it. A `folded` frame hides its layers.
    """

    text: Annotated[str, Field(max_length=20_000)]
    at: Position = (0.0, 0.0)
    width: Annotated[float, Field(ge=40, le=40_000)] = 200.0
    height: Annotated[float, Field(ge=30, le=40_000)] = 100.0
    color: Color = "yellow"
    frame: bool = False
    folded: bool = False


class Network(Frozen):
    """A graph of layers. An unfinished or wrong structure (a cycle, an unconnected port) is allowed here;
    `netloom.validation` reports it.

    `parameters` are the exposed parameters with their defaults: expressions in the nodes read them, and a node that
    uses this network can set other values.

    `inputs` and `outputs` list the Inputs and Outputs in the order of the arguments and results of `forward`. They are
    empty if this is the natural order of the ids, as in all documents that are older than these fields.

    `initialization` is that of all layers without one of their own. The setting of the main network also applies to the
    networks that have none.
    """

    parameters: Annotated[dict[Identifier, Value], Field(max_length=64)] = {}
    inputs: Annotated[tuple[Identifier, ...], Field(strict=False, max_length=MAX_NODES)] = ()
    outputs: Annotated[tuple[Identifier, ...], Field(strict=False, max_length=MAX_NODES)] = ()
    nodes: dict[Identifier, Node] = {}
    edges: Annotated[tuple[Edge, ...], Field(strict=False)] = ()
    notes: dict[Identifier, Note] = {}
    initialization: Initialization | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_nodes(cls, value: Any) -> Any:
        # JSON stores the id of a node only once, as its key.
        if isinstance(value, dict) and isinstance(value.get("nodes"), dict):
            value = dict(value)
            value["nodes"] = {
                key: {"id": key, **node} if isinstance(node, dict) else node for key, node in value["nodes"].items()
            }
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Network:
        if len(self.nodes) > MAX_NODES:
            raise ValueError(f"a network can have at most {MAX_NODES} nodes, received {len(self.nodes)}")
        if len(self.edges) > MAX_EDGES:
            raise ValueError(f"a network can have at most {MAX_EDGES:,} edges, received {len(self.edges):,}")
        for key, node in self.nodes.items():
            if key != node.id:
                raise ValueError(f"the node under {key!r} has the id {node.id!r}")
        targets: set[str] = set()
        for edge in self.edges:
            for end in (edge.source_node, edge.target_node):
                if end not in self.nodes:
                    raise ValueError(f"an edge from {edge.source} to {edge.target} names {end}, which is not a node")
            if edge.target in targets:
                raise ValueError(f"two edges lead to {edge.target}, but an input port accepts one")
            targets.add(edge.target)
        self._refuse_orders_of_unknown_ends()
        return self

    def _refuse_orders_of_unknown_ends(self) -> None:
        for name, kind, order in (("inputs", "Input", self.inputs), ("outputs", "Output", self.outputs)):
            wrong = next((key for key in order if not self._is(key, kind)), None)
            if wrong is not None:
                raise ValueError(f"{name} names {wrong}, which is not an {kind} of this network")
            if len(set(order)) < len(order):
                raise ValueError(f"{name} repeats a node; each {kind} must be listed once")

    def order(self, kind: EndKind) -> list[str]:
        """The Inputs or Outputs in the order of the arguments or results; unlisted ones follow by their ids."""
        placed = [key for key in (self.inputs if kind == "Input" else self.outputs) if self._is(key, kind)]
        unplaced = sorted((key for key in self.nodes if self._is(key, kind) and key not in placed), key=natural)
        return [*placed, *unplaced]

    def ports(self, kind: EndKind) -> dict[str, str]:
        """The port of each Input or Output when another network uses this one as a node.

        The first Input is the port `in` and the first Output the port `out`, so that most edges need no port name. The
        other ports are named after the ids of their nodes.
        """
        first = DEFAULT_TARGET_PORT if kind == "Input" else DEFAULT_SOURCE_PORT
        node_ids = self.order(kind)
        names = [first if index == 0 else key[:MAX_PORT_LENGTH] for index, key in enumerate(node_ids)]
        ports: dict[str, str] = {}
        all_names, used = set(names), set[str]()
        for key, name in zip(node_ids, names, strict=True):
            port = name
            if port in used:
                # An id may be `out`, or agree with another one up to the length of a port. Only such ports get a
                # number, because the edges of documents name the others.
                numbered = (f"{name[: MAX_PORT_LENGTH - len(str(number)) - 1]}_{number}" for number in count(2))
                port = next(port for port in numbered if port not in used and port not in all_names)
            used.add(port)
            ports[key] = port
        return ports

    def ordered(self, inputs: Iterable[str] | None = None, outputs: Iterable[str] | None = None) -> Network:
        """The same network with its Inputs or Outputs in this order; ids of other nodes are ignored.

        A natural order is not stored, so that equal networks are written as equal bytes.
        """
        orders = (self._placed("Input", inputs), self._placed("Output", outputs))
        if orders == (self.inputs, self.outputs):
            return self
        return self.model_copy(update={"inputs": orders[0], "outputs": orders[1]})

    def with_nodes(self, nodes: Mapping[str, Node], edges: Iterable[Edge] | None = None) -> Network:
        """This network with other nodes; new Inputs and Outputs follow the existing ones in their order."""
        update: dict[str, Any] = {"nodes": dict(nodes)}
        if edges is not None:
            update["edges"] = tuple(edges)
        changed = self.model_copy(update=update)
        return changed.ordered([*self.order("Input"), *nodes], [*self.order("Output"), *nodes])

    def _placed(self, kind: EndKind, node_ids: Iterable[str] | None) -> tuple[str, ...]:
        current = self.order(kind)
        order = list(dict.fromkeys(key for key in (*(node_ids or ()), *current) if key in current))
        return () if order == sorted(order, key=natural) else tuple(order)

    def _is(self, key: str, kind: str) -> bool:
        return key in self.nodes and self.nodes[key].type == kind


class ImageNormalization(Frozen):
    """The preprocessing of images that an imported network expects: (pixel · `rescale` − `mean`) / `std`.

    Pixels are between 0 and 255. `mean` and `std` have one value per channel, or one for all channels.
    """

    rescale: Annotated[float, Field(gt=0, le=1e6)] = 1 / 255
    mean: Annotated[tuple[Value, ...], Field(strict=False, min_length=1, max_length=64)] = (0.0,)
    std: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1e9)], ...], Field(strict=False, min_length=1, max_length=64)
    ] = (1.0,)


# The preparation of numbers and pixels whose column or field has no setting of its own.
Preparation = Literal["standardize", "scale", "none"]


class DataChoice(Frozen):
    """The dataset and its split. `options` depend on the dataset, such as the target column of a table.

    `test` is a fraction of the rows. `validation` is a fraction of all rows, or with `validation_of` "training" of
    those that are not test rows; 0 leaves all of them to training. `split` is the strategy; "auto" selects it from the
    data. With `folds` (cross-validation), the test rows are those of `fold`, counted from 0, and `test` is ignored. A
    split by time skips `gap` rows between consecutive parts. `duplicates` keeps all identical rows, or one of them.

    `prepare` applies to numbers and pixels whose column or field has no setting of its own: they are standardized with
    the statistics of the training rows, scaled to the range from 0 to 1, or unchanged; `ImageNormalization`
    prepares images as an imported network expects. Numeric targets are standardized if the inputs are, and keep their
    units otherwise.
    """

    dataset: Annotated[str, Field(max_length=200)] = ""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    validation: Annotated[float, Field(ge=0, le=0.5)] = 0.15
    # "rows" is the rule of documents that do not name one: their rows must not change.
    validation_of: Literal["rows", "training"] = "rows"
    test: Annotated[float, Field(gt=0, le=0.5)] = 0.15
    split: Literal["auto", "random", "stratified", "group", "time", "given"] = "auto"
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    fold: Annotated[int, Field(ge=0, lt=100)] = 0
    gap: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    duplicates: Literal["keep", "drop"] = "keep"
    prepare: Preparation | ImageNormalization = "standardize"
    options: Params = {}

    @model_validator(mode="after")
    def _fold_exists(self) -> DataChoice:
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} is out of range; with {self.folds} folds, choose 0 to {self.folds - 1}")
        return self


class Project(Frozen):
    """One document. The canvas shows it, code is generated from it, and a run stores a copy of it."""

    format: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, max_length=200)]
    networks: Annotated[dict[Identifier, Network], Field(min_length=1, max_length=MAX_NETWORKS)]
    main: str = "main"
    data: DataChoice = DataChoice()
    training: Training = Training()
    notes: Annotated[str, Field(max_length=100_000)] = ""

    @model_validator(mode="after")
    def _main_exists(self) -> Project:
        if self.main not in self.networks:
            raise ValueError(f"main names the network {self.main!r}, which is not in networks")
        return self

    @property
    def main_network(self) -> Network:
        return self.networks[self.main]

    def initialization(self, name: str, node: str | None = None) -> Initialization | None:
        """The initialization that applies to a network, or to one of its nodes; None: the default of each layer.

        The setting of the node comes first, then that of its network, then that of the main network.
        """
        network = self.networks[name]
        node_initialization = network.nodes[node].initialization if node is not None else None
        return node_initialization or network.initialization or self.main_network.initialization

    def uses(self, name: str) -> list[str]:
        """The networks that a network uses as nodes, each listed once."""
        names = (node.params.get("network") for node in self.networks[name].nodes.values() if node.type == SUBNETWORK)
        return list(
            dict.fromkeys(
                network_name
                for network_name in names
                if isinstance(network_name, str) and network_name in self.networks
            )
        )

    def with_network(self, name: str, network: Network) -> Project:
        """A copy of this project with one network replaced or added."""
        return self.model_copy(update={"networks": {**self.networks, name: network}})


def blank(name: str) -> Project:
    """A new project with an empty main network."""
    return Project(name=name, networks={"main": Network()})

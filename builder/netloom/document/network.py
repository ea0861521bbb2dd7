"""Networks of a document: nodes, edges, and comments on the canvas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from netloom.core.text import natural
from netloom.document.base_model import Frozen
from netloom.document.field_types import MAX_PORT_LENGTH, Identifier, Params, Position, Reference, Title, Value
from netloom.document.former_names import FORMER_COLORS, FORMER_LAYER_TYPES, present_name
from netloom.document.initialization import Initialization

DEFAULT_SOURCE_PORT = "out"
DEFAULT_TARGET_PORT = "in"
MAX_NODES = 2_000
MAX_EDGES = 20_000
# The type of a node that uses another network of the project.
SUBNETWORK = "Subnetwork"
# The fill of a note or a frame; the canvas defines each color for the light and the dark theme.
Color = Literal["yellow", "green", "blue", "purple", "red", "gray"]
EndKind = Literal["Input", "Output"]


class Node(Frozen):
    """One layer of a network. `id` is its name in code; `title` is free text for people.

    `shares` is the id of another node of the same network whose weights this node uses. `initialization` is that of its
    weights; None: that of the network (see `Project.initialization`).
    """

    id: Identifier
    type: Annotated[str, BeforeValidator(present_name(FORMER_LAYER_TYPES)), Field(max_length=64)]
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
    color: Annotated[Color, BeforeValidator(present_name(FORMER_COLORS))] = "yellow"
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
        node_ids = [key for key, node in self.nodes.items() if node.type == kind]
        listed = self.inputs if kind == "Input" else self.outputs
        placed = [key for key in listed if key in node_ids] if listed else []
        unplaced = sorted((key for key in node_ids if key not in placed), key=natural)
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

"""Names of the networks that grouping creates, of their nodes, and of the nodes that use them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Sequence
from itertools import count

from netloom.document import Network, Node
from netloom.document.field_types import is_identifier
from netloom.document.network import SUBNETWORK

_ATTENTION = frozenset({"MultiHeadAttention", "SelfAttention", "CrossAttention", "DotProductAttention", "Softmax"})
_CONVOLUTIONS = ("Conv", "Depthwise", "Separable")
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_PARAMETERS = {"repeat": "times", "filters": "width", "units": "width", "dim": "width", "kernel_size": "kernel"}


class ModuleNames:
    """The paths of the file's modules, such as layer1.0.conv1, by the ids of the corresponding nodes."""

    def __init__(self, network: Network) -> None:
        # An ONNX file stores equal weights once, such as those of newly initialized norms, under the name of the first.
        # So a title that several nodes have does not say to which module they belong.
        times = Counter(node.title for node in network.nodes.values())
        paths = {key: _path(node.title) for key, node in network.nodes.items() if times[node.title] == 1}
        self.dotted = any(paths.values())
        if not self.dotted:  # as in Keras, where a layer may be called conv2_block1_1_conv
            paths = {key: tuple(key.split("_")) for key in network.nodes}
        self.paths = {key: path for key, path in paths.items() if path}
        # The number of nodes in each module, by its path.
        self.module_sizes = Counter(path[:size] for path in self.paths.values() for size in range(len(path)))

    def replace(self, nodes: Collection[str], subnetwork: str) -> None:
        """Register that the node `subnetwork` replaces some nodes."""
        prefix = self.prefix(nodes)
        for path in filter(None, [self.paths.pop(node, ()) for node in nodes]):
            self.module_sizes.subtract(path[:size] for size in range(len(path)))
        if prefix:
            self.paths[subnetwork] = prefix
            self.module_sizes.update(prefix[:size] for size in range(len(prefix)))

    def prefix(self, nodes: Iterable[str]) -> tuple[str, ...]:
        """The path of the innermost module that contains all of these nodes."""
        paths = [self.paths[node] for node in nodes if node in self.paths]
        return paths[0][:-1] if len(paths) == 1 else _common_prefix(paths)

    def is_module(self, nodes: Collection[str]) -> bool:
        """Whether these nodes are all nodes of one module of the file."""
        prefix = self.prefix(nodes)
        paths = [self.paths[key] for key in nodes if key in self.paths]
        return bool(prefix) and sum(len(path) > len(prefix) for path in paths) == self.module_sizes[prefix]

    def subnetwork_id(self, nodes: Iterable[str], network: str, existing: Container[str]) -> tuple[str, str]:
        """The id and title of the node that replaces some nodes by a network."""
        prefix = self.prefix(nodes)
        key, title = _identifier("_".join(prefix)), ".".join(prefix) if self.dotted else ""
        if not is_identifier(key):
            key, prefix, title = network, (), ""
        for number in count(1):
            name = key if number == 1 and prefix else f"{key[:56]}_{number}"
            if name not in existing and is_identifier(name):
                return name, title[:200]
        raise AssertionError("there is always a number left")


def _path(title: str) -> tuple[str, ...]:
    """The module path in a title.

    A title is a path such as layer1.0.conv1, or a node name of torch.onnx such as /layer1/layer1.0/conv1/Conv, from
    which the operator and the repeated prefixes are removed.
    """
    if title.startswith("/"):
        parts = [part for part in title.split("/") if part][:-1]
        modules: list[str] = []
        for part in parts:
            modules = (
                part.split(".")
                if modules and part.startswith(".".join(modules) + ".")
                else [*modules, *part.split(".")]
            )
        return tuple(modules)
    return tuple(title.split(".")) if re.fullmatch(r"[\w.]+\.[\w.]+", title) else ()


def _common_prefix(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    if not paths:
        return ()
    # In sorted order, the first and the last path differ first, so that comparing these two suffices.
    low, high = min(paths), max(paths)
    size = next(
        (position for position, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return low[:size]


def network_name(nodes: Sequence[Node], skips: bool, existing: Container[str]) -> str:
    """The name of a pattern's network, derived from its layers; `skips` is whether its input is added to its output."""
    base = _base(nodes, skips)
    for number in count(1):
        name = base if number == 1 else f"{base}_{number}"
        if name not in existing:
            return name
    raise AssertionError("there is always a number left")


def _base(nodes: Sequence[Node], skips: bool) -> str:
    types = {node.type for node in nodes}
    adds = "Add" in types
    inner = " ".join(str(node.params.get("network", "")) for node in nodes if node.type == SUBNETWORK)
    convolves = any(kind.startswith(_CONVOLUTIONS) for kind in types) or "conv" in inner
    if (types & _ATTENTION or "attention" in inner) and types & {"LayerNorm", "RMSNorm"}:
        return "encoder_layer"
    if "inverted" in inner and adds:
        return "inverted_residual"
    if sum(node.type == SUBNETWORK for node in nodes) > 1:
        return "stage"
    if types & _RECURRENT:
        return "recurrent_layer"
    if convolves:
        deep = any(node.type.startswith("Conv") and node.params.get("groups", 1) != 1 for node in nodes)
        if deep:
            return "inverted_residual" if adds else "inverted_block"
        return ("residual_block" if skips else "projection_block") if adds else "conv_block"
    if types & _ATTENTION:
        return "attention_block"
    if "Linear" in types:
        return "residual_block" if adds else "dense_block"
    return "block"


def inner_ids(order: Sequence[str], network: Network, names: ModuleNames) -> dict[str, str]:
    """Ids for the nodes of a pattern inside its network."""
    prefix = names.prefix(order)
    used_ids = {"input_1", "output_1"}
    ids: dict[str, str] = {}
    for key in order:
        path = names.paths.get(key, ())
        inner_path = path[len(prefix) :]
        node = network.nodes[key]
        base = _identifier("_".join(inner_path)) if inner_path and not node.title.startswith("/") else ""
        if node.type == SUBNETWORK:  # its number counts the nodes of the outer network, which means nothing inside
            base = re.sub(r"(_?\d+)+$", "", base)
        if not is_identifier(base):
            base = str(node.params.get("network", node.type)).lower()
        name = base
        for number in count(2):
            if name not in used_ids and is_identifier(name):
                break
            name = f"{base[:56]}_{number}"
        used_ids.add(name)
        ids[key] = name
    return ids


def parameter_name(field: str, part: str, existing: Container[str]) -> str:
    """The name of a network parameter for a number that differs between uses.

    It is the name of the layer's parameter `field`, or of the inner network's parameter `part`.
    """
    base = re.sub(r"_\d+$", "", part) if field == "values" else _PARAMETERS.get(field, field)
    if not is_identifier(base):
        base = "number"
    for number in count(1):
        name = base if number == 1 else f"{base}_{number}"
        if name not in existing:
            return name
    raise AssertionError("there is always a number left")


def _identifier(text: str) -> str:
    text = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text)
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:48].strip("_")

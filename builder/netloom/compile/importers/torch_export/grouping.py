"""Grouping by modules: calls of one nn.Module class become one network, as in the source of the program.

Unlike `importers.repeats`, which compares structure, this follows the `nn_module_stack` that torch.export records, from
the innermost modules to the outermost. Calls that differ only in numbers become one network with these numbers as
parameters; consecutive calls become a repetition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from netloom.compile.importers.remarks import Remarks
from netloom.compile.importers.torch_export.grouped_node import GroupedNode, node_name, source_node_of
from netloom.compile.importers.torch_export.parametrization import (
    parameters_of,
    unused_name,
    with_names,
    without_numbers,
)
from netloom.compile.importers.torch_export.program import Module
from netloom.compile.importers.torch_export.repetitions import merge_repetitions
from netloom.document import Edge, Node
from netloom.document.network import SUBNETWORK, Network
from netloom.document.project import MAX_NETWORKS
from netloom.layers import TensorSpec
from netloom.layers.io import input_parameters

# The modules of PyTorch that consist of several layers; all others are single layers
_COMPOSITE = frozenset({"TransformerEncoderLayer", "TransformerDecoderLayer"})
_CONTAINERS = frozenset({"Sequential", "ModuleList", "TransformerEncoder", "TransformerDecoder", "Transformer"})


@dataclass
class Group:
    """One call of a module: its nodes, the tensors that it reads, and those that others read from it."""

    module: Module
    items: dict[str, GroupedNode]
    inputs: list[str]
    outputs: list[str]
    signature: tuple[Any, ...] = ()
    numbers: list[Any] = field(default_factory=list)


class Grouping:
    """A flat network whose modules are replaced by networks; `items` is changed in place."""

    def __init__(self, items: dict[str, GroupedNode], specs: Mapping[str, TensorSpec]) -> None:
        self.items, self.specs = items, dict(specs)
        self.networks: dict[str, Network] = {}
        self.remarks = Remarks()
        self.blocked = self._blocked()
        self.pending: list[Group] = []

    def group_modules(self) -> None:
        """Group modules by height, so that a network contains only networks that exist already."""
        module_calls = self._module_calls()
        heights = self._heights(module_calls)
        for height in sorted(set(heights.values())):
            groups_by_signature: dict[tuple[Any, ...], list[Group]] = {}
            for call in [call for call, module_height in heights.items() if module_height == height]:
                group = self._group(call, module_calls[call])
                if group is not None:
                    key = (group.module.kind, group.signature)
                    groups_by_signature.setdefault(key, []).append(group)
            self.pending = [group for groups in groups_by_signature.values() for group in groups]
            for groups in groups_by_signature.values():
                if len(self.networks) < MAX_NETWORKS - 1:
                    self._create_network(groups)
        merge_repetitions(self.items, self.specs)

    def _module_calls(self) -> dict[str, Module]:
        """The module calls that become networks: of classes with several calls, and containers of several of those."""
        calls: dict[str, Module] = {}
        for item in self.items.values():
            for module in item.stack:
                calls.setdefault(module.call, module)
        sizes = Counter(module.call for item in self.items.values() for module in item.stack)
        calls = {call: module for call, module in calls.items() if sizes[call] > 1 and call not in self.blocked}
        classes = Counter(module.kind for module in calls.values() if _is_block(module))
        blocks = {call: module for call, module in calls.items() if _is_block(module) and classes[module.kind] > 1}
        inner_calls: dict[str, set[str]] = {}
        for item in self.items.values():
            for outer, inner in zip(item.stack, item.stack[1:], strict=False):
                if inner.call in blocks:
                    inner_calls.setdefault(outer.call, set()).add(inner.call)
        stages = [
            call for call, module in calls.items() if module.name == "Sequential" and len(inner_calls.get(call, ())) > 1
        ]
        # A single Sequential of blocks is the network itself; several are stages, as in a ResNet.
        return blocks | ({call: calls[call] for call in stages} if len(stages) > 1 else {})

    def _heights(self, module_calls: Mapping[str, Module]) -> dict[str, int]:
        """The number of levels of module calls in each call, itself included."""
        heights: dict[str, int] = dict.fromkeys(module_calls, 1)
        for item in self.items.values():
            calls = [module.call for module in item.stack if module.call in module_calls]
            for above, call in enumerate(reversed(calls), 1):  # from the innermost call
                heights[call] = max(heights[call], above)
        return heights

    def _blocked(self) -> set[str]:
        """The module calls that share weights with nodes outside of them, except with calls of the same class."""
        blocked: set[str] = set()
        for item in self.items.values():
            if item.node.shares is None:
                continue
            calls = {module.call: module.kind for module in item.stack}
            shared_calls = {module.call: module.kind for module in self.items[item.node.shares].stack}
            for some_calls, other_calls in ((calls, shared_calls), (shared_calls, calls)):
                kinds = [kind for call, kind in other_calls.items() if call not in some_calls]
                blocked |= {call for call, kind in some_calls.items() if call not in other_calls and kind not in kinds}
        return blocked

    def _group(self, call: str, module: Module) -> Group | None:
        """The group of one module call; None if its nodes cannot become a network."""
        members = {key: item for key, item in self.items.items() if call in {part.call for part in item.stack}}
        if not members:
            return None
        merge_repetitions(members, self.specs, self.items)
        if len(members) < 2 or not self._is_convex(members):
            return None
        inputs = _unique(
            ref for item in members.values() for ref in item.reads.values() if source_node_of(ref) not in members
        )
        outputs = _unique(
            ref
            for key, item in self.items.items()
            if key not in members
            for ref in item.reads.values()
            if source_node_of(ref) in members
        )
        if not inputs or not outputs:
            return None
        order = {key: position for position, key in enumerate(members)}
        # The same order for all calls, because outputs are matched by position
        outputs.sort(key=lambda ref: (order[source_node_of(ref)], ref))
        group = Group(module, members, inputs, outputs)
        group.signature, group.numbers = self._signature(group)
        return group

    def _is_convex(self, members: Mapping[str, GroupedNode]) -> bool:
        """Whether no path leads out of these nodes and back: otherwise a network of them would create a cycle."""
        # Items are in execution order, so that one pass finds all nodes that depend on the members.
        downstream: set[str] = set()
        for key, item in self.items.items():
            sources = {source_node_of(ref) for ref in item.reads.values()}
            if key in members:
                if sources & downstream:
                    return False
            elif sources & (members.keys() | downstream):
                downstream.add(key)
        return True

    def _signature(self, group: Group) -> tuple[tuple[Any, ...], list[Any]]:
        """A key that is equal for groups that differ in numbers only, and these numbers."""
        labels = {key: f"#{position}" for position, key in enumerate(group.items)}
        labels |= {ref: f"<{position}" for position, ref in enumerate(group.inputs)}
        numbers: list[Any] = []

        def named(ref: str) -> str:
            key, dot, port = ref.partition(".")
            return labels[ref] if ref in labels else f"{labels[key]}{dot}{port}"

        parts = []
        for item in group.items.values():
            shares = item.node.shares
            # Sharing with a node outside is allowed, as with another call of the module, whose output may be an input.
            shared_position = labels[shares] if shares in group.items else ""
            params = without_numbers(item.node.params, numbers)
            reads = tuple((port, named(ref)) for port, ref in item.reads.items())
            weights = () if item.node.type == SUBNETWORK else tuple(sorted(item.weights))
            parts.append((item.node.type, str(params), reads, shared_position, item.node.frozen, weights))
        return (tuple(parts), tuple(named(ref) for ref in group.outputs)), numbers

    def _create_network(self, groups: list[Group]) -> None:
        """Create a network for groups that differ only in numbers, and replace each group by a node that uses it."""
        first = groups[0]
        name = _network_name(groups, self.networks)
        columns = list(zip(*(group.numbers for group in groups), strict=True))
        parameters, expressions = parameters_of([item.node.params for item in first.items.values()], columns)
        # The limit of a network: each group gets a network of its own.
        if len(parameters) > 64:
            for group in groups:
                self._create_network([group])
            return
        names = _names(first)
        self.networks[name] = self._inner_network(first, names, parameters, expressions)
        node_of: dict[str, tuple[str, int]] = {}
        ports = self.networks[name]
        inputs, outputs = list(ports.ports("Input").values()), list(ports.ports("Output").values())
        for number, group in enumerate(groups):
            values = {key: columns[column_index][number] for key, column_index in parameters.items()}
            params: dict[str, Any] = {"network": name} | ({"values": values} if values else {})
            self._replace(group, params, names, inputs, outputs, node_of)

    def _inner_network(
        self, group: Group, names: Mapping[str, str], parameters: Mapping[str, int], expressions: Mapping[int, str]
    ) -> Network:
        nodes: dict[str, Node] = {}
        edges: list[Edge] = []
        ports: dict[str, str] = {}
        for number, ref in enumerate(group.inputs, 1):
            key = f"input_{number}"
            nodes[key] = Node(id=key, type="Input", params=input_parameters(self.specs[ref]))
            ports[ref] = key
        numbers = iter(count())
        for key, item in group.items.items():
            params = with_names(item.node.params, numbers, expressions)
            shares = names.get(item.node.shares or "")
            nodes[names[key]] = item.node.model_copy(
                update={"id": names[key], "params": params, "title": "", "shares": shares}
            )
            for port, ref in item.reads.items():
                source_node, dot, source_port = ref.partition(".")
                source = ports[ref] if ref in ports else f"{names[source_node]}{dot}{source_port}"
                edges.append(Edge(source=source, target=f"{names[key]}.{port}"))
        for number, ref in enumerate(group.outputs, 1):
            key = f"output_{number}"
            source_node, dot, source_port = ref.partition(".")
            nodes[key] = Node(id=key, type="Output", params={"name": key} if len(group.outputs) > 1 else {})
            edges.append(Edge(source=f"{names[source_node]}{dot}{source_port}", target=key))
        values = {key: group.numbers[number_index] for key, number_index in parameters.items()}
        return Network(parameters=values, nodes=nodes, edges=tuple(edges))

    def _replace(
        self,
        group: Group,
        params: dict[str, Any],
        names: Mapping[str, str],
        inputs: list[str],
        outputs: list[str],
        node_of: dict[str, tuple[str, int]],
    ) -> None:
        """Replace the nodes of a group by one node."""
        keys = list(group.items)
        # The last node keeps its position, which is after all nodes that the group reads.
        key = keys[-1]
        shares = self._shared_use(group, node_of)
        inner_ids = dict(zip(keys, names.values(), strict=True))
        weights = {
            f"{inner_ids[item_key]}.{part}": array
            for item_key, item in group.items.items()
            for part, array in item.weights.items()
        }
        depth = next(
            position for position, module in enumerate(group.items[key].stack) if module.call == group.module.call
        )
        node = Node(id=key, type=SUBNETWORK, params=params, shares=shares)
        node_of |= {item_key: (key, position) for position, item_key in enumerate(keys)}
        moved = {
            ref: key if port == "out" else f"{key}.{port}" for ref, port in zip(group.outputs, outputs, strict=True)
        }
        reads = dict(zip(inputs, group.inputs, strict=True))
        # The new node belongs to the modules around this call.
        subnetwork = GroupedNode(node, group.module.path, reads, weights, group.items[key].stack[:depth])
        self.specs |= {moved[ref]: self.specs[ref] for ref in group.outputs}
        items = {
            item_key: subnetwork if item_key == key else item
            for item_key, item in self.items.items()
            if item_key == key or item_key not in inner_ids
        }
        # In place, because the caller reads the same dictionary
        self.items.clear()
        self.items.update(items)
        for item in self.items.values():
            item.reads = {port: moved.get(ref, ref) for port, ref in item.reads.items()}
        # Groups of the same height that read this one were collected before it was replaced.
        for pending_group in self.pending:
            pending_group.inputs = [moved.get(ref, ref) for ref in pending_group.inputs]

    def _shared_use(self, group: Group, node_of: Mapping[str, tuple[str, int]]) -> str | None:
        """The node of an earlier group with which this group shares all its weights; None if there is none."""
        keys = list(group.items)
        shared_nodes: set[str | None] = set()
        is_untied = False
        for position, item in enumerate(group.items.values()):
            if item.node.shares in keys or not item.weights:
                continue
            target = node_of.get(item.node.shares or "")
            shared_node = target[0] if target is not None and target[1] == position else None
            is_untied = is_untied or (item.node.shares is not None and shared_node is None)
            shared_nodes.add(shared_node)
        if is_untied or (None in shared_nodes and len(shared_nodes) > 1):
            self.remarks.add(
                "some of its layers share weights in the program; after the import, each has its own.",
                group.module.path,
            )
        return shared_nodes.pop() if len(shared_nodes) == 1 else None


def _is_block(module: Module) -> bool:
    is_custom = not module.kind.startswith("torch.nn.")
    return module.name in _COMPOSITE or (is_custom and module.name not in _CONTAINERS)


def _unique(references: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(references))


def _network_name(groups: list[Group], existing: Mapping[str, Any]) -> str:
    module = groups[0].module
    if module.name in _CONTAINERS:
        return unused_name(module.path.rpartition(".")[2].rstrip("0123456789_") or "stage", {**existing, "main": None})
    return unused_name(module.name, {**existing, "main": None})


def _names(group: Group) -> dict[str, str]:
    """The ids of a group's nodes within their network."""
    used_names: dict[str, str] = dict.fromkeys(
        [f"input_{number}" for number in range(1, 65)] + [f"output_{number}" for number in range(1, 65)], ""
    )
    names: dict[str, str] = {}
    for key, item in group.items.items():
        label = item.label.removeprefix(f"{group.module.path}.")
        names[key] = unused_name(node_name(item, "" if label == group.module.path else label), used_names)
        used_names[names[key]] = key
    return names

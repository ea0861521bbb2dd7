"""Operators that write into their input, and the operators on which the outputs of a program depend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from netloom.compile.importers.imported_model import UnreadableModelError, quoted
from netloom.compile.importers.torch_export.program import Operator, Program, Reference

# Operators that return a view: writing to it also changes the original tensor
_VIEWS = frozenset(
    "view reshape _unsafe_view flatten unflatten squeeze unsqueeze permute transpose t movedim select slice narrow "
    "expand expand_as split split_with_sizes chunk unbind alias detach contiguous view_as".split()
)

_CREATIONS = frozenset({"new_zeros", "new_ones", "new_full"})


# Beyond this, the end of a slice is open.
_OPEN = 2**31


def without_whole_slices(program: Program) -> Program:
    """The program without slices such as x[:] that select a whole axis, by which it writes into the tensor itself."""
    sources: dict[str, str] = {}

    def source(value: Any) -> Any:
        if isinstance(value, list):
            return [source(part) for part in value]
        return Reference(sources[value.name]) if isinstance(value, Reference) and value.name in sources else value

    operators = []
    for item in program.operators:
        args = {name: source(value) for name, value in item.args.items()}
        is_open = (args.get("start") or 0, args.get("step", 1)) == (0, 1) and _is_open(args.get("end"))
        if item.type == "slice" and is_open and isinstance(args.get("self"), Reference):
            sources[item.name] = args["self"].name
        else:
            operators.append(replace(item, args=args))
    outputs = tuple(sources.get(name, name) for name in program.outputs)
    return replace(program, operators=tuple(operators), outputs=outputs)


def _is_open(end: Any) -> bool:
    return end is None or (type(end) is int and end >= _OPEN)


def needed_operators(program: Program) -> set[str]:
    """The operators on which an output depends."""
    producers = {name: item for item in program.operators for name in item.names()}
    needed: set[str] = set()
    variable = _variable_operators(program)
    # What operators write, and views that are read only to write into their constant
    written = [
        name for item in program.operators if writes(item) for name in item.reads()[1 if item.name in variable else 0 :]
    ]
    pending = [*program.outputs, *written]
    while pending:
        item = producers.get(pending.pop())
        if item is not None and item.name not in needed:
            needed.add(item.name)
            pending += item.reads()
    # In-place operators change values that later operators read under the original name.
    return needed | {item.name for item in program.operators if writes(item)}


def check_in_place(program: Program, needed: set[str]) -> None:
    """Refuse an in-place operator if its tensor, or a view of it, is read by another name afterwards.

    Layers do not modify tensors, so that only the written name itself can be updated.

    Raises:
        UnreadableModelError: An operator is refused.
    """
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.get(name, name) != name:
            name = parents[name]
        return name

    variable = _variable_operators(program)
    # Outputs are read after all operators.
    last: dict[str, int] = {name: len(program.operators) for name in program.outputs}
    for position, item in enumerate(program.operators):
        if item.type in _VIEWS or (writes(item) and item.reads()):
            for name in item.names():
                parents[name] = root(item.reads()[0]) if item.reads() else name
        if item.name in needed:
            last |= dict.fromkeys(item.reads(), position)
    for position, item in enumerate(program.operators):
        # Constants are written in their memory, so that views of them change as well.
        if not writes(item) or not item.reads() or item.name not in variable:
            continue
        source = item.reads()[0]
        written_names = {source, *item.names()}
        created_at = {name: at for at, other in enumerate(program.operators) for name in other.names()}
        # Another name for the same memory, defined before the write and read after it, would miss the new values.
        for name, last_read in last.items():
            if (
                last_read > position
                and name not in written_names
                and root(name) == root(source)
                and created_at.get(name, -1) < position
            ):
                raise UnreadableModelError(
                    f"The operator {quoted(item.name)} ({item.type}) writes into a part of a tensor, which is "
                    "not supported; use torch.cat or torch.where instead."
                )


def _variable_operators(program: Program) -> set[str]:
    """The operators that depend on an input of the network."""
    variable_values = {entry.name for entry in program.inputs}
    operators: set[str] = set()
    for item in program.operators:
        reads = item.reads()
        if variable_values.isdisjoint(reads) or _is_creation(item):
            continue
        operators.add(item.name)
        variable_values.update(item.names(), reads[:1] if writes(item) else ())
    return operators


def _is_creation(item: Operator) -> bool:
    """Whether an operator creates a tensor of a constant shape, and reads another one only for its data type."""
    sizes = item.args.get("size")
    return item.type in _CREATIONS and isinstance(sizes, list) and all(type(size) is int for size in sizes)


def writes(item: Operator) -> bool:
    """Whether an operator modifies its input in place, as add_ does; __and__ and the like do not."""
    return item.type.endswith("_") and not item.type.endswith("__")

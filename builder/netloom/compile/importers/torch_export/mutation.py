"""Operators that write into their input, and the operators on which the outputs of a program depend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from netloom.compile.importers.imported_model import UnreadableModelError, quoted
from netloom.compile.importers.torch_export.program import ATEN, Operator, Program, Reference

# Operators that return a view or, as dropout in evaluation mode, their input: writing to it also changes the original
_VIEWS = frozenset(
    "view reshape _unsafe_view flatten unflatten squeeze unsqueeze permute transpose t movedim select slice narrow "
    "expand expand_as split split_with_sizes chunk unbind alias detach contiguous view_as reshape_as swapaxes mT "
    "numpy_T diagonal unfold dropout feature_dropout alpha_dropout".split()
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


def with_written_parts(program: Program) -> Program:
    """The program in which a write into a part of a tensor, as in x[:, 1:3] = 0, replaces the tensor itself.

    After the write, operators put the part back into the tensor that it is a view of. They are added only for values
    that depend on an input of the network, because constants are written in their memory.
    """
    last = _last_reads(program)
    views: dict[str, Operator] = {}
    variable = {entry.name for entry in program.inputs}
    operators: list[Operator] = []
    for position, item in enumerate(program.operators):
        operators.append(item)
        reads = item.reads()
        views |= {item.name: item} if _is_part(item) else {}
        if variable.isdisjoint(reads) or _is_creation(item):
            continue
        variable.update(item.names(), reads[:1] if writes(item) else ())
        if not writes(item):
            continue
        chain = _views_of(reads[0], views)
        if any(last.get(_whole(view), -1) > position for view in chain):
            operators += [_put_back(view, item.name) for view in chain]
            variable.update(map(_whole, chain))
    return replace(program, operators=tuple(operators))


def _is_part(item: Operator) -> bool:
    """Whether an operator is a view of consecutive places along one axis."""
    is_view = item.type == "select" or (item.type == "slice" and item.args.get("step", 1) == 1)
    return is_view and isinstance(item.args.get("self"), Reference)


def _whole(view: Operator) -> str:
    """The tensor that a view is a part of."""
    return str(view.args["self"].name)


def _views_of(name: str, views: Mapping[str, Operator]) -> list[Operator]:
    """The views through which a name reads a tensor, the innermost first."""
    chain = []
    while name in views:
        chain.append(views[name])
        name = _whole(views[name])
    return chain


def _put_back(view: Operator, write: str) -> Operator:
    """The operator that writes a view into its tensor; `write` is the operator that changed the view."""
    args = {"self": view.args["self"], "src": Reference(view.name)}
    args |= {name: value for name, value in view.args.items() if name != "self"}
    name = f"{write}_{view.name}"
    return Operator(f"{ATEN}{view.type}_scatter_.default", name, args, (name,), view.stack)


def _last_reads(program: Program) -> dict[str, int]:
    """The position of the last operator that reads each name; outputs are read after all operators."""
    last = {name: position for position, item in enumerate(program.operators) for name in item.reads()}
    return last | dict.fromkeys(program.outputs, len(program.operators))


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
    parts = {item.name: item for item in program.operators if _is_part(item)}
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
        # Operators that follow put the part back into these.
        wholes = set(map(_whole, _views_of(source, parts)))
        written_names = {source, *item.names(), *wholes}
        if _puts_back(item):
            part = item.reads()[1]
            written_names |= {
                part,
                *(name for operator in program.operators if _writes_to(part, operator) for name in operator.names()),
            }
        created_at = {name: at for at, operator in enumerate(program.operators) for name in operator.names()}
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


def _puts_back(item: Operator) -> bool:
    return item.type in ("slice_scatter_", "select_scatter_")


def _writes_to(name: str, item: Operator) -> bool:
    return writes(item) and item.reads()[:1] == [name]


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

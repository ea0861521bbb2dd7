"""Remarks on parts of a program that its document lacks: unused parameters, and behavior in training mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from netloom.compile.importers.imported_model import EVALUATION, TrainingFacts
from netloom.compile.importers.layer_graph.array_views import owner
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Array
from netloom.compile.importers.layer_graph.weight_tying import STATISTICS
from netloom.compile.importers.torch_export.program import Operator, Program
from netloom.core.text import plain

_LISTED = 3
# The part of a remark by which it is recognized
IN_COMPUTED_WEIGHTS = "only in the weights that the program computes"


def report_unused(
    builder: GraphBuilder, program: Program, tensors: Mapping[str, Array], needed: set[str], facts: TrainingFacts | None
) -> None:
    """Freeze the layers that are frozen in the program, and add remarks on parameters that no layer uses directly."""
    parameters = _parameters(program, tensors)
    unplaced = _without_place(builder, parameters)
    read = {program.weights[name] for item in program.operators if item.name in needed
            for name in item.reads() if name in program.weights}  # fmt: skip
    unread = [name for name in unplaced if name not in read]
    if unread:
        verb = "has no place" if len(unread) == 1 else "have no place"
        builder.remark(
            f"{_described(unread, parameters)} {verb} in the imported network, as no output depends on them: they are "
            "used only in training, such as an auxiliary output or the variance from which an autoencoder samples."
        )
    folded = [name for name in unplaced if name in read]
    if folded:
        cause = (
            "weight normalization" if _uses_weight_norm(program.operators, needed) else "a product of several tensors"
        )
        builder.remark(
            f"{_described(folded, parameters)} {'stands' if len(folded) == 1 else 'stand'} {IN_COMPUTED_WEIGHTS} from "
            f"them ({cause}); further training updates the computed weights directly."
        )
    _freeze(builder, program, tensors, parameters)
    remarks = () if any(map(_trains, program.operators)) else (EVALUATION,)
    for remark in remarks if facts is None else facts.remarks:
        builder.remark(remark)


def _trains(item: Operator) -> bool:
    """Whether an operator shows that the program was exported in training mode."""
    return item.args.get("train") is True or bool(item.args.get("dropout_p"))


def _parameters(program: Program, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The parameters of the program, with one name for each array in memory, because tied parameters have several."""
    parameters: dict[int, tuple[str, Array]] = {}
    for value, name in program.weights.items():
        if value not in program.buffers and name in tensors:
            array = tensors[name]
            parameters.setdefault(array.__array_interface__["data"][0], (name, array))
    return dict(parameters.values())


def _without_place(builder: GraphBuilder, parameters: Mapping[str, Array]) -> list[str]:
    """The parameters without a node that has a view or an equal copy of them."""
    arrays = list(builder.all_weights().values())
    owners = {owner(parameters, array) for array in arrays}
    copies = [array for array in arrays if not owner(parameters, array)]
    missing = [name for name in parameters if name not in owners]
    return [name for name in missing if not any(_equal(copy, parameters[name]) for copy in copies)]


def _equal(first: Array, second: Array) -> bool:
    if first.size != second.size or first.dtype != second.dtype:
        return False
    if np.array_equal(first.reshape(-1), second.reshape(-1)):
        return True
    return first.ndim == 2 and first.shape == second.shape[::-1] and np.array_equal(first.T, second)


def _described(names: list[str], parameters: Mapping[str, Array]) -> str:
    listed = plain(", ".join(names[:_LISTED]))[:200]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    numbers = sum(parameters[name].size for name in names)
    return f"{len(names)} parameter{'s'[: len(names) != 1]} of the program ({listed}{more}: {numbers:,} numbers)"


def _uses_weight_norm(operators: Iterable[Operator], needed: set[str]) -> bool:
    return any("weight_norm" in item.type for item in operators if item.name in needed)


def _freeze(
    builder: GraphBuilder, program: Program, tensors: Mapping[str, Array], parameters: Mapping[str, Array]
) -> None:
    """Freeze the nodes whose weights the program does not train: frozen parameters, buffers and constants."""
    frozen = {program.weights[name] for name in program.frozen}
    if parameters and frozen >= parameters.keys():
        builder.remark("All parameters are frozen in the program; after the import, all of them are trainable.")
        frozen = set()
    buffers = {name: tensors[name] for name in (program.weights[key] for key in program.buffers) if name in tensors}
    fixed = {**buffers, **{f"constant {number}": array for number, array in enumerate(builder.untrained)}}
    for key, parts in builder.weights.items():
        learned = {part: array for part, array in parts.items() if not part.startswith(STATISTICS)}
        owners = {part: owner(parameters, array) or owner(fixed, array) for part, array in learned.items()}
        untrained = [part for part, name in owners.items() if name in fixed or name in frozen]
        if not untrained or builder.nodes[key].frozen:
            continue
        if all(name in fixed or name in frozen for name in owners.values() if name):
            builder.nodes[key] = builder.nodes[key].model_copy(update={"frozen": True})
        else:
            builder.remark(f"its {' and '.join(untrained)} is fixed in the program; after the import, it trains.", key)


__all__ = ["IN_COMPUTED_WEIGHTS", "report_unused"]

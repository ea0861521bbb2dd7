"""Inputs and targets in files of their own, such as X_train.csv and y_train.csv, as one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data.splits.given_splits import NAMES, is_split, part_of, path_of
from netloom.data.tables.target_guess import are_numbered
from netloom.data.uploads.files.joining import PART, as_one_type, refuse_other_columns

if TYPE_CHECKING:
    import pandas as pd

_INPUTS = ("x", "features", "inputs", "values")
_TARGETS = ("y", "labels", "label", "targets", "target")
_WORD = re.compile(r"[a-z0-9]+")


class FeatureFiles(NamedTuple):
    """A file of inputs and one of targets with as many rows, of a part of the split or of none."""

    inputs: str
    targets: str
    part: int | None


def feature_files(names: Sequence[str]) -> list[FeatureFiles]:
    """Return the files of inputs and targets for each part of the split; [] if there are none."""
    files: dict[tuple[tuple[str, ...], int | None], dict[str, list[str]]] = {}
    for name in names:
        *folders, file = path_of(name)
        words = _WORD.findall(PurePosixPath(file).stem.lower())
        parts = [part for word in words if (part := part_of(word)) is not None]
        rest = [word for word in words if part_of(word) is None]
        parts = parts or [part for folder in folders if (part := part_of(folder)) is not None]
        if len(rest) == 1 and len(parts) < 2 and rest[0] in _INPUTS + _TARGETS:
            role = "inputs" if rest[0] in _INPUTS else "targets"
            key = tuple(folder for folder in folders if part_of(folder) is None), parts[0] if parts else None
            files.setdefault(key, {}).setdefault(role, []).append(name)
    pairs = [
        FeatureFiles(roles["inputs"][0], roles["targets"][0], part)
        for (_, part), roles in files.items()
        if {role: len(named) for role, named in roles.items()} == {"inputs": 1, "targets": 1}
    ]
    is_whole = len(pairs) == 1 or is_split(pair.part for pair in pairs)
    return sorted(pairs, key=lambda pair: (pair.part or 0, pair.inputs)) if is_whole else []


def read_features(
    pairs: Sequence[FeatureFiles], read: Callable[[str], tuple[pd.DataFrame, list[str]]], names: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """Return the table of inputs and targets, with the part of the split, and notes.

    Args:
        read: Returns the table in a file, which may have a single column, and notes.
        names: All files that may be tables.

    Raises:
        DataError: A file cannot be read, or has another number of rows than the one that belongs to it, or other ids.
    """
    import pandas as pd

    tables, notes = [], list[str]()
    for pair in pairs:
        (inputs, inputs_notes), (targets, targets_notes) = read(pair.inputs), read(pair.targets)
        if len(inputs) != len(targets):
            raise DataError(
                f"{pair.inputs[-80:]!r} has {len(inputs):,} rows, but {pair.targets[-80:]!r} has {len(targets):,}; the "
                "targets need a row for each row of the inputs."
            )
        if are_numbered([str(name) for name in targets.columns]):
            count = targets.shape[1]
            targets = targets.set_axis(["y"] if count == 1 else [f"y{n}" for n in range(1, count + 1)], axis=1)
        tables.append(inputs.join(_in_order_of(inputs, targets, pair)))
        notes += [*inputs_notes, *targets_notes]
    for pair, table in zip(pairs[1:], tables[1:], strict=True):
        refuse_other_columns(tables[0], pairs[0].inputs, table, pair.inputs)
    tables = as_one_type(tables)
    if len(pairs) > 1:
        tables = [table.assign(**{PART: NAMES[pair.part or 0]}) for table, pair in zip(tables, pairs, strict=True)]
    used = {name for pair in pairs for name in pair[:2]}
    unused = [name for name in names if name not in used]
    notes = list(dict.fromkeys(notes))
    if unused:
        notes.append(f"Left out {counted(len(unused), 'other file')}, such as {unused[0][-60:]!r}.")
    return pd.concat(tables, ignore_index=True), notes


def _in_order_of(inputs: pd.DataFrame, targets: pd.DataFrame, pair: FeatureFiles) -> pd.DataFrame:
    """Return the targets in the order of the inputs by a column of ids that both have, without the columns of both.

    Raises:
        DataError: A column of both has other cells, or the targets have no other column.
    """
    shared = [name for name in targets.columns if name in inputs.columns]
    if len(shared) == targets.shape[1]:
        raise DataError(
            f"{pair.inputs[-80:]!r} has all columns of {pair.targets[-80:]!r}, such as {str(shared[0])[:60]!r}, so "
            "that no target is left; rename the column of the target, or remove it from the inputs."
        )
    cells = {name: (inputs[name].astype("string"), targets[name].astype("string")) for name in shared}
    for name, (first, second) in cells.items():
        if first.equals(second):
            continue
        if first.hasnans or not first.is_unique or {*first} != {*second}:
            raise DataError(
                f"The column {str(name)[:60]!r} differs between {pair.inputs[-80:]!r} and {pair.targets[-80:]!r}; put "
                "the rows of both in the same order, or remove the column from one."
            )
        row_of = {cell: row for row, cell in enumerate(second)}
        targets = targets.iloc[[row_of[cell] for cell in first]].reset_index(drop=True)
        return _in_order_of(inputs.drop(columns=name), targets.drop(columns=name), pair)
    return targets.drop(columns=shared)

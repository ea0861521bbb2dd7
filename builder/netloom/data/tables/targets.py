"""Targets of a table that are more than one class or number: several labels in a cell, several columns side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.schema import TargetSpec
from netloom.data.tables.column_inference import Plan
from netloom.modalities.columns import conversion
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    import pandas as pd

LABELS, SEVERAL = "multi_label", "several_outputs"
# What parts the labels of a cell, where a document does not say; the one that stands in most cells is taken.
SEPARATORS = (";", "|", ",")
MAX_LABELS = 1_000
One = Callable[["pd.Series", Plan, Any], dict[str, Any]]


def labels_target(known: pd.DataFrame, targets: Sequence[Plan], separator: Any) -> dict[str, Any]:
    """Which labels apply to each row: (R, labels) of 0 and 1, from cells such as a;b;c or from columns of yes and no.

    Raises:
        DataError: there are fewer than two labels, or far too many.
    """
    if separator is not None and (not isinstance(separator, str) or not 0 < len(separator) <= 10):
        raise DataError(f"The option separator is what stands between labels, received {str(separator)[:40]!r}.")
    if len(targets) > 1:
        columns = [conversion.yes_and_no(known[plan.name], plan.name) for plan in targets]
        for plan, column in zip(targets, columns, strict=True):
            if np.isnan(column).any():
                raise DataError(f"The column {plan.name!r} lacks a yes or no in some rows; fill these in.")
        applies, names = np.stack(columns, axis=1), [plan.name for plan in targets]
        return _labels(applies, names, "labels")
    name = targets[0].name
    cell_labels = Labels.of_column(known[name])
    found = separator or _separator(cell_labels)
    parted = [_parted(text, found) for text in cell_labels.names]
    names = sorted({label for labels in parted for label in labels})
    if len(names) > MAX_LABELS:
        raise DataError(
            f"The column {name!r} has {len(names):,} different labels with {found!r} between them, more than "
            f"{MAX_LABELS:,}; say in the option separator what stands between labels, or choose another target."
        )
    places = {label: place for place, label in enumerate(names)}
    each = np.zeros((len(parted), len(names)), dtype=np.uint8)
    for row, labels in enumerate(parted):
        each[row, [places[label] for label in labels]] = 1
    return _labels(each[cell_labels.codes], names, name)


def _labels(applies: np.ndarray, names: Sequence[str], title: str) -> dict[str, Any]:
    if len(names) < 2:
        raise DataError(
            f"{title!r} has fewer than two labels, which leaves nothing to tell apart; choose another target."
        )
    return {
        "target": applies.astype(np.uint8),
        "target_kind": "labels",
        "target_name": title,
        "classes": tuple(str(name)[:200] for name in names),
    }


def _separator(texts: Labels) -> str:
    """The mark that stands in most of the cells."""
    counts = np.bincount(texts.codes, minlength=len(texts.names))
    found = [
        sum(int(count) for text, count in zip(texts.names, counts, strict=True) if mark in text) for mark in SEPARATORS
    ]
    return SEPARATORS[int(np.argmax(found))]


def _parted(text: str, separator: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(separator) if part.strip()))


def several_target(known: pd.DataFrame, targets: Sequence[Plan], one: One) -> dict[str, Any]:
    """Several targets side by side, (R, targets): the number of a class, or a number. `one` reads a single target.

    Raises:
        DataError: there is one alone, or one of them can be no target.
    """
    if len(targets) < 2:
        raise DataError("Several outputs need several targets; give another column the role target, or keep one task.")
    found = [one(known[plan.name], plan, None) for plan in targets]
    return {
        "target": np.concatenate([part["target"].reshape(len(known), -1).astype(np.float64) for part in found], axis=1),
        "target_kind": "several",
        "target_name": ", ".join(plan.name for plan in targets),
        "target_parts": tuple(
            TargetSpec(part["target_kind"], part["target_name"], part.get("classes", ())) for part in found
        ),
    }

"""Targets of a table that are more than one class or number: several labels per cell, or several target columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw_dataset import RawTarget
from netloom.data.schema import TARGET_TYPES, TargetSpec, TargetType, target_type_of_task
from netloom.data.tables.code_columns import padded_texts
from netloom.data.tables.column_inference import ColumnPlan
from netloom.modalities.columns import conversion
from netloom.modalities.encoding.cells import items_of
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    import pandas as pd

# The values of the option `task`, which chooses the target of a table: each is the default task of a kind of target
CLASS, NUMBER = TARGET_TYPES["class"].usual_task, TARGET_TYPES["number"].usual_task
LABELS, SEVERAL = TARGET_TYPES["labels"].usual_task, TARGET_TYPES["several"].usual_task
TASKS = (CLASS, NUMBER, LABELS, SEVERAL)
# Separators of the labels in a cell; unless the document sets one, the one in most cells is used.
SEPARATORS = (";", "|", ",")
MAX_LABELS = 1_000
# The share of the labels in sets that other cells have, too, if the cells are sets of labels and not names of classes
MIN_RECURRING = 0.9
# A blank separates labels only where nothing else does, and only in sets of this many sizes
BLANK, MIN_SIZES = " ", 3
# The key in `attrs` of a stored table under which it holds the columns whose labels have blanks between them. Without
# it they are inferred: other rows, or another version of the rule, must not change the labels of a run.
BLANK_LABELS = "blank_labels"
_NAMED_SETS = re.compile(r"(?i)(^|[^a-z])(tags|labels|genres|categories|keywords|topics|attributes)$")
TargetReader = Callable[["pd.Series", ColumnPlan, TargetType | None], RawTarget]


def requested_target(options: Mapping[str, Any]) -> TargetType | None:
    """Return the kind of target that the option `task` chooses; None if it is inferred, or if there is no such task."""
    return target_type_of_task(options.get("task"))


def labels_target(table: pd.DataFrame, targets: Sequence[ColumnPlan], separator: Any) -> RawTarget:
    """Return a multi-hot target (R, labels), from cells such as a;b;c or ["a", "b"], or from several columns of yes
    and no.

    Raises:
        DataError: There are fewer than two labels, or more than `MAX_LABELS`.
    """
    if separator is not None and (not isinstance(separator, str) or not 0 < len(separator) <= 10):
        raise DataError(
            f"The option separator has to be a text of 1 to 10 characters between labels, received "
            f"{str(separator)[:40]!r}."
        )
    if len(targets) > 1:
        columns = [conversion.yes_and_no(table[plan.name], plan.name) for plan in targets]
        for plan, column in zip(targets, columns, strict=True):
            if np.isnan(column).any():
                raise DataError(f"The column {plan.name!r} has no yes or no in some rows; fill these cells.")
        applies, names = np.stack(columns, axis=1), [plan.name for plan in targets]
        return _multi_label(applies, names, "labels")
    name = targets[0].name
    cell_labels = Labels.of_column(padded_texts(table[name]))
    mark = separator or _separator_of(table[name], cell_labels)
    labels_of_cell = [_split_labels(text, mark) for text in cell_labels.names]
    names = sorted({label for labels in labels_of_cell for label in labels})
    if len(names) > MAX_LABELS:
        raise DataError(
            f"The column {name!r} has {len(names):,} different labels with {mark!r} between them, more than "
            f"{MAX_LABELS:,}; set the option separator to the mark between labels, or choose another target."
        )
    index_of = {label: index for index, label in enumerate(names)}
    # One row per distinct cell, indexed by the codes of the rows below
    multi_hot = np.zeros((len(labels_of_cell), len(names)), dtype=np.uint8)
    for row, labels in enumerate(labels_of_cell):
        multi_hot[row, [index_of[label] for label in labels]] = 1
    return _multi_label(multi_hot[cell_labels.codes], names, name)


def _multi_label(applies: np.ndarray, names: Sequence[str], title: str) -> RawTarget:
    if len(names) < 2:
        raise DataError(f"{title!r} has fewer than two labels; choose another target.")
    return {
        "target": applies.astype(np.uint8),
        "target_kind": "labels",
        "target_name": title,
        "classes": tuple(str(name)[:200] for name in names),
    }


def _separator_of(column: pd.Series, texts: Labels) -> str:
    """Return the separator that most cells of a column hold, given as `texts`; a blank if it is recorded for the
    column, or, without a record, if no cell holds another one and their words are labels."""
    name, recorded = str(column.name), column.attrs.get(BLANK_LABELS)
    if recorded is not None and name in recorded:
        return BLANK
    counts = np.bincount(texts.codes, minlength=len(texts.names))
    counts_of_mark = [
        sum(int(count) for text, count in zip(texts.names, counts, strict=True) if mark in text) for mark in SEPARATORS
    ]
    is_inferred = recorded is None and not any(counts_of_mark)
    if is_inferred and can_name_sets(name) and are_words_labels(texts.names):
        return BLANK
    return SEPARATORS[int(np.argmax(counts_of_mark))]


def blank_labels(table: pd.DataFrame) -> list[str]:
    """Return the columns of a table whose labels have blanks between them."""
    import pandas as pd

    named = [str(name) for name in table.columns if can_name_sets(str(name))]
    columns = [values for name in named if pd.api.types.is_string_dtype(values := table[name])]
    return [
        str(values.name) for values in columns if _separator_of(values, Labels.of_column(padded_texts(values))) == BLANK
    ]


def can_name_sets(name: str) -> bool:
    """Return whether a column is called like sets of labels, as `tags` and `image_labels` are."""
    return _NAMED_SETS.search(name) is not None


def are_words_labels(cells: Sequence[str]) -> bool:
    """Return whether the words of different cells are labels, as the tags "haze primary road": few words that recur, in
    sets of several sizes. Names of classes can consist of such words, so the name of the column has to say it, too."""
    sets = [words for cell in cells if (words := cell.split())]
    counts = Counter(word for words in sets for word in words)
    recurring = sum(counts[word] > 1 for words in sets for word in words)
    return (
        len({len(words) for words in sets}) >= MIN_SIZES
        and 2 * len(counts) < len(sets)
        and all(len(set(words)) == len(words) for words in sets)
        and recurring >= MIN_RECURRING * counts.total()
    )


def _split_labels(text: str, separator: str) -> list[str]:
    listed = items_of(text)
    parts = text.split(separator) if listed is None else listed
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def label_sets_note(values: pd.Series, name: str) -> str:
    """Return a sentence if the cells of a target look like sets of labels: lists, or labels with a mark between them
    that recur in other cells; "" if they look like classes."""
    cells = [text for text in Labels.of_column(padded_texts(values.dropna())).names if text]
    mark = _separator_of(values, Labels.of(cells))
    split = {text: _split_labels(text, mark) for text in cells}
    sets = [text for text in cells if len(split[text]) > 1]
    counts = Counter(label for labels in split.values() for label in labels)
    are_lists = all(items_of(text) is not None for text in cells)
    in_sets = [counts[label] > 1 for text in sets for label in split[text]]
    recur = len(counts) < len(cells) and sum(in_sets) >= MIN_RECURRING * len(in_sets)
    if not sets or not (are_lists or recur):
        return ""
    return (
        f"The cells of {name!r} look like sets of labels, such as {sets[0][:60]!r}; choose the task multi-label "
        "classification (task=multi_label) to predict each label."
    )


def several_target(table: pd.DataFrame, targets: Sequence[ColumnPlan], read_target: TargetReader) -> RawTarget:
    """Return several targets as the columns of (R, targets): class indices and numbers.

    Args:
        read_target: Reads a single target.

    Raises:
        DataError: There is only one target, or a column cannot be a target.
    """
    if len(targets) < 2:
        raise DataError(
            "Several outputs need several targets; give another column the role target, or choose another task."
        )
    parts = [read_target(table[plan.name], plan, None) for plan in targets]
    return {
        "target": np.concatenate([part["target"].reshape(len(table), -1).astype(np.float64) for part in parts], axis=1),
        "target_kind": "several",
        "target_name": ", ".join(plan.name for plan in targets),
        "target_parts": tuple(
            TargetSpec(part["target_kind"], part["target_name"], part.get("classes", ())) for part in parts
        ),
    }

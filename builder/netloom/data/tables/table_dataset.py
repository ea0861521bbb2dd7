"""Converts a table to a dataset: the target, and features of numbers, categories or texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import Json
from netloom.core.text import counted
from netloom.data.multi_field import Categories, MultiFieldDataset
from netloom.data.raw.table import Table
from netloom.data.raw.texts import Texts
from netloom.data.raw_dataset import RawDataset, RawTarget, RowFields
from netloom.data.schema import TARGET_TYPES, TargetSpec, TargetType
from netloom.data.settings.column_settings import COLUMNS, ColumnChoice, refuse_unknown
from netloom.data.settings.label_merging import aliases_of
from netloom.data.tables import arrow_table
from netloom.data.tables.code_columns import padded_texts
from netloom.data.tables.column_inference import (
    ColumnPlan,
    choices_of,
    column_plans,
    inference_values,
    look_like_classes,
    prose_columns,
    targets_of,
    too_many_classes,
)
from netloom.data.tables.roles import column_roles
from netloom.data.tables.targets import (
    LABELS,
    TASKS,
    label_sets_note,
    labels_target,
    requested_target,
    several_target,
)
from netloom.data.targets import target_of
from netloom.modalities.columns import conversion
from netloom.modalities.columns.column_kind import (
    ColumnSource,
    EmbeddedColumn,
    LabelColumn,
    NumberColumn,
    ReadColumn,
    TextColumn,
    free_name,
)
from netloom.modalities.columns.conversion import first_other_cell
from netloom.modalities.columns.registry import column_kind, inferred_kind
from netloom.modalities.columns.text import Text
from netloom.modalities.encoding.coercion import LARGEST
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    import pandas as pd

OPTIONS = ("target", "task", "text", "separator", COLUMNS)


def table_to_raw(table: pd.DataFrame, options: Mapping[str, Json], title: str) -> RawDataset:
    """Return the usable rows with their target.

    Raises:
        DataError: an option is invalid, or there is nothing to learn from.
    """
    refuse_unknown(options, OPTIONS, repr(title[:60]))
    choices, warnings, target_type = choices_of(table, options), list[str](), requested_target(options)
    has_label_sets = target_type is not None and target_type.is_multi_label
    if options.get("separator") is not None and not has_label_sets:
        warnings.append(f"The option separator is not used, as it belongs to the task {LABELS}.")
    targets = targets_of(table, options, choices)
    timed = [name for name in choices if choices[name].role == "time" and name in table.columns]
    alone = has_label_sets and len(targets) == 1  # for label sets, an empty cell has no labels
    known = _with_values(table, timed if alone else [*targets, *timed], warnings)
    plans = column_plans(known, options, choices, targets, table)
    row_fields: RowFields = {**_target(known, [plans[name] for name in targets], options), **column_roles(known, plans)}
    warnings += [plan.reason for plan in plans.values() if "identifies the rows" in plan.reason]
    warnings += [plan.reason for plan in plans.values() if plan.reason and plan.reason not in warnings]
    warnings += _misread(table, plans.values())
    is_inferred = target_type is None and TARGET_TYPES[row_fields["target_kind"]].is_class
    if is_inferred and (note := label_sets_note(known[targets[0]], targets[0])):
        warnings.append(note)
    parts = _parts(known, [plan for plan in plans.values() if plan.role == "input"], warnings, row_fields)
    if not parts:
        shown = ", ".join(map(repr, targets))
        problem = f"No column but {shown} can be learned from; numbers, categories or one text are needed."
        raise DataError(" ".join([problem, *warnings[:3]]))
    aliases = aliases_of({name: plans[name].choice for name in targets})
    if len(parts) == 1:
        parts[0].warnings = warnings
        return target_of(parts[0].target_kind).merged(parts[0], aliases)
    raw = MultiFieldDataset(name="", parts=tuple(parts), warnings=warnings, **row_fields)
    return target_of(raw.target_kind).merged(raw, aliases)


def _misread(table: pd.DataFrame, plans: Iterable[ColumnPlan]) -> list[str]:
    """Return the sentences about columns that a few cells make categories instead of numbers or dates."""
    import pandas as pd

    sentences = []
    for plan in plans:
        values = inference_values(table, plan.name)
        if plan.role not in ("input", "target") or plan.choice.kind or not pd.api.types.is_string_dtype(values):
            continue
        is_code = values.str.fullmatch(r"0\d+").any()
        if not (plan.column_kind.is_text or is_code) and (other_cell := first_other_cell(values)):
            sentences.append(f"The column {plan.name!r} is read as categories{other_cell}.")
    return sentences


def settled_kinds(inputs: pd.DataFrame) -> dict[str, str]:
    """Return the kinds of columns that are fixed when a table is added, by column.

    Earlier uploads have no such kinds: their columns of prose beside other inputs stay left out.
    """
    kinds = {str(name): inferred_kind(values, on_import=True) for name, values in inputs.items()}
    settled = {name: kind.name for name, kind in kinds.items() if kind.is_settled_on_import}
    return settled | dict.fromkeys(prose_columns(inputs), Text.name)


def _with_values(table: pd.DataFrame, names: list[str], warnings: list[str]) -> pd.DataFrame:
    """Return the rows in which none of these columns is missing."""
    for name in names:
        known = table[name].notna()
        if known.all():
            continue
        count = int((~known).sum())
        warnings.append(f"Left out {counted(count, 'row')} without a value in {name!r}.")
        table = table[known]
        if not len(table):
            raise DataError(f"The column {name!r} is empty, so there is nothing to predict; choose another.")
    return table


def _target(known: pd.DataFrame, targets: list[ColumnPlan], options: Mapping[str, Any]) -> RawTarget:
    """Return the target: classes, a number, several numbers, labels, or several targets."""
    task, target_type = options.get("task"), requested_target(options)
    if task is not None and task not in TASKS:
        raise DataError(f"The option task is {' or '.join(TASKS)}, received {str(task)[:40]!r}.")
    if target_type is not None and target_type.is_multi_label:
        return labels_target(known, targets, options.get("separator"))
    if target_type is not None and target_type.is_several:
        return several_target(known, targets, _one_target)
    if len(targets) == 1:
        return _one_target(known[targets[0].name], targets[0], target_type)
    for plan in targets:
        if not plan.column_kind.is_numeric:
            raise DataError(
                f"Several targets have to be numbers, and {plan.name!r} is a {plan.kind}; keep one target, or make it "
                "a number."
            )
    columns = [_number_target(_as_numbers(known[plan.name], plan.name), plan.name)["target"] for plan in targets]
    name = ", ".join(plan.name for plan in targets)
    return {
        "target": np.concatenate(columns, axis=1),
        "target_kind": "number",
        "target_name": name,
        "target_parts": tuple(TargetSpec("number", plan.name) for plan in targets),
    }


def _one_target(values: pd.Series, plan: ColumnPlan, target_type: TargetType | None) -> RawTarget:
    import pandas as pd

    needs_numbers = target_type is not None and target_type.is_number
    name, chosen = plan.name, column_kind(plan.choice.kind) if plan.choice.kind else None
    if chosen is not None and not chosen.can_be_target:
        raise DataError(f"A {chosen.name} cannot be predicted from a table; read {name!r} as a number or a category.")
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if needs_numbers and chosen is None and not numeric:
        raise DataError(f"{name!r} holds no numbers, so it cannot be predicted by regression; choose classification.")
    if chosen is not None and chosen.is_number:
        return _number_target(_as_numbers(values, name), name)
    if chosen is None and (
        needs_numbers or (target_type is None and numeric and not look_like_classes(values.to_numpy(dtype=np.float64)))
    ):
        return _number_target(values.to_numpy(dtype=np.float64), name)
    return _class_target(padded_texts(values), name, bool(numeric))


def _as_numbers(values: pd.Series, name: str) -> np.ndarray:
    numbers = conversion.numbers(values, name, [])
    if numbers is None or np.isnan(numbers).any():
        raise DataError(f"The column {name!r} holds cells that are not numbers; fix them, or read it as a category.")
    return numbers


def _class_target(values: pd.Series, name: str, numeric: bool) -> RawTarget:
    import pandas as pd

    codes, distinct = pd.factorize(values)
    labels = [_label(value) for value in pd.Index(distinct).tolist()]
    # Integers first; by length and then as text, so that 2 comes before 10
    classes = sorted(
        set(labels), key=lambda label: (not label.lstrip("-").isdigit(), len(label) if label.isdigit() else 0, label)
    )
    if len(classes) < 2:
        raise DataError(
            f"The column {name!r} has one value only, {classes[0][:60]!r}; at least two classes are needed."
        )
    if too_many_classes(len(classes), len(values)):
        raise DataError(
            f"The column {name!r} has {len(classes):,} different values in {len(values):,} rows, too many for classes; "
            f"choose another target{', or regression' if numeric else ''}{first_other_cell(values)}."
        )
    positions = {label: index for index, label in enumerate(classes)}
    target = np.array([positions[label] for label in labels], dtype=np.int64)[codes]  # (classes,) -> (R,)
    return {"target": target, "target_kind": "class", "target_name": name, "classes": tuple(classes)}


def _number_target(numbers: np.ndarray, name: str) -> RawTarget:
    if not (abs(numbers) < LARGEST).all():
        raise DataError(f"The column {name!r} holds infinite or far too large numbers; remove those rows.")
    if numbers.min() == numbers.max():
        raise DataError(f"The column {name!r} has the same value in every row, so there is nothing to predict.")
    return {"target": numbers[:, None], "target_kind": "number", "target_name": name}  # (R,) -> (R, 1)


def _parts(
    known: pd.DataFrame, inputs: list[ColumnPlan], warnings: list[str], row_fields: RowFields
) -> list[RawDataset]:
    """Return the fields of the input columns: one of features, one of numbers for an embedding, and one per text."""
    table = Table(name="features", written=dict(known.attrs.get("written", {})), **row_fields)
    embedded: dict[str, Labels] = {}
    settings: dict[str, Any] = {}
    separate_parts: list[RawDataset] = []
    columns = [
        (plan, column)
        for plan in inputs
        for column in plan.column_kind.read(TableColumn(known, plan.name, plan.choice, warnings))
    ]
    texts = [plan.name for plan, column in columns if isinstance(column, TextColumn)]
    for plan, column in columns:
        choice = {**plan.choice.settings, **column.settings}
        if isinstance(column, TextColumn):
            other_names = {other_column.name for other_column in inputs if other_column != plan}
            field = "text" if len(texts) == 1 and "text" not in other_names else plan.name
            field = free_name(field, ["features", "categories"])
            separate_parts.append(
                Texts(name=field, column=plan.name, texts=column.values, settings=choice, **row_fields)
            )
        elif isinstance(column, EmbeddedColumn) and not column.is_shared:
            field = free_name(plan.name, ["features", "categories"])
            columns_of_field = {plan.name: column.values}
            separate_parts.append(
                Categories(name=field, columns=columns_of_field, settings={plan.name: choice}, **row_fields)
            )
        elif isinstance(column, EmbeddedColumn):
            embedded[plan.name], settings[plan.name] = column.values, choice
        else:
            _add_to_table(table, plan.name, column, choice)
    whole: list[RawDataset] = [table] if table.numbers or table.categories else []
    if embedded:
        whole.append(Categories(name="categories", columns=embedded, settings=settings, **row_fields))
    return whole + separate_parts


def _add_to_table(table: Table, source: str, column: ReadColumn, settings: dict[str, Any]) -> None:
    """Add a feature column."""
    table.settings[source] = settings
    if isinstance(column, NumberColumn):
        table.numbers[column.name] = column.values
        if column.date is not None:
            table.dates[column.name] = column.date
    elif isinstance(column, LabelColumn):
        table.categories = {**table.categories, column.name: column.values}
    table.kinds[column.name] = column.kind


class TableColumn(ColumnSource):
    """A column of a table in memory or of a stored table."""

    def __init__(self, table: pd.DataFrame, name: str, choice: ColumnChoice, warnings: list[str]) -> None:
        self.table, self.name, self.warnings = table, name, warnings
        self.settings, self.is_chosen = choice.settings, choice.kind is not None
        self.decimal = str(table.attrs.get("decimal", "."))
        self.column_names = [str(column) for column in table.columns]

    @cached_property
    def values(self) -> pd.Series:
        return self.table[self.name]

    def stored_numbers(self) -> np.ndarray | None:
        return arrow_table.stored_numbers(self.table, self.name)

    def keep_numbers(self, numbers: np.ndarray, conversion: str = "") -> np.ndarray:
        return arrow_table.keep_numbers(self.table, self.name, numbers, conversion)

    def keep_labels(self, labels: Labels) -> Labels:
        return arrow_table.keep_labels(self.table, self.name, labels)

    def texts(self) -> Sequence[str]:
        return arrow_table.keep_texts(self.table, self.name, self.values)


def _label(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)[:200]

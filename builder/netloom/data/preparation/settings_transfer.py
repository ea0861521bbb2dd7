"""Transfers the data settings of a document to another dataset: keeps those that match, and reports the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from netloom.core.delegation import Delegable
from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.data.preparation.prepare import choice_key, read
from netloom.data.settings.column_settings import COLUMNS, FIELDS
from netloom.data.splits.split import split
from netloom.document import DataChoice

# The split settings other than the shares, which depend on columns.
PARTING = ("split", "folds", "fold", "gap")
_WITHOUT_COLUMNS = {name: getattr(DataChoice(), name) for name in PARTING}
_SINGLE = {COLUMNS: "column", FIELDS: "field"}


def carried(choice: DataChoice, dataset: str, home: Path) -> tuple[DataChoice, list[str]]:
    """Return the choice with another dataset, and a sentence for each setting that this dataset does not support.

    The target is transferred first, because other settings depend on it.
    """
    fitting = choice.model_copy(update={"dataset": dataset, "options": {}, **_WITHOUT_COLUMNS})
    complete = choice.model_copy(update={"dataset": dataset})
    if complete == fitting:
        return fitting, []
    # Mostly everything fits, so one attempt with all settings precedes one attempt per setting
    with suppress(DataError):
        _try(complete, home)
        return complete, []
    remarks = []
    for subject, changed in _settings_in_order(choice, fitting):
        try:
            trial = changed(fitting)
            _try(trial, home)
            fitting = trial
        except DataError as error:
            remarks.append(f"{subject} does not fit the new data and is left out: {error}")
    return fitting, remarks


def preprocessing(options: Mapping[str, Any]) -> JsonObject:
    """Return the options for the preprocessing of input columns and fields, without those of other roles."""
    chosen = {name: value for name, value in options.items() if name == FIELDS}
    columns = options.get(COLUMNS)
    if isinstance(columns, dict):
        plain = {
            name: column_settings
            for name, column_settings in columns.items()
            if dict(column_settings).get("role", "input") in ("input", "ignore")
        }
        chosen |= {COLUMNS: plain} if plain else {}
    return chosen


def _settings_in_order(choice: DataChoice, plain: DataChoice) -> Iterator[tuple[str, Any]]:
    """Yield each setting with its name, and a function that adds it to a choice."""
    options = dict(choice.options)
    # Target and task first, because they decide which columns are inputs; columns and fields last
    for name in sorted(options, key=lambda name: (name != "target", name != "task", name in _SINGLE)):
        value = options[name]
        if name in _SINGLE and isinstance(value, dict):
            for owner, settings in value.items():
                yield (
                    f"The setting of the {_SINGLE[name]} {str(owner)[:80]!r} in the document",
                    # Default arguments bind the current values of the loop variables
                    lambda before, name=name, owner=owner, settings=settings: _with_option(
                        before, name, {**before.options.get(name, {}), owner: settings}
                    ),
                )
        else:
            yield (
                f"The option {name[:80]!r} of the document",
                lambda before, name=name, value=value: _with_option(before, name, value),
            )
    parting = {name: getattr(choice, name) for name in PARTING}
    if any(getattr(plain, name) != value for name, value in parting.items()):
        yield (
            f"The split {choice.split!r} of the document",
            lambda before: before.model_copy(update=parting),
        )


def _with_option(choice: DataChoice, name: str, value: Any) -> DataChoice:
    return choice.model_copy(update={"options": {**choice.options, name: value}})


def _try(choice: DataChoice, home: Path) -> None:
    """Check that a dataset supports these settings.

    Raises:
        DataError: it does not.
    """
    refuse_misfit(*choice_key(choice, home))


@Delegable
def refuse_misfit(key: str, home: str) -> None:
    """Check that the dataset of a choice, by its `choice_key`, supports its settings. A web server delegates this to a
    worker.

    Raises:
        DataError: it does not.
    """
    choice = DataChoice.model_validate_json(key)
    split(read(choice, Path(home)), choice)

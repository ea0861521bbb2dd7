"""The default settings of a dataset for new projects: fixes that were applied before any project used it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from netloom.core.data_folder import home as default_home
from netloom.core.errors import DataError
from netloom.data.builtin_registry import builtin
from netloom.data.preparation.column_settings import COLUMNS
from netloom.data.uploads import find_upload
from netloom.data.uploads.upload_kind import DEFAULTS
from netloom.document import DataChoice, Training, write_bytes

_OF_A_PROJECT = ("dataset", "seed", "validation", "test", "folds", "fold", "prepare")  # not a setting of the dataset


def default_choice(name: str, home: Path | None = None) -> DataChoice:
    """Return the default choice of a dataset for new projects."""
    return DataChoice.model_validate({"dataset": name, **_kept(name, home)["data"]})


def default_data(name: str, home: Path | None = None) -> dict[str, Any]:
    """Return the default data settings of a dataset, as the data section of a document; empty if there are none."""
    return dict(_kept(name, home)["data"])


def with_defaults(choice: DataChoice, home: Path | None = None) -> DataChoice:
    """Return a choice with the default settings of its dataset, where the choice has none."""
    defaults = default_data(choice.dataset, home) if choice.dataset else {}
    if not defaults:
        return choice
    plain = DataChoice(dataset=choice.dataset).model_dump(mode="json")
    chosen = {name: value for name, value in choice.model_dump(mode="json").items() if value != plain[name]}
    options = {**defaults.get("options", {}), **chosen.get("options", {})}
    columns = [found.get("options", {}).get(COLUMNS, {}) for found in (defaults, chosen)]
    if any(columns):
        # Merged by column, so that a choice for one column does not discard the defaults of the others
        names = dict.fromkeys([*columns[0], *columns[1]])
        options[COLUMNS] = {name: {**columns[0].get(name, {}), **columns[1].get(name, {})} for name in names}
    return DataChoice.model_validate({**plain, **defaults, **chosen, "options": options})


def default_training(name: str, home: Path | None = None) -> dict[str, Any]:
    """Return the default training settings of a dataset, as the training section of a document."""
    return dict(_kept(name, home)["training"])


def settle(name: str, edit: Mapping[str, Any], home: Path | None = None) -> None:
    """Add an edit of data and training, such as the fix of a finding, to the defaults of a dataset.

    Raises:
        DataError: there is no such dataset.
        ValueError: the edit changes something else.
    """
    defaults = _kept(name, home)
    choice = DataChoice.model_validate({"dataset": name, **defaults["data"], **edit.get("data", {})})
    data = choice.model_dump(mode="json")
    unchanged = DataChoice(dataset=name).model_dump(mode="json")
    changed = {key: value for key, value in data.items() if key not in _OF_A_PROJECT and value != unchanged[key]}
    training = {**defaults["training"], **edit.get("training", {})}
    Training.model_validate(training)
    path = _path(name, home)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps({"data": changed, "training": training}, ensure_ascii=False).encode())


def take_back(name: str, home: Path | None = None) -> None:
    """Remove the defaults of a dataset.

    Raises:
        DataError: there is no such dataset.
    """
    _path(name, home).unlink(missing_ok=True)


def _kept(name: str, home: Path | None) -> dict[str, dict[str, Any]]:
    """Return the saved defaults; empty if the file is missing or damaged, or the dataset is missing."""
    with suppress(OSError, ValueError, KeyError, TypeError, DataError):
        found = json.loads(_path(name, home).read_text(encoding="utf-8"))
        DataChoice.model_validate({"dataset": name, **found["data"]})
        Training.model_validate(found["training"])
        return {"data": dict(found["data"]), "training": dict(found["training"])}
    return {"data": {}, "training": {}}


def _path(name: str, home: Path | None) -> Path:
    home = home or default_home()
    if name not in builtin():
        find_upload(name, home)
    return home / "data" / DEFAULTS / f"{name}.json"

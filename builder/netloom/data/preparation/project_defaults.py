"""What new projects take over of a data set: mends that were made before any project used it."""

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

_OF_A_PROJECT = ("dataset", "seed", "validation", "test", "folds", "fold", "prepare")  # and of no data set


def default_choice(name: str, home: Path | None = None) -> DataChoice:
    """The choice of a data set as new projects take it over."""
    return DataChoice.model_validate({"dataset": name, **_kept(name, home)["data"]})


def default_data(name: str, home: Path | None = None) -> dict[str, Any]:
    """What new projects take over of a data set, as the data of a document; nothing where nothing was settled."""
    return dict(_kept(name, home)["data"])


def with_defaults(choice: DataChoice, home: Path | None = None) -> DataChoice:
    """A choice with what new projects take over of its data set, wherever the choice itself says nothing."""
    defaults = default_data(choice.dataset, home) if choice.dataset else {}
    if not defaults:
        return choice
    plain = DataChoice(dataset=choice.dataset).model_dump(mode="json")
    chosen = {name: value for name, value in choice.model_dump(mode="json").items() if value != plain[name]}
    options = {**defaults.get("options", {}), **chosen.get("options", {})}
    columns = [found.get("options", {}).get(COLUMNS, {}) for found in (defaults, chosen)]
    if any(columns):
        names = dict.fromkeys([*columns[0], *columns[1]])
        options[COLUMNS] = {name: {**columns[0].get(name, {}), **columns[1].get(name, {})} for name in names}
    return DataChoice.model_validate({**plain, **defaults, **chosen, "options": options})


def default_training(name: str, home: Path | None = None) -> dict[str, Any]:
    """What new projects take over of a data set, as the training of a document."""
    return dict(_kept(name, home)["training"])


def settle(name: str, edit: Mapping[str, Any], home: Path | None = None) -> None:
    """Have new projects take over an edit of a project's data and training, such as the fix of a finding.

    Raises:
        DataError: there is no such data set.
        ValueError: the edit is none of data and training.
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
    """Have new projects take over nothing of a data set.

    Raises:
        DataError: there is no such data set.
    """
    _path(name, home).unlink(missing_ok=True)


def _kept(name: str, home: Path | None) -> dict[str, dict[str, Any]]:
    """What was settled; nothing where the file is gone or damaged, or the data set is."""
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

"""The default settings of a dataset for new projects: fixes that were applied before any project used it, and the
settings of `netloom data set`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from netloom.core.data_folder import home as default_home
from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.data.builtin_registry import builtin
from netloom.data.settings.column_settings import COLUMNS
from netloom.data.uploads import find_upload
from netloom.data.uploads.upload_kind import DEFAULTS
from netloom.data.uploads.upload_meta import read_meta
from netloom.document import DataChoice, Training, write_bytes
from netloom.document.former_names import renamed, renamed_options

# The settings that an edit of a project, such as a fix, does not pass on to other projects.
_OF_A_PROJECT = ("dataset", "seed", "validation", "validation_of", "test", "folds", "fold", "prepare")


def default_choice(name: str, home: Path | None = None) -> DataChoice:
    """Return the default choice of a dataset for new projects."""
    return DataChoice.model_validate({"dataset": name, **default_data(name, home)})


def initial_choice(name: str, home: Path | None = None) -> DataChoice:
    """Return the choice of a dataset for new projects before anybody changes its defaults."""
    return DataChoice.model_validate({"dataset": name, **_initial_data(name, home)})


def default_data(name: str, home: Path | None = None) -> dict[str, Any]:
    """Return the default data settings of a dataset, as the data section of a document; empty if there are none."""
    return {**_initial_data(name, home), **_load(name, home)["data"]}


def with_defaults(choice: DataChoice, home: Path | None = None) -> DataChoice:
    """Return a choice with the default settings of its dataset, where the choice has none."""
    defaults = default_data(choice.dataset, home) if choice.dataset else {}
    if not defaults:
        return choice
    plain = DataChoice(dataset=choice.dataset).model_dump(mode="json")
    chosen = {name: value for name, value in choice.model_dump(mode="json").items() if value != plain[name]}
    options = {**defaults.get("options", {}), **chosen.get("options", {})}
    columns = [document.get("options", {}).get(COLUMNS, {}) for document in (defaults, chosen)]
    if any(columns):
        # Merged by column, so that a choice for one column does not discard the defaults of the others
        names = dict.fromkeys([*columns[0], *columns[1]])
        options[COLUMNS] = {name: {**columns[0].get(name, {}), **columns[1].get(name, {})} for name in names}
    return DataChoice.model_validate({**plain, **defaults, **chosen, "options": options})


def default_training(name: str, home: Path | None = None) -> JsonObject:
    """Return the default training settings of a dataset, as the training section of a document."""
    return dict(_load(name, home)["training"])


def settle(name: str, edit: Mapping[str, Any], home: Path | None = None) -> None:
    """Add an edit of data and training, such as the fix of a finding, to the defaults of a dataset, without settings
    of single projects such as the seed.

    Raises:
        DataError: there is no such dataset.
        ValueError: the edit changes something else.
    """
    defaults = _load(name, home)
    data = {key: value for key, value in edit.get("data", {}).items() if key not in _OF_A_PROJECT}
    choice = DataChoice.model_validate({"dataset": name, **defaults["data"], **data})
    _keep(choice, {**defaults["training"], **edit.get("training", {})}, home)


def set_default_choice(choice: DataChoice, home: Path | None = None) -> None:
    """Make a choice the default of new projects with its dataset, including the seed and the shares of the split.

    Raises:
        DataError: there is no such dataset.
    """
    _keep(choice, _load(choice.dataset, home)["training"], home)


def _keep(choice: DataChoice, training: Mapping[str, Any], home: Path | None) -> None:
    """Save what differs from the defaults of documents."""
    Training.model_validate(training)
    unchanged = initial_choice(choice.dataset, home).model_dump(mode="json")
    data = choice.model_dump(mode="json")
    changed = {key: value for key, value in data.items() if key != "dataset" and value != unchanged[key]}
    path = _path(choice.dataset, home)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps({"data": changed, "training": training}, ensure_ascii=False).encode())


def take_back(name: str, home: Path | None = None) -> None:
    """Remove the defaults of a dataset.

    Raises:
        DataError: there is no such dataset.
    """
    _path(name, home).unlink(missing_ok=True)


def _initial_data(name: str, home: Path | None) -> dict[str, Any]:
    """Return the settings that a dataset has from the start: from which rows the share of validation counts.

    Built-in data and uploads of earlier versions count it from all rows, so that results can be compared.
    """
    if name in builtin():
        return {}
    with suppress(OSError, ValueError, DataError):
        meta = read_meta(find_upload(name, home or default_home()))
        return {"validation_of": meta["validation_of"]} if "validation_of" in meta else {}
    return {}


def _load(name: str, home: Path | None) -> dict[str, dict[str, Any]]:
    """Return the saved defaults; empty if the file is missing or damaged, or the dataset is missing."""
    with suppress(OSError, ValueError, KeyError, TypeError, DataError):
        document = json.loads(_path(name, home).read_text(encoding="utf-8"))
        data, training = dict(document["data"]), renamed(document["training"], "training")
        if "options" in data:
            data["options"] = renamed_options(data["options"])
        DataChoice.model_validate({"dataset": name, **data})
        Training.model_validate(training)
        return {"data": data, "training": dict(training)}
    return {"data": {}, "training": {}}


def _path(name: str, home: Path | None) -> Path:
    home = home or default_home()
    if name not in builtin():
        find_upload(name, home)
    return home / "data" / DEFAULTS / f"{name}.json"

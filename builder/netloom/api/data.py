"""Datasets: list them, and add files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netloom.api.arguments import require_one_target
from netloom.api.home import data_folder
from netloom.core.errors import UsageError
from netloom.data import DatasetInfo, datasets
from netloom.sandbox import FileInspection
from netloom.sandbox.local_files import read_content


def list_datasets(home: str | Path | None = None) -> list[DatasetInfo]:
    """The built-in datasets, then those that were added.

    Args:
        home: the data folder.

    Example:
        >>> [dataset.name for dataset in netloom.list_datasets() if dataset.task == "regression"]
        ['ratings', 'diabetes', 'sine', 'station']
    """
    return datasets(data_folder(home))


def add_data(
    path: str | Path | Sequence[str | Path],
    *,
    name: str = "",
    target: str | None = None,
    kind: str = "",
    options: Mapping[str, Any] | None = None,
    home: str | Path | None = None,
) -> DatasetInfo:
    """Add a file, a folder or a zip as a dataset, or several files. It is read in a confined process.

    Args:
        path: the file, folder or zip, such as a CSV file with a header; see "Data formats" for all kinds. Several files
            belong together, such as `["train.csv", "test.csv"]`.
        name: the title; default: the name of the file.
        target: the column to predict; default: guessed, as the app does.
        kind: how to read it, such as `"table"` or `"images"`; default: recognized by its content.
        options: answers to the questions of that kind, such as `{"window": 48}` for a series.
        home: the data folder.

    Returns:
        The new dataset. Its `name` is what `train(data=…)` takes.

    Raises:
        DataError: the file cannot be read, or an option does not fit.
        UsageError: a file, the kind or the target does not exist, or several targets are given.

    Example:
        >>> _ = Path("heights.csv").write_text("age,height\\n" + "\\n".join(f"{n},{80 + 6 * n}" for n in range(60)))
        >>> heights = netloom.add_data("heights.csv", target="height")
        >>> heights.title, heights.task
        ('heights', 'regression')
    """
    require_one_target(target)
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(each) for each in path]
    missing = next((each for each in paths if not each.exists()), None)
    if missing is not None:
        raise UsageError(f"{missing} cannot be read: this file or folder does not exist.")
    if not paths:
        raise UsageError("There are no files to add; give one path or several.")
    inspection = FileInspection(*read_content(paths))
    try:
        return inspection.add(data_folder(home), name=name, target=target, kind=kind, options=options)
    finally:
        inspection.close()

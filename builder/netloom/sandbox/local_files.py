"""Files on this machine that are added together as one dataset."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from netloom.core.errors import DataError
from netloom.data.limits import MAX_FILE_BYTES
from netloom.data.uploads.naming import called


def read_content(paths: Sequence[Path]) -> tuple[Path | dict[str, bytes], str]:
    """Return the path of a single file or folder, or the contents of several by name; and the name of the dataset.

    Raises:
        DataError: a file cannot be read.
    """
    if len(paths) == 1:
        return paths[0], paths[0].name or paths[0].resolve().name
    files: dict[str, bytes] = {}
    remaining_bytes = MAX_FILE_BYTES + 1  # one byte beyond the limit shows that the files are too large
    for name, path in _files_by_name(paths).items():
        try:
            with path.open("rb") as file:
                content = file.read(remaining_bytes)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        remaining_bytes -= len(content)
        files[name] = content
    return files, called(list(files), paths[0].resolve().parent.name)


def _files_by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Return all files, also those in folders, by name.

    If two names are equal, as in train/x.csv and test/x.csv, all names are paths below the common folder. Symbolic
    links and hidden files in folders are skipped.
    """
    named_paths: list[tuple[str, Path]] = []
    for path in paths:
        if not path.is_dir():
            named_paths.append((path.name, path))
            continue
        for file in sorted(path.rglob("*")):
            relative = file.relative_to(path)
            if file.is_file() and not file.is_symlink() and not any(part.startswith(".") for part in relative.parts):
                named_paths.append(((Path(path.resolve().name) / relative).as_posix(), file))
    counts = Counter(name for name, _ in named_paths)
    if len(counts) == len(named_paths):
        return dict(named_paths)
    common_folder = Path(os.path.commonpath([path.resolve().parent for _, path in named_paths]))
    return {path.resolve().relative_to(common_folder).as_posix(): path for _, path in named_paths}

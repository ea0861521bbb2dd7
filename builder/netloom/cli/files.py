"""Paths on the command line: inputs must exist, and outputs must not, except with `--force`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from netloom.core.errors import UsageError


def add_force_argument(parser: ArgumentParser) -> None:
    """Declare `--force`."""
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


def existing(path: str | Path) -> Path:
    """Return the path of a file or folder that a command reads.

    Raises:
        UsageError: it does not exist.
    """
    try:
        Path(path).stat()
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return Path(path)


def new_file(path: str | Path, *, force: bool) -> Path:
    """Return the path of a file that a command may write.

    Commands call this before they compute, so that nobody waits for a result that cannot be saved.

    Raises:
        UsageError: the file exists and `force` is not set, it is a folder, or its folder does not exist.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; write the name of a file.")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already; choose another name, or overwrite it with --force.")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {str(path.parent)[:200]!r} to write to; create it first.")
    return path


def new_folder(path: Path, *, force: bool) -> Path:
    """Return the path of a folder that a command may fill; folders above it are created when files are written.

    Raises:
        UsageError: it has files in it and `force` is not set, or a file has its name or that of a folder above.
    """
    if any(ancestor.is_file() for ancestor in (path, *path.parents)):
        raise UsageError(f"{path} cannot be a folder, because a file has this name; choose another name.")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise UsageError(f"{path} holds files already; choose another folder, or overwrite them with --force.")
    return path

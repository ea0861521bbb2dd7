"""The source of `netloom.nn` as text, which a server of pages reads without importing PyTorch."""

from __future__ import annotations

import re
from functools import cache
from inspect import getblock
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "nn"
_DEFINITION = re.compile(r"^(?:class|def) ([A-Za-z]\w*)", re.MULTILINE)


@cache
def public_names() -> frozenset[str]:
    """Return the names of the public classes and functions, those in `netloom.nn.__all__`."""
    return frozenset(_files())


@cache
def source_of(name: str) -> str:
    """Return the source of a public class or function, with its decorators, docstring and comments."""
    lines = _files()[name].read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(position for position, line in enumerate(lines) if _DEFINITION.findall(line) == [name])
    while lines[first - 1].startswith("@"):
        first -= 1
    return "".join(getblock(lines[first:])).rstrip()


@cache
def _files() -> dict[str, Path]:
    """Return the file of each public class and function, in alphabetical order."""
    texts = {path: path.read_text(encoding="utf-8") for path in _FOLDER.glob("[!_]*.py")}
    files = {name: path for path, text in texts.items() for name in _DEFINITION.findall(text)}
    return dict(sorted(files.items()))

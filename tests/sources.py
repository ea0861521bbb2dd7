"""The source of Netloom, for checks of the whole code: each check is one test, as a test per file costs more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "builder" / "netloom"
# Python files outside the package that Streamlit runs.
SCRIPTS = frozenset({ROOT / "app.py", *(ROOT / "pages").glob("*.py")})


def modules(folder: Path = PACKAGE) -> set[Path]:
    """The Python files of the package, or of one of its folders."""
    return set(folder.rglob("*.py"))


def complaints(paths: Iterable[Path], look: Callable[[str], Iterable[str]]) -> list[str]:
    """The messages of a check of each file, prefixed with the path."""
    messages = []
    for path in sorted(paths):
        messages += [f"{path.relative_to(ROOT)}: {message}" for message in look(path.read_text(encoding="utf-8"))]
    return messages

"""The source of Netloom, for the checks that read all of it: each is one test, as a test for each file costs more."""

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
    """What a look at the text of each file finds, with the file that it is in."""
    found = []
    for path in sorted(paths):
        found += [f"{path.relative_to(ROOT)}: {what}" for what in look(path.read_text(encoding="utf-8"))]
    return found

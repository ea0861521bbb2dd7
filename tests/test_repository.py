"""The repository as a whole: types, style, and the direction of imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {
    "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "pyproject.toml", "app.py",
    "builder", "pages", "tests", "docs",
}  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "ruff", "check", "."],
        [sys.executable, "-m", "ruff", "format", "--check", "."],
        # To write down what it found takes a sixth of its time, and is of use only where that is read again.
        pytest.param(
            [sys.executable, "-m", "mypy", *([] if (ROOT / ".mypy_cache").exists() else ["--cache-dir=/dev/null"])],
            marks=pytest.mark.first,
        ),
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
    ],
    ids=["ruff check", "ruff format", "mypy", "lint-imports"],
)
def test_the_checks_are_green(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_top_level_holds_what_it_should() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    names = {path.partition("/")[0] for path in listed if path}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


def test_no_export_of_a_package_is_replaced_by_a_submodule() -> None:
    """To import a submodule puts it into its package under its name. Where that is also the name of a function from
    elsewhere, the first call works, and the second finds a module."""
    replaced = []
    for path in (ROOT / "builder" / "netloom").rglob("__init__.py"):
        package = ".".join(path.parent.relative_to(ROOT / "builder").parts)
        lines = [line for line in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(line, ast.ImportFrom)]
        exported = {name.asname or name.name for line in lines if line.module != package for name in line.names}
        for child in path.parent.iterdir():
            if child.stem in exported and (child.suffix == ".py" or (child / "__init__.py").exists()):
                whole = import_module(package)
                import_module(f"{package}.{child.stem}")
                if isinstance(getattr(whole, child.stem), ModuleType):
                    replaced.append(f"{package}.{child.stem}")
    assert not replaced

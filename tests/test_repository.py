"""The repository as a whole: style, and the direction of imports. Types have a job of their own in CI."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

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
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
    ],
    ids=["ruff check", "ruff format", "lint-imports"],
)
def test_static_checks_pass(command: list[str]) -> None:
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-2000:]


def test_top_level_has_only_expected_entries() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    names = {path.partition("/")[0] for path in listed if path}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


def test_installed_dependencies_are_within_their_bounds() -> None:
    """In an environment with other versions, for example one with packages of its own, tests fail for reasons that do
    not say so."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    requirements = map(Requirement, dependencies)
    installed = {item: version(item.name) for item in requirements if item.marker is None or item.marker.evaluate()}
    outside = [
        f"{item}, but {found} is installed"
        for item, found in installed.items()
        if not item.specifier.contains(found, prereleases=True)
    ]
    assert not outside, "; ".join(outside)


def test_no_package_export_is_shadowed_by_a_submodule() -> None:
    """Importing a submodule sets it as an attribute of its package. If a function from another module is exported under
    the same name, the first call works, and the second gets a module."""
    replaced = []
    for path in (ROOT / "builder" / "netloom").rglob("__init__.py"):
        package = ".".join(path.parent.relative_to(ROOT / "builder").parts)
        import_statements = [
            line for line in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(line, ast.ImportFrom)
        ]
        exported = {
            name.asname or name.name for line in import_statements if line.module != package for name in line.names
        }
        for child in path.parent.iterdir():
            if child.stem in exported and (child.suffix == ".py" or (child / "__init__.py").exists()):
                package_module = import_module(package)
                import_module(f"{package}.{child.stem}")
                if isinstance(getattr(package_module, child.stem), ModuleType):
                    replaced.append(f"{package}.{child.stem}")
    assert not replaced

"""The registry discovers declarations by module."""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC
from pathlib import Path

import pytest

from netloom.core.registry import discover, members, modules, unique


class Shape(ABC):
    name: str


SHARED = """
from abc import abstractmethod
from tests.core.test_registry import Shape

class Cornered(Shape):
    "Shared by several, and no shape itself."

class Unfinished(Cornered):
    name = "unfinished"

    @abstractmethod
    def area(self): ...
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """An empty package that can be imported, named after the test."""
    folder: Path = tmp_path / str(request.node.name)
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def declare(package: Path, module: str, *names: str, head: str = "") -> None:
    """Write a module with one class per name."""
    head = head or "from tests.core.test_registry import Shape as Cornered\n"
    classes = "".join(f"class {name.title()}(Cornered):\n    name = {name!r}\n" for name in names)
    (package / f"{module}.py").write_text(head + classes)


def test_discovery_order_is_by_module_and_line(package: Path) -> None:
    declare(package, "b", "square", "circle")
    declare(package, "a", "triangle", head=f"from {package.name}.b import Square as Cornered\n")
    assert list(discover(Shape, package.name)) == ["triangle", "square", "circle"]
    assert list(discover(Shape, package.name, order=lambda kind: kind.name)) == ["circle", "square", "triangle"]


def test_abstract_and_nameless_classes_are_not_discovered(package: Path) -> None:
    declare(package, "shared", "square", head=SHARED)
    assert list(discover(Shape, package.name)) == ["square"]


def test_duplicate_class_names_are_refused_with_both_locations(package: Path) -> None:
    declare(package, "first", "square")
    declare(package, "second", "square")
    with pytest.raises(ImportError, match=rf"^{package.name}\.first\.Square and {package.name}\.second\.Square have"):
        discover(Shape, package.name)


def test_import_error_in_a_module_is_raised(package: Path) -> None:
    declare(package, "broken", "square", head="import netloom_has_no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="netloom_has_no_such_module"):
        discover(Shape, package.name)


def test_modules_follow_the_given_package_order() -> None:
    names = [module.__name__ for module in modules("netloom.export.formats", "netloom.core")]
    assert names == sorted(names, key=lambda name: (name.startswith("netloom.core"), name))
    assert {"netloom.export.formats.onnx", "netloom.core.registry"} < set(names)


def test_members_are_only_those_defined_in_the_module() -> None:
    assert discover in members(sys.modules["netloom.core.registry"])
    assert Path not in members(sys.modules[__name__])
    assert unique([1, 2], str) == {"1": 1, "2": 2}


# Code that lists all declarations of a kind, and the packages that it must not import; in an order in which no line
# needs a package that a later line must not import.
LISTINGS = (
    ("from netloom.cli import commands; commands.registry()", "torch numpy pandas pydantic streamlit sqlalchemy"),
    ("from netloom import layers; layers.registry()", "torch numpy pandas streamlit sqlalchemy"),
    (
        "from netloom import export; export.registry()",
        "torch onnx onnxruntime onnxscript onnx_ir pandas streamlit sqlalchemy",
    ),
    (
        "from netloom.data import builtin_registry; builtin_registry.builtin()",
        "torch pandas sklearn scipy streamlit sqlalchemy",
    ),
    ("from netloom.data import uploads; uploads.readers()", "torch pandas sklearn streamlit pyarrow sqlalchemy"),
    ("from netloom.data import augmentation; augmentation.augmentations()", "torch pandas streamlit scipy"),
    ("from netloom import explain; explain.registry()", "captum pandas sklearn scipy streamlit sqlalchemy"),
)


def test_listing_a_registry_imports_no_heavy_library() -> None:
    """In one process, because each new one would import the packages that they share again."""
    script = "import json, sys\nimported = []\n" + "".join(
        f"{code}\nimported.append(sorted(set(sys.modules) & set({packages.split()})))\n" for code, packages in LISTINGS
    )
    command = [sys.executable, "-c", script + "print(json.dumps(imported))"]
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = dict(zip((code for code, _ in LISTINGS), json.loads(completed.stdout), strict=True))
    assert imported == {code: [] for code, _ in LISTINGS}

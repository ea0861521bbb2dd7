"""Modules import downwards only: no cycles, nothing private, and no module its own package."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import grimp
import networkx as nx

ROOT = Path(__file__).parents[1] / "builder"
TESTS = Path(__file__).parent
OWN = ("self", "cls")
# Cycles that are being resolved; a line goes with its cycle.
TEMPORARY = ("netloom.explain.flow.",)


@cache
def imports() -> nx.DiGraph[str]:
    """Who imports whom, also inside functions and under TYPE_CHECKING."""
    graph = grimp.build_graph("netloom", cache_dir=None, exclude_type_checking_imports=False)
    return nx.DiGraph((one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one))


def test_no_modules_import_each_other() -> None:
    found = [sorted(part) for part in nx.strongly_connected_components(imports()) if len(part) > 1]
    assert not found, "Move what these modules share into one below them: " + "; ".join(map(", ".join, found))


def test_no_module_imports_a_package_that_it_lies_in() -> None:
    """Its siblings are there before the package is: what a package exports is for others."""
    found = [
        f"{one} imports {other}"
        for one, other in imports().edges
        if one.startswith(f"{other}.") and not one.endswith(".__main__")
    ]
    assert not found, "Import from the module that defines it: " + "; ".join(found)


def test_no_module_uses_a_private_name_of_another() -> None:
    found = [f"{place}: {name}" for place, name in found_in(ROOT, private_names)]
    assert not found, "Make these names public or move what needs them:\n" + "\n".join(found)


def test_tests_go_through_public_names() -> None:
    found = [f"{place}: {name}" for place, name in found_in(TESTS, private_touches)]
    assert not found, "Test what these do through a public name, or make one:\n" + "\n".join(found)


def found_in(folder: Path, look: Callable[[ast.Module], Iterator[tuple[int, str]]]) -> Iterator[tuple[str, str]]:
    """What a look at each module of a folder finds, with the file and the line."""
    for path in sorted(folder.rglob("*.py")):
        for line, name in look(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(folder)}:{line}", name


def private_touches(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The private attributes that a test reads, of whatever it is, and the private names of Netloom that it imports;
    what a class of the tests itself keeps to itself is its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "netloom":
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) not in OWN:
            yield node.lineno, ast.unparse(node)


def test_private_touches_of_tests_are_seen() -> None:
    """The check itself, on a test with two."""
    text = "from netloom.core.log import _a\nfrom tests.x import _b\nself._c\nx.d._e\ny.__dict__"
    assert list(private_touches(ast.parse(text))) == [(1, "_a"), (4, "x.d._e")]


def private_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The private names that a module takes from others of Netloom, with their lines."""
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "netloom":
            modules |= {alias.asname or alias.name for alias in node.names if is_module(f"{node.module}.{alias.name}")}
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) in modules:
            yield node.lineno, ast.unparse(node)


def is_module(name: str) -> bool:
    return name in imports()


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_private_names_are_seen_however_they_are_taken() -> None:
    """The check itself, on a module that takes three."""
    text = "from netloom.core import log, text\nfrom netloom.core.log import _a\nlog._b\ntext.c\ndef f():\n  text._d()"
    assert list(private_names(ast.parse(text))) == [(2, "_a"), (3, "log._b"), (6, "text._d")]

"""The import rules: no cycles, no private names, and no module imports its own package."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import takewhile
from pathlib import Path

import grimp
import networkx as nx

ROOT = Path(__file__).parents[1] / "builder"
TESTS = Path(__file__).parent
OWN = ("self", "cls")
PRIVATE_PATH = re.compile(r"(netloom|streamlit)(\.\w+)*\._[a-zA-Z]\w*(\.\w+)*")
# Names of other packages that begin with an underscore although they are documented: to end a process at once, the
# columns of a row of SQLAlchemy by name, and the stacks of all threads.
DOCUMENTED = ("os._exit", "row._mapping", "sys._current_frames")
# The modules whose purpose is to use what PyTorch does not document
GUARDS = ("netloom/core/torch_internals.py",)
# Every violation contains such text: a private attribute of something other than `self` and `cls`, a private name in
# quotes, or an import of one. Few files do, and the others need not be parsed.
PRIVATE = r"_(?!\w*__\b)"
FOREIGN = re.compile(
    rf"""(?<!\bself)(?<!\bcls)\.{PRIVATE}|["']{PRIVATE}|\bfrom\s+netloom\b[^\n]*\bimport\s*(\([^)]*|[^\n]*)\b{PRIVATE}"""
)


@cache
def import_graph() -> nx.DiGraph[str]:
    """The import graph, including imports inside functions and under TYPE_CHECKING."""
    graph = grimp.build_graph("netloom", cache_dir=None, exclude_type_checking_imports=False)
    return nx.DiGraph(
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    )


def test_no_import_cycles() -> None:
    cycles = [sorted(part) for part in nx.strongly_connected_components(import_graph()) if len(part) > 1]
    assert not cycles, "Move what these modules share into one below them: " + "; ".join(map(", ".join, cycles))


def test_no_import_cycles_between_folders() -> None:
    """In each package, a folder counts as a whole, so that it can be read without what imports it."""
    cycles = [
        f"{package}: {', '.join(sorted(part))}"
        for package, parts in part_graphs(import_graph()).items()
        for part in nx.strongly_connected_components(parts)
        if len(part) > 1
    ]
    assert not cycles, "Move what these folders and modules share below them, or up to their user: " + "; ".join(cycles)


def part_graphs(graph: nx.DiGraph[str]) -> dict[str, nx.DiGraph[str]]:
    """The imports between the folders and modules of each package, by the name of the package."""
    parts: dict[str, nx.DiGraph[str]] = {}
    for importer, imported in graph.edges:
        package = ".".join(common_start(importer.split("."), imported.split(".")))
        first, second = (name.removeprefix(f"{package}.").partition(".")[0] for name in (importer, imported))
        if importer != package != imported:  # a package may import its modules
            parts.setdefault(package, nx.DiGraph()).add_edge(first, second)
    return parts


def common_start(first: list[str], second: list[str]) -> list[str]:
    return [name for name, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))]


def test_cycles_between_folders_are_detected() -> None:
    """The check itself: `a.low` and `a.high` import each other through different modules."""
    graph = nx.DiGraph([("n.a.low.x", "n.a.high.x"), ("n.a.high.y", "n.a.low.y"), ("n.a", "n.a.low"), ("n.b", "n.a")])
    parts = part_graphs(graph)
    assert set(parts) == {"n", "n.a"}
    assert sorted(parts["n.a"].edges) == [("high", "low"), ("low", "high")]
    assert sorted(parts["n"].edges) == [("b", "a")]


def test_no_module_imports_its_own_package() -> None:
    """The exports of a package are for other packages; its modules import each other directly."""
    violations = [
        f"{importer} imports {imported}"
        for importer, imported in import_graph().edges
        if importer.startswith(f"{imported}.") and not importer.endswith(".__main__")
    ]
    assert not violations, "Import from the module that defines it: " + "; ".join(violations)


def test_no_module_uses_private_names_of_another() -> None:
    violations = [f"{place}: {name}" for place, name in violations_of_modules()[private_names]]
    assert not violations, "Make these names public or move what needs them:\n" + "\n".join(violations)


def test_tests_use_only_public_names() -> None:
    violations = [
        f"{path.relative_to(TESTS)}:{line}: {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for line, name in found(private_accesses, path)
    ]
    assert not violations, "Test what these do through a public name, or make one:\n" + "\n".join(violations)


@cache
def violations_of_modules() -> dict[Callable[[ast.Module], Iterator[tuple[int, str]]], list[tuple[str, str]]]:
    """The violations that each check of the modules finds."""
    paths = sorted(ROOT.rglob("*.py"))
    return {
        check: [(f"{path.relative_to(ROOT)}:{line}", name) for path in paths for line, name in found(check, path)]
        for check in (private_names, foreign_attributes)
    }


def found(check: Callable[[ast.Module], Iterator[tuple[int, str]]], path: Path) -> Iterator[tuple[int, str]]:
    """What a check finds in a file."""
    text = path.read_text(encoding="utf-8")
    return check(ast.parse(text)) if FOREIGN.search(text) else iter(())


@lru_cache(maxsize=1)
def nodes(tree: ast.Module) -> list[ast.AST]:
    """All nodes of a file, which are listed once for all checks of it: that takes most of their time."""
    found: list[ast.AST] = [tree]
    for node in found:
        found.extend(ast.iter_child_nodes(node))
    return found


def private_accesses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The private attributes that a test accesses, the private names of Netloom that it imports, and texts that name
    what is private, as for `monkeypatch`; except for the attributes of the test's own classes."""
    for node in nodes(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "netloom":
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            if ast.unparse(node) not in DOCUMENTED:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and PRIVATE_PATH.fullmatch(node.value):
            yield node.lineno, node.value
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
            yield from ((node.lineno, ast.unparse(node)) for _ in named_private(node.elts))
        elif isinstance(node, ast.Call) and last_name(node.func) in ("setattr", "delattr"):
            yield from ((node.lineno, ast.unparse(node)) for _ in named_private(node.args))


def is_own(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in OWN


def last_name(node: ast.expr) -> str:
    """The name of a function, without the object that it belongs to."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def named_private(parts: list[ast.expr]) -> Iterator[str]:
    """The private name in an object and the name of one of its attributes, as a pair or as arguments."""
    if len(parts) > 1 and isinstance(parts[0], ast.Name | ast.Attribute) and isinstance(parts[1], ast.Constant):
        name = parts[1].value
        if isinstance(name, str) and is_private(name) and name.isidentifier() and not is_own(parts[0]):
            yield name


def test_private_accesses_of_tests_are_detected() -> None:
    """The check itself, on a source with five violations."""
    text = (
        "from netloom.core.log import _a\nfrom tests.x import _b\nself._c\nx.d._e\ny.__dict__\n"
        "patch.setattr('netloom.a.B._c', 1)\nsetattr(x, '_d', 1)\n(x.y, '_e')\n"
        "patch.setattr('netloom.a.B.C', '_c')\nsetattr(self, '_d', 1)\n(x, 'e'), ('a', '_b')"
    )
    assert {line for line, _ in private_accesses(ast.parse(text))} == {1, 4, 6, 7, 8}


def test_text_of_every_violation_is_found() -> None:
    """The search that comes before a file is parsed."""
    violations = (
        "from netloom.core.log import _a",
        "from netloom.core.log import (\n    b,\n    _a,\n)",
        "x._a",
        "x()\n._a",
        "x.__a",
        "super()._a",
        "myself._a",
        "patch.setattr('netloom.a.B._c', 1)",
        'setattr(x, "_d", 1)',
        "(x.y, '_e')",
    )
    assert not [text for text in violations if not FOREIGN.search(text)]
    others = ("self._a", "cls._a", "x.__dict__", "def _a(_b): ...", "from os import _exit", "a_b", "x.a_b", "'a._'")
    assert [text for text in others if FOREIGN.search(text)] == ["'a._'"], "which no check complains about"


def private_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The private names that a module imports from other modules of Netloom, with their lines."""
    modules: set[str] = set()
    for node in nodes(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "netloom":
            modules |= {alias.asname or alias.name for alias in node.names if is_module(f"{node.module}.{alias.name}")}
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))
    for node in nodes(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and ast.unparse(node.value) in modules:
            yield node.lineno, ast.unparse(node)


def test_no_module_uses_private_attributes_of_another() -> None:
    violations = [
        f"{place}: {name}"
        for place, name in violations_of_modules()[foreign_attributes]
        if not place.startswith(GUARDS)
    ]
    assert not violations, "Make these attributes public or move what needs them:\n" + "\n".join(violations)


def foreign_attributes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The private attributes that a module accesses and that none of its own classes and functions defines."""
    defined = {node.name for node in nodes(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in nodes(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            defined.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
    for line, name in private_accesses(tree):
        owner, _, attribute = name.rpartition(".")
        if owner and owner != "super()" and attribute not in defined and name not in DOCUMENTED:
            yield line, name


def test_private_attributes_are_detected() -> None:
    """The check itself, on a source with two violations."""
    text = (
        "class A:\n  _a: int\n  _f = 0\n  def _b(self):\n    self._c = 1\n"
        "x._a, y._b(), z._c, x._f, os._exit(1), super()._d()\nx._d\nx.y()._e = 1"
    )
    assert list(foreign_attributes(ast.parse(text))) == [(7, "x._d"), (8, "x.y()._e")]


def is_module(name: str) -> bool:
    return name in import_graph()


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_private_names_are_detected_in_every_import_form() -> None:
    """The check itself, on a source with three violations."""
    text = "from netloom.core import log, text\nfrom netloom.core.log import _a\nlog._b\ntext.c\ndef f():\n  text._d()"
    assert list(private_names(ast.parse(text))) == [(2, "_a"), (3, "log._b"), (6, "text._d")]

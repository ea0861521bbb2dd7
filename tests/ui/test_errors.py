"""What goes wrong in a part of a page that runs by itself gets a sentence, as it does on the page."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

UI = Path(__file__).parents[2] / "builder" / "netloom" / "ui"
ALONE = ("st.fragment", "st.dialog")


def runs_alone(tree: ast.Module) -> Iterator[str]:
    """The functions of a file that Streamlit runs without the page around them."""
    for item in ast.walk(tree):
        if isinstance(item, ast.FunctionDef):
            yield from (item.name for mark in item.decorator_list if ast.unparse(mark).startswith(ALONE))
        if isinstance(item, ast.Call) and (ast.unparse(item.func) == "st.fragment" or _opens(item.func)):
            yield from (value.id for value in item.args[:1] if isinstance(value, ast.Name))


def _opens(called: ast.expr) -> bool:
    return isinstance(called, ast.Call) and ast.unparse(called.func) == "st.dialog"


def test_each_of_them_is_guarded() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(UI.rglob("*.py"))]
    functions = [item for tree in trees for item in tree.body if isinstance(item, ast.FunctionDef)]
    guarded = {item.name for item in functions if "guard()" in map(ast.unparse, item.decorator_list)}
    alone = {name for tree in trees for name in runs_alone(tree)}
    assert {"_form", "_share", "_look", "run_monitor"} <= alone
    assert alone <= guarded, alone - guarded

"""Errors in fragments and dialogs, which Streamlit runs without the page, are shown as on the page."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

UI = Path(__file__).parents[2] / "builder" / "netloom" / "ui"
ALONE = ("st.fragment", "st.dialog")


def separately_run_functions(tree: ast.Module) -> Iterator[str]:
    """The names of the functions in a file that Streamlit runs without the rest of the page."""
    for item in ast.walk(tree):
        if isinstance(item, ast.FunctionDef):
            yield from (item.name for decorator in item.decorator_list if ast.unparse(decorator).startswith(ALONE))
        if isinstance(item, ast.Call) and (ast.unparse(item.func) == "st.fragment" or _is_dialog_call(item.func)):
            yield from (value.id for value in item.args[:1] if isinstance(value, ast.Name))


def _is_dialog_call(function: ast.expr) -> bool:
    return isinstance(function, ast.Call) and ast.unparse(function.func) == "st.dialog"


def test_fragments_and_dialogs_are_guarded() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(UI.rglob("*.py"))]
    functions = [item for tree in trees for item in tree.body if isinstance(item, ast.FunctionDef)]
    guarded = {item.name for item in functions if "guard()" in map(ast.unparse, item.decorator_list)}
    separate = {name for tree in trees for name in separately_run_functions(tree)}
    assert {"_form", "_share", "_look", "run_monitor"} <= separate
    assert separate <= guarded, separate - guarded

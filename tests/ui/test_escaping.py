"""No page renders user text as markup: checked here in the source, and in tests/browser on every page."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from tests.sources import PACKAGE, SCRIPTS, complaints, modules

UI = PACKAGE / "ui"
# Streamlit calls that render their text or label as Markdown.
SHOWS = {
    "badge", "button", "caption", "checkbox", "exception", "expander", "header", "info", "markdown", "metric",
    "popover", "progress", "radio", "spinner", "status", "subheader", "success", "text_input", "title", "toast",
    "toggle", "warning", "write",
}  # fmt: skip
# Attributes with messages that may quote a document, a file or a run.
QUOTING = {"message", "reason", "problem", "caveat"}


def method_calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
            yield node


def unescaped_parts(node: ast.AST, caught: set[str]) -> Iterator[ast.AST]:
    """The parts of an expression that quote user text without escaping it."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("escape", "len", "isinstance")
    ):
        return
    if isinstance(node, ast.Compare):
        return  # compared values are not shown
    if (isinstance(node, ast.Name) and node.id in caught) or (isinstance(node, ast.Attribute) and node.attr in QUOTING):
        yield node
    for part in [node.body, node.orelse] if isinstance(node, ast.IfExp) else ast.iter_child_nodes(node):
        yield from unescaped_parts(part, caught)


def escaping_problems(source: str) -> list[str]:
    """The unescaped text that a module shows, with line numbers."""
    tree = ast.parse(source)
    caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
    problems = [f"{node.lineno}: show_error shows what is wrong" for node in method_calls(tree, {"error", "exception"})]
    for call in method_calls(tree, SHOWS):
        shown = [
            *call.args[:1],
            *(keyword.value for keyword in call.keywords if keyword.arg in ("label", "help", "body")),
        ]
        problems += [
            f"{call.lineno}: {ast.unparse(part)} is not escaped by escape()"
            for argument in shown
            for part in unescaped_parts(argument, caught)
        ]
    return problems


def test_user_text_is_escaped() -> None:
    problems = complaints(modules(UI) | SCRIPTS, escaping_problems)
    assert not [text for text in problems if not ("errors.py" in text and "show_error" in text)]


@pytest.mark.parametrize(
    "source",
    [
        "st.error('a')",
        "place.error(problem)",
        "try: a()\nexcept E as error: st.warning(str(error))",
        "try: a()\nexcept E as error: st.toast(f'Not done: {error}')",
        "st.caption(f':material/error: {issue.message}')",
        "st.info(refused[0].reason if refused else '')",
        "st.button('a', help=run.reason)",
    ],
)
def test_escaping_check_detects_unescaped_text(source: str) -> None:
    assert escaping_problems(source)


HOSTILE = (
    "![x](http://evil.example/a.png) [y](http://evil.example) <img src=http://evil.example> <http://evil.example> "
    "http://evil.example www.evil.example mail@evil.example $x$ :red[z] :material/star: :smile: `c` **b** _i_ # h "
    "\\ ~~s~~"
)


def test_show_error_escapes_all_markup() -> None:
    def page(text: str) -> None:
        from netloom.ui.components.errors import show_error

        show_error(ValueError(text))

    (shown,) = AppTest.from_function(page, args=(HOSTILE,)).run().error
    markdown = shown.value.replace("\u2060", "")
    for letter in "![]()<>`*_$:#~":
        assert all(markdown[index - 1] == "\\" for index, character in enumerate(markdown) if character == letter), (
            letter
        )
    assert markdown.replace("\\", "") == HOSTILE.replace("\\", "")

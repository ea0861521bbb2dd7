"""No page reads what other people wrote as markup: held here over the source, and in tests/browser on every page."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from tests.sources import PACKAGE, SCRIPTS, complaints, modules

UI = PACKAGE / "ui"
# What Streamlit reads as Markdown, whole or in its label.
SHOWS = {
    "badge", "button", "caption", "checkbox", "exception", "expander", "header", "info", "markdown", "metric",
    "popover", "progress", "radio", "spinner", "status", "subheader", "success", "text_input", "title", "toast",
    "toggle", "warning", "write",
}  # fmt: skip
# Attributes that hold sentences, which may quote a document, a file or a run.
QUOTING = {"message", "reason", "problem", "caveat"}


def calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
            yield node


def bare(node: ast.AST, caught: set[str]) -> Iterator[ast.AST]:
    """Whatever in an expression quotes somebody and is not escaped."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("escape", "len", "isinstance")
    ):
        return
    if isinstance(node, ast.Compare):
        return  # what is compared is not shown
    if (isinstance(node, ast.Name) and node.id in caught) or (isinstance(node, ast.Attribute) and node.attr in QUOTING):
        yield node
    for part in [node.body, node.orelse] if isinstance(node, ast.IfExp) else ast.iter_child_nodes(node):
        yield from bare(part, caught)


def unescaped(source: str) -> list[str]:
    """What a module shows as it is, with the lines."""
    tree = ast.parse(source)
    caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
    found = [f"{node.lineno}: show_error shows what is wrong" for node in calls(tree, {"error", "exception"})]
    for call in calls(tree, SHOWS):
        shown = [*call.args[:1], *(known.value for known in call.keywords if known.arg in ("label", "help", "body"))]
        found += [
            f"{call.lineno}: {ast.unparse(part)} is not escaped by escape()"
            for one in shown
            for part in bare(one, caught)
        ]
    return found


def test_what_people_wrote_is_escaped() -> None:
    found = complaints(modules(UI) | SCRIPTS, unescaped)
    assert not [text for text in found if not ("errors.py" in text and "show_error" in text)]


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
def test_the_test_sees_it(source: str) -> None:
    assert unescaped(source)


HOSTILE = (
    "![x](http://evil.example/a.png) [y](http://evil.example) <img src=http://evil.example> <http://evil.example> "
    "http://evil.example www.evil.example mail@evil.example $x$ :red[z] :material/star: :smile: `c` **b** _i_ # h "
    "\\ ~~s~~"
)


def test_an_error_is_shown_as_it_is_written() -> None:
    def page(text: str) -> None:
        from netloom.ui.shell.errors import show_error

        show_error(ValueError(text))

    (shown,) = AppTest.from_function(page, args=(HOSTILE,)).run().error
    kept = shown.value.replace("\u2060", "")
    for letter in "![]()<>`*_$:#~":
        assert all(kept[place - 1] == "\\" for place, found in enumerate(kept) if found == letter), letter
    assert kept.replace("\\", "") == HOSTILE.replace("\\", "")

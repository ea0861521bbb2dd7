"""Pages store values of a tab only through typed state and named keys, in one place per page."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.ui.components.page_state import PageState, WidgetKey, forget_below, values_below
from tests.sources import PACKAGE, ROOT, SCRIPTS, complaints, modules

UI = PACKAGE / "ui"
# Parts of the interface that do not have a typed state yet.
EXEMPT = {"explain"}
EXEMPT_FILES = {"train/results.py", "train/loss_form.py"}
MODULES = [
    path
    for path in modules(UI) | SCRIPTS - {ROOT / "app.py"}
    if not EXEMPT & set(path.relative_to(ROOT).parts)
    and path.name not in ("state.py", "page_state.py")
    and not str(path).endswith(tuple(EXEMPT_FILES))
    and "node_modules" not in path.parts
]


def violations(source: str) -> list[str]:
    """Where a module bypasses the state modules: session state, query parameters or literal widget keys."""
    problems = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ("session_state", "query_params"):
            problems.append(f"line {node.lineno}: {node.attr}")
        if isinstance(node, ast.Call):
            literal_types = (ast.JoinedStr, ast.Constant, ast.BinOp)
            keys = [
                keyword.value
                for keyword in node.keywords
                if keyword.arg == "key" and isinstance(keyword.value, literal_types)
            ]
            problems += [f"line {node.lineno}: key={ast.unparse(key)}" for key in keys]
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.JoinedStr, ast.Constant)):
            is_key = any(isinstance(target, ast.Name) and target.id == "key" for target in node.targets)
            problems += [f"line {node.lineno}: key = {ast.unparse(node.value)}"] if is_key else []
    return problems


def test_pages_use_typed_state_and_named_keys() -> None:
    assert complaints(MODULES, violations) == []


@pytest.mark.parametrize(
    "source",
    [
        "st.session_state['run'] = 1",
        "st.query_params['run']",
        "st.button('Go', key='go')",
        "st.button('Go', key=f'go {run}')",
        "key = f'go {run}'",
    ],
)
def test_violations_detect_untyped_state(source: str) -> None:
    assert violations(source)


def test_page_states_have_defaults_and_unique_names() -> None:
    import importlib

    for path in sorted(UI.rglob("state.py")):
        importlib.import_module(".".join(path.relative_to(ROOT / "builder").with_suffix("").parts))
    states = PageState.__subclasses__()
    assert len({state.name() for state in states}) == len(states) > 8
    for state in states:
        assert state() == state()


def test_page_state_is_per_tab_and_outlives_widgets() -> None:
    def script() -> None:
        import streamlit as st

        from tests.ui.test_page_state import Counted, Named

        state = Counted.current()
        if st.toggle("Widget", key=Named.SHOWN):
            st.text_input("Text", key=Named.TEXT.of("a", 1))
        if st.button("Count", key=Named.COUNT):
            state.count += 1
        st.caption(f"count {state.count}")

    first, second = AppTest.from_function(script).run(), AppTest.from_function(script).run()
    first.button(key="count").click().run()
    first.toggle(key="shown").set_value(True).run()
    first.text_input(key="text a 1").input("typed").run()
    first.toggle(key="shown").set_value(False).run()
    assert "text a 1" not in first.session_state, "Streamlit forgets a widget that is not drawn"
    assert (first.caption[0].value, second.run().caption[0].value) == ("count 1", "count 0")


def test_widget_values_are_read_and_cleared_by_key_prefix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = {"ask a name": "x", "ask a size": 2, "ask b size": 3}
    monkeypatch.setattr(st, "session_state", session)
    assert values_below("ask a ") == {"name": "x", "size": 2}
    forget_below("ask a")
    assert session == {"ask b size": 3}


@dataclass
class Counted(PageState):
    count: int = 0
    names: list[str] = field(default_factory=list)


class Named(WidgetKey):
    SHOWN = "shown"
    TEXT = "text"
    COUNT = "count"

"""What pages keep for a tab: only through typed state and named keys, which live in one place per page."""

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


def offences(source: str) -> list[str]:
    """Where a module goes past the state modules: to the session, to the address, or with a key of its own."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ("session_state", "query_params"):
            found.append(f"line {node.lineno}: {node.attr}")
        if isinstance(node, ast.Call):
            free = (ast.JoinedStr, ast.Constant, ast.BinOp)
            keys = [word.value for word in node.keywords if word.arg == "key" and isinstance(word.value, free)]
            found += [f"line {node.lineno}: key={ast.unparse(key)}" for key in keys]
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.JoinedStr, ast.Constant)):
            named = any(isinstance(target, ast.Name) and target.id == "key" for target in node.targets)
            found += [f"line {node.lineno}: key = {ast.unparse(node.value)}"] if named else []
    return found


def test_pages_use_their_state_and_its_keys() -> None:
    assert complaints(MODULES, offences) == []


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
def test_what_goes_past_the_state_is_seen(source: str) -> None:
    assert offences(source)


def test_every_state_begins_with_defaults_and_has_a_name_of_its_own() -> None:
    import importlib

    for path in sorted(UI.rglob("state.py")):
        importlib.import_module(".".join(path.relative_to(ROOT / "builder").with_suffix("").parts))
    states = PageState.__subclasses__()
    assert len({state.name() for state in states}) == len(states) > 8
    for state in states:
        assert state() == state()


def test_a_state_belongs_to_a_tab_and_outlives_its_widgets() -> None:
    def script() -> None:
        import streamlit as st

        from tests.ui.test_page_state import Counted, Named

        state = Counted.current()
        if st.toggle("Widget", key=Named.SHOWN):
            st.text_input("Text", key=Named.TEXT.of("a", 1))
        if st.button("Count", key=Named.COUNT):
            state.count += 1
        st.caption(f"count {state.count}")

    one, other = AppTest.from_function(script).run(), AppTest.from_function(script).run()
    one.button(key="count").click().run()
    one.toggle(key="shown").set_value(True).run()
    one.text_input(key="text a 1").input("typed").run()
    one.toggle(key="shown").set_value(False).run()
    assert "text a 1" not in one.session_state, "Streamlit forgets a widget that is not drawn"
    assert (one.caption[0].value, other.run().caption[0].value) == ("count 1", "count 0")


def test_values_of_widgets_are_found_and_forgotten_by_the_beginning_of_their_keys(
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

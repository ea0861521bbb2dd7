"""The method menu: one list of all methods by group, each with a line of help and its availability."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from netloom.core.text import escape
from netloom.explain import GROUPS, Method
from netloom.explain.dataset.sample_attributions import BATCHED_METHOD
from netloom.ui.components.errors import guard
from netloom.ui.components.page_state import set_value
from netloom.ui.explain.state import ExplainState, Key
from netloom.ui.explain.view import MethodUse, View

MENU_HEIGHT, MENU_WIDTH = 420, 380
# The uses that the choice of a method switches between.
SWITCHED = {MethodUse.INPUT: "input", MethodUse.LAYERS: "layers"}


def method_of(view: View, methods: Sequence[Method]) -> str:
    """Return the method of a view: the last one chosen for its use, or else the first available one; "" if there is
    none."""
    fitting = [method.name for method in methods if not unsuited(view, method)]
    chosen = ExplainState.current().methods.get(view.method_use, "")
    if chosen in fitting:
        return chosen
    if view.method_use is MethodUse.ROWS and BATCHED_METHOD in fitting:
        return BATCHED_METHOD
    return next(iter(fitting), "")


def unsuited(view: View, method: Method) -> str:
    """Return the reason why a view cannot use a method, as the end of a sentence; "" if it can."""
    if not method.available:
        return method.reason
    if view.method_use is MethodUse.ROWS:
        return "" if method.is_aggregable else "it explains a single example"
    if view.is_editor and method.explains_layer:
        return "it gives no attributions of the input that is edited"
    if method.explains_layer != (view.method_use is MethodUse.LAYERS):
        return f"it is in the view {'Layers' if method.explains_layer else 'Input'}"
    return ""


def method_menu(view: View, methods: Sequence[Method], chosen: str) -> None:
    """Draw the menu, and the help of the chosen method.

    It is a fragment, so that opening it does not rerun the page.
    """
    ExplainState.current().method_chosen = False
    st.fragment(_menu)(view, tuple(methods), chosen)
    method = next((method for method in methods if method.name == chosen), None)
    if method is not None:
        st.caption(f"{escape(method.summary.rstrip('.'))}. [Paper]({method.url})")


@guard()
def _menu(view: View, methods: tuple[Method, ...], chosen: str) -> None:
    state = ExplainState.current()
    if state.method_chosen:  # a click reruns only this fragment
        state.method_chosen = False
        st.rerun(scope="app")
    titles = {method.name: method.title for method in methods}
    # The state is known here only if opening it reruns the fragment; its content is drawn only then.
    menu = st.popover(
        f"Method: {titles.get(chosen, 'none')}", width="stretch", key=Key.METHOD_MENU, on_change="rerun", wrap=True
    )
    if not menu.open:
        return
    with menu, st.container(height=MENU_HEIGHT, width=MENU_WIDTH, border=False, gap="xxsmall"):
        for group, meaning in GROUPS.items():
            listed = [method for method in methods if method.group == group]
            if listed:
                st.markdown(f"**{escape(group)}**  \n:small[{escape(meaning)}]")
            for method in listed:
                _entry(view, method, method.name == chosen)


def _entry(view: View, method: Method, is_chosen: bool) -> None:
    """Draw one method. In the view of the input, a method of layers opens the view of layers, and the reverse."""
    switches = view.name in SWITCHED.values() and method.available
    reason = "" if switches else unsuited(view, method)
    st.button(
        f"**{method.title}**" if is_chosen else method.title,
        key=Key.METHOD.of(method.name),
        icon=":material/check:" if is_chosen else None,
        disabled=bool(reason),
        type="tertiary",
        on_click=_choose,
        args=(view, method),
    )
    st.caption(f"Unavailable: {escape(reason.rstrip('.'))}." if reason else f"{escape(method.summary.rstrip('.'))}.")


def _choose(view: View, method: Method) -> None:
    state, use = ExplainState.current(), view.method_use
    if view.name in SWITCHED.values():
        use = MethodUse.LAYERS if method.explains_layer else MethodUse.INPUT
        state.view = SWITCHED[use]
    state.methods[use], state.method_chosen = method.name, True
    set_value(Key.METHOD_MENU, False)

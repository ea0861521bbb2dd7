"""The tour for the first visit: three clicks to a live curve, a fourth to an explanation.

It is a card on the Home page and a line above the pages that it visits. Nothing is covered or blocked: whoever does
something else meanwhile finds the line again on the next page of the tour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import streamlit as st

from netloom import runs
from netloom.store import Store
from netloom.templates import templates
from netloom.ui.shell import session
from netloom.ui.shell.identity import YEAR_S
from netloom.ui.shell.state import Key, TourState

# It trains in ten seconds on a quiet machine, and everybody can judge an explanation of pixels.
TEMPLATE = "digits_cnn"
# The browser remembers that the card was dismissed; it is sent with the page, so that the card does not flash.
COOKIE, DISMISSED = "netloom_tour", "dismissed"
_KEEP_CHOICE = f"""
export default function ({{ data }}) {{
  if (data.shown === null) return;
  const age = data.shown ? 0 : {YEAR_S};
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${{data.cookie}}={DISMISSED}; Path=/; Max-Age=${{age}}; SameSite=Lax${{secure}}`;
}}
"""
STYLE = """<style>
.st-key-tour { background: light-dark(#eef2ff, #1e1f3a); border-radius: 0.55rem; padding: 0.5rem 0.9rem; }
.st-key-tour p { margin: 0; }
</style>"""


@dataclass(frozen=True)
class Hint:
    """The line of the tour on a page: what is seen, what to do, and the button to the next page, if there is one."""

    text: str
    button: str = ""
    page: str = ""


DESIGN = Hint(
    "**1 of 3 · The network.** Images of handwritten digits enter at the input, and ten class scores leave at the "
    "output. Click a layer to see its settings.",
    "Next: train it",
    "train",
)
READY = Hint("**2 of 3 · Training.** Click *Start training*. It takes less than a minute, and the curve is drawn live.")
RUNNING = Hint(
    "**2 of 3 · Training.** The loss falls while the network learns. When the run ends, it is tested on new images."
)
TRAINED = Hint(
    "**2 of 3 · Training.** Done: the test metrics are for images that the network has never seen.",
    "Next: explain a prediction",
    "explain",
)
EXPLAINED = Hint(
    "**3 of 3 · Explanation.** This is a mistake of your network. The picture shows which pixels raise and which lower "
    "the score. Choose another example or method beside it.",
)


def offer_tour(store: Store, *, first_visit: bool) -> None:
    """Draw the card of the tour on the Home page if there is no project yet, otherwise a button that shows it."""
    state = TourState.current()
    _keep_choice()(key=Key.TOUR_CHOICE, data={"cookie": COOKIE, "shown": state.card})
    is_new = first_visit and st.context.cookies.get(COOKIE) != DISMISSED
    shown = is_new if state.card is None else state.card
    if not shown:
        st.button(
            "Tour", icon=":material/explore:", type="tertiary", key=Key.TOUR_START, on_click=_show_card, args=(True,)
        )
        return
    st.html(STYLE)
    with st.container(key=Key.TOUR):
        st.markdown("**Train your first network in 60 seconds**")
        st.markdown(
            "Open a network that reads handwritten digits, train it, watch the curve, and see why it predicts what it "
            "predicts. Three clicks to the curve; no settings."
        )
        with st.container(horizontal=True):
            if st.button("Start the tour", type="primary", icon=":material/play_arrow:", key=Key.TOUR_NEXT):
                state.project, state.card = store.create_project(templates()[TEMPLATE].project), False
                session.choose(state.project)
                st.switch_page("pages/design.py")
            st.button("Not now", type="tertiary", key=Key.TOUR_END, on_click=_show_card, args=(False,))


def hint(page: str) -> None:
    """Draw the line of the tour above a page, if the tour is at it and its project is open."""
    state = TourState.current()
    if not state.project or session.chosen_project() != state.project:
        return
    newest = session.store().runs(state.project, limit=1)
    current = hint_of(page, newest[0].state if newest else "")
    if current is None:
        return
    st.html(STYLE)
    with st.container(key=Key.TOUR, horizontal=True, vertical_alignment="center"):
        st.markdown(current.text, width="stretch")
        if current.page and st.button(current.button, type="primary", key=Key.TOUR_NEXT):
            st.switch_page(f"pages/{current.page}.py")
        st.button(
            "Finish" if current is EXPLAINED else "End the tour", type="tertiary", key=Key.TOUR_END, on_click=_end
        )


def hint_of(page: str, run_state: str) -> Hint | None:
    """Return the line on a page for the state of the newest run, "" without a run; None on pages beside the tour."""
    if page == "design":
        return DESIGN
    if page == "train":
        return RUNNING if run_state in runs.ACTIVE else TRAINED if run_state == "finished" else READY
    return EXPLAINED if page == "explain" and run_state else None


def _show_card(shown: bool) -> None:
    TourState.current().card = shown


def _end() -> None:
    TourState.current().project = ""


@cache
def _keep_choice() -> Any:
    # Registered when first shown, as a component cannot be registered before Streamlit runs.
    return st.components.v2.component("netloom_tour", html="<i></i>", js=_KEEP_CHOICE)

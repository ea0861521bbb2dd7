"""What the explain page can show of one answer: a list of views, each a function in a module of its own.

A module is imported when its view is chosen, or when the page asks whether the view fits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from netloom.editing.live import Live
    from netloom.explain import Explanation, InnerNode, Method
    from netloom.explain.core.targets import Asked
    from netloom.runs import TrainedRun

PATIENCE_S, SHOWN_EVERY_S = 1.0, 0.2
STOPPED = "explaining stopped"


@dataclass(frozen=True)
class Look:
    """What the page looks at: the answer of a run's weights to one example.

    `checkpoint` is "best" or "last", `row` a row of the data or a raw row as it comes from a form, `target` what is
    explained, None for what the network answers. `method` is the one that was chosen last on the page, `options` its
    options. `folder` is that of the run, where explanations are kept; None where nothing is to be kept. `methods` are
    all, those that do not fit with the reason, and `nodes` those of the network that lead to its answer.
    """

    live: Live
    trained: TrainedRun
    checkpoint: str
    row: int | dict[str, Any]
    target: Asked
    method: str
    options: dict[str, Any]
    folder: Path | None
    methods: tuple[Method, ...] = ()
    nodes: tuple[InnerNode, ...] = ()

    def options_of(self, method: str) -> dict[str, Any]:
        """Those of the chosen options that a method takes."""
        from netloom.explain.core.options import taken

        return taken(method, self.options)

    def explanation(self, method: str = "", **options: Any) -> Explanation:
        """The explanation by a method, or else by the one that was chosen last. It is kept in the run's folder; what
        takes more than a moment shows a bar, and ends when the person chooses something else.

        Raises:
            ExplainError, DataError: the method does not fit, or the row cannot be read. The page shows the sentence.
        """
        from netloom.explain import explain

        shown = st.empty()
        try:
            return explain(
                self.trained,
                method or self.method,
                self.row,
                target=self.target,
                folder=self.folder,
                checkpoint=self.checkpoint,
                progress=progress(shown),
                **{**self.options_of(method or self.method), **options},
            )
        finally:
            shown.empty()


@dataclass(frozen=True)
class View:
    """One way to look at an answer. `summary` says in a sentence what it shows.

    `draws` is "module:function"; the function draws the whole view, given a `Look`. `obstacle` is "module:function" of
    a function that says in a sentence why the view has nothing to show there, or "" where it has; it is asked with
    each click on the page, so it looks at the document and the data and computes nothing. `of_answer`: it explains the
    number that is explained of this example, and so says which that is.
    """

    name: str
    title: str
    summary: str
    draws: str
    obstacle: str = ""
    of_answer: bool = True

    def draw(self, look: Look) -> None:
        """The whole view."""
        _function(self.draws)(look)

    def reason(self, look: Look) -> str:
        """Why it has nothing to show there; empty where it has."""
        return str(_function(self.obstacle)(look)) if self.obstacle else ""


VIEWS: tuple[View, ...] = (
    View(
        "input",
        "On the input",
        "Which parts of the example the answer rests on.",
        "netloom.ui.explain.attribution:attributing",
    ),
    View(
        "flow",
        "On the graph",
        "How much of the answer goes along each connection of the graph.",
        "netloom.ui.explain.flow:flowing",
        "netloom.ui.explain.flow:obstacle",
    ),
    View(
        "attention",
        "Attention",
        "Which words or places and which heads decided the answer, and what every head looks at.",
        "netloom.ui.explain.attention:attention",
        "netloom.ui.explain.attention:obstacle",
    ),
    View(
        "what if",
        "What if",
        "How the answer and what it rests on move when the example is changed by hand.",
        "netloom.ui.explain.what_if:what_if_view",
    ),
    View(
        "robustness",
        "Robustness",
        "How small a change to what comes in turns the answer, over many rows and on this example.",
        "netloom.ui.explain.robustness:robustness_view",
        "netloom.ui.explain.robustness:obstacle",
        of_answer=False,
    ),
    View(
        "visualised",
        "What it looks for",
        "Inputs made to raise a class or an inner number as far as they can, beside the rows that raise it most.",
        "netloom.ui.explain.feature_visualization:visualising_view",
        "netloom.ui.explain.feature_visualization:obstacle",
        of_answer=False,
    ),
    View(
        "influence",
        "Training data",
        "Which rows of the training data taught it this, and which of them may be labelled wrongly.",
        "netloom.ui.explain.influence:influences",
        "netloom.ui.explain.influence:obstacle",
        of_answer=False,
    ),
    View(
        "concepts",
        "Concepts",
        "Whether it knows a concept that you name by examples, in which layers, and for which answers it counts.",
        "netloom.ui.explain.concepts:concepts_view",
        "netloom.ui.explain.concepts:obstacle",
        of_answer=False,
    ),
    View(
        "training",
        "Through training",
        "How the reason formed: the same example with the weights of each checkpoint.",
        "netloom.ui.explain.training_trajectory:scrubbing",
        "netloom.ui.explain.training_trajectory:obstacle",
    ),
    View(
        "compare",
        "Side by side",
        "Two methods, two sets of weights or two runs on this example, and how far they agree.",
        "netloom.ui.explain.comparison:comparing_explanations",
    ),
    View(
        "overall",
        "Over many examples",
        "What the network goes by as a rule, over a sample of rows.",
        "netloom.ui.explain.global_attribution:overall_view",
        "netloom.ui.explain.global_attribution:obstacle",
        of_answer=False,
    ),
)


def progress(shown: DeltaGenerator, text: str = "Explaining …") -> Callable[[float], None]:
    """A bar for work of more than a moment, told the share that is done, with a button that ends it. A person who
    chooses something else ends it as well: Streamlit stops the script at the next thing that is shown. Where it was
    just ended by the button, no more is shown than that it was.
    """
    if st.session_state.pop(STOPPED, False):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("You stopped this.", width="content")
            st.button("Begin again", icon=":material/replay:", key="explaining begins again")
        st.stop()
    started = last = monotonic()
    bar: DeltaGenerator | None = None

    def stop() -> None:
        st.session_state[STOPPED] = True

    def tell(share: float) -> None:
        nonlocal last, bar
        now = monotonic()
        if now - started > PATIENCE_S and now - last > SHOWN_EVERY_S:
            last = now
            if bar is None:
                with shown.container(horizontal=True, vertical_alignment="center"):
                    bar = st.empty()
                    # Several may be under way one after the other on one page.
                    key = f"explaining stops {started}"
                    st.button("Stop", icon=":material/stop:", key=key, on_click=stop, width="content")
            bar.progress(min(max(share, 0.0), 1.0), text)

    return tell


def written_at(folder: Path) -> float:
    """When the weights in a run's folder were written, in seconds; 0 where there are none, or not any more."""
    found = [0.0]
    for name in ("best.safetensors", "last.json"):
        with suppress(OSError):
            found.append((folder / name).stat().st_mtime)
    return max(found)


def _function(place: str) -> Callable[[Look], Any]:
    module, _, name = place.partition(":")
    found: Callable[[Look], Any] = getattr(import_module(module), name)
    return found

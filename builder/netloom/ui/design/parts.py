"""The parts of the design page: its header, the canvas, and what stands beside it. Each is a fragment of its own, so
that an edit draws what it changes and nothing else.

A part notes what it shows as it is drawn. What shows something older is drawn again by the callback of a widget. The
canvas looks every few seconds what other tabs and people changed. What it tells the browser counts the changes of the
other parts, and the browser asks for those: Streamlit draws fragments by name for callbacks alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import streamlit as st
from streamlit.errors import StreamlitAPIException

from netloom.data import datasets
from netloom.document import Network, Project
from netloom.editing.live import Live
from netloom.ui.design.networks import shown
from netloom.ui.design.state import DesignState, Part, sent_selection, sent_wish
from netloom.ui.shell.streamlit_internals import is_fragment_run

Content = tuple[object, ...]


def selected(live: Live, network: str) -> list[str]:
    """The selected nodes, where they were selected in this network: another one may have nodes of the same names."""
    selection = sent_selection(live.id)
    return selection["nodes"] if selection is not None and selection["network"] == network else []


def note(live: Live, part: Part, network: str) -> None:
    """Note what a part shows as it is drawn now, where the tab shows this network."""
    DesignState.current().drawn[live.id, part] = _CONTENTS[part](live, network)


def redraw(live: Live) -> None:
    """In a widget's callback: draw the parts that show something older, in the place of the one that the widget is in.

    Where all of the page is drawn anyway, or another one, there is nothing to do: people may leave just as the canvas
    asks.
    """
    drawn, network = DesignState.current().drawn, shown(live, sent_wish(live.id)).name
    outdated = [part for part in Part if drawn.get((live.id, part)) != _CONTENTS[part](live, network)]
    if outdated and is_fragment_run():
        with suppress(StreamlitAPIException):  # the fragments went with their page
            st.rerun(outdated)


def changes(live: Live, network: str) -> int:
    """How often this tab has seen that the other parts show something else, apart from what is selected."""
    state = DesignState.current()
    content = _header(live, network), _project(live)
    if content != state.beside_canvas:
        state.beside_canvas = content
        state.changes += 1
    return state.changes


def _canvas(live: Live, network: str) -> Content:
    state, selection = live.view.state, sent_selection(live.id)
    about = selection["about"] if selection else None
    return state.epoch, state.revision, live.saved, live.schema(), network, about


def _beside(live: Live, network: str) -> Content:
    return _project(live), network, tuple(selected(live, network))


def _header(live: Live, network: str) -> Content:
    project = live.project
    chosen = project.name, project.data, project.training.objective
    problem = live.problem or live.data_problem()
    ready = not live.analysis().errors
    return chosen, problem, ready, network, _forms(live), tuple(datasets(live.store.home))


def _project(live: Live) -> Content:
    """What is known of the project apart from where its layers stand, by the number of its last change."""
    state, project = DesignState.current(), live.project
    number, before = state.meant.get(live.id, (0, project))
    number += before is not project and _means_otherwise(before, project)
    state.meant[live.id] = number, project
    return number, live.schema(), _forms(live)


def _forms(live: Live) -> Content:
    return live.generation, live.typed.total()


_CONTENTS: dict[Part, Callable[[Live, str], Content]] = {
    Part.CANVAS: _canvas,
    Part.HEADER: _header,
    Part.BESIDE: _beside,
}


def _means_otherwise(one: Project, other: Project) -> bool:
    """Whether two documents differ by more than where layers and notes stand."""
    if (one.name, one.data, one.training, [*one.networks]) != (
        other.name,
        other.data,
        other.training,
        [*other.networks],
    ):
        return True
    return any(
        network is not other.networks[name] and _network_means_otherwise(network, other.networks[name])
        for name, network in one.networks.items()
    )


def _network_means_otherwise(one: Network, other: Network) -> bool:
    fields = "edges", "parameters", "inputs", "outputs"
    if one.nodes.keys() != other.nodes.keys() or any(getattr(one, name) != getattr(other, name) for name in fields):
        return True
    return any(
        node is not other.nodes[key] and node.model_copy(update={"at": other.nodes[key].at}) != other.nodes[key]
        for key, node in one.nodes.items()
    )

"""The parts of the Design page: the header, the canvas and the side panel. Each is a separate fragment, so that an edit
redraws only what it changes.

Each part records its content when it is drawn, and the callback of a widget redraws the parts whose content is
outdated. The canvas checks every few seconds for changes by other tabs and users. Its data counts the changes of the
other parts, which tells the browser to request them: Streamlit redraws fragments by name only in callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import streamlit as st
from streamlit.errors import StreamlitAPIException

from netloom.data import datasets
from netloom.document import Network, Project
from netloom.editing.live import Live
from netloom.ui.components.streamlit_internals import rerun_fragments
from netloom.ui.design.networks import visible_network
from netloom.ui.design.state import DesignState, Part, sent_selection, sent_wish

Content = tuple[object, ...]


def selected(live: Live, network: str) -> list[str]:
    """Return the selected nodes of this network; another network may have nodes with the same ids."""
    selection = sent_selection(live.id)
    return selection["nodes"] if selection is not None and selection["network"] == network else []


def record(live: Live, part: Part, network: str) -> None:
    """Record the content of a part that is being drawn, in a tab that shows this network."""
    DesignState.current().drawn[live.id, part] = _CONTENTS[part](live, network)


def redraw(live: Live) -> None:
    """Redraw the parts whose content is outdated, instead of the canvas if its callback calls this.

    Does nothing if the whole page is rerun, or if another page has been opened meanwhile.
    """
    drawn, network = DesignState.current().drawn, visible_network(live, sent_wish(live.id)).name
    outdated = {part for part in Part if drawn.get((live.id, part)) != _CONTENTS[part](live, network)}
    present = rerun_fragments(Part)
    if not outdated or present is None:
        return
    if present != [Part.CANVAS]:  # the new rerun replaces the present one, which can also draw a tab that was opened
        outdated.update(map(Part, present))
    with suppress(StreamlitAPIException):  # the fragments are gone with their page
        st.rerun([part for part in Part if part in outdated])


def changes(live: Live, network: str) -> int:
    """Return how often the content of the other parts has changed in this tab, except the selection."""
    state = DesignState.current()
    content = _header(live, network), _project(live)
    if content != state.other_parts:
        state.other_parts = content
        state.changes += 1
    return state.changes


def _canvas(live: Live, network: str) -> Content:
    state, selection = live.view.state, sent_selection(live.id)
    about = selection["about"] if selection else None
    return state.epoch, state.revision, live.saved, live.schema(), network, about


def _side_panel(live: Live, network: str) -> Content:
    return _project(live), network, tuple(selected(live, network))


def _header(live: Live, network: str) -> Content:
    project = live.project
    chosen = project.name, project.data, project.training.objective
    problem = live.problem or live.data_problem()
    ready = not live.analysis().errors
    return chosen, problem, ready, network, _forms(live), tuple(datasets(live.store.home))


def _project(live: Live) -> Content:
    """Return the content of the project without the positions of its layers, as a counter of its changes."""
    state, project = DesignState.current(), live.project
    number, before = state.revisions.get(live.id, (0, project))
    # Documents are immutable, so the same object has not changed and needs no comparison.
    number += before is not project and _is_changed(before, project)
    state.revisions[live.id] = number, project
    return number, live.schema(), _forms(live)


def _forms(live: Live) -> Content:
    return live.generation, live.typed.total()


_CONTENTS: dict[Part, Callable[[Live, str], Content]] = {
    Part.CANVAS: _canvas,
    Part.HEADER: _header,
    Part.SIDE_PANEL: _side_panel,
}


def _is_changed(before: Project, after: Project) -> bool:
    """Return whether two documents differ in more than the positions of layers and in notes."""
    if (before.name, before.data, before.training, [*before.networks]) != (
        after.name,
        after.data,
        after.training,
        [*after.networks],
    ):
        return True
    return any(
        network is not after.networks[name] and _is_network_changed(network, after.networks[name])
        for name, network in before.networks.items()
    )


def _is_network_changed(before: Network, after: Network) -> bool:
    fields = "edges", "parameters", "inputs", "outputs"
    if before.nodes.keys() != after.nodes.keys() or any(
        getattr(before, name) != getattr(after, name) for name in fields
    ):
        return True
    return any(
        node is not after.nodes[key] and node.model_copy(update={"at": after.nodes[key].at}) != after.nodes[key]
        for key, node in before.nodes.items()
    )

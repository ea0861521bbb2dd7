"""Smaller networks that become runs: the form that starts one, and the list of those that were made from a run."""

from __future__ import annotations

import streamlit as st

from netloom.compression import CompressionError, DocumentMethod, registry
from netloom.compression.importance import CRITERIA, TITLES
from netloom.compression.smaller_runs import smaller_runs, start_smaller
from netloom.core.text import escape
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.jobs.requests.deployment import ProposeSmaller
from netloom.runs import ACTIVE
from netloom.store import Run
from netloom.store.run_summary import Compressed
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.errors import guard, show_error
from netloom.ui.deploy.state import DeployState, Key
from netloom.ui.shell import identity, session
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.run_picker import written_at
from netloom.ui.train.run_monitor import STATES

REFRESH_S = 2.0
FINE_TUNING = 5
MAX_EPOCHS = 10_000


def finished_runs(live: Live, weights: RunWeights) -> tuple[RunWeights, ...]:
    """Return the finished runs that were made from a run or learned from it."""
    runs = [run for run in smaller_runs(live.store, live.store.run(weights.run_id)) if run.state == "finished"]
    return tuple(RunWeights(run.id, "", written_at(live, run.id)) for run in runs if written_at(live, run.id))


def smaller(live: Live, weights: RunWeights) -> None:
    """Draw the form that starts a smaller run, and the list of smaller runs."""
    st.markdown("### Smaller networks as runs")
    st.caption(
        "A smaller network becomes a run of this project.",
        help="It can be tried, explained, served and exported like this one. It trains in the background; measure "
        "again when it has finished. A network that you drew is listed here, too, if it learned from this run: choose "
        "knowledge distillation as its objective, and this run as its teacher.",
    )
    _form(live, weights)
    runs = smaller_runs(live.store, live.store.run(weights.run_id))
    if runs:
        is_active = any(run.state in ACTIVE for run in runs)
        st.fragment(_list, run_every=REFRESH_S if is_active else None)(live, weights, _stamp(runs))


def _form(live: Live, weights: RunWeights) -> None:
    methods = {name: item for name, item in registry().items() if isinstance(item, DocumentMethod)}
    columns = column_row([1.6, 1, 1.4, 1], Key.SMALLER_METHOD.of("row"), OnPhone.PAIRS)
    name = columns[0].selectbox(
        "Method",
        list(methods),
        format_func=lambda key: methods[key].title,
        key=Key.SMALLER_METHOD,
        help="\n".join(f"- **{item.title}**: {item.summary}." for item in methods.values()),
    )
    method = methods[name]
    settings: dict[str, float | str] = {}
    if "amount" in method.settings:
        amount = columns[1].number_input(
            "Remove %", 5, 95, 50, 5, key=Key.SMALLER_AMOUNT, help="Share of the channels of each layer"
        )
        settings["amount"] = amount / 100
    if "criterion" in method.settings:
        settings["criterion"] = columns[2].selectbox(
            "Channels chosen by",
            CRITERIA,
            format_func=lambda key: TITLES[key],
            key=Key.SMALLER_CRITERION,
            help="The last two need gradients on training rows, which takes longer",
        )
    trained_epochs = live.store.artifacts(weights.run_id).project().training.epochs
    least, usual = (1, max(trained_epochs, 1)) if method.needs_training else (0, FINE_TUNING)
    epochs = columns[3].number_input(
        "Epochs",
        least,
        MAX_EPOCHS,
        usual,
        key=Key.SMALLER_EPOCHS.of(name),
        help="Epochs of training on the training rows; 0 evaluates the smaller network without fine-tuning",
    )
    state = DeployState.current()
    if st.button("Start smaller run", icon=":material/compress:", key=Key.SMALLER_START):
        state.smaller.pop(weights, None)
        try:
            proposal = computed(ProposeSmaller(weights, name, int(epochs), settings), "Making the network smaller …")
        except CompressionError as error:
            show_error(error)
        else:
            start_smaller(live.store, live.store.run(weights.run_id), proposal, owner=identity.owner())
            state.smaller[weights] = proposal.note
            st.rerun()
    if weights in state.smaller:
        st.caption(f"Started: {escape(state.smaller[weights])}")


def _stamp(runs: list[Run]) -> tuple[tuple[str, str], ...]:
    return tuple((run.id, run.state) for run in runs)


@guard()
def _list(live: Live, weights: RunWeights, stamp: tuple[tuple[str, str], ...]) -> None:
    """Draw the smaller runs with their progress; reruns the page when one of them ends."""
    runs = smaller_runs(live.store, live.store.run(weights.run_id))
    if _stamp(runs) != stamp:
        st.rerun(scope="app")
    for run in reversed(runs):
        with st.container(horizontal=True, vertical_alignment="center"):
            icon, word = STATES[run.state]
            done = f", epoch {run.epoch}" if run.state in ACTIVE and run.epoch > 0 else ""
            note = run.about.start.note if isinstance(run.about.start, Compressed) else ""
            st.markdown(f"{icon} **{escape(run.title)}**: {word}{done}. {escape(note)}")
            if st.button(
                "Open",
                icon=":material/show_chart:",
                key=Key.SMALLER_OPEN.of(run.id),
                width="content",
                help=f"Open {escape(run.title)} on Train",
            ):
                session.choose(run.project_id, run.id)
                st.switch_page("pages/train.py")
        if run.state == "failed":
            show_error(run.reason)

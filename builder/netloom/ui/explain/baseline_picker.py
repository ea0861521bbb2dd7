"""The choice of the baseline and of the number of steps, for all methods that use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.plain_json import JsonObject
from netloom.core.text import escape
from netloom.explain.core.baselines import BASELINES, USUAL, offered
from netloom.explain.core.options import UNSUPPORTED_REASONS, supported_options
from netloom.jobs.requests.inspection import FindTypicalRow
from netloom.ui.components.examples.custom_example import custom_example
from netloom.ui.explain.state import Key
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.explain import Method
    from netloom.explain.core.baselines import BaselineChoice
    from netloom.jobs import RunWeights
    from netloom.ui.explain.open_run import OpenRun

MEANT = (
    "The reference input. Attributions explain how the score of the example differs from that of the baseline, so "
    "compare explanations only if they share it."
)
# The one choice that is not a baseline of the data.
CUSTOM = "custom"
STEPS = "Steps on the path from the baseline to the example. Automatic: as many as completeness needs."


def picked_baseline(trained: OpenRun, weights: RunWeights) -> JsonObject:
    """Draw the choices, and return the options that differ from the defaults.

    Raises:
        DataError: an upload for a custom row cannot be read.
        JobError: the search for the first custom row was canceled, or its worker failed.
    """
    run_id = trained.run.id
    titles = {baseline.name: baseline.title for baseline in offered(trained.data, trained.fields)} | {
        CUSTOM: "Custom row"
    }
    with st.expander("Baseline and steps", icon=":material/tune:"):
        name = st.selectbox(
            "Baseline", list(titles), format_func=titles.__getitem__, key=Key.BASELINE.of(run_id), help=MEANT
        )
        chosen = _completed(trained, weights, str(name))
        steps = st.number_input(
            "Integration steps", 1, 4096, None, placeholder="Automatic", key=Key.STEPS.of(run_id), help=STEPS
        )
    options: dict[str, Any] = {} if chosen == USUAL else {"baseline": chosen}
    return options | ({"n_steps": int(steps)} if steps is not None else {})


def _completed(trained: OpenRun, weights: RunWeights, name: str) -> BaselineChoice:
    """Return a baseline with its class, its row number or its row, for which it draws widgets."""
    run_id = trained.run.id
    if name == CUSTOM:
        row = computed(FindTypicalRow(weights), "Searching for a typical row …")
        st.caption(f"Starts as row {row} of the dataset, which is close to the default baseline. Edit any value.")
        return custom_example(trained.data, trained.data.row(row), f"baseline {run_id} {row}")
    if BASELINES[name].names_class:
        classes = trained.data.schema.target.classes
        return f"{name}:{st.selectbox('Class', classes, key=Key.BASELINE_CLASS.of(run_id))}"
    if BASELINES[name].names_row:
        last = trained.data.schema.rows - 1
        return f"{name}:{st.number_input('Row number', 0, last, 0, key=Key.BASELINE_ROW.of(run_id))}"
    return name


def tell_unused(method: Method, options: JsonObject) -> None:
    """Draw a note about the chosen options that a method does not support."""
    names = {"baseline": "baseline", "n_steps": "steps"}
    unused = [name for name in options if name in names and name not in supported_options(method.name, options)]
    if unused:
        listed = " and ".join(names[name] for name in unused)
        st.caption(
            f"{escape(method.title)} does not use the chosen {listed}: {escape(UNSUPPORTED_REASONS[unused[0]])}."
        )

"""What an example is compared with, and in how many steps: controls for all methods that compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from builder.explain.baselines import BASELINES, USUAL, offered
from builder.explain.options import UNUSED, taken
from builder.ui.words import plain

if TYPE_CHECKING:
    from builder.explain import Method
    from builder.train import TrainedRun

MEANT = (
    "What stands for “nothing”: the parts say what sets the example apart from this. Another baseline asks another "
    "question, so compare explanations only if they share it."
)
STEPS = "Steps on the path from the baseline to the example. Automatic: as many as the sum of the parts needs."


def picked_baseline(trained: TrainedRun) -> dict[str, Any]:
    """The options that were chosen, without those that are left as usual."""
    run_id = trained.run.id if trained.run else ""
    known = {one.name: one for one in offered(trained.data, trained.fields)}
    with st.expander("Baseline and steps", icon=":material/tune:"):
        name = st.selectbox(
            "Baseline", list(known), format_func=lambda name: known[name].title, key=f"baseline {run_id}", help=MEANT
        )
        chosen = str(name)
        if BASELINES[chosen].name == "class":
            classes = trained.data.schema.target.classes
            chosen = f"class:{st.selectbox('Class', classes, key=f'baseline class {run_id}')}"
        elif BASELINES[chosen].name == "row":
            last = trained.data.schema.rows - 1
            chosen = f"row:{st.number_input('Row number', 0, last, 0, key=f'baseline row {run_id}')}"
        steps = st.number_input(
            "Integration steps", 1, 4096, None, placeholder="Automatic", key=f"steps {run_id}", help=STEPS
        )
    found: dict[str, Any] = {} if chosen == USUAL else {"baseline": chosen}
    return found | ({"n_steps": int(steps)} if steps is not None else {})


def tell_unused(method: Method, options: dict[str, Any]) -> None:
    """Say which of the choices a method does not take."""
    names = {"baseline": "baseline", "n_steps": "steps"}
    unused = [name for name in options if name in names and name not in taken(method.name, options)]
    if unused:
        listed = " and ".join(names[name] for name in unused)
        st.caption(f"{plain(method.title)} does not use the chosen {listed}: {plain(UNUSED[unused[0]])}.")

"""What the network goes by over many examples, not one alone: bars and swarms, maps of each class, the worst rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.explain.core.axes import Axes
from netloom.explain.dataset.global_attribution import ROWS, ROWS_ALONE, Overall, Which, usual_rows
from netloom.explain.dataset.sample_attributions import BATCHED
from netloom.explain.plots import global_plots
from netloom.jobs.explanations import GlobalAttribution
from netloom.ui.components.figure_export import chart
from netloom.ui.components.words import plain
from netloom.ui.explain.attribution import layer_options
from netloom.ui.explain.attribution_plots import knows_signs, legend
from netloom.ui.explain.baseline_picker import tell_unused
from netloom.ui.explain.headline import seen
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.ui.explain.views import Look

NAMES: dict[Which, str] = {"test": "Test", "validation": "Validation", "train": "Training", "worst": "Worst"}
OWN = ""
# Their maps and heads are of a single text or picture.
ALONE = ("attention", "attention_heads")
MOST_WORST = 10


def obstacle(look: Look) -> str:
    """Why there are not many examples to look at; empty where there are."""
    if look.trained.data.schema.target.type.is_action:
        return (
            "An agent makes its own examples as it acts, so there is no split of them to look at; look at single steps."
        )
    return ""


def overall_view(look: Look) -> None:
    """The whole view."""
    which, method, target, options = _asked(look)
    request = GlobalAttribution(look.weights, which, method, target or None, options)
    found = computed(request, "Explaining one row after the other …")
    st.caption(plain(found.sentence))
    found = replace(found, parts=tuple(replace(part, name=seen(part.name)) for part in found.parts))
    if found.parts:
        _parts(found)
    for name, values in found.sizes.items():
        if values.ndim == 4:
            _maps(found, name, error=look.trained.objective.task.reconstructs_input)
        elif values.ndim == 3 or (values.ndim == 2 and not found.parts):
            if len(found.sizes) > 1:
                st.markdown(f"**{plain(name)}**")
            chart(
                global_plots.profile(found, name),
                key=f"overall profile {name}",
                name=f"profile {name}",
                table=_profile(found, name),
            )
            if len(found.groups) > len(global_plots.COLOURS):
                st.caption(
                    f"The {len(global_plots.COLOURS)} commonest of {len(found.groups)} answers; the CSV has all."
                )
    if which == "worst":
        _worst(found)
    st.caption(
        "Means over many rows say what the network goes by as a rule, not why a single answer is so; and that "
        "something goes with the answer does not say that it is its cause in the world."
    )


def _asked(look: Look) -> tuple[Which, str, str, dict[str, Any]]:
    which = st.segmented_control(
        "Rows", list(NAMES), default="test", format_func=NAMES.__getitem__, required=True, key="overall rows"
    )
    middle, right = st.columns(2, vertical_alignment="bottom")
    titles = {item.name: item.title for item in look.methods if item.available and item.name not in ALONE}
    names = sorted(titles, key=lambda name: name != BATCHED)
    with middle:
        help_ = f"Integrated Gradients takes {ROWS} rows at once; the others one after the other, at most {ROWS_ALONE}"
        if usual_rows(look.trained.data, BATCHED) != ROWS:
            help_ = f"Each row explains a number of its own here, which takes longer, so at most {ROWS_ALONE} are taken"
        method = st.selectbox("Method", names, format_func=titles.__getitem__, key="overall method", help=help_)
    classes = look.trained.data.schema.target.classes if look.trained.objective.task.per_class_scores else ()
    target = OWN
    if classes:
        with right:
            told = "each row's own answer"
            target = st.selectbox("Explain", [OWN, *classes], format_func=lambda name: name or told, key="overall of")
    (chosen,) = [item for item in look.methods if item.name == method]
    options = look.options_of(chosen.name) | layer_options(look, chosen, "overall")
    tell_unused(chosen, look.options)
    return which, chosen.name, str(target), options


def _parts(found: Overall) -> None:
    """Which parts matter most, and how that is spread over the rows."""
    left, right = st.columns(2)
    groups = found.groups if len(found.groups) > 1 else ()
    with left:
        st.markdown("**How much each matters**")
        by_group = False
        if groups:
            by_group = st.toggle("By answer", key="overall by answer", help=f"The {global_plots.GROUPS} commonest")
        chart(
            global_plots.bars(found.parts, groups if by_group else ()),
            key="overall bars", name=f"overall {found.method}", table=found.table(),
        )  # fmt: skip
    with right:
        st.markdown("**In each example**")
        if groups and knows_signs(found):
            st.caption("Right of 0: for the row's own answer. To see which values speak for one class, explain that.")
        points = [
            {"part": part.name, "attribution": float(value), "level": float(level) if np.isfinite(level) else ""}
            for part in found.parts[: global_plots.SHOWN]
            for value, level in zip(part.points, part.levels, strict=True)
        ]
        chart(global_plots.swarm(found.parts), key="overall swarm", name=f"swarm {found.method}", table=points)
    if len(found.parts) > global_plots.SHOWN:
        st.caption(f"The {global_plots.SHOWN} that matter most of {len(found.parts)}; the CSV has all.")


def _maps(found: Overall, name: str, *, error: bool) -> None:
    whose = f", {plain(name)}" if len(found.sizes) > 1 else ""
    st.markdown(f"**The mean map of each answer{whose}**")
    signed = knows_signs(found)
    if signed:
        shown = st.segmented_control(
            "Shown", ["For and against", "How much"], default="For and against", required=True,
            key=f"overall shown {name}", label_visibility="collapsed",
        )  # fmt: skip
        signed = shown == "For and against"
    values = (found.maps if signed else found.sizes)[name]
    table = [
        {
            "answer": group,
            "channel": channel,
            "row": row,
            "column": column,
            "mean": float(values[place, channel, row, column]),
        }
        for place, group in enumerate(found.groups)
        for channel, row, column in np.ndindex(*values.shape[1:])
    ]
    chart(
        global_plots.maps(found, name, signed=signed),
        key=f"overall maps {name}",
        name=f"maps {found.method}",
        table=table,
    )
    if signed:
        legend(error)
    st.caption("In brackets: how many rows were explained for that answer. All maps share one scale.")


def _profile(found: Overall, name: str) -> list[dict[str, object]]:
    values = found.sizes[name].reshape(len(found.groups), found.sizes[name].shape[1], -1).sum(2)
    spans, down = found.spans.get(name), found.axes.get(name, Axes()).down
    return [
        {"answer": group, down: spans[step] if spans else step, "mean size": float(values[place, step])}
        for place, group in enumerate(found.groups)
        for step in range(values.shape[1])
    ]


def _worst(found: Overall) -> None:
    """The rows themselves: what was said, what was true, and what it went by."""
    st.markdown("**The rows on which it is most wrong**")
    shown = found.rows[:MOST_WORST]
    pictures = [name for name, values in found.each.items() if values.ndim == 4]
    for name in pictures:
        titles = [f"row {row.row}: {row.said[:12]}, true {row.truth[:12]}" for row in shown]
        table = [{"row": row.row, "said": row.said, "truth": row.truth, "loss": row.loss} for row in shown]
        figure = global_plots.single(found.each[name][: len(shown)], titles)
        chart(figure, key=f"overall worst {name}", name="worst rows", table=table)
        st.caption("What spoke for and against the explained answer of each; each map has a scale of its own.")
    rows = [
        {"Row": row.row, "Said": row.said, "True": row.truth, "Loss": row.loss, "Went by": ", ".join(row.tops)}
        for row in found.rows
    ]
    if pictures or not any(row.tops for row in found.rows):
        for line in rows:
            del line["Went by"]
    st.dataframe(rows, hide_index=True, column_config={"Loss": st.column_config.NumberColumn(format="%.3g")})

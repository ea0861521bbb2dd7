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
from netloom.ui.explain.headline import visible
from netloom.ui.explain.state import Key
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.ui.explain.views import Look

NAMES: dict[Which, str] = {"test": "Test", "validation": "Validation", "train": "Training", "worst": "Largest loss"}
OWN = ""
# Their maps and heads are of a single text or picture.
ALONE = ("attention", "attention_heads")
MOST_WORST = 10


def obstacle(look: Look) -> str:
    """Why there are not many examples to look at; empty where there are."""
    if look.trained.data.schema.target.type.is_action:
        return (
            "An agent generates its examples while it acts, so there is no split to aggregate over; explain single "
            "steps instead."
        )
    return ""


def overall_view(look: Look) -> None:
    """The whole view."""
    which, method, target, options = _asked(look)
    request = GlobalAttribution(look.weights, which, method, target or None, options)
    found = computed(request, "Explaining many rows …")
    st.caption(plain(found.sentence))
    found = replace(found, parts=tuple(replace(part, name=visible(part.name)) for part in found.parts))
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
                key=Key.GLOBAL_PROFILE.of(name),
                name=f"profile {name}",
                table=_profile(found, name),
            )
            if len(found.groups) > len(global_plots.COLORS):
                st.caption(
                    f"Shown are the {len(global_plots.COLORS)} most frequent of {len(found.groups)} predictions; the "
                    "CSV has all."
                )
    if which == "worst":
        _worst(found)
    st.caption(
        "Global attributions show what the model relies on overall, not why it made a single prediction. A feature on "
        "which the model relies is not necessarily a cause in the real world."
    )


def _asked(look: Look) -> tuple[Which, str, str, dict[str, Any]]:
    which = st.segmented_control(
        "Rows",
        list(NAMES),
        default="test",
        format_func=NAMES.__getitem__,
        required=True,
        wrap=True,
        key=Key.GLOBAL_ROWS,
    )
    middle, right = st.columns(2, vertical_alignment="bottom")
    titles = {item.name: item.title for item in look.methods if item.available and item.name not in ALONE}
    names = sorted(titles, key=lambda name: name != BATCHED)
    with middle:
        help_ = f"Integrated Gradients explains up to {ROWS} rows in batches; other methods up to {ROWS_ALONE} rows."
        if usual_rows(look.trained.data, BATCHED) != ROWS:
            help_ = f"Each row has its own target here, which takes longer, so at most {ROWS_ALONE} rows are explained."
        method = st.selectbox("Method", names, format_func=titles.__getitem__, key=Key.GLOBAL_METHOD, help=help_)
    classes = look.trained.data.schema.target.classes if look.trained.objective.task.per_class_scores else ()
    target = OWN
    if classes:
        with right:
            told = "Predicted class of each row"
            target = st.selectbox(
                "Target", [OWN, *classes], format_func=lambda name: name or told, key=Key.GLOBAL_TARGET
            )
    (chosen,) = [item for item in look.methods if item.name == method]
    options = look.options_of(chosen.name) | layer_options(look, chosen, Key.GLOBAL)
    tell_unused(chosen, look.options)
    return which, chosen.name, str(target), options


def _parts(found: Overall) -> None:
    """Which parts matter most, and how that is spread over the rows."""
    left, right = st.columns(2)
    groups = found.groups if len(found.groups) > 1 else ()
    with left:
        st.markdown("**Feature importance**")
        by_group = False
        if groups:
            by_group = st.toggle(
                "By prediction",
                key=Key.GLOBAL_BY_PREDICTION,
                help=f"Splits each bar by the {global_plots.GROUPS} most frequent predictions.",
            )
        chart(
            global_plots.bars(found.parts, groups if by_group else ()),
            key=Key.GLOBAL_BARS, name=f"global {found.method}", table=found.table(),
        )  # fmt: skip
    with right:
        st.markdown("**Attributions per row**")
        if groups and knows_signs(found):
            st.caption(
                "Right of 0: increases the score of the row's predicted class. Choose one class as the target to see "
                "which values increase its score."
            )
        points = [
            {"part": part.name, "attribution": float(value), "level": float(level) if np.isfinite(level) else ""}
            for part in found.parts[: global_plots.SHOWN]
            for value, level in zip(part.points, part.levels, strict=True)
        ]
        chart(global_plots.swarm(found.parts), key=Key.GLOBAL_SWARM, name=f"swarm {found.method}", table=points)
    if len(found.parts) > global_plots.SHOWN:
        st.caption(f"The {global_plots.SHOWN} most important of {len(found.parts)} features; the CSV has all.")


def _maps(found: Overall, name: str, *, error: bool) -> None:
    whose = f", {plain(name)}" if len(found.sizes) > 1 else ""
    st.markdown(f"**Mean attribution for each prediction{whose}**")
    signed = knows_signs(found)
    if signed:
        shown = st.segmented_control(
            "Values", ["Signed", "Magnitude"], default="Signed", required=True,
            key=Key.GLOBAL_VALUES.of(name), label_visibility="collapsed",
        )  # fmt: skip
        signed = shown == "Signed"
    values = (found.maps if signed else found.sizes)[name]
    table = [
        {
            "prediction": group,
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
        key=Key.GLOBAL_MAPS.of(name),
        name=f"maps {found.method}",
        table=table,
    )
    if signed:
        legend(error)
    st.caption("In parentheses: the number of rows. All maps share one color scale.")


def _profile(found: Overall, name: str) -> list[dict[str, object]]:
    values = found.sizes[name].reshape(len(found.groups), found.sizes[name].shape[1], -1).sum(2)
    spans, down = found.spans.get(name), found.axes.get(name, Axes()).down
    return [
        {"prediction": group, down: spans[step] if spans else step, "mean magnitude": float(values[place, step])}
        for place, group in enumerate(found.groups)
        for step in range(values.shape[1])
    ]


def _worst(found: Overall) -> None:
    """The rows themselves: what was said, what was true, and what it went by."""
    st.markdown("**Rows with the largest loss**")
    shown = found.rows[:MOST_WORST]
    pictures = [name for name, values in found.each.items() if values.ndim == 4]
    for name in pictures:
        titles = [f"row {row.row}: {row.said[:12]}, label {row.truth[:12]}" for row in shown]
        table = [{"row": row.row, "prediction": row.said, "label": row.truth, "loss": row.loss} for row in shown]
        figure = global_plots.single(found.each[name][: len(shown)], titles)
        chart(figure, key=Key.GLOBAL_WORST.of(name), name="worst rows", table=table)
        st.caption("Attributions to the target of each row. Each map has its own color scale.")
    rows = [
        {
            "Row": row.row,
            "Prediction": row.said,
            "Label": row.truth,
            "Loss": row.loss,
            "Top features": ", ".join(row.tops),
        }
        for row in found.rows
    ]
    if pictures or not any(row.tops for row in found.rows):
        for line in rows:
            del line["Top features"]
    st.dataframe(rows, hide_index=True, column_config={"Loss": st.column_config.NumberColumn(format="%.3g")})

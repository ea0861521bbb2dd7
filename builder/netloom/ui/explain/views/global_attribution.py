"""The Global view: attributions over many rows as bars, swarms and maps, and the rows with the largest loss."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import cut, escape
from netloom.explain.core.explainer import method_facts
from netloom.explain.core.parts.axes import Axes
from netloom.explain.dataset.global_attribution import (
    GlobalAttributions,
    RowChoice,
)
from netloom.explain.plots import global_plots
from netloom.jobs.requests.explanations import GlobalAttribution
from netloom.ui.components.figure_export import chart
from netloom.ui.explain.baseline_picker import tell_unused
from netloom.ui.explain.headline import visible
from netloom.ui.explain.state import Key
from netloom.ui.explain.views.attribution import layer_options
from netloom.ui.explain.views.attribution_plots import knows_signs, legend
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.ui.explain.view import ViewContext

NAMES: dict[RowChoice, str] = {"test": "Test", "validation": "Validation", "train": "Training", "worst": "Largest loss"}
PREDICTED = ""
MAX_WORST = 10
# One below the other where both do not fit, as on each side of a comparison.
SIDE_BY_SIDE = "<style>[class*=overall-parts] > * { flex: 1 1 22rem !important; min-width: min(22rem, 100%); }</style>"


def obstacle(context: ViewContext) -> str:
    """Return the reason why there are no rows to aggregate over; "" if there are."""
    if context.trained.data.schema.target.type.is_action:
        return (
            "An agent generates its examples while it acts, so there is no split to aggregate over; explain single "
            "steps instead."
        )
    return ""


def global_attribution_view(context: ViewContext) -> None:
    """Draw the view."""
    selection, target, layer = context.setting(Key.GLOBAL, lambda: _choices(context))
    fields = method_facts()[context.method].settings
    options = context.options_of(context.method) | {name: value for name, value in layer.items() if name in fields}
    request = GlobalAttribution(context.weights, selection, context.method, target or None, options)
    attribution = computed(request, "Explaining many rows …")
    attribution = replace(
        attribution, parts=tuple(replace(part, name=visible(part.name)) for part in attribution.parts)
    )
    if attribution.parts:
        _parts(attribution)
        st.markdown(escape(attribution.sentence))
    # (groups, C, H, W) for images, (groups, T, D) for series; (groups, columns) for tables, whose columns are `parts`
    for name, values in attribution.magnitudes.items():
        if values.ndim == 4:
            _maps(attribution, name, error=context.trained.objective.task.reconstructs_input)
        elif values.ndim == 3 or (values.ndim == 2 and not attribution.parts):
            if len(attribution.magnitudes) > 1:
                st.markdown(f"**{escape(name)}**")
            chart(
                global_plots.profile(attribution, name),
                key=Key.GLOBAL_PROFILE.of(name),
                name=f"profile {name}",
                table=_profile(attribution, name),
            )
            if len(attribution.groups) > len(global_plots.COLORS):
                st.caption(
                    f"Shown are the {len(global_plots.COLORS)} most frequent of "
                    f"{len(attribution.groups)} predictions; the "
                    "CSV has all."
                )
    if not attribution.parts:
        st.markdown(escape(attribution.sentence))
    if selection == "worst":
        _worst(attribution)
    st.caption(
        "Global attributions show what the model relies on overall, not why it made a single prediction. A feature on "
        "which the model relies is not necessarily a cause in the real world."
    )


def _choices(context: ViewContext) -> tuple[RowChoice, str, dict[str, Any]]:
    """Draw the choice of rows, target and layer, and return them."""
    mode = st.selectbox("Rows", list(NAMES), format_func=NAMES.__getitem__, key=Key.GLOBAL_ROWS)
    classes = context.trained.data.schema.target.classes if context.trained.objective.task.per_class_scores else ()
    target = PREDICTED
    if classes:
        usual = "Predicted class of each row"
        target = st.selectbox(
            "Target", [PREDICTED, *classes], format_func=lambda name: name or usual, key=Key.GLOBAL_TARGET
        )
    (chosen,) = [item for item in context.methods if item.name == context.method]
    layer = layer_options(context, chosen, Key.GLOBAL)
    tell_unused(chosen, context.options)
    return mode, str(target), layer


def _parts(attribution: GlobalAttributions) -> None:
    """Draw the importance of features, and the distribution of their attributions over the rows."""
    st.html(SIDE_BY_SIDE)
    with st.container(horizontal=True, key=Key.GLOBAL_PARTS):
        left, right = st.container(), st.container()
    groups = attribution.groups if len(attribution.groups) > 1 else ()
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
            global_plots.bars(attribution.parts, groups if by_group else ()),
            key=Key.GLOBAL_BARS, name=f"global {attribution.method}", table=attribution.table(),
        )  # fmt: skip
    with right:
        st.markdown("**Attributions per row**")
        if groups and knows_signs(attribution):
            st.caption(
                "Right of 0: increases the score of the row's predicted class. Choose one class as the target to see "
                "which values increase its score."
            )
        points = [
            {"part": part.name, "attribution": float(value), "level": float(level) if np.isfinite(level) else ""}
            for part in attribution.parts[: global_plots.SHOWN]
            for value, level in zip(part.points, part.levels, strict=True)
        ]
        chart(
            global_plots.swarm(attribution.parts),
            key=Key.GLOBAL_SWARM,
            name=f"swarm {attribution.method}",
            table=points,
        )
    if len(attribution.parts) > global_plots.SHOWN:
        st.caption(f"The {global_plots.SHOWN} most important of {len(attribution.parts)} features; the CSV has all.")


def _maps(attribution: GlobalAttributions, name: str, *, error: bool) -> None:
    suffix = f", {escape(name)}" if len(attribution.magnitudes) > 1 else ""
    st.markdown(f"**Mean attribution for each prediction{suffix}**")
    signed = knows_signs(attribution)
    if signed:
        statistic = st.segmented_control(
            "Values", ["Signed", "Magnitude"], default="Signed", required=True,
            key=Key.GLOBAL_VALUES.of(name), label_visibility="collapsed",
        )  # fmt: skip
        signed = statistic == "Signed"
    values = (attribution.maps if signed else attribution.magnitudes)[name]
    positions = np.indices(values.shape).reshape(values.ndim, -1).tolist()
    table: dict[str, list[Any]] = {
        "prediction": [attribution.groups[index] for index in positions[0]],
        **dict(zip(("channel", "row", "column"), positions[1:], strict=True)),
        "mean": values.ravel().tolist(),
    }
    chart(
        global_plots.maps(attribution, name, signed=signed),
        key=Key.GLOBAL_MAPS.of(name),
        name=f"maps {attribution.method}",
        table=table,
    )
    if signed:
        legend(error)
    st.caption("In parentheses: the number of rows. All maps share one color scale.")


def _profile(attribution: GlobalAttributions, name: str) -> list[dict[str, object]]:
    values = (
        attribution.magnitudes[name].reshape(len(attribution.groups), attribution.magnitudes[name].shape[1], -1).sum(2)
    )
    spans, down = attribution.spans.get(name), attribution.axes.get(name, Axes()).down
    return [
        {"prediction": group, down: spans[step] if spans else step, "mean magnitude": float(values[group_index, step])}
        for group_index, group in enumerate(attribution.groups)
        for step in range(values.shape[1])
    ]


def _worst(attribution: GlobalAttributions) -> None:
    """Draw the rows with the largest loss: predictions, labels and most important features."""
    st.markdown("**Rows with the largest loss**")
    worst_rows = attribution.rows[:MAX_WORST]
    pictures = [name for name, values in attribution.row_maps.items() if values.ndim == 4]
    for name in pictures:
        titles = [f"row {row.row}: {cut(row.prediction, 12)}, label {cut(row.label, 12)}" for row in worst_rows]
        table = [
            {"row": row.row, "prediction": row.prediction, "label": row.label, "loss": row.loss} for row in worst_rows
        ]
        figure = global_plots.single(attribution.row_maps[name][: len(worst_rows)], titles)
        chart(figure, key=Key.GLOBAL_WORST.of(name), name="worst rows", table=table)
        st.caption("Attributions to the target of each row. Each map has its own color scale.")
    rows = [
        {
            "Row": row.row,
            "Prediction": row.prediction,
            "Label": row.label,
            "Loss": row.loss,
            "Top features": ", ".join(row.top_features),
        }
        for row in attribution.rows
    ]
    if pictures or not any(row.top_features for row in attribution.rows):
        for line in rows:
            del line["Top features"]
    st.dataframe(rows, hide_index=True, column_config={"Loss": st.column_config.NumberColumn(format="%.3g")})

"""The views of adversarial changes: the smallest one of an example, and the score of many rows under attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import escape
from netloom.core.text import plain as line
from netloom.data.images import channels_last
from netloom.explain.core.parts.axes import MAX_DRAWN_STEPS, Axes, axes_of
from netloom.explain.plots import figures
from netloom.explain.plots.object_shapes import with_objects
from netloom.explain.robustness.attack import METHODS
from netloom.explain.robustness.attack_targets import AttackTarget, Objects
from netloom.explain.robustness.robustness import AdversarialExample, Robustness
from netloom.jobs.requests.explanations import Attack, LeastChange
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.figure_export import chart
from netloom.ui.explain.state import Key
from netloom.ui.explain.views.attribution import badges
from netloom.ui.explain.views.what_if import ABOVE, AFTER, BEFORE, on_scale
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from netloom.data.boxes import ImageObject
    from netloom.ui.explain.view import ViewContext

# The palette of Okabe and Ito, as for attributions.
ATTACK, CHANCE, SHADE = "rgb(213, 94, 0)", "rgb(0, 114, 178)", "rgba(130, 130, 140, 0.45)"
MAX_CLASSES, MAX_COLUMNS = 20, 10
# For measures with partially correct rows: the unit, and the grouping of rows by class.
OF = {"labels right": " of the labels", "pixels right": " of the pixels"}
GROUPED = {
    "labels right": "Rows with the label",
    "pixels right": "By the most frequent class except the background",
    Objects.measure: "Average precision of each class",
}
SIZES = (50, 200, 1000)


def obstacle(context: ViewContext) -> str:
    """Return the reason why this network cannot be attacked; "" if it can."""
    return context.unavailable("attack")


def counterfactual_view(context: ViewContext) -> None:
    """Draw the smallest adversarial change of the example."""
    method = context.setting(Key.ATTACK, _attack)
    request = LeastChange(context.weights, context.row, method, context.target)
    _smallest_change(context, computed(request, "Searching for the smallest change …"))


def robustness_view(context: ViewContext) -> None:
    """Draw the score of many rows under attack."""
    method = context.setting(Key.ATTACK, _attack)
    size = context.setting(Key.ATTACK_ROWS, _row_count)
    _many(computed(Attack(context.weights, method, size, context.target), "Attacking …"), method)


def _attack() -> str:
    """Draw the choice of the attack."""
    method = str(st.selectbox("Attack", list(METHODS), format_func=lambda name: METHODS[name].title, key=Key.ATTACK))
    summary = METHODS[method].summary
    st.caption(f"{summary[:1].upper()}{summary[1:]}.")
    return method


def _row_count() -> int:
    return int(st.segmented_control("Test rows", SIZES, default=SIZES[1], required=True, key=Key.ATTACK_ROWS))


def _smallest_change(context: ViewContext, attacked: AdversarialExample) -> None:
    before, after, unit = escape(attacked.before.text[:60]), escape(attacked.after.text[:60]), escape(attacked.unit)
    # Above the pictures, because a narrow screen shows the three of an image one below the other.
    if attacked.min_strength is None:
        st.info(
            f"The prediction **{before}** does not change under this attack "
            f"up to ε = {attacked.max_strength:g} ({unit})."
        )
    else:
        st.markdown(
            f"**With ε = {attacked.min_strength:.3g}, the prediction changes from {before} to** **:orange[{after}]**."
        )
    axes = axes_of(context.trained.data)
    for name, value in attacked.values.items():
        if len(attacked.values) > 1:
            st.markdown(f"**{escape(name)}**")
        _field(name, value, attacked, axes.get(name, Axes()))
    if attacked.min_strength is not None:
        st.caption(
            f"ε is the smallest strength found that {attacked.change}, in {unit}: no value changes by more than ε. "
            "Other attacks may find smaller changes."
        )


def _field(name: str, value: Any, attacked: AdversarialExample, axes: Axes) -> None:
    changed = attacked.changed[name]
    if isinstance(value, dict):
        figure, table = columns(value, changed)
        chart(figure, key=Key.ATTACK_EXAMPLE.of(name), name=f"adversarial {name}", table=table)
    elif value.ndim == 3:
        _pictures(name, value, changed, (attacked.before.objects, attacked.after.objects))
    else:
        _series(name, value, changed, axes)


def _pictures(
    name: str, value: np.ndarray, changed: np.ndarray, objects: tuple[Sequence[ImageObject], Sequence[ImageObject]]
) -> None:
    """Draw the image, the perturbation, and their sum, with the `objects` that are predicted before and after."""
    apart = (changed - value).mean(0)
    three = column_row(3, Key.ATTACK_EXAMPLE.of(name), OnPhone.SWIPED, "medium")
    difference = figures.overlay(apart, title="Perturbation", opacity=1.0)
    on_scale(difference, float(np.abs(apart).max()) or 1.0)
    original, adversarial = (
        with_objects(figures.picture(channels_last(pixels), title), value.shape[1:], predicted)
        for pixels, title, predicted in zip((value, changed), ("Original", "Adversarial"), objects, strict=True)
    )
    drawn = (original, difference, adversarial)
    for index, (column, figure) in enumerate(zip(three, drawn, strict=True)):
        figure.update_layout(height=280)
        positions = np.indices(value.shape).reshape(3, -1)
        table = dict(zip(("channel", "row", "column"), positions.tolist(), strict=True))
        table |= {"original": value.ravel().tolist(), "adversarial": changed.ravel().tolist()}
        with column:
            chart(figure, key=Key.ATTACK_EXAMPLE.of(name, index), name=f"adversarial {name} {index}", table=table)


def _series(name: str, value: np.ndarray, changed: np.ndarray, axes: Axes) -> None:
    import plotly.graph_objects as go

    figure = go.Figure()
    for channel in range(min(value.shape[1], figures.MAX_CHANNELS)):
        channel_suffix = f" {channel + 1}" if value.shape[1] > 1 else ""
        x, thin = axes.along(len(value)), 1 if len(value) > MAX_DRAWN_STEPS else 2
        line_style = {"color": ATTACK, "dash": "dot", "width": thin}
        figure.add_scatter(
            x=x, y=value[:, channel], name=f"original{channel_suffix}", line={"color": BEFORE, "width": thin}
        )
        figure.add_scatter(x=x, y=changed[:, channel], name=f"adversarial{channel_suffix}", line=line_style)
    figure.update_layout(height=300, margin=figures.MARGIN, xaxis_title=axes.title, yaxis_title=line(name))
    figure.update_layout(legend=ABOVE)
    steps, channels = np.indices(value.shape)
    table = {"step": steps.ravel().tolist(), "channel": channels.ravel().tolist()}
    table |= {"original": value.ravel().tolist(), "adversarial": changed.ravel().tolist()}
    chart(figure, key=Key.ATTACK_EXAMPLE.of(name), name=f"adversarial {name}", table=table)


def columns(value: dict[str, Any], changed: dict[str, Any]) -> tuple[go.Figure, list[dict[str, Any]]]:
    """Return a chart of the relative change of each column, largest first, and a table of both values."""
    import plotly.graph_objects as go

    numbers = [name for name in value if isinstance(value[name], float)]
    share = {name: (changed[name] - value[name]) / (abs(value[name]) or 1.0) for name in numbers}
    order = sorted(numbers, key=lambda name: -abs(share[name]))[:MAX_COLUMNS]
    labels = [f"{name[:28]}  {value[name]:.4g} → {changed[name]:.4g}".replace("<", "‹") for name in order]
    figure = go.Figure(
        go.Bar(x=[share[name] for name in order], y=list(range(len(order))), orientation="h", marker_color=AFTER)
    )
    figure.update_traces(hovertemplate="%{x:+.1%}<extra></extra>")
    figure.update_layout(height=90 + 26 * len(order), margin=figures.MARGIN, xaxis_title="Relative change")
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(autorange="reversed", tickvals=list(range(len(order))), ticktext=labels, automargin=True)
    table = [{"column": name, "original": value[name], "adversarial": changed[name]} for name in value]
    return figure, table


def _many(robustness: Robustness, method: str) -> None:
    table: dict[str, list[Any]] = {"strength": list(robustness.strengths), robustness.measure: list(robustness.scores)}
    table |= {"random noise": list(robustness.random_scores)}
    table |= {f"class {name}": list(values) for name, values in robustness.by_class.items()}
    chart(curve(robustness), key=Key.ROBUSTNESS_CURVE, name=f"robustness {method}", table=table)
    st.markdown(f"### {sentence(robustness)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        badges(robustness.verdict)
        st.caption(escape(robustness.verdict.sentence), width="content")
    if robustness.by_class:
        chart(by_class(robustness), key=Key.ROBUSTNESS_CLASSES, name=f"robustness {method} by class", table=table)
    if robustness.scales:
        listed = list(robustness.scales.items())[:4]
        sizes = "; ".join(f"{escape(name)}: {size:.3g}" for name, size in listed)
        more = f"; {len(robustness.scales) - 4} more" if len(robustness.scales) > 4 else ""
        st.caption(f"ε = 1 in the units of the data: {sizes}{more}.")


def sentence(robustness: Robustness) -> str:
    """Return a sentence that summarizes the curve."""
    output_text = f" ({escape(robustness.output)})" if robustness.output else ""
    if not robustness.shares:
        return (
            f"On {robustness.rows} {robustness.split} rows, the {robustness.measure}{output_text} "
            f"is **{robustness.scores[0]:.3g}** without an "
            f"attack and **{robustness.scores[-1]:.3g}** at ε = {robustness.strengths[-1]:g}; "
            "random noise of that size gives "
            f"**{robustness.random_scores[-1]:.3g}**."
        )
    opening = (
        f"On {robustness.rows} {robustness.split} rows, the {score_name(robustness.measure)}{output_text} is "
        f"**{robustness.scores[0]:.0%}**"
    )
    if robustness.half_strength is None:
        return f"{opening} without an attack and **{robustness.scores[-1]:.0%}** at ε = {robustness.strengths[-1]:g}."
    chance_at_half = float(np.interp(robustness.half_strength, robustness.strengths, robustness.random_scores))
    return (
        f"{opening} without an attack. At ε = **{robustness.half_strength:.2g}**, an attack halves it; random noise of "
        f"that size leaves **{chance_at_half:.0%}**."
    )


def score_name(measure: str) -> str:
    """Return the name of a score by its measure, such as "accuracy of the pixels"."""
    return f"accuracy{OF.get(measure, '')}" if measure in (AttackTarget.measure, *OF) else measure


def curve(robustness: Robustness) -> go.Figure:
    """Return a chart of the score by strength, under attack and under random noise."""
    import plotly.graph_objects as go

    shares = robustness.shares
    form = "%{y:.1%}" if shares else "%{y:.4g}"
    figure = go.Figure()
    for name, values, color, dash in (
        ("random noise", robustness.random_scores, CHANCE, "dot"),
        ("attack", robustness.scores, ATTACK, "solid"),
    ):
        line = go.Scatter(x=robustness.strengths, y=values, name=name, mode="lines+markers")
        line.update(line={"color": color, "dash": dash, "width": 2.5}, hovertemplate=f"{name}, %{{x:g}}: {form}")
        figure.add_trace(line)
    if robustness.half_strength is not None:
        name = score_name(robustness.measure) if robustness.measure not in OF else "accuracy"
        half = {"annotation_text": f"half of the<br>{name}", "annotation_position": "bottom left"}
        figure.add_vline(x=robustness.half_strength, line={"color": SHADE, "dash": "dash"}, **half)
    figure.update_layout(height=320, margin=figures.MARGIN, legend=ABOVE)
    figure.update_xaxes(title=figures.axis_title(f"Attack strength ε, in {robustness.unit}"))
    title = robustness.measure.capitalize() if robustness.measure.islower() else robustness.measure
    figure.update_yaxes(title=title, rangemode="tozero")
    if shares:
        figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return figure


def by_class(robustness: Robustness) -> go.Figure:
    """Return a heatmap of the accuracy by true class and strength."""
    import plotly.graph_objects as go

    names = list(robustness.by_class)[:MAX_CLASSES]
    values = [robustness.by_class[name] for name in names]
    labels = [f"{name[:24]} ({robustness.counts[name]})".replace("<", "‹") for name in names]
    trace = go.Heatmap(z=values, x=[f"{step:g}" for step in robustness.strengths], y=labels, zmin=0, zmax=1)
    trace.update(colorscale="Cividis", text=[[f"{value:.0%}" for value in line] for line in values])
    trace.update(texttemplate="%{text}", colorbar={"thickness": 9, "tickformat": ".0%", "outlinewidth": 0})
    trace.hovertemplate = "%{y} at %{x}: %{z:.1%}<extra></extra>"
    figure = go.Figure(trace)
    title = {"text": f"{GROUPED.get(robustness.measure, 'By class')} (rows)", "x": 0, "font": {"size": 14}}
    figure.update_layout(height=max(200, 110 + 26 * len(names)), margin=figures.MARGIN, title=title)
    figure.update_xaxes(title="Attack strength ε", type="category")
    figure.update_yaxes(type="category", autorange="reversed", automargin=True)
    return figure

"""Two explanations of one answer side by side: by two methods, with two sets of weights, or of two runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import plain as line
from netloom.explain.core.targets import quantity_of
from netloom.explain.evidence.comparison import Comparison, real
from netloom.explain.plots.shared_scale import pictures
from netloom.jobs import RunWeights
from netloom.jobs.explanations import ComparedSide, ExplanationComparison
from netloom.runs.weight_history import moments
from netloom.store import RunArtifacts
from netloom.ui.components.figure_export import PICTURE, exports
from netloom.ui.components.words import at, plain, told_apart
from netloom.ui.explain.attribution import COLORS, badges
from netloom.ui.explain.attribution_plots import knows_signs, legend
from netloom.ui.explain.headline import prediction_text, visible
from netloom.ui.explain.state import Key
from netloom.ui.explain.training_trajectory import choose_method, show
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.explain import Explanation
    from netloom.explain.core.explanation import Level
    from netloom.ui.explain.views import Look

METHOD, WEIGHTS, RUN = "Another method", "Another checkpoint", "Another run"
RARE, STRONG = 0.05, 0.7


def comparing_explanations(look: Look) -> None:
    """The whole view."""
    second = _second(look)
    if second is None:
        return
    sides, titles = second
    found = computed(
        ExplanationComparison(look.weights, *sides, look.row, look.target), "Computing both explanations …"
    )
    _agreement(found)
    _both(found, titles)


def _second(look: Look) -> tuple[tuple[ComparedSide, ComparedSide], tuple[str, str]] | None:
    """What is compared with what, and what each is called; None where there is nothing yet."""
    kinds = [METHOD]
    if len(moments(RunArtifacts.in_directory(look.folder))) > 1:
        kinds.append(WEIGHTS)
    others = _other_runs(look)
    if others:
        kinds.append(RUN)
    kind = st.segmented_control("Compare with", kinds, default=METHOD, required=True, key=Key.COMPARE_WITH)
    middle, right = st.columns(2, vertical_alignment="bottom")
    with middle:
        method = choose_method(look, "Method", Key.COMPARE_FIRST)
    options = look.options_of(method)
    own = ComparedSide(look.weights, method, options)
    titles = {item.name: item.title for item in look.methods}
    with right:
        if kind == METHOD:
            fitting = [item.name for item in look.methods if item.available and item.name != method]
            if not fitting:
                st.caption("No other method supports this network.")
                return None
            other = choose_method(look, "Second method", Key.COMPARE_SECOND.of(method), default=fitting[0])
            side = ComparedSide(look.weights, other, look.options_of(other))
            return (own, side), (titles[method], titles[other])
        if kind == WEIGHTS:
            listed = {moment.name: moment.label for moment in moments(RunArtifacts.in_directory(look.folder))}
            name = str(
                st.selectbox(
                    "Second checkpoint", list(listed), format_func=listed.__getitem__, key=Key.COMPARE_CHECKPOINT
                )
            )
            side = ComparedSide(replace(look.weights, checkpoint=name), method, options)
            return (own, side), (f"{look.weights.checkpoint} weights", listed[name])
        chosen = str(st.selectbox("Second run", list(others), format_func=others.__getitem__, key=Key.COMPARE_RUN))
    written = look.live.store.artifacts(chosen).weights_written_at()
    side = ComparedSide(RunWeights(chosen, "", written), method, options)
    return (own, side), (look.trained.run.title[:60], others[chosen])


def _other_runs(look: Look) -> dict[str, str]:
    own = look.trained.run.id
    store = look.live.store
    others = (run for run in store.runs(look.live.id) if run.id != own)
    runs = [run for run in others if store.artifacts(run.id).stored_weights()]
    return told_apart({run.id: f"{run.title[:60]} · {at(run.created_at)}" for run in runs})


def _agreement(found: Comparison) -> None:
    """The two numbers that say how alike they are, and how strong that is."""
    agree = found.agreement
    one, two, three = st.columns(3)
    if agree.spearman is not None and agree.chance is not None:
        kind = "signed" if agree.signed else "magnitudes"
        help_ = "Spearman's rank correlation: 1 for the same order of the features, 0 for unrelated orders."
        one.metric(f"Rank correlation ({kind})", f"{agree.spearman:+.2f}", help=help_)
        help_ = f"Share of {agree.orders} permutations of the features that agree at least as well; lower is stronger."
        two.metric("Permutation p-value", f"{agree.chance:.3f}", help=help_)
    if agree.top:
        help_ = f"Expected by chance: {agree.expected:.1f}. As many or more in {agree.top_chance:.1%} of cases."
        three.metric("Top features in common", f"{agree.overlap} of {agree.top}", help=help_)
    strong = agree.spearman is not None and agree.chance is not None and agree.chance <= RARE
    level: Level = "good" if strong and (agree.spearman or 0) >= STRONG else "caution" if strong else "poor"
    said = {"good": "Agreement", "caution": "Partial agreement", "poor": "No agreement"}
    with st.container(border=True, gap="small"):
        st.badge(said[level], color=COLORS[level])
        st.caption(plain(agree.sentence))


def _both(found: Comparison, titles: tuple[str, str]) -> None:
    left, right = st.columns(2)
    parts, bounds = found.pair, found.bounds
    for column, one, values, title in zip((left, right), (found.first, found.second), parts, titles, strict=True):
        with column:
            st.markdown(f"**{plain(title)}**")
            _prediction(one, baselines=bool(found.first.compared or found.second.compared))
            side, key = ("first", Key.COMPARE_FIRST) if one is found.first else ("second", Key.COMPARE_SECOND)
            listed = pictures(one, values, bounds, parts[0])
            show(listed, key, f"{one.method} {side}", beside=False)
    unsigned = [title for one, title in zip((found.first, found.second), titles, strict=True) if not knows_signs(one)]
    legend(quantity_of(found.first.target).is_error, signed=len(unsigned) < 2)
    if len(unsigned) == 1:
        st.caption(f"{plain(unsigned[0])} gives magnitudes without a sign, so its orange does not mean an increase.")
    st.markdown(f"**Difference**: {plain(titles[1])} − {plain(titles[0])}")
    # What it draws is of neither alone, so neither's name stands above it.
    apart = replace(found.first, title="Difference")
    show(pictures(apart, found.differences, bounds, found.differences), Key.COMPARE_DIFFERENCE, "difference",
         beside=False)  # fmt: skip
    legend(words=("higher in the second", "higher in the first"))
    unit = (
        "Attributions are normalized by their sum of magnitudes, because the two methods have different units."
        if found.scaled
        else "Attributions are in the units of the score."
    )
    st.caption(f"All three share one color scale. {unit}")
    _points(found, titles)


def _prediction(one: Explanation, *, baselines: bool) -> None:
    """The prediction, and with `baselines` what the example is compared with."""
    share = one.prediction.probabilities.get(one.target.name)
    name = "" if one.target.name == one.prediction.text else f"{plain(visible(one.target.name))}: "
    probability = f" ({name}{share:.1%})" if share is not None else ""
    st.caption(f"Prediction: **{prediction_text(one)}**{probability}")
    if baselines:
        st.caption(f"Baseline: {plain(one.compared) or 'none'}")
    badges(one.verdict)


def _points(found: Comparison, titles: tuple[str, str]) -> None:
    """Every part by what the one and what the other says of it."""
    import plotly.graph_objects as go

    from netloom.explain.plots import figures

    table = points(found)
    one, other = np.array(table["first"]), np.array(table["second"])
    kept = (one != 0) | (other != 0)
    end = 1.06 * max(float(np.abs(one).max(initial=0)), float(np.abs(other).max(initial=0)), 1e-12)
    # Plotly reads markup of its own in what people named.
    across, up = (line(title).replace("<", "&lt;") for title in titles)
    figure = go.Figure()
    dotted = {"color": figures.GREY, "dash": "dot", "width": 1}
    figure.add_scatter(x=[-end, end], y=[-end, end], mode="lines", line=dotted, hoverinfo="skip")
    figure.add_scatter(
        x=one[kept], y=other[kept], mode="markers", marker={"size": 6, "opacity": 0.7, "color": "#0072b2"}
    )
    figure.update_layout(height=340, margin=figures.MARGIN, showlegend=False, xaxis_title=across, yaxis_title=up)
    with st.expander("Attributions per feature", icon=":material/scatter_plot:"):
        st.caption("Each point is a feature. On the dotted line, both attributions are equal.")
        st.plotly_chart(figure, width="stretch", key=Key.COMPARE_POINTS, config=PICTURE)
        exports("comparison", key=Key.COMPARE_EXPORT, figure=Key.COMPARE_POINTS, table=table)


def points(found: Comparison) -> dict[str, list[Any]]:
    """What the one and what the other says of every part but padding: its input, its place there, and its name."""
    table: dict[str, list[Any]] = {"of": [], "place": [], "part": [], "first": [], "second": []}
    for name, values in found.pair[0].items():
        places = np.flatnonzero(real(found.first, name, values.shape))
        labels = found.first.labels.get(name, ()) if values.ndim == 1 else ()
        table["of"] += [name] * len(places)
        table["place"] += places.tolist()
        table["part"] += [labels[place] if place < len(labels) else "" for place in places]
        for side, parts in zip(("first", "second"), found.pair, strict=True):
            table[side] += np.ravel(parts[name])[places].tolist()
    return table

"""Two explanations of one answer side by side: by two methods, with two sets of weights, or of two runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import plain as line
from netloom.explain.evidence.comparison import Comparison, real
from netloom.explain.plots.shared_scale import pictures
from netloom.jobs import RunWeights, written_at
from netloom.jobs.explanations import ComparedSide, ExplanationComparison
from netloom.runs.weight_history import moments
from netloom.ui.components.figure_export import PICTURE, exports
from netloom.ui.components.words import at, plain, told_apart
from netloom.ui.explain.attribution import COLOURS, badges
from netloom.ui.explain.attribution_plots import knows_signs, legend
from netloom.ui.explain.headline import answer_text, seen
from netloom.ui.explain.training_trajectory import choose_method, show
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.explain import Explanation
    from netloom.explain.core.explanation import Level
    from netloom.ui.explain.views import Look

METHOD, WEIGHTS, RUN = "Another method", "Other weights", "Another run"
RARE, STRONG = 0.05, 0.7


def comparing_explanations(look: Look) -> None:
    """The whole view."""
    second = _second(look)
    if second is None:
        return
    sides, titles = second
    found = computed(ExplanationComparison(look.weights, *sides, look.row, look.target), "Explaining both …")
    _agreement(found)
    _both(found, titles)


def _second(look: Look) -> tuple[tuple[ComparedSide, ComparedSide], tuple[str, str]] | None:
    """What is compared with what, and what each is called; None where there is nothing yet."""
    kinds = [METHOD]
    if len(moments(look.folder)) > 1:
        kinds.append(WEIGHTS)
    others = _other_runs(look)
    if others:
        kinds.append(RUN)
    kind = st.segmented_control("Compare with", kinds, default=METHOD, required=True, key="compare with")
    middle, right = st.columns(2, vertical_alignment="bottom")
    with middle:
        method = choose_method(look, "Method", "compare first")
    options = look.options_of(method)
    own = ComparedSide(look.weights, method, options)
    titles = {item.name: item.title for item in look.methods}
    with right:
        if kind == METHOD:
            fitting = [item.name for item in look.methods if item.available and item.name != method]
            if not fitting:
                st.caption("No other method fits this network.")
                return None
            other = choose_method(look, "And", f"compare second {method}", default=fitting[0])
            side = ComparedSide(look.weights, other, look.options_of(other))
            return (own, side), (titles[method], titles[other])
        if kind == WEIGHTS:
            listed = {moment.name: moment.label for moment in moments(look.folder)}
            name = str(
                st.selectbox("And weights after", list(listed), format_func=listed.__getitem__, key="compare at")
            )
            side = ComparedSide(replace(look.weights, checkpoint=name), method, options)
            return (own, side), (f"{look.weights.checkpoint} weights", listed[name])
        chosen = str(st.selectbox("And run", list(others), format_func=others.__getitem__, key="compare run"))
    written = written_at(Path(look.live.store.run_folder(chosen)))
    side = ComparedSide(RunWeights(chosen, "", written), method, options)
    return (own, side), (look.trained.run.title[:60], others[chosen])


def _other_runs(look: Look) -> dict[str, str]:
    own = look.trained.run.id
    store = look.live.store
    runs = [run for run in store.runs(look.live.id) if run.id != own and written_at(Path(store.run_folder(run.id)))]
    return told_apart({run.id: f"{run.title[:60]} · {at(run.created_at)}" for run in runs})


def _agreement(found: Comparison) -> None:
    """The two numbers that say how alike they are, and how strong that is."""
    agree = found.agreement
    one, two, three = st.columns(3)
    if agree.spearman is not None and agree.chance is not None:
        kind = "signed" if agree.signed else "of sizes alone"
        one.metric(f"Rank agreement ({kind})", f"{agree.spearman:+.2f}", help="Spearman's: 1 the same order, 0 none")
        help_ = f"Share of {agree.orders} other orders of the parts that agree at least as well; fewer is stronger"
        two.metric("Chance does as well", f"{agree.chance:.1%}", help=help_)
    if agree.top:
        help_ = f"Chance alone gives {agree.expected:.1f}; as many or more in {agree.top_chance:.1%} of cases"
        three.metric("Strongest parts alike", f"{agree.overlap} of {agree.top}", help=help_)
    strong = agree.spearman is not None and agree.chance is not None and agree.chance <= RARE
    level: Level = "good" if strong and (agree.spearman or 0) >= STRONG else "caution" if strong else "poor"
    said = {"good": "They agree", "caution": "They agree in part", "poor": "They do not agree"}
    with st.container(border=True, gap="small"):
        st.badge(said[level], color=COLOURS[level])
        st.caption(plain(agree.sentence))


def _both(found: Comparison, titles: tuple[str, str]) -> None:
    left, right = st.columns(2)
    parts, bounds = found.pair, found.bounds
    for column, one, values, title in zip((left, right), (found.first, found.second), parts, titles, strict=True):
        with column:
            st.markdown(f"**{plain(title)}**")
            _answer(one)
            side = "first" if one is found.first else "second"
            listed = pictures(one, values, bounds, parts[0])
            show(listed, f"compare {side}", f"{one.method} {side}", beside=False)
    unsigned = [title for one, title in zip((found.first, found.second), titles, strict=True) if not knows_signs(one)]
    legend(found.first.target.kind == "error", signed=len(unsigned) < 2)
    if len(unsigned) == 1:
        st.caption(f"{plain(unsigned[0])} says only how much a part matters: its orange is neither for nor against.")
    st.markdown(f"**The difference**: {plain(titles[1])} less {plain(titles[0])}")
    # What it draws is of neither alone, so neither's name stands above it.
    apart = replace(found.first, title="The difference")
    show(pictures(apart, found.differences, bounds, found.differences), "compare difference", "difference",
         beside=False)  # fmt: skip
    legend(words=("more by the second", "more by the first"))
    unit = (
        "Each part is the share of all parts of its method, as the two have units of their own."
        if found.scaled
        else "All are in the units of the explained number."
    )
    st.caption(f"All three share one colour scale. {unit}")
    _points(found, titles)


def _answer(one: Explanation) -> None:
    share = one.prediction.probabilities.get(one.target.name)
    given = f", {plain(seen(one.target.name))} {share:.1%}" if share is not None else ""
    st.caption(f"Answers **{answer_text(one)}**{given}.")
    if one.compared:
        st.caption(f"Compared with {plain(one.compared)}.")
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
    with st.expander("Part by part", icon=":material/scatter_plot:"):
        st.caption("A point is a part; on the dotted line both say the same of it.")
        st.plotly_chart(figure, width="stretch", key="compare points", config=PICTURE)
        exports("comparison", key="compare export", figure="compare points", table=table)


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

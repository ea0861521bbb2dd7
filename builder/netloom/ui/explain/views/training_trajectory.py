"""The comparison of all checkpoints: an explanation during training, with a slider over the checkpoints of the run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import cut, escape, without_markup
from netloom.core.text import plain as on_one_line
from netloom.explain.comparison import comparable_parts
from netloom.explain.core.targets import quantity_of
from netloom.explain.dataset.training_trajectory import Frame, Trajectory
from netloom.explain.plots.shared_scale import lines, scaled_plots
from netloom.jobs.requests.explanations import TrainingTrajectory
from netloom.ui.components.errors import guard
from netloom.ui.components.figure_export import PICTURE, chart, exports
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.explain.headline import prediction_text, visible
from netloom.ui.explain.state import ExplainState, Key, Part, Playback
from netloom.ui.explain.views.attribution import trust
from netloom.ui.explain.views.attribution_plots import knows_signs, legend
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    from netloom.explain.plots.explanation_plots import Plot
    from netloom.ui.explain.view import ViewContext

EACH_S = 0.7
PROBABILITY = "Probability"


def training_trajectory_view(context: ViewContext) -> None:
    """Draw the view."""
    method = context.method
    request = TrainingTrajectory(context.weights, method, context.row, context.target, context.options_of(method))
    trajectory = computed(request, "Explaining with each checkpoint …")
    key = Key.CHECKPOINTS.of(context.folder, context.row, context.target, method)
    if context.why:
        context.places.head.caption(context.why)
    st.fragment(_frames)(trajectory, key)
    _curves(trajectory, context.trained.objective.task.per_class_scores)


@guard()
def _frames(trajectory: Trajectory, key: str) -> None:
    """Draw the slider, and the explanation at its position.

    The curves are outside of this fragment, because a redrawn figure would flicker with each step.
    """
    labels = [frame.label for frame in trajectory.frames]
    slider, state = Part.SLIDER.within(key), ExplainState.current()
    playback, state.playback = state.playback, None
    following = playback.label if playback is not None and playback.slider == slider else ""
    if following in labels:
        set_value(slider, following)
    elif value_of(slider) not in labels:
        set_value(slider, labels[-1])

    def start() -> None:
        state.playback = Playback(slider, labels[0])

    left, right = st.columns([1.6, 7], vertical_alignment="bottom")
    left.button("Play", icon=":material/play_arrow:", on_click=start, key=Part.PLAY.within(key), width="stretch")
    label = right.select_slider("Checkpoint", labels, key=slider)
    frame = trajectory.frames[labels.index(label)]
    _frame(trajectory, frame)
    if following in labels[:-1]:
        time.sleep(EACH_S)  # any interaction meanwhile ends the playback, because the next label is set only after it
        state.playback = Playback(slider, labels[labels.index(label) + 1])
        st.rerun(scope="fragment")


def _curves(trajectory: Trajectory, by_class: bool) -> None:
    """Draw the score and the agreement with the final explanation over the checkpoints."""
    has_epochs = all(frame.epoch is not None for frame in trajectory.frames)
    x = [frame.epoch if has_epochs else frame.step for frame in trajectory.frames]
    across = "Epoch" if has_epochs else "Step"
    title, shares = answers(trajectory, by_class)
    agreement = {"agreement": [frame.agreement.spearman for frame in trajectory.frames]}
    left, right = st.columns(2)
    figure = lines(x, shares, title, across)
    if title.startswith(PROBABILITY):
        figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    rows, name = trajectory.table(), f"checkpoints {trajectory.final.explanation.method}"
    with left:
        chart(figure, key=Key.CHECKPOINT_SCORE, name=name, table=rows)
    with right:
        figure = lines(x, agreement, "Rank correlation with the final explanation", across)
        figure.update_yaxes(range=[min([-0.05, *(v - 0.05 for v in agreement["agreement"] if v is not None)]), 1.05])
        chart(figure, key=Key.CHECKPOINT_AGREEMENT, name=f"agreement of {name}", table=rows)


def answers(trajectory: Trajectory, by_class: bool) -> tuple[str, dict[str, list[float | None]]]:
    """Return the title and the curves of the prediction over the checkpoints.

    These are the probability of the target, and that of the true class if it differs; or the explained score, as only
    the most likely tokens of a text have probabilities.
    """
    final = trajectory.final.explanation
    truth, name = final.example.target, visible(final.target.name)
    likely = [frame.probability for frame in trajectory.frames]
    if any(value is None for value in likely):
        # Plotly interprets HTML tags in texts.
        title = without_markup(cut(on_one_line(final.target.quantity), 60))
        return title[:1].upper() + title[1:], {name: [frame.explanation.score for frame in trajectory.frames]}
    if not by_class or truth == name or truth not in final.prediction.probabilities:
        return f"{PROBABILITY} of {name}", {f"of {name}": likely}
    true = [frame.explanation.prediction.probabilities.get(truth) for frame in trajectory.frames]
    return PROBABILITY, {f"of {name}": likely, f"of {truth} (true)": true}


def _frame(trajectory: Trajectory, frame: Frame) -> None:
    """Draw one explanation with the color scale of all."""
    explanation = frame.explanation
    share = f" ({frame.probability:.1%})" if frame.probability is not None else ""
    agree = frame.agreement
    same = f"{agree.spearman:+.2f}" if agree.spearman is not None else "–"
    when = f"After **{escape(frame.label.lower())}**" if frame.step else "**Before training**"
    parts = f"{agree.overlap} of the top {agree.top} features in common"
    if agree.top == 1:
        parts = f"{'the same' if agree.overlap else 'another'} top feature"
    st.markdown(
        f"{when}, the prediction is **{prediction_text(explanation)}**. Target: "
        f"{escape(explanation.target.quantity)}{share}. Rank "
        f"correlation with the final explanation: **{same}**, {parts}."
    )
    show(
        scaled_plots(
            explanation,
            comparable_parts(explanation),
            trajectory.bounds,
            comparable_parts(trajectory.final.explanation),
        ),
        Key.CHECKPOINTS.of(frame.name),
        explanation.method,
    )
    legend(quantity_of(explanation.target).is_error, signed=knows_signs(explanation))
    st.caption(
        "All checkpoints share one color scale and one target: the final prediction. Pale colors are weak compared "
        "with the other checkpoints."
    )
    trust(explanation)


def show(listed: list[Plot], key: str, name: str, *, beside: bool = True) -> None:
    """Draw plots with download buttons, one below the other."""
    for panel in listed:
        if len(listed) > 1 and panel.title:
            st.markdown(f"**{escape(panel.title)}**")
        if panel.html:
            st.html(panel.html)
            exports(name, key=Part.PLOT.within(key, panel.key), svg=panel.svg, table=panel.table)
            continue
        if panel.beside is not None and beside:
            left, right = st.columns(2)
            left.plotly_chart(
                panel.beside, width="stretch", key=Part.BESIDE.within(key, panel.key), config=PICTURE, alt="The input"
            )
            with right:
                chart(panel.figure, key=Part.PLOT.within(key, panel.key), name=name, table=panel.table)
        elif panel.figure is not None:
            chart(panel.figure, key=Part.PLOT.within(key, panel.key), name=name, table=panel.table)

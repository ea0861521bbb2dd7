"""The explain page: a run, an example, a method; what it says, and how far it can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from builder import train
from builder.data import DataError
from builder.explain import ExplainError, Explanation, explain, methods
from builder.store import Run, StoreError
from builder.train import TrainedRun
from builder.ui import session
from builder.ui.attributions import attributions
from builder.ui.episodes import chosen_step
from builder.ui.live import Live
from builder.ui.results import show_example
from builder.ui.words import at, plain, told_apart

Target = str | dict[str, int] | None
Row = int | dict[str, Any]
LEVELS = {"good": st.success, "caution": st.warning, "poor": st.error}
WORDS = {"good": "Can be relied on", "caution": "Read with care", "poor": "Do not rely on this"}


def explaining(live: Live) -> None:
    """Everything on the explain page."""
    runs = [run for run in live.store.runs(live.id) if _has_weights(live, run)]
    st.subheader(plain(live.project.name))
    if not runs:
        st.info("Nothing is trained yet. Train this network first; then its answers can be explained.")
        if st.button("Go to Train", type="primary", icon=":material/show_chart:"):
            st.switch_page("pages/train.py")
        return
    left, right = st.columns([1, 2.4], gap="large")
    with left:
        trained = _trained(live, runs)
        if trained is None:
            return
        refused = [method for method in methods(trained) if not method.available]
        if len(refused) == len(methods(trained)):
            st.info(f"This network cannot be explained: {refused[0].reason}")
            return
        row = _row(live, trained)
        method, target = _method(trained), _target(trained)
    with right:
        _explained(live, trained, row, method, target)


def _has_weights(live: Live, run: Run) -> bool:
    return _written(live, run.id) > 0


def _written(live: Live, run_id: str) -> float:
    """When the weights of a run were written, in seconds; 0 where there are none."""
    folder = Path(live.store.run_folder(run_id))
    files = [folder / "best.safetensors", folder / "last.json"]
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _trained(live: Live, runs: list[Run]) -> TrainedRun | None:
    known = {run.id: run for run in runs}
    chosen = st.session_state.get("run")
    index = list(known).index(chosen) if chosen in known else 0
    labels = told_apart({run.id: _name(run) for run in runs})
    run_id = st.selectbox("Run", list(known), index=index, format_func=labels.__getitem__)
    session.choose(live.id, run_id)
    try:
        return _load(live.store.home, run_id, _written(live, run_id))
    except (DataError, StoreError, OSError) as error:
        st.error(str(error))
        return None


def _name(run: Run) -> str:
    return f"{run.title[:60]} · {run.state} · {at(run.created_at)}"


@st.cache_resource(max_entries=6, show_spinner="Loading the network …")
def _load(home: Path, run_id: str, written: float) -> TrainedRun:
    return train.load_run(session.store(), run_id)


def _row(live: Live, trained: TrainedRun) -> Row:
    """Which example: one of the test rows, or of those on which the network is most wrong.

    Of an agent, a step of one of its episodes, as a raw row.
    """
    run_id = trained.run.id if trained.run else ""
    found = train.evaluation(live.store, run_id)
    if found and found.episodes:
        return chosen_step(trained.data, found.episodes, run_id)
    which = st.segmented_control("Examples", ["Test rows", "Worst"], default="Test rows", required=True)
    rows = [worst.row for worst in found.worst] if found and which == "Worst" else trained.data.split["test"].tolist()
    place = st.slider("Example", 1, len(rows), 1, key=f"example {run_id} {which}") if len(rows) > 1 else 1
    row = int(rows[place - 1])
    example = trained.data.example(row)
    with st.container(border=True):
        show_example(example)
        st.caption(f"Row {row} · {plain(trained.data.schema.target.name)}: **{plain(example.target[:120])}**")
    return row


def _method(trained: TrainedRun) -> str:
    known = {method.name: method for method in methods(trained)}
    usable = [name for name, method in known.items() if method.available]
    name = st.radio(
        "Method", usable, format_func=lambda key: known[key].title, captions=[known[key].summary for key in usable]
    )
    for method in known.values():
        if not method.available:
            st.caption(f"{method.title}: {method.reason}")
    return str(name)


def _target(trained: TrainedRun) -> Target:
    classes = trained.data.schema.target.classes
    if trained.data.schema.target.kind == "sequence":
        return {"position": st.slider("Token of the answer", 1, trained.data.schema.target.shape[0], 1) - 1}
    if not classes or not trained.objective.by_class:
        return None
    chosen = st.selectbox(
        "Explain the score of", ["", *classes], format_func=lambda name: name or "the class it answers"
    )
    return chosen or None


def _explained(live: Live, trained: TrainedRun, row: Row, method: str, target: Target) -> None:
    try:
        with st.spinner("Explaining …"):
            run_id = trained.run.id if trained.run else ""
            found = _explain(trained, run_id, _written(live, run_id), row, method, target)
    except (ExplainError, DataError) as error:
        st.error(str(error))
        return
    st.markdown(f"### It answers **{plain(found.prediction.text[:80])}**")
    _probabilities(found)
    st.caption(f"Explained: {plain(found.target.quantity)}, by {found.title}.")
    attributions(found)
    LEVELS[found.verdict.level](f"**{WORDS[found.verdict.level]}.** {plain(found.verdict.sentence)}")
    _proofs(found)


@st.cache_data(max_entries=64, show_spinner=False)
def _explain(_trained: TrainedRun, run_id: str, written: float, row: Row, method: str, target: Target) -> Explanation:
    return explain(_trained, method, row, target=target)


def _probabilities(found: Explanation) -> None:
    shares = sorted(found.prediction.probabilities.items(), key=lambda item: -item[1])[:4]
    for column, (name, share) in zip(st.columns(4), shares, strict=False):
        column.progress(min(max(share, 0.0), 1.0), f"{plain(name[:30]) or '␣'} {share:.1%}")


def _proofs(found: Explanation) -> None:
    completeness, faithful = found.proofs.completeness, found.proofs.faithfulness
    columns = st.columns(4)
    if completeness is not None:
        columns[0].metric("Parts add up to", f"{completeness.sum:+.4g}")
        columns[1].metric("Answer minus baseline", f"{completeness.answer - completeness.baseline_answer:+.4g}")
        if completeness.steps:
            text = f"The integral was refined until the parts add up; they are off by {completeness.delta:+.2g}"
            columns[2].metric("Steps", f"{completeness.steps}", help=text)
    if faithful is not None:
        columns[3].metric("Orders that do as well", f"{faithful.chance:.0%}", help="Of random orders; fewer is better")
        with st.expander("Taking parts away, and putting them back"):
            st.caption(
                "The answer while parts are taken away (deletion: it should fall early) or put onto the baseline "
                "(insertion: it should rise early), the most important first, against random orders."
            )
            _curves(found)


def _curves(found: Explanation) -> None:
    import plotly.graph_objects as go

    from builder.ui.charts import MARGIN

    faithful = found.proofs.faithfulness
    if faithful is None:
        return
    figure = go.Figure()
    for name, values in faithful.curves.items():
        dashed = {"dash": "dot"} if "chance" in name or "random" in name else {}
        figure.add_scatter(x=faithful.fractions, y=values, name=name.replace("_", " "), line=dashed)
    figure.update_layout(height=280, margin=MARGIN, xaxis_title="Share of parts", yaxis_title="Answer")
    st.plotly_chart(figure, width="stretch", key="faithfulness")

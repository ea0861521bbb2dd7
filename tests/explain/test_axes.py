"""What the axes of an input represent, and how a long input is split into segments for plotting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from netloom.data import Example, Prepared, prepare
from netloom.document import DataChoice
from netloom.explain import Explanation
from netloom.explain.comparison import color_bounds
from netloom.explain.core.explanation import Prediction, Proofs, Target, Verdict
from netloom.explain.core.parts.axes import MAX_DRAWN_STEPS, Axes, axes_of
from netloom.explain.dataset.aggregation import strongest_features, summarize_features
from netloom.explain.plots import global_plots
from netloom.explain.plots.colors import FOR, rgb
from netloom.explain.plots.explanation_plots import explanation_plots, series_table
from netloom.explain.plots.text import as_html


def data(name: str, **options: Any) -> Prepared:
    return prepare(DataChoice(dataset=name, options=options))


def explanation_of(values: np.ndarray, axes: Axes, series: np.ndarray | None = None) -> Explanation:
    return Explanation(
        method="integrated_gradients",
        title="Integrated Gradients",
        target=Target("class", 0, "a", "the score (logit) of a"),
        prediction=Prediction("a", {}),
        attributions={"x": values},
        labels={},
        example=Example(0, "", series=series),
        proofs=Proofs(None, None, 0),
        verdict=Verdict("good", ""),
        options={},
        axes={"x": axes},
    )


def test_axes_name_graph_nodes_and_sound_seconds() -> None:
    axes = axes_of(data("molecules", rows=60))
    assert (axes["atoms"].title, axes["atoms"].names(2)) == ("Node", ["feature 1", "feature 2"])
    assert axes["bonds"].names(3) == ["node 0", "node 1", "node 2"], "numbered as in the row"
    assert axes["atoms"].steps(3) == ("0", "1", "2")
    (wave,) = axes_of(data("spoken", rows=60, fields={"sound": {"sound": "waveform"}})).values()
    assert (wave.title, wave.rate) == ("Seconds", 4000.0)
    settings = {"sound": "log-mel", "bands": 24, "hop": 50, "window": 128}
    (mel,) = axes_of(data("spoken", rows=60, fields={"sound": settings})).values()
    assert mel.rate == pytest.approx(4000 / 50), "one window every 50 samples"
    assert mel.steps(3) == ("0 s", "0.0125 s", "0.025 s")
    (plain,) = axes_of(data("sine")).values()
    assert (plain.title, plain.names(1, ("value",))) == ("Step", ["value"])


def test_feature_names_of_two_inputs_are_distinct() -> None:
    molecules, rows, random = data("molecules", rows=60), [0, 1, 2, 3], np.random.default_rng(0)
    values = {spec.name: random.normal(size=(4, *spec.shape)) for spec in molecules.schema.inputs}
    features = summarize_features(molecules, values, rows, ["a", "a", "b", "b"])
    assert len({part.name for part in features}) == len(features) == 4 + 10
    pairs = data("paraphrases", rows=60)
    random_too = {spec.name: random.normal(size=(40, *spec.shape)) for spec in pairs.schema.inputs}
    words = summarize_features(pairs, random_too, range(40), ["a"] * 40)
    assert len({part.name for part in words}) == len(words)
    assert {part.name for part in words} >= {"to (first)", "to (second)"}
    strongest = {name.rpartition(" ")[0] for tops in strongest_features(pairs, random_too, range(40)) for name in tops}
    assert any(name.endswith((" (first)", " (second)")) for name in strongest)


def test_long_series_is_plotted_in_segments_that_add_up() -> None:
    values = np.random.default_rng(1).normal(size=(1200, 1))
    axes = Axes(rate=4000.0)
    (plot,) = explanation_plots(explanation_of(values, axes, np.zeros((1200, 1))))
    assert plot.figure is not None
    heat, line = plot.figure.data
    assert heat.z.sum() == pytest.approx(values.sum())
    assert heat.z.shape == (1, 60)
    assert len(heat.x) == 61, "the edges of the segments"
    assert list(line.x[:2]) == [0.0, 1 / 4000]
    assert plot.figure.layout.xaxis.title.text == "Seconds"
    table = plot.table
    assert table["attribution"] == values.ravel().tolist()
    first = [index for index, piece in enumerate(table["segment"]) if piece == table["segment"][0]]
    assert table["segment sum"][0] == pytest.approx(values[first].sum()) == pytest.approx(heat.z[0, 0])
    assert color_bounds([{"x": values}], {"x": axes}) == {"x": pytest.approx(np.abs(heat.z).max())}


def test_short_series_is_plotted_step_by_step() -> None:
    values = np.random.default_rng(1).normal(size=(MAX_DRAWN_STEPS, 2))
    assert Axes().pieces(MAX_DRAWN_STEPS) is None
    np.testing.assert_array_equal(Axes().drawn(values), values)
    table = series_table(values, Axes(), ("wind", "rain"))
    assert list(table) == ["step", "channel", "attribution"]
    assert table["channel"][:2] == ["wind", "rain"]


def test_graph_heatmap_names_its_nodes() -> None:
    (plot,) = explanation_plots(explanation_of(np.eye(10), Axes("node", "joined to", of_nodes=True)))
    assert plot.figure is not None
    layout = plot.figure.layout
    assert (layout.xaxis.title.text, layout.yaxis.ticktext[0]) == ("Node", "node 0")
    assert plot.table["joined to"][:2] == ["node 0", "node 1"]


def test_magnitude_bars_use_the_positive_color() -> None:
    molecules = data("molecules", rows=60)
    values = {spec.name: np.ones((2, *spec.shape)) for spec in molecules.schema.inputs}
    (bar,) = global_plots.bars(summarize_features(molecules, values, [0, 1], ["a", "b"])).data
    assert bar.marker.color == rgb(FOR)


def test_text_inputs_share_one_color_scale() -> None:
    """A weak word in one text is not as dark as the decisive word in the other."""
    words: dict[str, tuple[str, ...]] = {"first": ("to", "go"), "second": ("by", "bus")}
    explanation = replace(
        explanation_of(np.zeros(2), Axes()),
        attributions={"first": np.array([4.0, 1.0]), "second": np.array([0.0, -0.4])},
        labels=words,
        example=Example(0, "", words=words),
    )
    text, bars, other, other_bars = explanation_plots(explanation)
    assert text.figure is None
    assert (
        other.html == as_html(words["second"], np.array([0.0, -0.4]), end=4.0) != as_html(*_second_input(explanation))
    )
    assert bars.figure is not None
    assert other_bars.figure is not None
    assert bars.figure.layout.xaxis.range == other_bars.figure.layout.xaxis.range == pytest.approx((-0.424, 4.24))
    assert color_bounds([explanation.attributions]) == {"first": 4.0, "second": 4.0}


def _second_input(explanation: Explanation) -> tuple[tuple[str, ...], np.ndarray]:
    return explanation.labels["second"], explanation.attributions["second"]

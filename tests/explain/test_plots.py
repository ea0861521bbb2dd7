"""Explanation plots: drawn values equal the attributions, and text is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from plotly.basedatatypes import BaseTraceType
from plotly.subplots import make_subplots

from netloom.data import Example
from netloom.explain import Explanation
from netloom.explain.core.explanation import Completeness, Prediction, Proofs, Target, Verdict
from netloom.explain.plots import figures, global_plots, graph_geometry
from netloom.explain.plots import text as words
from netloom.explain.plots.colors import AGAINST, FOR
from netloom.explain.plots.explanation_plots import PlotKind, PlotOptions, column_labels, explanation_plots, plot_kind
from netloom.explain.plots.flow import analysis_at
from netloom.explain.plots.page import html, write_json
from netloom.explain.plots.raster import colored, write_png
from tests.networks import TABLE as FEATURES
from tests.networks import project

HOSTILE = '<img src=x onerror="alert(1)">'


def explanation(name: str, values: np.ndarray, example: Example, labels: tuple[str, ...] = ()) -> Explanation:
    total = float(values.sum())
    return Explanation(
        method="integrated_gradients",
        title="Integrated Gradients",
        target=Target("class", 1, HOSTILE, "the score of it"),
        prediction=Prediction(HOSTILE, {}),
        attributions={name: values},
        labels={name: labels},
        example=example,
        proofs=Proofs(Completeness(total, 1.0 + total, 1.0, 0.0, 0.0, 8, True), None, 0),
        verdict=Verdict("good", "It adds up."),
        options={},
        score=1.0 + total,
        baseline_score=1.0,
    )


TABLE = explanation(
    "features",
    np.array([0.5, -2.0, 0.25]),
    Example(3, "", columns={"age": 41, "height": 1.7, "colour": "red"}),
    ("age", "height", "colour"),
)
TEXT = explanation(
    "text",
    np.array([1.0, -0.5, 0.0, 0.0]),
    Example(4, "", text="x", tokens=("good", HOSTILE)),
    ("good", HOSTILE, "", ""),
)
IMAGE = explanation("image", np.zeros((2, 3, 4)), Example(5, "", image=np.full((3, 4), 0.5)))
IMAGE.attributions["image"][:, 0, 1] = 2.0, 1.0
IMAGE.attributions["image"][0, 2, 3] = -1.5
SERIES = explanation("series", np.array([[0.0], [1.0], [-1.0]]), Example(6, "", series=np.array([[1.0], [2.0], [3.0]])))


@pytest.mark.parametrize(
    ("computed", "kind"),
    [(TABLE, PlotKind.BARS), (TEXT, PlotKind.TEXT), (IMAGE, PlotKind.IMAGE), (SERIES, PlotKind.SERIES)],
    ids=["table", "text", "image", "series"],
)
def test_each_input_kind_has_its_plot(computed: Explanation, kind: PlotKind) -> None:
    (name,) = computed.attributions
    assert plot_kind(computed, name) is kind
    assert next(explanation_plots(computed)).kind == kind


def test_heatmap_is_centered_on_zero_for_every_sign_filter() -> None:
    ends = set()
    for sign in ("both", "for", "against"):
        (plot,) = explanation_plots(IMAGE, PlotOptions(0.4, sign))
        assert plot.figure is not None
        heat = plot.figure.data[-1]
        ends.add((heat.zmin, heat.zmax))
        shown = np.array(heat.z)
        assert heat.opacity == 0.4
        assert shown[0, 1] == (0.0 if sign == "against" else 3.0)
        assert shown[2, 3] == (0.0 if sign == "for" else -1.5)
    assert ends == {(-3.0, 3.0)}


def test_bars_are_sorted_by_magnitude_with_column_values() -> None:
    (plot,) = explanation_plots(TABLE)
    assert plot.figure is not None
    bars = plot.figure.data[0]
    assert list(bars.x) == [-2.0, 0.5, 0.25]
    assert list(bars.customdata) == ["height = 1.7", "age = 41", "colour = red"]
    assert [color[4:-1] for color in bars.marker.color] == [AGAINST, FOR, FOR]


def test_waterfall_runs_from_baseline_to_score() -> None:
    (plot,) = explanation_plots(TABLE, PlotOptions(waterfall=True))
    assert plot.figure is not None
    waterfall = plot.figure.data[0]
    assert waterfall.type == "waterfall"
    assert waterfall.base == TABLE.baseline_score
    assert waterfall.base + sum(waterfall.x) == pytest.approx(TABLE.score)


def test_excess_bars_are_summed_into_one() -> None:
    values = np.random.default_rng(0).normal(size=50)
    shown, names = figures.strongest(values, [str(index) for index in range(50)])
    assert len(shown) == len(names) == figures.MAX_BARS + 1
    assert shown.sum() == pytest.approx(values.sum())
    assert names[-1] == "35 others"


def test_words_are_colored_labeled_and_escaped() -> None:
    text = words.as_html(["good", HOSTILE, ""], np.array([1.0, -0.5, 0.0]))
    assert "<img" not in text
    assert text.count('data-value="') == 2
    assert 'data-value="+1 · 67% of all"' in text
    assert f"rgba({FOR}, 0.700)" in text
    assert f"rgba({AGAINST}, 0.350)" in text
    assert "<img" not in words.as_svg(["good", HOSTILE], np.array([1.0, -0.5]))


def test_subwords_and_characters_are_joined() -> None:
    assert words.is_joined(["a", " ", "b"])
    assert words.is_joined(["the", " cat"])
    assert not words.is_joined(["the", "cat"])


@pytest.mark.parametrize("computed", [TABLE, TEXT, IMAGE, SERIES], ids=["table", "text", "image", "series"])
def test_html_page_is_self_contained_and_escaped(computed: Explanation) -> None:
    page = html(computed)
    body = page[page.index("</head>") :]
    assert "<img src=x" not in body
    assert "Checks passed" in body
    assert "src=" not in body.replace("img src=x", "")


@pytest.mark.parametrize("computed", [TABLE, TEXT, IMAGE, SERIES], ids=["table", "text", "image", "series"])
def test_png_shows_both_signs_in_color(computed: Explanation, tmp_path: Path) -> None:
    write_png(computed, tmp_path / "found.png")
    pixels = np.asarray(Image.open(tmp_path / "found.png").convert("RGB")).astype(int)
    warm = pixels[..., 0] - pixels[..., 2]
    assert warm.max() > 120
    assert warm.min() < -60


@pytest.mark.parametrize("kind", ["text", "bars", "picture"])
def test_png_uses_one_scale_for_all_inputs(kind: str, tmp_path: Path) -> None:
    """An input alone uses the full color scale; next to one that is ten times stronger, it does not."""
    weak = np.full((1, 4, 4), -0.1) if kind == "picture" else np.array([-0.1, 0.0])
    example = Example(5, "", tokens=("a", "b") if kind == "text" else ())
    labels: dict[str, tuple[str, ...]] = {} if kind == "picture" else {"first": ("a", "b"), "second": ("a", "b")}

    def blue(**values: np.ndarray) -> int:
        """The strongest blue excess of a pixel, or for bars the number of blue pixels."""
        variant = replace(TABLE, attributions=values, labels=labels, example=example)
        write_png(variant, tmp_path / "found.png")
        pixels = np.asarray(Image.open(tmp_path / "found.png").convert("RGB")).astype(int)
        excess = pixels[..., 2] - pixels[..., 0]
        return int((excess > 100).sum()) if kind == "bars" else int(excess.max())

    alone, with_stronger_input = blue(second=weak), blue(first=-10 * weak, second=weak)
    assert with_stronger_input < alone / 5


def test_map_colors_encode_sign_and_magnitude() -> None:
    pixels = colored(np.array([[2.0, -1.0, 0.0]]), np.array([[0.5, 0.5, 0.5]]))[0]
    assert pixels[2] == pytest.approx([0.5, 0.5, 0.5])
    assert pixels[0, 0] > pixels[0, 2]
    assert pixels[1, 2] > pixels[1, 0]
    assert abs(pixels[0] - 0.5).max() > abs(pixels[1] - 0.5).max()


def test_json_contains_all_values(tmp_path: Path) -> None:
    write_json(TABLE, tmp_path / "found.json")
    read = json.loads((tmp_path / "found.json").read_text())
    assert read["attributions"]["features"] == [0.5, -2.0, 0.25]
    assert read["proofs"]["completeness"]["word"] == "exact"


def test_image_of_another_size_is_not_used_as_underlay() -> None:
    other = replace(IMAGE, example=Example(5, "", image=np.zeros((30, 40))))
    (plot,) = explanation_plots(other)
    assert plot.beside is None


def test_column_labels_show_readable_values() -> None:
    example = Example(5, "", columns={"zip": 86836.0, "plan": "", "day (year)": 2024.0, "day (month)": 5.0})
    labeled = replace(TABLE, example=example, labels={"features": ("zip", "plan", "day")})
    assert column_labels(labeled, "features") == ["zip = 86836", "plan (missing)", "day = year 2024, month 5"]
    long = Example(5, "", columns={"note": "Support never answered my messages today"})
    labeled = replace(TABLE, example=long, labels={"features": ("note", "", "")})
    assert column_labels(labeled, "features")[0] == "note = Support never answered my…"


def test_flow_plots_share_edge_routing_constants_with_the_canvas() -> None:
    core = Path(graph_geometry.__file__).parents[2] / "ui/design/canvas/frontend/src/core"
    text = "".join((core / name).read_text() for name in ("edits.ts", "routing.ts"))
    canvas = {name: float(value) for name, value in re.findall(r"const ([A-Z_]+) = (\d+);", text)}
    assert (canvas["NODE_WIDTH"], canvas["NODE_HEIGHT"]) == (graph_geometry.WIDTH, graph_geometry.HEIGHT)
    for name in ("DETOUR_MARGIN", "DETOUR_SPACING", "TURN_HEIGHT", "CURVE_SAMPLES", "OVERLAP_TOLERANCE"):
        assert getattr(graph_geometry, name) == canvas[name], name


@pytest.mark.parametrize(("left", "x"), [(60.0, 398.0), (290.0, 520.0), (310.0, 276.0)])
def test_edge_avoids_a_layer_at_the_nearest_free_position(left: float, x: float) -> None:
    """A box that covers the curve may still leave the vertical center line free."""
    boxes = {"input_1": (0.0, 0.0), "linear_1": (left, 170.0 if left == 60 else 300.0), "output_1": (600.0, 600.0)}
    drawn = project(
        {"input_1": FEATURES, "linear_1": ("Linear", {"units": 2}), "output_1": ("Output", {})},
        [("input_1", "linear_1"), ("input_1", "output_1")],
    )
    main = drawn.networks["main"]
    nodes = {key: node.model_copy(update={"at": boxes[key]}) for key, node in main.nodes.items()}
    drawn = drawn.model_copy(update={"networks": {"main": main.model_copy(update={"nodes": nodes})}})
    layout = graph_geometry.GraphLayout(analysis_at(drawn, ""))
    assert f"L{x:g} " in layout.paths["output_1"]


def test_title_of_an_axis_fits_a_phone() -> None:
    title = "Attack strength ε, in brightness, from 0 (black) to 1 (white)"
    lines = figures.axis_title(title).split("<br>")
    assert " ".join(lines) == title
    assert [len(line) <= figures.LINE for line in lines] == [True, True]
    assert figures.axis_title("Score") == "Score"


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 5), (3, 1)])
@pytest.mark.parametrize("shares_x", [False, True])
def test_axes_and_titles_of_subplots_are_those_of_plotly(rows: int, columns: int, shares_x: bool) -> None:
    spacing = {"horizontal_spacing": 0.02, "vertical_spacing": 0.1}
    titles = [f"plot {index}" for index in range(rows * columns - 1)]
    expected = make_subplots(rows, columns, shared_xaxes=shares_x, subplot_titles=titles, **spacing).layout
    layout = figures.subplot_axes(rows, columns, **spacing, shares_x=shares_x)
    layout["annotations"] = figures.subplot_titles(layout, titles, size=16)
    assert go.Figure(layout=layout).layout == expected


def test_line_across_a_figure_is_that_of_plotly() -> None:
    line = {"color": "red", "width": 1}
    drawn = go.Figure(layout={"shapes": [figures.vertical_line(0.5, line)]})
    assert drawn.layout.shapes == go.Figure().add_vline(x=0.5, line=line).layout.shapes


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.overlay(np.eye(4), np.eye(4)),
        lambda: figures.bars(np.arange(3.0), ["a", "b", "c"]),
        lambda: figures.waterfall(np.arange(3.0), ["a", "b", "c"], 0.0, 3.0),
        lambda: figures.series_band(np.ones((9, 3)), np.ones((9, 3))),
        lambda: global_plots.single(np.ones((10, 1, 4, 4)), ["title"] * 10),
    ],
)
def test_traces_of_a_figure_are_validated_once(draw: Callable[[], go.Figure], monkeypatch: pytest.MonkeyPatch) -> None:
    """Plotly validates each trace that it constructs. `add_trace` constructs a copy of its argument, which takes the
    server of the pages as long as the trace itself."""
    constructed: list[object] = []
    construct = BaseTraceType.__init__

    def counted(trace: BaseTraceType, *arguments: Any, **options: Any) -> None:
        constructed.append(trace)
        construct(trace, *arguments, **options)

    monkeypatch.setattr(BaseTraceType, "__init__", counted)
    figure = draw()
    assert len(constructed) == len(figure.data)

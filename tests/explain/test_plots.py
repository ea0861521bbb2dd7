"""Explanations as pictures: what is drawn is what was found, and nothing in a text is read as markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netloom.data import Example
from netloom.explain import Explanation
from netloom.explain.core.explanation import Completeness, Prediction, Proofs, Target, Verdict
from netloom.explain.plots import figures, graph_geometry
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
        answer=1.0 + total,
        ground=1.0,
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
    ("found", "kind"),
    [(TABLE, PlotKind.BARS), (TEXT, PlotKind.TEXT), (IMAGE, PlotKind.IMAGE), (SERIES, PlotKind.SERIES)],
    ids=["table", "text", "image", "series"],
)
def test_each_kind_of_input_has_its_picture(found: Explanation, kind: PlotKind) -> None:
    (name,) = found.attributions
    assert plot_kind(found, name) is kind
    assert next(explanation_plots(found)).kind == kind


def test_a_map_is_centred_on_zero_and_keeps_its_scale_when_one_sign_is_shown() -> None:
    ends = set()
    for sign in ("both", "for", "against"):
        (one,) = explanation_plots(IMAGE, PlotOptions(0.4, sign))
        assert one.figure is not None
        heat = one.figure.data[-1]
        ends.add((heat.zmin, heat.zmax))
        shown = np.array(heat.z)
        assert heat.opacity == 0.4
        assert shown[0, 1] == (0.0 if sign == "against" else 3.0)
        assert shown[2, 3] == (0.0 if sign == "for" else -1.5)
    assert ends == {(-3.0, 3.0)}


def test_bars_go_by_strength_with_the_values_of_their_columns() -> None:
    (one,) = explanation_plots(TABLE)
    assert one.figure is not None
    bars = one.figure.data[0]
    assert list(bars.x) == [-2.0, 0.5, 0.25]
    assert list(bars.customdata) == ["height = 1.7", "age = 41", "colour = red"]
    assert [tone[4:-1] for tone in bars.marker.color] == [AGAINST, FOR, FOR]


def test_a_waterfall_leads_from_the_baseline_to_the_answer() -> None:
    (one,) = explanation_plots(TABLE, PlotOptions(way=True))
    assert one.figure is not None
    fall = one.figure.data[0]
    assert fall.type == "waterfall"
    assert fall.base == TABLE.ground
    assert fall.base + sum(fall.x) == pytest.approx(TABLE.answer)


def test_what_is_too_much_to_show_is_one_bar_and_nothing_is_lost() -> None:
    values = np.random.default_rng(0).normal(size=50)
    shown, names = figures.strongest(values, [str(place) for place in range(50)])
    assert len(shown) == len(names) == figures.MOST_BARS + 1
    assert shown.sum() == pytest.approx(values.sum())
    assert names[-1] == "35 others"


def test_words_are_coloured_and_tell_their_numbers_and_hold_no_markup() -> None:
    text = words.as_html(["good", HOSTILE, ""], np.array([1.0, -0.5, 0.0]))
    assert "<img" not in text
    assert text.count('data-value="') == 2
    assert 'data-value="+1 · 67% of all"' in text
    assert f"rgba({FOR}, 0.700)" in text
    assert f"rgba({AGAINST}, 0.350)" in text
    assert "<img" not in words.as_svg(["good", HOSTILE], np.array([1.0, -0.5]))


def test_pieces_of_words_and_letters_stand_close() -> None:
    assert words.is_joined(["a", " ", "b"])
    assert words.is_joined(["the", " cat"])
    assert not words.is_joined(["the", "cat"])


@pytest.mark.parametrize("found", [TABLE, TEXT, IMAGE, SERIES], ids=["table", "text", "image", "series"])
def test_a_page_holds_everything_and_no_markup_of_others(found: Explanation) -> None:
    page = html(found)
    body = page[page.index("</head>") :]
    assert "<img src=x" not in body
    assert "Checks passed" in body
    assert "src=" not in body.replace("img src=x", "")


@pytest.mark.parametrize("found", [TABLE, TEXT, IMAGE, SERIES], ids=["table", "text", "image", "series"])
def test_a_png_shows_both_colours(found: Explanation, tmp_path: Path) -> None:
    write_png(found, tmp_path / "found.png")
    pixels = np.asarray(Image.open(tmp_path / "found.png").convert("RGB")).astype(int)
    warm = pixels[..., 0] - pixels[..., 2]
    assert warm.max() > 120
    assert warm.min() < -60


@pytest.mark.parametrize("kind", ["text", "bars", "picture"])
def test_a_png_holds_several_inputs_against_one_scale(kind: str, tmp_path: Path) -> None:
    """An input alone is as strong as can be; beside another, of which it is a tenth, it is not."""
    weak = np.full((1, 4, 4), -0.1) if kind == "picture" else np.array([-0.1, 0.0])
    example = Example(5, "", tokens=("a", "b") if kind == "text" else ())
    labels: dict[str, tuple[str, ...]] = {} if kind == "picture" else {"first": ("a", "b"), "second": ("a", "b")}

    def blue(**values: np.ndarray) -> int:
        """How blue the bluest is; of bars, how many pixels are."""
        found = replace(TABLE, attributions=values, labels=labels, example=example)
        write_png(found, tmp_path / "found.png")
        pixels = np.asarray(Image.open(tmp_path / "found.png").convert("RGB")).astype(int)
        excess = pixels[..., 2] - pixels[..., 0]
        return int((excess > 100).sum()) if kind == "bars" else int(excess.max())

    alone, beside = blue(second=weak), blue(first=-10 * weak, second=weak)
    assert beside < alone / 5


def test_colours_of_a_map_go_by_sign_and_size() -> None:
    found = colored(np.array([[2.0, -1.0, 0.0]]), np.array([[0.5, 0.5, 0.5]]))[0]
    assert found[2] == pytest.approx([0.5, 0.5, 0.5])
    assert found[0, 0] > found[0, 2]
    assert found[1, 2] > found[1, 0]
    assert abs(found[0] - 0.5).max() > abs(found[1] - 0.5).max()


def test_json_gives_every_number(tmp_path: Path) -> None:
    write_json(TABLE, tmp_path / "found.json")
    read = json.loads((tmp_path / "found.json").read_text())
    assert read["attributions"]["features"] == [0.5, -2.0, 0.25]
    assert read["proofs"]["completeness"]["word"] == "exact"


def test_a_picture_of_another_size_is_not_laid_under() -> None:
    other = replace(IMAGE, example=Example(5, "", image=np.zeros((30, 40))))
    (one,) = explanation_plots(other)
    assert one.beside is None


def test_columns_are_told_with_values_that_people_read() -> None:
    example = Example(5, "", columns={"zip": 86836.0, "plan": "", "day (year)": 2024.0, "day (month)": 5.0})
    told = replace(TABLE, example=example, labels={"features": ("zip", "plan", "day")})
    assert column_labels(told, "features") == ["zip = 86836", "plan (missing)", "day = year 2024, month 5"]


def test_flow_pictures_route_edges_by_the_constants_of_the_canvas() -> None:
    core = Path(graph_geometry.__file__).parents[2] / "ui/design/canvas/frontend/src/core"
    text = "".join((core / name).read_text() for name in ("build.ts", "routing.ts"))
    canvas = {name: float(value) for name, value in re.findall(r"const ([A-Z_]+) = (\d+);", text)}
    assert (canvas["NODE_WIDTH"], canvas["NODE_HEIGHT"]) == (graph_geometry.WIDTH, graph_geometry.HEIGHT)
    for name in ("ASIDE", "APART", "TURN", "SAMPLES", "HIDDEN"):
        assert getattr(graph_geometry, name) == canvas[name], name


@pytest.mark.parametrize(("left", "x"), [(60.0, 398.0), (290.0, 520.0), (310.0, 276.0)])
def test_an_edge_passes_a_layer_at_the_free_place_that_is_nearest_to_its_middle(left: float, x: float) -> None:
    """A box that covers the curve need not reach the vertical line in the middle, which is free then."""
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

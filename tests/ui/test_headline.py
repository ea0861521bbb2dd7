"""The headline of an explanation: it names features by weight and ends with the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from netloom.core.text import cut, escape
from netloom.data import Example
from netloom.data.schema import TARGET_TYPES
from netloom.explain import Explanation
from netloom.explain.comparison import compare
from netloom.explain.core.explanation import (
    AttentionLayer,
    AttentionMaps,
    Level,
    Prediction,
    Proofs,
    Stream,
    Target,
    Verdict,
)
from netloom.explain.core.parts.axes import NODE, Axes
from netloom.explain.plots.flow import analysis_at
from netloom.explain.plots.graph_geometry import GraphLayout
from netloom.templates import templates
from netloom.ui.explain.headline import headline, prediction_text
from netloom.ui.explain.prediction import truth_text
from netloom.ui.explain.views.attention_components import called, grid_svg, head_pictures, weights_table
from netloom.ui.explain.views.attention_sentence import attention_sentence
from netloom.ui.explain.views.attribution_plots import knows_signs
from netloom.ui.explain.views.comparison import points

WORDS = ("how", "to", "get", "there", "")


def make_explanation(
    values: dict[str, np.ndarray],
    labels: dict[str, tuple[str, ...]] | None = None,
    *,
    method: str = "integrated_gradients",
    kind: Any = "class",
    level: Level = "good",
    says: str = "navigate",
    **example: Any,
) -> Explanation:
    """An explanation in which only the attributions matter."""
    return Explanation(
        method=method,
        title=method,
        target=Target(kind, 0, "navigate", "the score (logit) of navigate" if kind == "class" else "the value"),
        prediction=Prediction(says, {}),
        attributions=values,
        labels=labels or {},
        example=Example(0, "navigate", **example),
        proofs=Proofs(None, None, 0),
        verdict=Verdict(level, ""),
        options={},
    )


def text_headline(values: list[float], **more: Any) -> str:
    return headline(make_explanation({"text": np.array(values)}, {"text": WORDS}, tokens=WORDS[:4], **more))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.1, 3.0, -2.0, 2.0, 9.0], "“to” and “there” increase the score of **navigate** most; “get” decreases it."),
        ([0.1, 3.0, -0.5, 0.2, 9.0], "“to” increases the score of **navigate** most."),
        (
            [-3.0, 0.1, -0.1, -2.0, 0.0],
            "“how” and “there” decrease the score of **navigate** most, and no feature increases it as much.",
        ),
        ([1.0, 1.0, 1.0, 1.0, 0.0], "“how”, “to” and “get” increase the score of **navigate** most."),
    ],
)
def test_headline_names_words_by_weight_without_padding(values: list[float], message: str) -> None:
    assert text_headline(values) == f"{message} Checks passed."


def test_regression_headline_names_increase_and_decrease() -> None:
    assert text_headline([2.0, 0.0, -1.0, 0.0, 0.0], kind="number").startswith(
        "“how” increases the predicted **navigate** most; “get” decreases it."
    )


@pytest.mark.parametrize(
    ("kind", "truth", "shown"),
    [
        ("number", "1.688", f"True value: **{escape('1.688')}**."),
        ("tags", "O B-person", f"Label: **{escape('O B-person')}**."),
        ("class", "7", ""),
        ("next_token", "nce upon a time", ""),
        ("number", "12.5, " * 20, ""),
    ],
)
def test_truth_is_shown_beside_predictions_that_no_badge_compares(kind: str, truth: str, shown: str) -> None:
    assert truth_text(TARGET_TYPES[kind], truth) == shown


def test_long_predictions_end_after_a_word_with_an_ellipsis() -> None:
    assert cut("humidity: 65.32, 66.74", 80) == "humidity: 65.32, 66.74"
    assert cut("humidity: 65.32, 66.74, 62.26", 26) == "humidity: 65.32, 66.74…"
    assert cut("x" * 30, 10) == "x" * 9 + "…"


def test_unsigned_method_headline_says_matter_most() -> None:
    assert text_headline([0.0, -3.0, 2.0, 0.0, 0.0], method="saliency").startswith("“to” and “get” matter most for")


@pytest.mark.parametrize(
    ("level", "belief"),
    [("good", "Checks passed."), ("caution", "Interpret with caution."), ("poor", "Checks failed.")],
)
def test_headline_ends_with_the_verdict(level: Level, belief: str) -> None:
    assert text_headline([1.0, 0.0, 0.0, 0.0, 0.0], level=level).endswith(f"**navigate** most. {belief}")


def test_headline_is_empty_for_zero_attribution_or_neuron_methods() -> None:
    assert text_headline([0.0, 0.0, 0.0, 0.0, 5.0]) == ""
    assert text_headline([1.0, 0.0, 0.0, 0.0, 0.0], method="neuron_gradient") == ""


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        (0, 8, "The top right of the image increases"),
        (4, 4, "The center of the image increases"),
        (5, 0, "The left"),
    ],
)
def test_image_headline_names_the_strongest_region(row: int, column: int, message: str) -> None:
    values = np.zeros((1, 9, 9))
    values[0, row, column] = 1.0
    assert headline(make_explanation({"image": values})).startswith(message)


def test_uniform_image_headline_names_all_regions() -> None:
    assert headline(make_explanation({"image": np.ones((1, 9, 9))})).startswith("All regions of the image increase")


def test_series_headline_names_a_step_range() -> None:
    values = np.zeros((16, 1))
    values[6] = 2.0
    sentence = headline(make_explanation({"series": values}, series=np.zeros((16, 1))))
    assert sentence.startswith("Steps 6 to 7 increase")


def test_headline_names_sound_seconds_and_graph_nodes() -> None:
    values = np.zeros((16, 1))
    values[6] = 2.0
    sound = replace(make_explanation({"sound": values}, series=np.zeros((16, 1))), axes={"sound": Axes(rate=100.0)})
    assert headline(sound).startswith("Seconds 0.06 to 0.08 increase")
    graph_axes = {"atoms": Axes(NODE, "feature"), "bonds": Axes(NODE, "joined to", of_nodes=True)}
    graph = replace(make_explanation({"atoms": values, "bonds": np.zeros((16, 16))}), axes=graph_axes)
    assert headline(graph).startswith("Node 6 of atoms increases")


def test_headline_qualifies_columns_shared_by_two_tables() -> None:
    attributions = {"first": np.array([2.0, 1.5]), "second": np.array([2.0, 0.0])}
    sentence = headline(make_explanation(attributions, {"first": ("age", "height"), "second": ("age", "weight")}))
    assert sentence.startswith("age of first, age of second and height increase")


def test_headline_and_attention_sentence_name_the_start_token() -> None:
    labels = {"text": WORDS, "answer so far": ("⟨start⟩", "2", "")}
    values = {"text": np.array([0.1, 0.2, 0.0, 0.0, 0.0]), "answer so far": np.array([3.0, 0.1, 0.0])}
    explanation = make_explanation(values, labels, words={"text": WORDS[:4]}, answer="20")
    assert headline(explanation).startswith("The start token increases the score of **navigate** most.")
    streams = (Stream("answer so far", ("⟨start⟩", "2", "")),)
    layer = AttentionLayer("a", "A", False, np.ones((1, 3, 3)))
    attention = AttentionMaps((layer,), streams[0].tokens, np.eye(3), "", None, streams, (0,))
    assert attention_sentence(replace(explanation, attention=attention), None).startswith(
        "The prediction relies on the start token. "
    )


@pytest.mark.parametrize(
    ("axes", "tokens", "message"),
    [
        (Axes(), ("0", "1", "2"), "The prediction relies on step 2. "),
        (Axes("node", "feature"), ("0", "1", "2"), "The prediction relies on node 2. "),
        (Axes(rate=4.0), ("0 s", "0.25 s", "0.5 s"), r"The prediction relies on 0\.5 s. "),
    ],
)
def test_attention_sentence_uses_the_step_names_of_the_axis(axes: Axes, tokens: tuple[str, ...], message: str) -> None:
    assert axes.steps(3) == tokens
    layer = AttentionLayer("a", "A", False, np.ones((1, 3, 3)))
    attention = AttentionMaps((layer,), tokens, np.eye(3), "", None, (Stream("signal", tokens),), (2,))
    # As many channels as steps, so that the two could be confused.
    explanation = make_explanation({"signal": np.ones((3, 3))}, {"signal": ("x", "y", "z")})
    assert attention_sentence(replace(explanation, attention=attention, axes={"signal": axes}), None).startswith(
        message
    )


def test_prediction_text_of_an_unknown_class_is_unknown() -> None:
    assert prediction_text(make_explanation({}, says="\ufffd")) == r"\(unknown\)"


def test_value_headline_names_the_value_of_the_action() -> None:
    assert text_headline([2.0, 0.0, 0.0, 0.0, 0.0], kind="value").startswith(
        "“how” increases the value of **navigate** most"
    )


def test_attention_sentence_reports_an_opposing_head() -> None:
    layer = AttentionLayer("a", "A", False, np.ones((1, 2, 2)), effects=np.array([-1.0]))
    attention = AttentionMaps((layer,), ("x", "y"), np.eye(2), "", None, (Stream("text", ("x", "y")),), (1,))
    explanation = replace(
        make_explanation({"text": np.array([0.0, 1.0])}, {"text": ("x", "y")}, tokens=("x", "y")), attention=attention
    )
    sentence = attention_sentence(explanation, explanation)
    assert sentence.startswith(
        r"The prediction relies on “y” \(position 2\). "
        "The head with the largest effect, head 1 of layer 1, opposes it: "
    )
    assert "without this head, the score of **navigate** rises from 0 to 1." in sentence


def test_saliency_is_recognized_as_unsigned() -> None:
    assert not knows_signs(make_explanation({}, method="saliency"))
    assert knows_signs(make_explanation({}))


def test_comparison_excludes_padding() -> None:
    first = make_explanation({"text": np.array([1.0, -1.0, 0.5, 2.0, 9.0])}, {"text": WORDS}, tokens=WORDS[:4])
    second = replace(first, attributions={"text": np.array([1.0, -2.0, 0.5, 2.0, -9.0])})
    comparison = compare(first, second)
    assert points(comparison)["part"] == ["how", "to", "get", "there"]
    assert points(comparison)["second"] == [1.0, -2.0, 0.5, 2.0]
    assert comparison.agreement.parts == 4


def test_headline_escapes_markup_in_column_names() -> None:
    sentence = headline(
        make_explanation({"table": np.array([1.0])}, {"table": ("*a* [b](c)",)}, columns={"*a* [b](c)": 2.0})
    )
    assert sentence.startswith(r"\*a\* \[b\]\(c\) = 2 increases")


def test_prediction_text_shows_blanks_and_escapes_markup() -> None:
    assert prediction_text(make_explanation({}, says=" ")) == "␣"
    assert prediction_text(make_explanation({}, says="a*b")) == r"a\*b"


def attention_maps(size: int) -> AttentionMaps:
    weights = np.arange(2 * size * size, dtype=np.float64).reshape(2, size, size)
    tokens = tuple(f"w{index}<" for index in range(size - 1))
    layer = AttentionLayer("block_1.attention", "Block (block_1)", False, weights, (*tokens, ""), (*tokens, ""))
    return AttentionMaps((layer, layer), (*tokens, ""), None, "", None, (Stream("", (*tokens, "")),))


def test_attention_heads_export_as_svg_and_table() -> None:
    from xml.etree import ElementTree

    shown = attention_maps(4)
    picture = ElementTree.fromstring(grid_svg(shown, head_pictures(shown)))
    assert len(picture.findall("{http://www.w3.org/2000/svg}image")) == 4
    rows = pd.DataFrame(weights_table(shown)).to_dict("records")
    assert len(rows) == 2 * 2 * 3 * 3
    assert (rows[1]["query"], rows[1]["key"]) == ("w0<", "w1<")
    assert all(
        row["weight"]
        == shown.layers[row["layer"] - 1].weights[row["head"] - 1, row["query position"], row["key position"]]
        for row in rows
    )
    assert weights_table(attention_maps(200)) == {}


def test_attention_layer_label_uses_number_not_key() -> None:
    assert called(1, attention_maps(2).layers[0]) == "2. Block"


@pytest.mark.parametrize("template", ["ratings_ncf", "paraphrases_siamese", "shapes_unet"])
def test_edge_numbers_do_not_overlap(template: str) -> None:
    context = analysis_at(templates()[template].project, "")
    layout = GraphLayout(context)
    spots = [layout.middle(edge.target) for edge in context.network.edges]
    for index, (x, y) in enumerate(spots):
        for other_x, other_y in spots[index + 1 :]:
            # A number is about as wide as six letters and one line high.
            assert abs(x - other_x) > 45 or abs(y - other_y) > 15

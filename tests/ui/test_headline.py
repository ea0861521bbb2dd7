"""What an answer rests on, in a sentence: the parts are named as they weigh, and belief follows the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from netloom.data import Example
from netloom.explain import Explanation
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
from netloom.explain.evidence.comparison import compare
from netloom.explain.plots.flow import analysis_at
from netloom.explain.plots.graph_geometry import GraphLayout
from netloom.templates import templates
from netloom.ui.explain.headline import headline, prediction_text
from netloom.ui.explain.views.attention_components import called, grid_svg, weights_table
from netloom.ui.explain.views.attention_sentence import attention_sentence
from netloom.ui.explain.views.attribution_plots import knows_signs
from netloom.ui.explain.views.comparison import points

WORDS = ("how", "to", "get", "there", "")


def explained(
    values: dict[str, np.ndarray],
    labels: dict[str, tuple[str, ...]] | None = None,
    *,
    method: str = "integrated_gradients",
    kind: Any = "class",
    level: Level = "good",
    says: str = "navigate",
    **example: Any,
) -> Explanation:
    """An explanation of which only the attributions are of interest."""
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


def of_words(values: list[float], **more: Any) -> str:
    return headline(explained({"text": np.array(values)}, {"text": WORDS}, tokens=WORDS[:4], **more))


@pytest.mark.parametrize(
    ("values", "said"),
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
def test_words_are_named_as_they_weigh_and_padding_is_not(values: list[float], said: str) -> None:
    assert of_words(values) == f"{said} Checks passed."


def test_a_number_is_raised_and_lowered() -> None:
    assert of_words([2.0, 0.0, -1.0, 0.0, 0.0], kind="number").startswith(
        "“how” increases **navigate** most; “get” decreases it."
    )


def test_what_has_no_sign_only_matters() -> None:
    assert of_words([0.0, -3.0, 2.0, 0.0, 0.0], method="saliency").startswith("“to” and “get” matter most for")


@pytest.mark.parametrize(
    ("level", "belief"),
    [("good", "Checks passed."), ("caution", "Interpret with caution."), ("poor", "Checks failed.")],
)
def test_belief_follows_the_verdict(level: Level, belief: str) -> None:
    assert of_words([1.0, 0.0, 0.0, 0.0, 0.0], level=level).endswith(f"**navigate** most. {belief}")


def test_nothing_is_said_where_nothing_weighs_or_another_number_is_explained() -> None:
    assert of_words([0.0, 0.0, 0.0, 0.0, 5.0]) == ""
    assert of_words([1.0, 0.0, 0.0, 0.0, 0.0], method="neuron_gradient") == ""


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        (0, 8, "The top right of the image increases"),
        (4, 4, "The center of the image increases"),
        (5, 0, "The left"),
    ],
)
def test_a_picture_is_told_by_where_it_is_strongest(row: int, column: int, said: str) -> None:
    values = np.zeros((1, 9, 9))
    values[0, row, column] = 1.0
    assert headline(explained({"image": values})).startswith(said)


def test_a_picture_of_which_no_piece_stands_out_counts_as_a_whole() -> None:
    assert headline(explained({"image": np.ones((1, 9, 9))})).startswith("All regions of the image increase")


def test_a_stretch_of_a_series_is_named_by_its_steps() -> None:
    values = np.zeros((16, 1))
    values[6] = 2.0
    said = headline(explained({"series": values}, series=np.zeros((16, 1))))
    assert said.startswith("Steps 6 to 7 increase")


def test_a_stretch_of_a_sound_is_named_by_its_seconds_and_a_node_of_a_graph_by_its_number() -> None:
    values = np.zeros((16, 1))
    values[6] = 2.0
    heard = replace(explained({"sound": values}, series=np.zeros((16, 1))), axes={"sound": Axes(rate=100.0)})
    assert headline(heard).startswith("Seconds 0.06 to 0.08 increase")
    joined = {"atoms": Axes(NODE, "feature"), "bonds": Axes(NODE, "joined to", of_nodes=True)}
    graph = replace(explained({"atoms": values, "bonds": np.zeros((16, 16))}), axes=joined)
    assert headline(graph).startswith("Node 6 of atoms increases")


def test_columns_that_two_tables_share_are_told_apart() -> None:
    both = {"first": np.array([2.0, 1.5]), "second": np.array([2.0, 0.0])}
    said = headline(explained(both, {"first": ("age", "height"), "second": ("age", "weight")}))
    assert said.startswith("age of first, age of second and height increase")


def test_the_start_of_a_written_answer_is_a_part_like_any_other() -> None:
    labels = {"text": WORDS, "answer so far": ("⟨start⟩", "2", "")}
    values = {"text": np.array([0.1, 0.2, 0.0, 0.0, 0.0]), "answer so far": np.array([3.0, 0.1, 0.0])}
    found = explained(values, labels, words={"text": WORDS[:4]}, answer="20")
    assert headline(found).startswith("The start token increases the score of **navigate** most.")
    streams = (Stream("answer so far", ("⟨start⟩", "2", "")),)
    layer = AttentionLayer("a", "A", False, np.ones((1, 3, 3)))
    looks = AttentionMaps((layer,), streams[0].tokens, np.eye(3), "", None, streams, (0,))
    assert attention_sentence(replace(found, attention=looks), None).startswith(
        "The prediction relies on the start token. "
    )


@pytest.mark.parametrize(
    ("axes", "tokens", "said"),
    [
        (Axes(), ("0", "1", "2"), "The prediction relies on step 2. "),
        (Axes("node", "feature"), ("0", "1", "2"), "The prediction relies on node 2. "),
        (Axes(rate=4.0), ("0 s", "0.25 s", "0.5 s"), r"The prediction relies on 0\.5 s. "),
    ],
)
def test_attention_calls_steps_of_a_series_as_the_other_views_do(
    axes: Axes, tokens: tuple[str, ...], said: str
) -> None:
    assert axes.steps(3) == tokens
    layer = AttentionLayer("a", "A", False, np.ones((1, 3, 3)))
    looks = AttentionMaps((layer,), tokens, np.eye(3), "", None, (Stream("signal", tokens),), (2,))
    # As many channels as steps, which are not to be taken for these.
    found = explained({"signal": np.ones((3, 3))}, {"signal": ("x", "y", "z")})
    assert attention_sentence(replace(found, attention=looks, axes={"signal": axes}), None).startswith(said)


def test_what_the_network_never_met_is_said_to_be_unknown() -> None:
    assert prediction_text(explained({}, says="\ufffd")) == r"\(unknown\)"


def test_the_value_of_an_action_is_raised_and_not_the_action() -> None:
    assert of_words([2.0, 0.0, 0.0, 0.0, 0.0], kind="value").startswith(
        "“how” increases the value of **navigate** most"
    )


def test_a_head_that_speaks_against_the_answer_is_not_what_it_went_through() -> None:
    layer = AttentionLayer("a", "A", False, np.ones((1, 2, 2)), effects=np.array([-1.0]))
    shown = AttentionMaps((layer,), ("x", "y"), np.eye(2), "", None, (Stream("text", ("x", "y")),), (1,))
    found = replace(explained({"text": np.array([0.0, 1.0])}, {"text": ("x", "y")}, tokens=("x", "y")), attention=shown)
    said = attention_sentence(found, found)
    assert said.startswith(
        r"The prediction relies on “y” \(position 2\). "
        "The head with the largest effect, head 1 of layer 1, opposes it: "
    )
    assert "without this head, the score of **navigate** rises from 0 to 1." in said


def test_a_method_without_signs_is_not_read_as_one_with_them() -> None:
    assert not knows_signs(explained({}, method="saliency"))
    assert knows_signs(explained({}))


def test_padding_is_no_point_of_a_comparison() -> None:
    one = explained({"text": np.array([1.0, -1.0, 0.5, 2.0, 9.0])}, {"text": WORDS}, tokens=WORDS[:4])
    other = replace(one, attributions={"text": np.array([1.0, -2.0, 0.5, 2.0, -9.0])})
    found = compare(one, other)
    assert points(found)["part"] == ["how", "to", "get", "there"]
    assert points(found)["second"] == [1.0, -2.0, 0.5, 2.0]
    assert found.agreement.parts == 4


def test_markup_of_people_is_not_read_as_such() -> None:
    said = headline(explained({"table": np.array([1.0])}, {"table": ("*a* [b](c)",)}, columns={"*a* [b](c)": 2.0}))
    assert said.startswith(r"\*a\* \[b\]\(c\) = 2 increases")


def test_an_answer_that_is_but_a_blank_can_be_seen() -> None:
    assert prediction_text(explained({}, says=" ")) == "␣"
    assert prediction_text(explained({}, says="a*b")) == r"a\*b"


def maps(size: int) -> AttentionMaps:
    weights = np.arange(2 * size * size, dtype=np.float64).reshape(2, size, size)
    tokens = tuple(f"w{place}<" for place in range(size - 1))
    layer = AttentionLayer("block_1.attention", "Block (block_1)", False, weights, (*tokens, ""), (*tokens, ""))
    return AttentionMaps((layer, layer), (*tokens, ""), None, "", None, (Stream("", (*tokens, "")),))


def test_the_grid_of_heads_goes_along_as_a_picture_and_as_numbers() -> None:
    from xml.etree import ElementTree

    shown = maps(4)
    picture = ElementTree.fromstring(grid_svg(shown))
    assert len(picture.findall("{http://www.w3.org/2000/svg}image")) == 4
    rows = weights_table(shown)
    assert len(rows) == 2 * 2 * 3 * 3
    assert all(
        row["weight"]
        == shown.layers[row["layer"] - 1].weights[row["head"] - 1, row["query position"], row["key position"]]
        for row in rows
    )
    assert weights_table(maps(200)) == []


def test_a_layer_is_told_by_its_number_and_not_by_its_key() -> None:
    assert called(1, maps(2).layers[0]) == "2. Block"


@pytest.mark.parametrize("template", ["ratings_ncf", "paraphrases_siamese", "shapes_unet"])
def test_no_number_of_an_edge_lies_over_another(template: str) -> None:
    context = analysis_at(templates()[template].project, "")
    layout = GraphLayout(context)
    spots = [layout.middle(edge.target) for edge in context.network.edges]
    for place, (x, y) in enumerate(spots):
        for other_x, other_y in spots[place + 1 :]:
            # A number is about as wide as six letters and one line high.
            assert abs(x - other_x) > 45 or abs(y - other_y) > 15

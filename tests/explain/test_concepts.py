"""Concepts, tested on images whose decisive and irrelevant parts are known."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import add_file, prepare
from netloom.document import DataChoice
from netloom.explain import ExplainError
from netloom.explain.concepts.concept_activation_vectors import concept_direction
from netloom.explain.concepts.concept_definition import ConceptDefinition, concept_rows, parse_row_numbers
from netloom.explain.concepts.concepts import Concepts, concepts
from netloom.runs import TrainedRun
from tests.explain.models import train_without_max_pooling, trained
from tests.explain.test_conformance import state

SIDE, BLOCK, ROWS = 12, 4, 500
STRIPES = np.tile(np.array([170.0, 0.0, 170.0, 0.0])[:, None], (1, BLOCK))


@pytest.fixture(scope="module")
def marked_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedRun, dict[str, tuple[int, ...]]]:
    """A network on images whose stripes determine the class, and the rows with stripes, with an irrelevant bright
    corner, and random rows."""
    home: Path = tmp_path_factory.mktemp("home")
    random = np.random.default_rng(0)
    pictures = random.normal(60, 12, (ROWS, SIDE, SIDE))
    classes, corner = np.arange(ROWS) % 2, random.random(ROWS) < 0.5
    for row in range(ROWS):
        y, x = random.integers(5, 8, 2)
        pictures[row, y : y + BLOCK, x : x + BLOCK] += STRIPES if classes[row] else STRIPES.T
        pictures[row, :3, :3] += 90 * corner[row]
    buffer = io.BytesIO()
    np.savez(buffer, x=pictures.clip(0, 255).astype(np.uint8), y=classes.astype(np.uint8))
    data = DataChoice(dataset=add_file(buffer.getvalue(), "marked.npz", home).name)
    run = train_without_max_pooling(data, home)
    rows = {"stripes": np.flatnonzero(classes), "corner": np.flatnonzero(corner)}
    rows["random"] = random.choice(ROWS, 200, replace=False)
    return run, {name: tuple(indices.tolist()) for name, indices in rows.items()}


Marked = tuple[TrainedRun, dict[str, tuple[int, ...]]]


def score_concept(marked_run: Marked, name: str, *nodes: str, folder: Path | None = None) -> Concepts:
    """Score a concept of the marked rows for class 1."""
    run, rows = marked_run
    definition = ConceptDefinition("rows", rows=rows[name])
    return concepts(run, definition, nodes=nodes or ("conv2d_2", "relu_2"), targets=("1",), repeats=12, folder=folder)


def test_relevant_concept_scores_high_and_irrelevant_one_is_unused(marked_run: Marked) -> None:
    for score in score_concept(marked_run, "stripes").scores:
        assert score.word == "for"
        assert score.score >= 0.95
        assert score.p_value < 0.05
        assert score.accuracy >= 0.95
        assert score.strength > 0.5
        assert 0.35 < score.random_accuracy < 0.65
    for score in score_concept(marked_run, "corner").scores:
        assert score.word == "unused", "easy to separate, but no prediction depends on it"
        assert score.accuracy >= 0.9
        assert abs(score.strength) < 0.2
        assert "with little effect on" in score.sentence


@pytest.mark.long
def test_random_rows_are_not_a_concept(marked_run: Marked) -> None:
    (score,) = score_concept(marked_run, "random", "relu_2").scores
    assert score.word == "absent"
    assert score.accuracy < 0.65
    assert "does not encode the concept" in score.sentence


def test_concept_sign_flips_for_other_class_and_is_cached(marked_run: Marked, tmp_path: Path) -> None:
    run, rows = marked_run
    before, shares = state(run), list[float]()
    definition = ConceptDefinition("rows", rows=rows["stripes"])
    options: dict[str, Any] = {"nodes": ["relu_2"], "targets": ["0", "1"], "folder": tmp_path}
    result = concepts(run, definition, progress=shares.append, **options)
    assert [score.word for score in result.scores] == ["against", "for"]
    assert state(run) == before
    assert shares == sorted(shares)
    calls = len(shares)
    cached = concepts(run, definition, progress=shares.append, **options)
    assert len(shares) == calls, "it was not computed a second time"
    assert cached == result
    plain: dict[str, Any] = cached.as_json()
    assert plain["scores"][0]["sentence"] == result.scores[0].sentence


@pytest.mark.parametrize("accuracy", [0.3, 0.99])
def test_concept_accuracy_is_measured_on_held_out_rows(accuracy: float) -> None:
    """Noise with more features than rows is separable on the training rows, but not on held-out rows."""
    random = np.random.default_rng(0)
    gap = 4.0 if accuracy > 0.5 else 0.0
    sides = [random.normal(shift, 1.0, (90, 200)) for shift in (gap, 0.0)]
    direction, held_out_accuracy, separation = concept_direction(sides[0], sides[1], random)
    assert np.linalg.norm(direction) == pytest.approx(1.0)
    if gap:
        assert held_out_accuracy == 1.0
        assert separation == pytest.approx(gap * 200**0.5, rel=0.1)  # √(Σ gap²), along a straight line
    else:
        assert 0.3 < held_out_accuracy < 0.7
        assert abs(separation) < 1.0


def test_concept_rows_are_selected_by_class_column_and_word() -> None:
    table, texts = trained("table").data, intents_data()
    column = table.schema.inputs[0].columns[0]
    values = np.array([table.row(row)[column] for row in range(table.schema.rows)])
    low, high = float(np.median(values)), float(values.max())
    assert (
        concept_rows(table, ConceptDefinition("column", name=column, low=low)).tolist()
        == np.flatnonzero(values >= low).tolist()
    )
    assert concept_rows(table, ConceptDefinition("column", name=column, low=low, high=low)).tolist() == (
        np.flatnonzero(values == low).tolist()
    )
    assert not len(concept_rows(table, ConceptDefinition("column", name=column, low=high + 1)))
    name = table.schema.target.classes[1]
    assert (
        concept_rows(table, ConceptDefinition("class", name=name)).tolist()
        == np.flatnonzero(table.target == 1).tolist()
    )
    rows = concept_rows(texts, ConceptDefinition("word", text="Play"))
    expected = [row for row in range(texts.schema.rows) if "play" in texts.example(row).text.lower().split()]
    assert set(expected) <= set(rows.tolist())
    assert len(rows) < 0.5 * texts.schema.rows
    assert parse_row_numbers(" 3, 8,20-22;3") == (3, 8, 20, 21, 22)


def intents_data() -> Any:
    return prepare(DataChoice(dataset="intents"))


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (ConceptDefinition("rows", rows=(1, 2, 3)), "only 3 rows matched"),
        (ConceptDefinition("rows", rows=tuple(range(560))), "only 9 remain"),
        (ConceptDefinition("rows", rows=(10**6,)), "no row 1000000"),
        (ConceptDefinition("class", name="elephant"), "no class 'elephant'"),
        (ConceptDefinition("column", name="elephant", low=1.0), "no column 'elephant'"),
    ],
)
def test_invalid_concept_definition_is_refused(definition: ConceptDefinition, message: str) -> None:
    with pytest.raises(ExplainError, match=message):
        concepts(trained("table"), definition)


@pytest.mark.parametrize("text", ["a", "3-", "1-9999999", "1.5"])
def test_invalid_row_numbers_are_refused(text: str) -> None:
    with pytest.raises(ExplainError):
        parse_row_numbers(text)

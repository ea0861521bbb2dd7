"""Explanations of networks trained on tasks whose decisive features are known."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import add_file, prepare
from netloom.document import DataChoice, Training
from netloom.explain import explain
from netloom.runs import TrainedRun, fit_here
from tests.explain.models import Layer, train_without_max_pooling
from tests.networks import chain

SIDE, BLOCK = 16, 5
RED, GREEN = 0, 1
ROWS = 600
KEYS = ("stop", "go")
FILLING = "the a of and to in is it on as at by we he or an if so up do".split()


def striped_images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (R, H, W, 3) with a red striped block, whose direction determines the class, and a green decoy with
    stripes in a random direction: equally bright and with as many edges, so the two look alike in grayscale.

    Also returns the classes (R,) and the masks of the red blocks (R, H, W).
    """
    random = np.random.default_rng(0)
    pictures = random.normal(60, 12, (ROWS, SIDE, SIDE, 3))
    classes, masks = np.arange(ROWS) % 2, np.zeros((ROWS, SIDE, SIDE), dtype=bool)
    stripes = np.tile(np.array([180.0, 0.0, 180.0, 0.0, 180.0])[:, None], (1, BLOCK))
    for row in range(ROWS):
        first, second = random.permutation([(y, x) for y in (0, 8) for x in (0, 8)])[:2]
        for place, colour, direction in ((first, RED, classes[row]), (second, GREEN, random.integers(2))):
            y, x = place + random.integers(1, 3, 2)
            pictures[row, y : y + BLOCK, x : x + BLOCK, colour] += stripes if direction else stripes.T
            masks[row, y : y + BLOCK, x : x + BLOCK] |= colour == RED
    return pictures.clip(0, 255).astype(np.uint8), classes, masks


@pytest.fixture
def striped(home: Path) -> tuple[TrainedRun, np.ndarray]:
    """A convolutional network without max pooling, and the masks of the decisive blocks."""
    pictures, classes, masks = striped_images()
    buffer = io.BytesIO()
    np.savez(buffer, x=pictures, y=classes.astype(np.uint8))
    info = add_file(buffer.getvalue(), "striped.npz", home)
    data = DataChoice(dataset=info.name)
    return train_without_max_pooling(data, home), masks


def points_at_mask(evidence: np.ndarray, mask: np.ndarray) -> bool:
    """Whether the block-sized window with the most evidence lies mostly on the block."""
    windows = np.lib.stride_tricks.sliding_window_view(evidence, (BLOCK, BLOCK)).sum((2, 3))
    y, x = np.unravel_index(int(windows.argmax()), windows.shape)
    return bool(mask[y : y + BLOCK, x : x + BLOCK].mean() > 0.5)


def test_methods_locate_the_decisive_block_not_the_decoy(striped: tuple[TrainedRun, np.ndarray]) -> None:
    run, masks = striped
    rows, is_correct = (
        run.data.split["test"],
        run.output_of("test").argmax(1) == run.data.target[run.data.split["test"]],
    )
    assert is_correct.double().mean() >= 0.95
    rows = rows[is_correct][:20]

    def share(evidence: Callable[[int], np.ndarray]) -> float:
        return float(np.mean([points_at_mask(evidence(int(row)), masks[row]) for row in rows]))

    def attribution_of(method: str) -> Callable[[int], np.ndarray]:
        options: dict[str, Any] = {"window": 3} if method == "occlusion" else {}
        return lambda row: explain(run, method, row, proofs=False, **options).attributions[run.fields[0]].sum(0)

    for method in ("integrated_gradients", "deep_lift", "occlusion"):
        assert share(attribution_of(method)) >= 0.9, method


@pytest.mark.parametrize("sees", ["edges", "corners", "brightness"])
def test_model_free_baselines_locate_the_block_at_chance_level(sees: str) -> None:
    pictures, _, masks = striped_images()
    grey = pictures.astype(np.float64).sum(3)

    def evidence(picture: np.ndarray) -> Any:
        along, down = np.diff(picture, axis=1)[:-1], np.diff(picture, axis=0)[:, :-1]
        detectors = {"edges": np.hypot(along, down), "corners": np.abs(along * down), "brightness": picture}
        return detectors[sees]

    hits = [points_at_mask(evidence(picture), mask) for picture, mask in zip(grey, masks, strict=True)]
    # Three standard deviations of a fair coin with as many tosses.
    assert np.mean(hits) == pytest.approx(0.5, abs=1.5 / np.sqrt(ROWS))


@pytest.fixture
def keyword_run(home: Path) -> TrainedRun:
    """A small Transformer on texts in which one word determines the class."""
    random = np.random.default_rng(0)
    lines = ["text,label"]
    for row in range(400):
        words = list(random.choice(FILLING, 7))
        words[random.integers(7)] = KEYS[row % 2]
        lines.append(f"{' '.join(words)},{KEYS[row % 2]}ping")
    info = add_file("\n".join(lines).encode(), "words.csv", home, target="label", kind="table")
    data = DataChoice(dataset=info.name)
    schema = prepare(data, home).schema
    field = schema.inputs[0]
    layers: list[Layer] = [
        (
            "Input",
            {"field": field.name, "kind": "tokens", "shape": list(field.shape), "vocabulary": field.vocabulary},
        ),
        ("Embedding", {"vocabulary": field.vocabulary, "dim": 16}),
        ("TransformerEncoderBlock", {"heads": 2, "hidden": 32}),
        ("Mean", {}),
        ("Linear", {"units": 2}),
    ]
    return fit_here(chain(*layers, data=data, training=Training(epochs=8, learning_rate=0.01, batch_size=32)), home)


@pytest.mark.parametrize("method", ["integrated_gradients", "attention_relevance"])
def test_methods_locate_the_decisive_word(keyword_run: TrainedRun, method: str) -> None:
    rows = keyword_run.data.split["test"][:30]
    hits = []
    for row in rows:
        explanation = explain(keyword_run, method, int(row), proofs=False)
        place = int(explanation.attributions[keyword_run.fields[0]].argmax())
        hits.append(explanation.labels[keyword_run.fields[0]][place] in KEYS)
    assert np.mean(hits) >= 0.9

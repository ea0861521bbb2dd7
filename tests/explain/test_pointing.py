"""Explanations of networks that were trained on tasks whose decisive parts are known."""

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


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures (R, H, W, 3) with a red block of stripes, which decides by their way, and a green one as a decoy, whose
    stripes go either way by chance: as bright and with as many edges, so that in grey the two cannot be told apart.

    With them the classes (R,) and where the blocks are (R, H, W).
    """
    random = np.random.default_rng(0)
    pictures = random.normal(60, 12, (ROWS, SIDE, SIDE, 3))
    classes, masks = np.arange(ROWS) % 2, np.zeros((ROWS, SIDE, SIDE), dtype=bool)
    stripes = np.tile(np.array([180.0, 0.0, 180.0, 0.0, 180.0])[:, None], (1, BLOCK))
    for row in range(ROWS):
        first, second = random.permutation([(y, x) for y in (0, 8) for x in (0, 8)])[:2]
        for place, colour, way in ((first, RED, classes[row]), (second, GREEN, random.integers(2))):
            y, x = place + random.integers(1, 3, 2)
            pictures[row, y : y + BLOCK, x : x + BLOCK, colour] += stripes if way else stripes.T
            masks[row, y : y + BLOCK, x : x + BLOCK] |= colour == RED
    return pictures.clip(0, 255).astype(np.uint8), classes, masks


@pytest.fixture
def striped(home: Path) -> tuple[TrainedRun, np.ndarray]:
    """A network of convolutions without maxima, and where the blocks are that decide."""
    pictures, classes, masks = drawn()
    buffer = io.BytesIO()
    np.savez(buffer, x=pictures, y=classes.astype(np.uint8))
    info = add_file(buffer.getvalue(), "striped.npz", home)
    data = DataChoice(dataset=info.name)
    return train_without_max_pooling(data, home), masks


def points(evidence: np.ndarray, mask: np.ndarray) -> bool:
    """Whether the window of a block's size that holds the most evidence lies for the most part on the block."""
    windows = np.lib.stride_tricks.sliding_window_view(evidence, (BLOCK, BLOCK)).sum((2, 3))
    y, x = np.unravel_index(int(windows.argmax()), windows.shape)
    return bool(mask[y : y + BLOCK, x : x + BLOCK].mean() > 0.5)


def test_methods_point_at_what_decides_and_not_at_a_decoy_as_bright(striped: tuple[TrainedRun, np.ndarray]) -> None:
    run, masks = striped
    rows, right = run.data.split["test"], run.output_of("test").argmax(1) == run.data.target[run.data.split["test"]]
    assert right.double().mean() >= 0.95
    rows = rows[right][:40]

    def share(evidence: Callable[[int], np.ndarray]) -> float:
        return float(np.mean([points(evidence(int(row)), masks[row]) for row in rows]))

    def by(method: str) -> Callable[[int], np.ndarray]:
        options: dict[str, Any] = {"window": 3} if method == "occlusion" else {}
        return lambda row: explain(run, method, row, proofs=False, **options).attributions[run.fields[0]].sum(0)

    for method in ("integrated_gradients", "deep_lift", "occlusion"):
        assert share(by(method)) >= 0.9, method


@pytest.mark.parametrize("sees", ["edges", "corners", "brightness"])
def test_what_knows_no_network_finds_the_deciding_block_in_half_of_the_pictures(sees: str) -> None:
    pictures, _, masks = drawn()
    grey = pictures.astype(np.float64).sum(3)

    def evidence(picture: np.ndarray) -> Any:
        along, down = np.diff(picture, axis=1)[:-1], np.diff(picture, axis=0)[:, :-1]
        found = {"edges": np.hypot(along, down), "corners": np.abs(along * down), "brightness": picture}
        return found[sees]

    hits = [points(evidence(picture), mask) for picture, mask in zip(grey, masks, strict=True)]
    # Three deviations of what a coin does as often.
    assert np.mean(hits) == pytest.approx(0.5, abs=1.5 / np.sqrt(ROWS))


@pytest.fixture
def worded(home: Path) -> TrainedRun:
    """A small Transformer on texts of which one word decides."""
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
def test_methods_point_at_the_word_that_decides(worded: TrainedRun, method: str) -> None:
    rows = worded.data.split["test"][:30]
    hits = []
    for row in rows:
        found = explain(worded, method, int(row), proofs=False)
        place = int(found.attributions[worded.fields[0]].argmax())
        hits.append(found.labels[worded.fields[0]][place] in KEYS)
    assert np.mean(hits) >= 0.9

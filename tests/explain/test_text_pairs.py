"""Pairs of texts, all the way: brought as a table, drawn with twins, trained in both ways, explained word by word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import add_file, schema
from netloom.document import DataChoice, Project, Training, apply
from netloom.explain import explain
from netloom.explain.core.prediction import predict_example
from netloom.runs import fit_here
from netloom.templates.starting import start, starters
from netloom.training.objectives.siamese import ALIKE
from netloom.validation import analyse
from tests.data import brought
from tests.networks import project

TRAINING: dict[str, Any] = {"epochs": 3, "batch_size": 16, "device": "cpu", "learning_rate": 0.01}


def brought_pairs(home: Path) -> DataChoice:
    """A file with a tab between its columns, of two texts and whether they belong together."""
    return DataChoice(dataset=add_file(brought.text_pairs().replace(b",", b"\t"), "questions.tsv", home).name)


def by_distance(choice: DataChoice, home: Path) -> Project:
    """Both texts through the same embedding, and nothing behind it: what is learned is how far apart they lie."""
    found = schema(choice, home)
    assert found is not None
    first, second = found.inputs
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "one": ("Input", first.parameters()),
        "other": ("Input", second.parameters()),
        "words": ("Embedding", {"vocabulary": first.vocabulary, "dim": 16}),
        "same_words": ("Embedding", {"vocabulary": first.vocabulary, "dim": 16}),
        "mean": ("Mean", {}),
        "other_mean": ("Mean", {}),
        "left": ("Output", {"name": "left"}),
        "right": ("Output", {"name": "right"}),
    }
    edges = [("one", "words"), ("words", "mean"), ("mean", "left")]
    edges += [("other", "same_words"), ("same_words", "other_mean"), ("other_mean", "right")]
    made = project(nodes, edges, data=choice, training=Training(objective="siamese", **TRAINING))
    return apply(made, {"kind": "update", "network": "main", "node": "same_words", "shares": "words"})


@pytest.mark.parametrize("way", ["classes", "distance"])
def test_each_text_is_explained_by_its_own_words(way: str, home: Path) -> None:
    choice = brought_pairs(home)
    found = schema(choice, home)
    assert found is not None
    if way == "classes":
        made = start(starters(choice, found)[0], choice, "Mine", home)
        assert made is not None
        made = made.model_copy(update={"training": made.training.model_copy(update=TRAINING)})
    else:
        made = by_distance(choice, home)
    assert not analyse(made, found).errors
    run = fit_here(made, home)
    row = int(run.data.split["test"][0])
    raw = run.data.row(row)
    for asked in (row, raw):
        told = explain(run, "saliency", asked, proofs=False)
        assert dict(told.example.columns) == raw
        for name in ("first", "second"):
            words = [label for label in told.labels[name] if label]
            assert words == raw[name].lower().split()[: len(told.labels[name])]
            assert np.abs(told.attributions[name][: len(words)]).max() > 0
    if way == "distance":
        said, apart = predict_example(run, row).prediction.text.split(", distance ")
        near = float(apart) < run.calibration["threshold"]
        assert said == run.data.schema.target.classes[ALIKE if near else 1 - ALIKE]

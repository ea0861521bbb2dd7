"""Text pairs end to end: uploaded as a table, built with shared weights, trained both ways, explained by word."""

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
from netloom.validation import analyze
from tests.data import brought
from tests.networks import project

TRAINING: dict[str, Any] = {"epochs": 3, "batch_size": 16, "device": "cpu", "learning_rate": 0.01}


def add_text_pairs(home: Path) -> DataChoice:
    """A TSV file of two texts and whether they belong together."""
    return DataChoice(dataset=add_file(brought.text_pairs().replace(b",", b"\t"), "questions.tsv", home).name)


def distance_network(choice: DataChoice, home: Path) -> Project:
    """Both texts through one shared embedding without a head: the network learns their distance."""
    pair_schema = schema(choice, home)
    assert pair_schema is not None
    first, second = pair_schema.inputs
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
    document = project(nodes, edges, data=choice, training=Training(objective="siamese", **TRAINING))
    return apply(document, {"kind": "update", "network": "main", "node": "same_words", "shares": "words"})


@pytest.mark.parametrize("task", ["classes", "distance"])
def test_each_text_is_explained_by_its_own_words(task: str, home: Path) -> None:
    choice = add_text_pairs(home)
    pair_schema = schema(choice, home)
    assert pair_schema is not None
    if task == "classes":
        document = start(starters(choice, pair_schema)[0], choice, "Mine", home)
        assert document is not None
        document = document.model_copy(update={"training": document.training.model_copy(update=TRAINING)})
    else:
        document = distance_network(choice, home)
    assert not analyze(document, pair_schema).errors
    run = fit_here(document, home)
    row = int(run.data.split["test"][0])
    raw = run.data.row(row)
    for request in (row, raw):
        explanation = explain(run, "saliency", request, proofs=False)
        assert dict(explanation.example.columns) == raw
        for name in ("first", "second"):
            words = [label for label in explanation.labels[name] if label]
            assert words == raw[name].lower().split()[: len(explanation.labels[name])]
            assert np.abs(explanation.attributions[name][: len(words)]).max() > 0
    if task == "distance":
        predicted, apart = predict_example(run, row).prediction.text.split(", distance ")
        near = float(apart) < run.calibration["threshold"]
        assert predicted == run.data.schema.target.classes[int(near)]

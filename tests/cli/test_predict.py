"""`netloom predict`: the table shows the probability of the prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netloom import runs
from netloom.data import add_file
from netloom.document import DataChoice, Training
from netloom.store import open_store
from tests.cli.conftest import Console
from tests.networks import chain
from tests.runs.examples import trained_here


def test_probability_is_that_of_the_predicted_class(home: Path, console: Console, tmp_path: Path) -> None:
    """A rare class is predicted from a threshold below one half, so it is not always the more probable one."""
    random = np.random.default_rng(0)
    x = random.normal(size=600)
    is_rare = x + random.normal(size=600) > 2
    lines = [f"{value:.3f},{'yes' if rare else 'no'}" for value, rare in zip(x, is_rare, strict=True)]
    info = add_file("\n".join(["x,rare", *lines]).encode(), "rare.csv", home)
    project = chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [1]}),
        ("Linear", {"units": 1}),
        data=DataChoice(dataset=info.name),
        training=Training(objective="binary_classification", epochs=20, learning_rate=0.05, device="cpu"),
    )
    store = open_store(home)
    with trained_here():
        run_id = runs.start(store, store.create_project(project), project)
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(["x", *(f"{value:.2f}" for value in np.linspace(-1, 3, 30))]))
    answers = console("predict", run_id, file, "--json").value
    lines = console("predict", run_id, file).out.splitlines()[1:]
    shares = [answer["probabilities"][answer["prediction"]] for answer in answers]
    assert min(shares) < 0.45
    assert [line.split()[-1] for line in lines] == [f"{share:.1%}" for share in shares]

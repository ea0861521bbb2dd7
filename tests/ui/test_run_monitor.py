"""What is drawn of a run: curves as people want to see them, its layers, what it says, and its warnings."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from netloom.store import Points, RunArtifacts, open_store
from netloom.training.diagnostics import read_history, read_samples
from netloom.ui.components.curves.curve import Curves, extend, table
from netloom.ui.train.layer_statistics import KINDS, heatmap, lines
from netloom.ui.train.page import run_label
from netloom.ui.train.prediction_history import cards
from tests.networks import digits_mlp
from tests.runs.examples import moons
from tests.store.states import put
from tests.training.test_diagnostics import watched


def points(count: int, start: int = 0) -> Points:
    """Losses of batches ten steps and half a second apart, and of an epoch at every tenth."""
    steps = [10 * (start + place + 1) for place in range(count)]
    dice = random.Random(start)
    return Points(
        steps,
        [step // 100 for step in steps],
        ["train"] * count,
        ["batch_loss" if step % 100 else "loss" for step in steps],
        [dice.random() + 0.1 for _ in steps],
        [1000 + step / 20 for step in steps],
        start + count,
    )


def test_curves_grow_as_if_they_were_read_at_once() -> None:
    whole, parts = Curves(), Curves()
    every = points(50)
    extend(whole, every)
    for start in range(0, 50, 10):
        part = slice(start, start + 10)
        columns = (every.step, every.epoch, every.split, every.name, every.value, every.at)
        extend(parts, Points(*[column[part] for column in columns], 0))  # type: ignore[call-arg, arg-type]
    assert whole.keys() == parts.keys()
    for key, curve in whole.items():
        assert (curve.steps, curve.values, curve.at) == (parts[key].steps, parts[key].values, parts[key].at)


def test_the_table_holds_every_point() -> None:
    found = Curves()
    every = points(30)
    extend(found, every)
    rows = list(csv.DictReader(io.StringIO(table(found))))
    read = sorted((int(row["step"]), row["measure"], float(row["value"])) for row in rows)
    assert read == sorted(zip(every.step, every.name, every.value, strict=True))
    assert min(float(row["seconds"]) for row in rows) == 0.0


def test_the_map_of_layers_shows_what_was_kept(home: Path, tmp_path: Path) -> None:
    watched(moons(), home, tmp_path)
    history = read_history(RunArtifacts.in_directory(tmp_path))
    assert history is not None
    values = history.of("gradient")[:, [0, 3, 4]]
    figure = heatmap(history.steps / 11, values, ["a", "b", "b"], KINDS["Gradient"])
    assert np.array(figure.data[0].z) == pytest.approx(np.log10(values.T), abs=1e-3)
    assert len(set(figure.data[0].y)) == 3  # two layers of one name stay two rows
    drawn = lines(history.steps / 11, values, ["a", "b", "c"], KINDS["Gradient"])
    assert [line.name for line in drawn.data] == ["a", "b", "c"]
    assert list(drawn.data[2].y) == pytest.approx(values[:, 2].tolist(), rel=1e-3)


def test_nothing_that_a_row_holds_is_markup() -> None:
    row: dict[str, Any] = {"row": 3, "text": "<script>alert(1)</script>", "true": "<b>x</b>"}
    made = cards([row], [{"text": "<img src=x onerror=alert(2)>", "share": 0.5}])
    assert "<script" not in made
    assert "<img" not in made
    assert "<b>x" not in made
    assert "&lt;script&gt;" in made


def _tabs(folder: str) -> None:
    from pathlib import Path

    from netloom.store import RunArtifacts
    from netloom.ui.train.alerts import alerts
    from netloom.ui.train.layer_statistics import layer_statistics
    from netloom.ui.train.prediction_history import prediction_history

    layer_statistics(RunArtifacts.in_directory(Path(folder)), "run", 20)
    prediction_history(RunArtifacts.in_directory(Path(folder)), "run")
    alerts(
        [
            {
                "code": "x",
                "severity": "warning",
                "message": "A <b> *bold* claim.",
                "fix": "Mend it.",
                "where": "",
                "nodes": [],
                "step": 7,
                "epoch": 0,
            }
        ]
    )


def test_layers_and_predictions_on_a_page(home: Path, tmp_path: Path) -> None:
    """With nothing there yet, and with a run; every kind of number; an epoch that somebody went back to."""
    empty = AppTest.from_function(_tabs, kwargs={"folder": str(tmp_path / "none")}, default_timeout=60).run()
    assert not empty.exception
    assert len(empty.caption) == 2
    watched(digits_mlp(epochs=3, device="cpu"), home, tmp_path)
    page = AppTest.from_function(_tabs, kwargs={"folder": str(tmp_path)}, default_timeout=60).run()
    assert not page.exception
    assert "\\*bold\\*" in page.warning[0].value
    assert "step 7" in page.warning[0].value
    assert page.select_slider[0].value == 3
    before = page.select_slider[0].proto.id
    page.select_slider[0].set_value(1).run()
    assert page.select_slider[0].value == 1
    page.run()
    assert page.select_slider[0].proto.id == before  # another would take the focus from who moves it by keys
    assert page.select_slider[0].value == 1
    found = read_samples(RunArtifacts.in_directory(tmp_path))
    assert found is not None
    for name in KINDS:
        page.button_group[0].set_value([name]).run()
        assert not page.exception, name


def test_a_layer_without_gradient_has_a_gap_among_powers_of_ten() -> None:
    values = np.array([[1.0, 0.5], [0.0, 0.25], [2.0, 0.1]])
    figure = lines(np.arange(3.0), values, ["first", "last"], KINDS["Gradient"])
    assert figure.data[0].y == (1.0, None, 2.0)
    assert figure.layout.yaxis.dtick == "D2"  # within two powers of ten, 2 and 5 are told between
    wide = lines(np.arange(3.0), values * [[1.0, 1e-4]], ["first", "last"], KINDS["Gradient"])
    assert wide.layout.yaxis.dtick == 1


def test_a_run_that_goes_on_is_listed_without_a_state_that_would_grow_old(home: Path) -> None:
    store = open_store(home)
    run = store.create_run(store.create_project(moons()), moons())
    assert "running" in run_label(run)
    put(store, run.id, "stopped")
    assert "stopped" in run_label(store.run(run.id))

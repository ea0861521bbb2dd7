"""Every command that reports a score also reports what invalidates it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netloom.data.preparation.project_defaults import default_choice
from netloom.document import write
from netloom.templates import templates
from netloom.templates.starting import start
from tests.cli.conftest import Console
from tests.data.crafted import make_csv

LEAK_WARNING = "'alive' almost determines the target"


def test_split_folders_are_added_as_one_dataset(console: Console, tmp_path: Path) -> None:
    for part, rows in (("train", range(60)), ("test", range(60, 80))):
        (tmp_path / part).mkdir()
        (tmp_path / part / "rows.csv").write_bytes(make_csv("n,label", (f"{row},{'pq'[row % 2]}" for row in rows)))
    for files in (("train", "test"), ("train/rows.csv", "test/rows.csv")):
        added = console("data", "add", *(tmp_path / name for name in files), "--json")
        assert added.code == 0, added.err
        assert console("data", "show", added.value["name"], "--json").value["splits"]["test"] == 20
    assert "did you mean 'ratings'" in console("data", "add", tmp_path / "train", "--kind", "rating").err


@pytest.mark.usefixtures("_training_here")
def test_target_leak_is_reported_by_every_command(console: Console, tmp_path: Path) -> None:
    rows = (f"{row * 7 % 50},{'yn'[row % 2]},{row % 2}" for row in range(80))
    (tmp_path / "leak.csv").write_bytes(make_csv("n,alive,label", rows))
    name = str(console("data", "add", tmp_path / "leak.csv", "--target", "label", "--json").value["name"])
    assert LEAK_WARNING in console("data", "show", name).out
    project = start(templates()["breast_cancer"], default_choice(name, console.home), "leak", console.home)
    assert project is not None
    write(tmp_path / "leak.json", project)
    assert f"warning: {LEAK_WARNING}" in console("check", tmp_path / "leak.json").out
    trained = console("train", tmp_path / "leak.json", "--epochs", 1, "--device", "cpu")
    assert trained.code == 0
    assert f"! {LEAK_WARNING}" in trained.err
    assert f"! {LEAK_WARNING}" in trained.out
    assert f"! {LEAK_WARNING}" in console("evaluate", "last").out
    # The fix applies to new projects, which then have no warning.
    assert console("data", "report", name, "--quick", "--fix", "nothing").code == 2
    report = console("data", "report", name, "--quick", "--fix", "gives_away")
    assert LEAK_WARNING not in report.out
    assert "Leave out 'alive'" in report.err
    fixed = start(templates()["breast_cancer"], default_choice(name, console.home), "fixed", console.home)
    assert fixed is not None
    write(tmp_path / "fixed.json", fixed)
    assert LEAK_WARNING not in console("check", tmp_path / "fixed.json").out
    retrained = console("train", tmp_path / "fixed.json", "--epochs", 1, "--device", "cpu", "--json")
    assert retrained.value["caveats"] == []
    first = trained.out.split()[0]
    compared = console("runs", "compare", first, retrained.value["run"])
    assert "gives away" in compared.out
    assert f"! {first[:8]}: {LEAK_WARNING}" in compared.out
    assert LEAK_WARNING in console("data", "report", name, "--quick", "--take-back").out


@pytest.mark.usefixtures("_training_here")
def test_random_labels_are_reported_as_chance(console: Console, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    rows = (f"{random.normal():.3f},{'yn'[random.integers(2)]}" for _ in range(300))
    (tmp_path / "noise.csv").write_bytes(make_csv("n,label", rows))
    name = str(console("data", "add", tmp_path / "noise.csv", "--json").value["name"])
    project = start(templates()["breast_cancer"], default_choice(name, console.home), "noise", console.home)
    assert project is not None
    write(tmp_path / "noise.json", project)
    sentence = "! The model does not measurably beat a trivial predictor on 45 test rows: accuracy "
    assert sentence in console("train", tmp_path / "noise.json", "--epochs", 1, "--device", "cpu").out
    assert sentence in console("evaluate", "last").out
    assert console("evaluate", "last", "--json").value["at_chance"]
    assert sentence.removeprefix("! ") in console("card", "last").out

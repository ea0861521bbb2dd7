"""Metrics on slices of the test rows: a planted weakness is found, and chance is not taken for one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from netloom.data import add_file
from netloom.document import DataChoice, updated
from netloom.runs import TrainedRun, fit_here
from netloom.runs.prediction.slices import MIN_ROWS, Slice, slices
from netloom.templates import templates
from netloom.templates.starting import fit
from netloom.training.uncertainty import wilson


def trained_with_noise(home: Path, noisy: str) -> TrainedRun:
    """A network that learned `x > 0`, where most labels of the group `noisy` are random."""
    random, count = np.random.default_rng(0), 1_200
    x, group = random.normal(size=count), random.choice(["a", "b", "c"], count)
    guess, is_noisy = random.integers(0, 2, count), (group == noisy) & (random.random(count) < 0.8)
    table = pd.DataFrame({"x": x, "group": group, "label": np.where(is_noisy, guess, x > 0).astype(int)})
    info = add_file(table.to_csv(index=False).encode(), "groups.csv", home, target="label")
    fitted = fit(templates()["breast_cancer_binary"].project, DataChoice(dataset=info.name), "Groups", home)
    assert fitted is not None
    project = fitted.project.model_copy(update={"training": updated(fitted.project.training, {"epochs": 6})})
    return fit_here(project, home)


@pytest.fixture(scope="module")
def noisy_run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return trained_with_noise(tmp_path_factory.mktemp("noisy"), "b")


@pytest.fixture(scope="module")
def noisy(noisy_run: TrainedRun) -> list[Slice]:
    return slices(noisy_run)


def in_groups(run: TrainedRun, groups: np.ndarray) -> TrainedRun:
    """The run with a group for each row, such as a patient."""
    return replace(run, data=replace(run.data, raw=replace(run.data.raw, groups=groups)))


def test_planted_weakness_is_found(noisy: list[Slice]) -> None:
    worst = noisy[0]
    assert (worst.field, worst.value, worst.metric) == ("group", "b", "accuracy")
    assert worst.score < 0.8 < 0.9 < worst.rest
    assert next(part for part in noisy if part.is_worse) is worst
    assert worst.interval == wilson(worst.score, worst.rows)


def test_slices_cover_columns_in_quarters_and_values(noisy: list[Slice]) -> None:
    quarters = [part for part in noisy if part.field == "x"]
    groups = [part for part in noisy if part.field == "group"]
    assert len(quarters) == 4
    assert {part.value for part in groups} == {"a", "b", "c"}
    assert sum(part.rows for part in quarters) == sum(part.rows for part in groups)
    assert all(part.rows >= MIN_ROWS for part in noisy)
    for part in groups:
        others = [other for other in groups if other is not part]
        mean = sum(other.score * other.rows for other in others) / sum(other.rows for other in others)
        assert part.rest == pytest.approx(mean)


def test_chance_is_not_taken_for_a_weakness(home: Path) -> None:
    parts = slices(trained_with_noise(home, "none"))
    assert len(parts) == 7
    # Quarters of x beside the border between the classes are harder for any network.
    assert not any(part.is_worse for part in parts if part.field == "group")


def test_groups_of_one_row_change_little(noisy_run: TrainedRun, noisy: list[Slice]) -> None:
    worst = slices(in_groups(noisy_run, np.arange(len(noisy_run.data.raw))))[0]
    assert (worst.value, worst.score, worst.is_worse) == ("b", noisy[0].score, True)
    assert worst.interval == pytest.approx(noisy[0].interval, abs=0.05)


def test_the_weakness_of_a_single_group_is_not_one_of_a_slice(noisy_run: TrainedRun) -> None:
    rows = noisy_run.data.split["test"].tolist()
    table = [noisy_run.data.row(row) for row in rows]
    groups = np.arange(len(noisy_run.data.raw)) % 40
    # All wrong labels of the noisy value are of one patient.
    groups[[row for row, line in zip(rows, table, strict=True) if line["group"] == "b" and wrong(noisy_run, row)]] = 40
    worst = slices(in_groups(noisy_run, groups))[0]
    assert worst.value == "b"
    assert not worst.is_worse
    independent = wilson(worst.score, worst.rows)
    assert worst.interval is not None
    assert worst.interval[1] - worst.interval[0] > 1.5 * (independent[1] - independent[0])


def wrong(run: TrainedRun, row: int) -> bool:
    return bool((run.data.row(row)["x"] > 0) != bool(run.data.target[row].flatten()[0] > 0.5))

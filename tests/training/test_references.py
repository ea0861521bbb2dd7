"""What a trained network has to beat, and how far its metrics may be off, against closed forms and other libraries."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error

from netloom.compile import module, source
from netloom.data import Prepared, prepare
from netloom.data.preparation.prepared_data import Preprocess
from netloom.data.raw.series import Series
from netloom.data.targets.fitted_target import FittedNumbers, TargetState
from netloom.document import DataChoice
from netloom.runs import TrainedRun, evaluate
from netloom.templates import templates
from netloom.training import OBJECTIVES
from netloom.training.objectives import reference_predictors
from netloom.training.uncertainty import blocks_of, jackknife, mean_interval, wilson

# The reference of each objective; a predictor that there is none for is named, so that none is forgotten.
TITLES = {
    "digits_mlp": "Majority class",
    "breast_cancer_binary": "Base rate",
    "scenes_labels": "Base rate",
    "diabetes": "Training mean",
    "sine": "Last value",
    "shapes_two_outputs": "Majority class, Training mean",
    "tales": "Bigram",
    "requests_tagger": "Most frequent tag of each word",
    "commands_joint": "Majority class, most frequent tag of each word",
    "shapes_unet": "Majority class",
    "digits_autoencoder": "Training mean",
    "pulses_anomaly": "Distance from the mean",
    "dates_gru": "Most frequent token",
    "same_digits_contrastive": "Majority class",
    "shapes_simclr": "Majority class",
    "ratings_bpr": "Popularity",
    "cartpole_dqn": "Random actions",
}
WITHOUT = {"gan"}  # nothing trivial draws pictures


def untrained(name: str) -> TrainedRun:
    project = templates()[name].project
    torch.manual_seed(0)
    text = source(project)
    return TrainedRun(project, text, module(text).eval(), prepare(project.data))


@pytest.mark.parametrize("name", TITLES)
def test_every_objective_has_a_reference(name: str) -> None:
    found = evaluate(untrained(name))
    assert found.reference is not None
    assert found.reference.title == TITLES[name]
    shared = set(found.reference.metrics) & set(found.metrics)
    assert shared
    assert all(math.isfinite(found.reference.metrics[measure]) for measure in shared)
    for low, high in found.intervals.values():
        assert low < high


def test_the_table_above_names_all_objectives() -> None:
    named = {templates()[name].project.training.objective for name in TITLES} | WITHOUT
    same = {
        "distillation": "classification",
        "ordinal_classification": "classification",
        "reinforce": "dqn",
        "ppo": "dqn",
    }
    assert {same.get(name, name) for name in OBJECTIVES} == named


def test_the_majority_class_is_that_of_scikit_learn() -> None:
    data = prepare(DataChoice(dataset="breast_cancer"))
    train, rows = data.split["train"], data.split["test"]
    truth = data.target[rows].numpy()
    found = OBJECTIVES["classification"].reference(data, rows, "test")
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(train), 1)), data.target[train].numpy())
    given = np.zeros((len(rows), 1))
    assert found is not None
    assert found.metrics["accuracy"] == pytest.approx(accuracy_score(truth, dummy.predict(given)))
    assert found.metrics["loss"] == pytest.approx(log_loss(truth, dummy.predict_proba(given)), abs=2e-3)  # one is added


def test_the_mean_and_a_quantile_are_those_of_scikit_learn() -> None:
    data = prepare(DataChoice(dataset="diabetes"))
    train, rows = data.split["train"], data.split["test"]
    target = data.restore(data.target).numpy()[:, 0]
    objective: Any = OBJECTIVES["regression"]
    for quantile, strategy in ((None, "mean"), (0.8, "quantile")):
        chosen = replace_quantile(objective, quantile)
        found = chosen.reference(data, rows, "test")
        dummy = DummyRegressor(strategy=strategy, quantile=quantile).fit(np.zeros((len(train), 1)), target[train])
        expected = mean_absolute_error(target[rows], dummy.predict(np.zeros((len(rows), 1))))
        assert found.metrics["mae"] == pytest.approx(expected, rel=1e-4)


def replace_quantile(objective: Any, quantile: float | None) -> Any:
    import copy

    made = copy.copy(objective)
    made.quantile = quantile
    return made


def seasonal(period: int, noise: float = 0.0) -> Prepared:
    """Windows of a series that repeats itself, as the reader of series cuts them."""
    data = prepare(DataChoice(dataset="sine"))
    assert isinstance(data.raw, Series)
    random = np.random.default_rng(0)
    window, horizon, count = 30, 5, 400
    pattern = random.normal(size=period)
    values = pattern[np.arange(count + window + horizon) % period] + noise * random.normal(
        size=count + window + horizon
    )
    view = np.lib.stride_tricks.sliding_window_view
    raw = replace(
        data.raw,
        windows=view(values, window)[:count, :, None],
        target=view(values[window:], horizon)[:count],
        channels=("value",),
    )
    split = {"train": torch.arange(300), "validation": torch.arange(300, 350), "test": torch.arange(350, 400)}
    fitted = FittedNumbers("number", "value", mean=(2.0,) * horizon, std=(3.0,) * horizon)
    preprocess = Preprocess(fields=data.preprocess["fields"], target=cast(TargetState, fitted.to_json()))
    target = (torch.from_numpy(raw.target.copy()).float() - 2) / 3
    return replace(data, raw=raw, split=split, target=target, preprocess=preprocess)


@pytest.mark.parametrize("period", [3, 7, 12])
def test_a_season_is_found_and_repeated(period: int) -> None:
    data = seasonal(period)
    found = reference_predictors.forecast(data, data.split["test"])
    assert found is not None
    assert found.title == f"Seasonal naive, period {period}"
    assert torch.allclose(data.restore(found.output), data.restore(data.target[data.split["test"]]), atol=1e-5)


def test_a_random_walk_repeats_its_last_value() -> None:
    data = seasonal(7)
    assert isinstance(data.raw, Series)
    walk = np.cumsum(np.random.default_rng(1).normal(size=435))
    view = np.lib.stride_tricks.sliding_window_view
    raw = replace(data.raw, windows=view(walk, 30)[:400, :, None], target=view(walk[30:], 5)[:400])
    found = reference_predictors.forecast(replace(data, raw=raw), data.split["test"])
    assert found is not None
    assert found.title == "Last value"
    assert torch.allclose(
        data.restore(found.output), torch.from_numpy(raw.windows[350:, -1:, 0].copy()).float().expand(-1, 5), atol=1e-4
    )


def test_the_bigram_counts_pairs() -> None:
    data = prepare(DataChoice(dataset="tales"))
    rows = data.split["test"]
    found = reference_predictors.next_token(data, rows)
    name = data.schema.inputs[0].name
    given, following = (value[data.split["train"]].flatten().numpy() for value in (data.inputs[name], data.target))
    token = int(np.bincount(given).argmax())
    counts = np.bincount(following[given == token], minlength=data.schema.inputs[0].vocabulary or 0)
    at = (data.inputs[name][rows] == token).nonzero()[0]
    shares = found.output[at[0], at[1]].exp().numpy()
    assert shares.sum() == pytest.approx(1, abs=1e-4)
    assert np.allclose(shares, counts / counts.sum(), atol=2e-3)


def test_wilsons_interval_is_that_of_scipy() -> None:
    for right, count in ((0, 30), (17, 40), (40, 40), (900, 1_000)):
        expected = stats.binomtest(right, count).proportion_ci(0.95, "wilson")
        assert wilson(right / count, count) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.random.default_rng(0).normal(3, 2, 50)
    expected = stats.t.interval(0.95, 49, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)
    # The jackknife of a mean without one value at a time is exactly that (Efron and Tibshirani, equation 11.5).
    found = jackknife(
        lambda places: {"mae": float(values[places].mean())}, {"mae": values.mean()}, list(np.arange(50)[:, None])
    )
    assert found["mae"] == pytest.approx(expected)


def test_intervals_cover_the_truth_about_as_often_as_they_promise() -> None:
    """R² of a known model: the interval of 200 test rows holds the value of the whole population in some 95 of 100."""
    random, hits = np.random.default_rng(0), 0
    truth = 1 - 1 / 5  # of y = 2 x + noise: the variance that is left over that of y
    for _ in range(200):
        x = random.normal(size=200)
        y = 2 * x + random.normal(size=200)

        def r2(places: np.ndarray, x: np.ndarray = x, y: np.ndarray = y) -> dict[str, float]:
            left = y[places] - 2 * x[places]
            return {"r2": 1 - float((left**2).sum() / ((y[places] - y[places].mean()) ** 2).sum())}

        low, high = jackknife(r2, r2(np.arange(200)), np.array_split(random.permutation(200), 20))["r2"]
        hits += low <= truth <= high
    assert 180 <= hits <= 199


def test_rows_of_one_group_stay_together() -> None:
    data = prepare(DataChoice(dataset="breast_cancer"))
    groups = np.repeat(np.arange(100), 6)[: len(data.target)]
    grouped = replace(data, raw=replace(data.raw, groups=groups))
    rows = np.arange(300)
    blocks = blocks_of(grouped, rows)
    assert sorted(np.concatenate(blocks)) == list(range(300))
    whose = [set(groups[rows[block]]) for block in blocks]
    assert len(blocks) == 20
    assert sum(map(len, whose)) == len(set().union(*whose))


def test_rows_in_time_stay_beside_each_other() -> None:
    data = prepare(DataChoice(dataset="sine"))
    blocks = blocks_of(data, np.arange(100, 300))
    assert all((np.diff(block) == 1).all() for block in blocks)


def test_large_rows_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean of a million large pictures is taken over as many as fit, evenly spaced."""
    monkeypatch.setattr(reference_predictors, "NUMBERS", 20)
    values = torch.arange(400.0).reshape(100, 4)
    found = reference_predictors.mean_of(values, torch.arange(100), torch.arange(3))
    assert torch.equal(found.output, values[[0, 24, 49, 74, 99]].mean(0).expand(3, -1))
    monkeypatch.setattr(reference_predictors, "NUMBERS", 1)  # one row is read even where it is larger
    assert torch.equal(reference_predictors.mean_of(values, torch.arange(100), torch.arange(3)).output[0], values[0])

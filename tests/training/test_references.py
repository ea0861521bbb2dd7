"""Reference predictors and confidence intervals of metrics, against closed forms and other libraries."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    recall_score,
    root_mean_squared_error,
)

from netloom.compile import module, source
from netloom.data import Prepared, add_file, prepare
from netloom.data.raw.series import Series
from netloom.data.targets.fitted_target import FittedNumbers
from netloom.document import DataChoice, Training
from netloom.runs import TrainedRun, evaluate
from netloom.templates import templates
from netloom.training import OBJECTIVES
from netloom.training.chance import is_at_chance
from netloom.training.evaluation import with_uncertainty
from netloom.training.objectives import reference_predictors
from netloom.training.uncertainty import (
    blocks_of,
    jackknife,
    jackknife_interval,
    jackknife_p_value,
    mean_interval,
    mean_interval_by_blocks,
    wilson,
)
from tests.networks import with_rows

# The reference predictor of each objective; objectives without one are listed below.
TITLES = {
    "digits_mlp": "Majority class",
    "breast_cancer_binary": "Base rate",
    "scenes_labels": "Base rate",
    "diabetes": "Training mean or median",
    "sine": "Last value",
    "station_dlinear": "Seasonal naive, period 24",
    "shapes_two_outputs": "Majority class, training mean",
    "tales": "Bigram",
    "requests_tagger": "Most frequent tag of each word",
    "commands_joint": "Majority class, most frequent tag of each word",
    "shapes_unet": "Majority class",
    "shapes_detector": "Usual objects",
    "digits_autoencoder": "Training mean",
    "pulses_anomaly": "Distance from the mean",
    "dates_gru": "Most frequent token",
    "same_digits_contrastive": "Majority class",
    "shapes_simclr": "Majority class",
    "ratings_bpr": "Popularity",
    "cartpole_dqn": "Random actions",
}
WITHOUT = {"gan"}  # no trivial predictor generates images


def untrained_run(name: str) -> TrainedRun:
    project = with_rows(templates()[name].project, 600)
    torch.manual_seed(0)
    text = source(project)
    return TrainedRun(project, text, module(text).eval(), prepare(project.data))


@pytest.mark.parametrize("name", TITLES)
def test_every_objective_has_a_reference_predictor(name: str) -> None:
    evaluation = evaluate(untrained_run(name))
    assert evaluation.reference is not None
    assert evaluation.reference.title == TITLES[name]
    shared = set(evaluation.reference.metrics) & set(evaluation.metrics)
    assert shared
    assert all(math.isfinite(evaluation.reference.metrics[measure]) for measure in shared)
    for low, high in evaluation.intervals.values():
        assert low < high


def test_reference_table_covers_all_objectives() -> None:
    named = {templates()[name].project.training.objective for name in TITLES} | WITHOUT
    shared_reference = {
        "distillation": "classification",
        "detector_distillation": "detection",
        "ordinal_classification": "classification",
        "reinforce": "dqn",
        "ppo": "dqn",
    }
    assert {shared_reference.get(name, name) for name in OBJECTIVES} == named


def test_majority_class_matches_scikit_learn() -> None:
    data = prepare(DataChoice(dataset="breast_cancer"))
    train, rows = data.split["train"], data.split["test"]
    truth = data.target[rows].numpy()
    reference = OBJECTIVES["classification"].reference(data, rows, "test")
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(train), 1)), data.target[train].numpy())
    features = np.zeros((len(rows), 1))
    assert reference is not None
    assert reference.metrics["accuracy"] == pytest.approx(accuracy_score(truth, dummy.predict(features)))
    assert reference.metrics["loss"] == pytest.approx(
        log_loss(truth, dummy.predict_proba(features)), abs=2e-3
    )  # the counts are smoothed by one


def imbalanced(home: Path, task: str) -> tuple[Prepared, Any]:
    """600 rows with 6% "yes" in one column, or in two that are labels, and the objective of a task."""
    generator = np.random.default_rng(0)
    lines = [
        f"{generator.normal():.4f},{','.join(generator.choice(['yes', 'no'], 2, p=[0.06, 0.94]))}" for _ in range(600)
    ]
    info = add_file("\n".join(["x,y,z", *lines]).encode(), "a.csv", home, target="y")
    columns: dict[str, Any] = {"y": {"role": "target"}, "z": {"role": "target" if task == "multi_label" else "ignore"}}
    data = prepare(DataChoice(dataset=info.name, options={"task": task, "columns": columns}), home)
    objective = "multi_label" if task == "multi_label" else "binary_classification"
    return data, OBJECTIVES[objective].described(Training(objective=objective), data.schema)


def test_base_rate_decides_as_the_best_constant_predictors_of_scikit_learn(home: Path) -> None:
    """That of a rare class: "no" for the accuracy, "yes" for F1."""
    data, objective = imbalanced(home, "classification")
    rows = data.split["test"]
    truth = data.target[rows].numpy()
    reference = objective.reference(data, rows, "test")
    for metric, score, constant in (("accuracy", accuracy_score, 0), ("f1", f1_score, 1), ("recall", recall_score, 1)):
        dummy = DummyClassifier(strategy="constant", constant=constant).fit([[0], [0]], [0, 1])
        assert reference.metrics[metric] == pytest.approx(score(truth, dummy.predict(truth[:, None])))
    assert reference.metrics["accuracy"] > 0.9


def test_base_rate_of_rare_labels_predicts_none(home: Path) -> None:
    data, objective = imbalanced(home, "multi_label")
    rows = data.split["test"]
    truth = data.target[rows].numpy()
    metrics = objective.reference(data, rows, "test").metrics
    assert metrics["hamming_loss"] == pytest.approx(truth.mean(), abs=1e-6)
    assert metrics["subset_accuracy"] == pytest.approx((truth == 0).all(1).mean())
    assert metrics["micro_f1"] == pytest.approx(f1_score(truth, np.ones_like(truth), average="micro"))


def test_networks_that_guess_a_rare_class_do_not_beat_the_base_rate(home: Path) -> None:
    data, objective = imbalanced(home, "classification")
    validation, test = data.split["validation"], data.split["test"]
    generator, at_chance = torch.Generator().manual_seed(0), 0
    for _ in range(30):
        output = torch.randn(len(data.target), 1, generator=generator) * 0.3 - 2.75
        chosen = objective.calibrate(output[validation], data, validation)
        evaluation = objective.evaluate(output[test], data, test, "test", chosen)
        evaluation = with_uncertainty(objective, evaluation, output[test], data, test, chosen)
        at_chance += is_at_chance(evaluation)
    assert at_chance >= 27


def test_mean_and_quantile_references_match_scikit_learn() -> None:
    data = prepare(DataChoice(dataset="diabetes"))
    train, rows = data.split["train"], data.split["test"]
    target = data.restore(data.target).numpy()[:, 0]
    objective: Any = OBJECTIVES["regression"]
    for quantile in (None, 0.8):
        metrics = with_quantile(objective, quantile).reference(data, rows, "test").metrics
        shares = {"mean": None, "median": None, "quantile": quantile} if quantile else {"mean": None, "median": None}
        predicted = {
            strategy: DummyRegressor(strategy=strategy, quantile=share)
            .fit(np.zeros((len(train), 1)), target[train])
            .predict(np.zeros((len(rows), 1)))
            for strategy, share in shares.items()
        }
        for name, score in (("mae", mean_absolute_error), ("rmse", root_mean_squared_error)):
            best = min(score(target[rows], values) for values in predicted.values())
            assert metrics[name] == pytest.approx(best, rel=1e-4)
        if quantile:
            loss = mean_pinball_loss(target[rows], predicted["quantile"], alpha=quantile)
            assert metrics["pinball"] == pytest.approx(loss, rel=1e-4)
            assert metrics["coverage"] == pytest.approx((target[rows] <= predicted["quantile"]).mean(), abs=0.02)


def with_quantile(objective: Any, quantile: float | None) -> Any:
    import copy

    copied = copy.copy(objective)
    copied.quantile = quantile
    return copied


def seasonal_data(period: int, noise: float = 0.0) -> Prepared:
    """Windows of a periodic series, as the series reader cuts them."""
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
    preprocess = replace(data.preprocess, target=fitted)
    target = (torch.from_numpy(raw.target.copy()).float() - 2) / 3
    return replace(data, raw=raw, split=split, target=target, preprocess=preprocess)


@pytest.mark.parametrize("period", [3, 7, 12])
def test_seasonal_naive_detects_the_period(period: int) -> None:
    data = seasonal_data(period)
    reference = reference_predictors.forecast(data, data.split["test"])
    assert reference is not None
    assert reference.title == f"Seasonal naive, period {period}"
    assert torch.allclose(data.restore(reference.output), data.restore(data.target[data.split["test"]]), atol=1e-5)


def test_random_walk_reference_is_the_last_value() -> None:
    data = seasonal_data(7)
    assert isinstance(data.raw, Series)
    walk = np.cumsum(np.random.default_rng(1).normal(size=435))
    view = np.lib.stride_tricks.sliding_window_view
    raw = replace(data.raw, windows=view(walk, 30)[:400, :, None], target=view(walk[30:], 5)[:400])
    reference = reference_predictors.forecast(replace(data, raw=raw), data.split["test"])
    assert reference is not None
    assert reference.title == "Last value"
    assert torch.allclose(
        data.restore(reference.output),
        torch.from_numpy(raw.windows[350:, -1:, 0].copy()).double().expand(-1, 5),
        atol=1e-4,
    )


def test_bigram_reference_matches_pair_counts() -> None:
    data = prepare(DataChoice(dataset="tales"))
    rows = data.split["test"]
    reference = reference_predictors.next_token(data, rows)
    name = data.schema.inputs[0].name
    current, following = (value[data.split["train"]].flatten().numpy() for value in (data.inputs[name], data.target))
    token = int(np.bincount(current).argmax())
    counts = np.bincount(following[current == token], minlength=data.schema.inputs[0].vocabulary or 0)
    at = (data.inputs[name][rows] == token).nonzero()[0]
    probabilities = reference.output[at[0], at[1]].exp().numpy()
    assert probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert np.allclose(probabilities, counts / counts.sum(), atol=2e-3)


def test_wilson_interval_matches_scipy() -> None:
    for right, count in ((0, 30), (17, 40), (40, 40), (900, 1_000)):
        expected = stats.binomtest(right, count).proportion_ci(0.95, "wilson")
        assert wilson(right / count, count) == pytest.approx((expected.low, expected.high))


def test_mean_interval_and_jackknife_match_student_t() -> None:
    values = np.random.default_rng(0).normal(3, 2, 50)
    expected = stats.t.interval(0.95, 49, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)
    assert mean_interval(np.ones(50)) is None
    equal = 1 - np.arange(20) % 2 * 2e-16  # but for rounding errors
    assert jackknife_interval(1.0, equal) is None
    assert jackknife_p_value(-1.0, -equal) is None
    # The leave-one-out jackknife of a mean is exactly this interval (Efron and Tibshirani, equation 11.5).
    interval = jackknife(
        lambda places: {"mae": float(values[places].mean())}, {"mae": values.mean()}, list(np.arange(50)[:, None])
    )
    assert interval["mae"] == pytest.approx(expected)
    assert mean_interval_by_blocks(values, list(np.arange(50)[:, None])) == pytest.approx(expected)


def test_mean_interval_by_blocks_has_nominal_coverage_for_dependent_rows() -> None:
    """The mean of 40 groups of 10 rows that share most of their deviation from 0."""
    random, blocks, hits, hits_of_rows = np.random.default_rng(0), list(np.arange(400).reshape(40, 10)), 0, 0
    for _ in range(200):
        values = np.repeat(random.normal(size=40), 10) + 0.3 * random.normal(size=400)
        by_blocks, by_rows = mean_interval_by_blocks(values, blocks), mean_interval(values)
        assert by_blocks is not None
        assert by_rows is not None
        hits += by_blocks[0] <= 0 <= by_blocks[1]
        hits_of_rows += by_rows[0] <= 0 <= by_rows[1]
    assert 180 <= hits <= 199
    assert hits_of_rows < 120, "rows that depend on each other count as many"
    assert mean_interval_by_blocks(values, blocks[:9]) is None


def test_jackknife_intervals_have_nominal_coverage() -> None:
    """R² of a known model: the interval from 200 test rows contains the population value in about 95% of cases."""
    random, hits = np.random.default_rng(0), 0
    truth = 1 - 1 / 5  # of y = 2 x + noise: residual variance over total variance
    for _ in range(200):
        x = random.normal(size=200)
        y = 2 * x + random.normal(size=200)

        def r2(places: np.ndarray, x: np.ndarray = x, y: np.ndarray = y) -> dict[str, float]:
            residuals = y[places] - 2 * x[places]
            return {"r2": 1 - float((residuals**2).sum() / ((y[places] - y[places].mean()) ** 2).sum())}

        low, high = jackknife(r2, r2(np.arange(200)), np.array_split(random.permutation(200), 20))["r2"]
        hits += low <= truth <= high
    assert 180 <= hits <= 199


def test_jackknife_blocks_keep_groups_together() -> None:
    data = prepare(DataChoice(dataset="breast_cancer"))
    groups = np.repeat(np.arange(100), 6)[: len(data.target)]
    grouped = replace(data, raw=replace(data.raw, groups=groups))
    rows = np.arange(300)
    blocks = blocks_of(grouped, rows)
    assert sorted(np.concatenate(blocks)) == list(range(300))
    block_groups = [set(groups[rows[block]]) for block in blocks]
    assert len(blocks) == 20
    assert sum(map(len, block_groups)) == len(set().union(*block_groups))


def test_jackknife_blocks_of_series_are_contiguous() -> None:
    data = prepare(DataChoice(dataset="sine"))
    blocks = blocks_of(data, np.arange(100, 300))
    assert all((np.diff(block) == 1).all() for block in blocks)


def test_mean_of_large_rows_uses_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of many large rows is computed from evenly spaced rows that fit in memory."""
    monkeypatch.setattr(reference_predictors, "NUMBERS", 20)
    values = torch.arange(400.0).reshape(100, 4)
    reference = reference_predictors.mean_of(values, torch.arange(100), torch.arange(3))
    assert torch.equal(reference.output, values[[0, 24, 49, 74, 99]].mean(0).expand(3, -1))
    monkeypatch.setattr(reference_predictors, "NUMBERS", 1)  # at least one row is read, however large
    assert torch.equal(reference_predictors.mean_of(values, torch.arange(100), torch.arange(3)).output[0], values[0])

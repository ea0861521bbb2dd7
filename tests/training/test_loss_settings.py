"""Multi-label, siamese, contrastive, ranking and multi-output losses against scikit-learn, PyTorch and formulas."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import nn
from torch.nn import functional

from netloom.data import Prepared, prepare
from netloom.data.targets.fitted_target import FittedNumbers
from netloom.document import DataChoice, Project, Training, dumps, loads
from netloom.document.loss_settings import Head
from netloom.runs import TrainedRun, fit_here, predict
from netloom.runs.prediction.trained_run import evaluate
from netloom.tasks.training_losses import TRAINING_LOSSES
from netloom.templates import templates
from netloom.training import OBJECTIVES, TrainingError
from netloom.training.batch_loss import batch_loss
from netloom.training.evaluation import Totals, metrics_of_totals
from netloom.training.objectives.contrastive import Contrastive, knn, nt_xent, probe, spread
from netloom.training.objectives.loss_weights import positive_weight
from netloom.training.objectives.ranking import Ranking, ranking_metrics
from netloom.training.objectives.several_outputs import SeveralOutputs
from netloom.training.objectives.thresholds import best_threshold
from netloom.training.preflight import preflight_problems
from netloom.training.targets import WeightedTargets
from tests.networks import digits_mlp
from tests.runs.examples import Recorder, loop, supervised

GENERATOR = torch.Generator().manual_seed(0)


@pytest.fixture
def tumors(home: Path) -> Prepared:
    return prepare(DataChoice(dataset="breast_cancer"), home)


@pytest.fixture
def scenes(home: Path) -> Prepared:
    return prepare(DataChoice(dataset="scenes", options={"rows": 200}), home)


@pytest.fixture
def facts(home: Path) -> Prepared:
    return prepare(DataChoice(dataset="shape_facts", options={"rows": 200}), home)


@pytest.fixture
def ratings(home: Path) -> Prepared:
    return prepare(DataChoice(dataset="ratings", options={"rows": 1500}), home)


def short_template(name: str, **training: object) -> Project:
    """A template that trains for one epoch on few rows."""
    project = templates()[name].project
    rows: dict[str, Any] = {} if name == "breast_cancer_binary" else {"rows": 100}
    data = DataChoice(dataset=project.data.dataset, options=rows)
    values: dict[str, Any] = {**project.training.model_dump(), "epochs": 1, "device": "cpu", **training}
    short = Training(**values)
    return project.model_copy(update={"training": short, "data": data})


def test_binary_classification_matches_scikit_learn(tumors: Prepared) -> None:
    rows = tumors.split["test"]
    truth = tumors.target[rows]
    logits = torch.randn(len(rows), 1, generator=GENERATOR) + 2.0 * (truth.unsqueeze(1) - 0.5)
    evaluation = OBJECTIVES["binary_classification"].evaluate(logits, tumors, rows, "test", {"threshold": 0.4})
    probabilities = logits[:, 0].double().sigmoid().numpy()
    predicted = probabilities > 0.4
    assert evaluation.metrics["loss"] == pytest.approx(metrics.log_loss(truth, probabilities), rel=1e-5)
    assert evaluation.metrics["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, probabilities))
    assert evaluation.metrics["pr_auc"] == pytest.approx(metrics.average_precision_score(truth, probabilities))
    assert evaluation.metrics["f1"] == pytest.approx(metrics.f1_score(truth, predicted))
    assert evaluation.metrics["accuracy"] == metrics.accuracy_score(truth, predicted)
    assert evaluation.confusion == metrics.confusion_matrix(truth, predicted).tolist()
    json.dumps(evaluation.as_json())


def test_best_threshold_maximizes_f1() -> None:
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        scores = (torch.rand(60, generator=generator) * 20).round() / 20  # with ties
        positive = torch.rand(60, generator=generator) < scores
        reached = metrics.f1_score(positive, scores > best_threshold(scores, positive))
        best = max(metrics.f1_score(positive, scores > limit) for limit in np.arange(-0.025, 1.0, 0.05))
        assert reached == pytest.approx(best)
    assert best_threshold(torch.tensor([0.2, 0.8]), torch.tensor([True, True])) == 0.5
    # Probabilities near 1 can be so close that there is no float32 between them.
    nearest = torch.tensor([1.0, 1 - 2**-24, 1 - 2**-23, 0.5])
    for count in (1, 2, 3):
        positive = torch.arange(4) < count
        assert (nearest > best_threshold(nearest, positive)).tolist() == positive.tolist()
    # If predicting all rows as positive is best, the threshold is below every score, also below negative ones.
    mostly = torch.tensor([True, True, False, True])
    for scores in (
        torch.tensor([0.9, 0.8, 0.7, 0.6]),
        torch.tensor([0.9, 0.8, 0.7, 0.0]),
        -torch.tensor([0.1, 0.2, 0.3, 0.4]),
    ):
        assert bool((scores > best_threshold(scores, mostly)).all())


def test_positive_weights_match_pytorch(tumors: Prepared) -> None:
    training = Training(objective="binary_classification", positive_weight="balanced")
    objective = OBJECTIVES["binary_classification"].configured(training, tumors, "cpu")
    learned = tumors.target[tumors.split["train"]]
    ratio = float((learned == 0).sum() / (learned == 1).sum())
    logits, target = torch.randn(50, 1, generator=GENERATOR), torch.randint(0, 2, (50, 1), generator=GENERATOR).float()
    expected = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([ratio]))(logits, target)
    assert float(objective.loss(logits, target)) == pytest.approx(float(expected), rel=1e-6)
    assert objective.training_loss_name == "weighted_loss"
    # A label that is on no row, or on every row, has no ratio.
    assert positive_weight("balanced", torch.tensor([[0, 1, 1], [0, 1, 0], [0, 1, 0]])).tolist() == [1, 1, 2]
    assert positive_weight(3.0, torch.zeros(4, 2)).tolist() == [3, 3]


def test_multi_label_metrics_match_scikit_learn(scenes: Prepared) -> None:
    rows, objective = scenes.split["train"], OBJECTIVES["multi_label"]
    truth = scenes.target[rows]
    logits = torch.randn(truth.shape, generator=GENERATOR) + 2.0 * (truth - 0.5)
    chosen = objective.calibrate(logits, scenes, rows)
    evaluation = objective.evaluate(logits, scenes, rows, "train", chosen)
    probabilities, true = logits.double().sigmoid().numpy(), truth.numpy().astype(int)
    predicted = probabilities > np.array([chosen[str(label)] for label in range(4)])
    assert evaluation.metrics["micro_f1"] == pytest.approx(metrics.f1_score(true, predicted, average="micro"))
    assert evaluation.metrics["macro_f1"] == pytest.approx(metrics.f1_score(true, predicted, average="macro"))
    assert evaluation.metrics["subset_accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted))
    assert evaluation.metrics["hamming_loss"] == pytest.approx(metrics.hamming_loss(true, predicted))
    expected = metrics.average_precision_score(true, probabilities, average="macro")
    assert evaluation.metrics["mean_average_precision"] == pytest.approx(expected)
    assert evaluation.report is not None
    assert [line["f1"] for line in evaluation.report] == pytest.approx(metrics.f1_score(true, predicted, average=None))
    # Thresholds are chosen by F1, so none of them is worse than 0.5.
    half = metrics.f1_score(true, probabilities > 0.5, average=None)
    assert all(line["f1"] >= other - 1e-9 for line, other in zip(evaluation.report, half, strict=True))
    answers = objective.answers(logits[:3], scenes, chosen=chosen)
    expected_names = [[name for name, on in zip(evaluation.classes, row, strict=True) if on] for row in predicted[:3]]
    assert [answer["prediction"] for answer in answers] == expected_names


def test_batched_multi_label_metrics_equal_final_evaluation(scenes: Prepared) -> None:
    rows, objective = scenes.split["validation"], OBJECTIVES["multi_label"]
    logits = torch.randn(scenes.target[rows].shape, generator=GENERATOR)
    scores = objective.scores(logits, scenes.target[rows])
    means = objective.finish({name: float(value) / scores.count for name, value in scores.sums.items()})
    evaluation = objective.evaluate(logits, scenes, rows, "validation")  # with thresholds of 0.5
    for name in ("loss", "subset_accuracy", "micro_f1"):
        assert means[name] == pytest.approx(evaluation.metrics[name], rel=1e-5)


def test_multi_output_loss_is_the_weighted_sum(facts: Prepared) -> None:
    training = Training(
        objective="several_outputs", outputs={"shape": Head(weight=0.5), "area": Head(weight=3.0)}, label_smoothing=0.1
    )
    objective = OBJECTIVES["several_outputs"].configured(training, facts, "cpu")
    output, target = torch.randn(40, 5, generator=GENERATOR), facts.target[:40]
    first = functional.cross_entropy(output[:, :4], target[:, 0].long(), label_smoothing=0.1)
    second = functional.mse_loss(output[:, 4], target[:, 1])
    assert float(objective.loss(output, target)) == pytest.approx(float(0.5 * first + 3 * second), rel=1e-6)
    scores = objective.scores(output, target)
    means = objective.finish({name: float(value) / scores.count for name, value in scores.sums.items()})
    plain = functional.cross_entropy(output[:, :4], target[:, 0].long())
    assert means["loss"] == pytest.approx(float(0.5 * plain + 3 * second), rel=1e-5)
    right = float((output[:, :4].argmax(1) == target[:, 0]).float().mean())
    assert means["accuracy (shape)"] == pytest.approx(right)
    values = {name: value.numpy() for name, value in scores.values.items()}
    assert {*means, *objective.metrics_of_values(values)} == set(objective.metrics)
    assert objective.task.higher_is_better("accuracy (shape)")
    assert not objective.task.higher_is_better("mae (area)")


@pytest.mark.parametrize("weights", ["balanced", (0.5, 3.0, 1.0, 0.0)])
def test_multi_output_class_weights_match_pytorch(facts: Prepared, weights: str | tuple[float, ...]) -> None:
    head = Head(weight=2.0, class_weights=weights)  # type: ignore[arg-type]
    training = Training(objective="several_outputs", outputs={"shape": head}, label_smoothing=0.1)
    objective = OBJECTIVES["several_outputs"].configured(training, facts, "cpu")
    output, target = torch.randn(40, 5, generator=GENERATOR), facts.target[:40]
    goal = target[:, 0].long()
    counts = facts.target[facts.split["train"], 0].long().bincount(minlength=4).double()
    each = counts.sum() / (4 * counts) if weights == "balanced" else torch.tensor(weights)
    cross_entropy = (
        functional.cross_entropy(output[:, :4], goal, each.float(), reduction="sum", label_smoothing=0.1) / 40
    )
    expected = float(2 * cross_entropy + functional.mse_loss(output[:, 4], target[:, 1]))
    assert float(objective.loss(output, target)) == pytest.approx(expected, rel=1e-5)
    # The mean over parts of the batch, and equal row weights, give the same loss.
    parts = [float(objective.loss(output[index : index + 8], target[index : index + 8])) for index in range(0, 40, 8)]
    assert sum(parts) / 5 == pytest.approx(expected, rel=1e-5)
    weighted = batch_loss(objective, output, WeightedTargets(target, torch.ones(40)))
    assert float(weighted) == pytest.approx(expected, rel=1e-5)
    # Metrics are unweighted, so that runs can be compared.
    plain = OBJECTIVES["several_outputs"].configured(Training(objective="several_outputs"), facts, "cpu")
    assert objective.scores(output, target).sums == plain.scores(output, target).sums
    assert (objective.training_loss_name, plain.training_loss_name) == ("weighted_loss", "batch_loss")


def test_preflight_reports_invalid_output_class_weights(facts: Prepared) -> None:
    objective = OBJECTIVES["several_outputs"].described(Training(objective="several_outputs"), facts.schema)
    for weights, message in (
        ((1.0, 2.0), "There are 2 class weights of 'shape', but 'shape' has 4 classes"),
        ((0.0,) * 4, "All class weights of 'shape' are 0"),
    ):
        training = Training(objective="several_outputs", outputs={"shape": Head(class_weights=weights), "area": Head()})
        assert [message in problem for problem in preflight_problems(training, objective, facts.schema, [], "cpu")] == [
            True
        ]


def test_each_output_is_evaluated_in_its_own_units(facts: Prepared) -> None:
    objective = OBJECTIVES["several_outputs"].described(Training(objective="several_outputs"), facts.schema)
    rows = facts.split["test"]
    output = torch.cat([torch.randn(len(rows), 4, generator=GENERATOR), facts.target[rows, 1:] + 0.1], dim=1)
    evaluation = objective.evaluate(output, facts, rows, "test")
    areas = facts.raw.target[:, 1]
    std = areas[facts.split["train"].numpy()].std()
    assert evaluation.metrics["mae (area)"] == pytest.approx(0.1 * std, rel=1e-3)
    truth, predicted = facts.raw.target[rows.numpy(), 0], output[:, :4].argmax(1).numpy()
    assert evaluation.metrics["accuracy (shape)"] == metrics.accuracy_score(truth, predicted)
    assert evaluation.outputs is not None
    assert evaluation.outputs[0]["confusion"] == metrics.confusion_matrix(truth, predicted, labels=range(4)).tolist()
    prediction = objective.answers(output[:1], facts)[0]["prediction"]
    assert prediction["area"] == pytest.approx(areas[int(rows[0])] + 0.1 * std, rel=1e-3)


def test_worst_rows_rank_each_output_separately(facts: Prepared) -> None:
    objective = OBJECTIVES["several_outputs"].described(Training(objective="several_outputs"), facts.schema)
    rows = facts.split["test"]
    scores = functional.one_hot(facts.target[rows, 0].long(), 4).float()
    output = torch.cat([scores * 4, facts.target[rows, 1:]], dim=1)
    output[15, :4] = -9 * scores[15]  # the worst shape, and one of the better areas
    output[:, 4] += torch.linspace(1, 0.1, len(rows))
    worst = objective.evaluate(output, facts, rows, "test").worst
    assert [item.row for item in worst[:2]] == [int(rows[15]), int(rows[0])]
    assert len({item.row for item in worst}) == len(worst)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_loss_name_is_registered(name: str) -> None:
    assert OBJECTIVES[name].training_loss_name in TRAINING_LOSSES


def test_default_outputs_are_not_serialized() -> None:
    project = digits_mlp()
    assert "outputs" not in dumps(project)
    changed = project.model_copy(update={"training": Training(outputs={"a": Head(weight=2.0)}, margin=0.5)})
    assert loads(dumps(changed)).training == changed.training


def test_siamese_loss_matches_hadsell() -> None:
    output, target = torch.randn(30, 8, generator=GENERATOR), torch.randint(0, 2, (30,), generator=GENERATOR)
    objective = OBJECTIVES["siamese"].described(Training(margin=2.0), None)  # type: ignore[arg-type]
    costs = []
    for row, alike in zip(output.double().tolist(), target.tolist(), strict=True):
        far = math.dist(row[:4], row[4:])
        costs.append(0.5 * far**2 if alike else 0.5 * max(0.0, 2.0 - far) ** 2)
    assert float(objective.loss(output, target)) == pytest.approx(sum(costs) / 30, rel=1e-5)
    assert objective.task.higher_is_better("other_distance")
    assert not objective.task.higher_is_better("alike_distance")
    same = torch.zeros(1, 8, requires_grad=True)
    objective.loss(same, torch.tensor([0])).backward()  # type: ignore[no-untyped-call]
    assert bool(same.grad is not None and same.grad.isfinite().all())


def test_the_class_of_similar_pairs_can_be_the_first() -> None:
    second = prepare(DataChoice(dataset="same_digits"))
    classes = second.schema.target.classes
    swapped = replace(second.schema, target=replace(second.schema.target, classes=classes[::-1]))
    first = replace(second, schema=swapped, target=1 - second.target)
    rows = second.split["test"]
    output = torch.randn(len(rows), 8, generator=GENERATOR)
    results = []
    for similar_class, data in (("second", second), ("first", first)):
        training = Training(objective="siamese", similar_class=similar_class)  # type: ignore[arg-type]
        objective = OBJECTIVES["siamese"].configured(training, data, "cpu")
        chosen = objective.calibrate(output, data, rows)
        evaluation = objective.evaluate(output, data, rows, "test", chosen)
        answers = objective.answers(output, data, chosen=chosen)
        results.append((evaluation.metrics, evaluation.separation, answers, objective.loss(output, data.target[rows])))
    assert results[0] == results[1]


def test_each_horizon_step_is_evaluated() -> None:
    noise = torch.Generator().manual_seed(4)
    prepared = prepare(DataChoice(dataset="diabetes"))
    schema = replace(prepared.schema, target=replace(prepared.schema.target, shape=(3,)))
    data = replace(prepared, schema=schema, target=torch.randn(len(prepared.target), 3, generator=noise))
    rows = data.split["test"]
    target = data.target[rows]
    output = target + torch.tensor([0.1, 0.5, 1.0]) * torch.randn(target.shape, generator=noise)
    report = OBJECTIVES["regression"].evaluate(output, data, rows, "test").report
    assert report is not None
    assert [line["output"] for line in report] == ["progression 1", "progression 2", "progression 3"]
    for index, line in enumerate(report):
        true, predicted = (data.restore(values)[:, index].numpy() for values in (target, output))
        assert line["rmse"] == pytest.approx(metrics.root_mean_squared_error(true, predicted), rel=1e-4)
        assert line["mae"] == pytest.approx(metrics.mean_absolute_error(true, predicted), rel=1e-4)
        assert line["r2"] == pytest.approx(metrics.r2_score(true, predicted), rel=1e-4)


def test_r2_of_several_targets_does_not_depend_on_their_units() -> None:
    prepared = prepare(DataChoice(dataset="diabetes"))
    spec = replace(prepared.schema.target, columns=("price, net", "rate"), shape=(2,))
    schema = replace(prepared.schema, target=spec)
    rows, units = prepared.split["test"], torch.tensor([1000.0, 0.001])
    target = torch.randn(len(prepared.target), 2, generator=GENERATOR)
    output = (target + torch.tensor([0.1, 5.0]) * torch.randn(target.shape, generator=GENERATOR))[rows]
    data = replace(prepared, schema=schema, target=target * units)
    evaluation = OBJECTIVES["regression"].evaluate(output * units, data, rows, "test")
    assert evaluation.metrics["r2"] == pytest.approx(metrics.r2_score(target[rows], output), rel=1e-3)
    assert evaluation.report is not None
    assert [line["output"] for line in evaluation.report] == ["price, net", "rate"]


def test_quantile_regression_reports_pinball_loss_and_coverage(home: Path) -> None:
    data = prepare(DataChoice(dataset="diabetes"), home)
    rows, objective = data.split["test"], OBJECTIVES["regression"]
    output = data.target[rows] + torch.randn(len(rows), 1, generator=torch.Generator().manual_seed(1))
    quantile_objective = objective.described(Training(regression_loss="quantile", quantile=0.8), data.schema)
    evaluated = quantile_objective.evaluate(output, data, rows, "test").metrics
    true, predicted = (data.restore(values).flatten().numpy() for values in (data.target[rows], output))
    assert evaluated["pinball"] == pytest.approx(metrics.mean_pinball_loss(true, predicted, alpha=0.8), rel=1e-5)
    assert evaluated["coverage"] == pytest.approx((true <= predicted).mean())
    assert not {"pinball", "coverage"} & set(objective.evaluate(output, data, rows, "test").metrics)


def test_nt_xent_matches_the_paper() -> None:
    views, temperature = torch.randn(12, 5, generator=GENERATOR).double(), 0.3
    unit = [row / row.norm() for row in views]
    expected = []
    for anchor in range(12):
        partner = anchor + 1 if anchor % 2 == 0 else anchor - 1
        powers = {
            other: math.exp(float(unit[anchor] @ unit[other]) / temperature) for other in range(12) if other != anchor
        }
        expected.append(-math.log(powers[partner] / sum(powers.values())))
    assert nt_xent(views, temperature).tolist() == pytest.approx(expected, rel=1e-5)


def test_knn_and_linear_probe_of_embeddings() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    labels = torch.arange(150) % 3
    centers = torch.randn(3, 6, generator=GENERATOR)
    bank = centers[labels] + 0.7 * torch.randn(150, 6, generator=GENERATOR)
    queries = centers[labels[:90]] + 0.7 * torch.randn(90, 6, generator=GENERATOR)
    expected = KNeighborsClassifier(1, metric="cosine").fit(bank, labels).predict(queries)
    assert knn(queries, bank, labels, 3, 1).tolist() == expected.tolist()
    predicted = probe(bank, labels, queries)
    assert float((predicted == labels[:90]).float().mean()) >= 0.9
    assert torch.equal(probe(1000 * bank + 7, labels, 1000 * queries + 7), predicted), "units do not matter"
    assert probe(bank, torch.full((150,), 2), queries).tolist() == [2] * 90, "there is no other class"
    assert spread(torch.ones(20, 4) * torch.rand(20, 1)) <= 0.3
    assert spread(torch.randn(2000, 4, generator=GENERATOR)) > 0.95


def test_contrastive_loss_uses_equal_view_counts_per_split(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise, the larger split would always have the higher loss."""
    trainer = loop(short_template("shapes_simclr"), home)
    counts: list[int] = []

    def count(_inputs: Any, target: torch.Tensor) -> dict[str, float]:
        counts.append(len(target))
        return {}

    monkeypatch.setattr(trainer, "compute_metrics", count)
    for split in ("train", "validation"):
        trainer.evaluate(split)
    assert counts[0] == counts[1] == 2 * len(trainer.data.split["validation"])


def test_augmented_views_are_deterministic_per_step(home: Path) -> None:
    trainer = supervised(short_template("shapes_simclr"), home)
    inputs, target = [value[:6] for value in trainer.loader.train[0]], trainer.loader.train[1][:6]
    first, rows = trainer.objective.prepare_batch(inputs, target, (0, 3, 0))
    again, _ = trainer.objective.prepare_batch(inputs, target, (0, 3, 0))
    other, _ = trainer.objective.prepare_batch(inputs, target, (0, 4, 0))
    assert rows.tolist() == [row for row in target.tolist() for _ in range(2)]
    assert first[0].shape[0] == 12
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0][0::2], first[0][1::2])  # the two views differ
    assert isinstance(trainer.objective, Contrastive)


def test_ranking_metrics_match_scikit_learn() -> None:
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        scores = torch.rand(30, generator=generator).double()
        relevant_items = torch.randperm(30, generator=generator)[:4]
        relevant = np.zeros((1, 30))
        relevant[0, relevant_items] = 1
        ranking = ranking_metrics(scores, relevant_items, 10)
        assert ranking["ndcg"] == pytest.approx(metrics.ndcg_score(relevant, scores.numpy()[None], k=10))
        order = (-scores.numpy()).argsort()
        assert ranking["recall"] == len(set(order[:10]) & set(relevant_items.tolist())) / 4
        assert ranking["mrr"] == 1 / (1 + min(list(order).index(index) for index in relevant_items.tolist()))


@pytest.mark.parametrize("levels", [1, 3])
def test_ranking_metrics_of_equal_scores_are_the_mean_over_their_orders(levels: int) -> None:
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(levels, (12,), generator=generator).double()
    scores[8:] -= math.inf  # items of other splits
    relevant, table = torch.tensor([0, 1, 6]), np.zeros((1, 8))
    table[0, relevant] = 1
    ranking = ranking_metrics(scores, relevant, 3)
    assert ranking["ndcg"] == pytest.approx(metrics.ndcg_score(table, scores[None, :8].numpy(), k=3))
    recalls, reciprocal_ranks = [], []
    for _ in range(4_000):
        shuffled = torch.randperm(8, generator=generator)
        hits = torch.isin(shuffled[scores[shuffled].argsort(descending=True, stable=True)], relevant)
        recalls.append(float(hits[:3].double().mean()))
        reciprocal_ranks.append(1 / (1 + int(hits.nonzero()[0])))
    assert ranking["recall"] == pytest.approx(np.mean(recalls), abs=0.02)
    assert ranking["mrr"] == pytest.approx(np.mean(reciprocal_ranks), abs=0.02)


def test_bpr_loss_matches_the_paper_for_liked_items(ratings: Prepared) -> None:
    objective = OBJECTIVES["ranking"].configured(Training(objective="ranking", relevance_threshold=3.5), ratings, "cpu")
    scores, liked = torch.randn(20, 1, generator=GENERATOR), torch.tensor([1, 0, 1, 1, 0, 1, 1, 1, 0, 1]).float()
    ahead = (scores[0::2] - scores[1::2])[:, 0]
    costs = [-math.log(1 / (1 + math.exp(-float(gap)))) for gap, on in zip(ahead, liked, strict=True) if on]
    assert float(objective.loss(scores, liked.repeat_interleave(2))) == pytest.approx(sum(costs) / len(costs), rel=1e-5)
    assert objective.loss_targets(ratings).tolist() == (ratings.raw.target[:, 0] >= 3.5).astype(float).tolist()


def test_negative_samples_exclude_liked_items(ratings: Prepared) -> None:
    objective = OBJECTIVES["ranking"].configured(Training(objective="ranking", relevance_threshold=3.5), ratings, "cpu")
    objective.join(["film", "user"], None)  # the order of the network's arguments is irrelevant
    rows = ratings.split["train"]
    inputs = [ratings.inputs["film"][rows], ratings.inputs["user"][rows]]
    sampled, _ = objective.prepare_batch(inputs, objective.loss_targets(ratings)[rows], (0, 0, 0))
    assert torch.equal(sampled[0][0::2], inputs[0])
    assert torch.equal(sampled[1][1::2], inputs[1])
    liked = ratings.raw.target[:, 0] >= 3.5
    known = {
        (int(ratings.inputs["user"][row, 0]), int(ratings.inputs["film"][row, 0]))
        for row in rows.tolist() if liked[row]
    }  # fmt: skip
    pairs = {(int(user), int(film)) for user, film in zip(sampled[1][1::2], sampled[0][1::2], strict=True)}
    assert not pairs & known
    assert 0 not in {film for _, film in pairs}


def test_recommendations_rank_unseen_items(ratings: Prepared) -> None:
    objective = OBJECTIVES["ranking"].described(
        Training(objective="ranking", relevance_threshold=3.5, top_k=5), ratings.schema
    )
    assert isinstance(objective, Ranking)
    rows, liked = ratings.split["test"], objective.relevant_rows(ratings)
    users, films = ratings.inputs["user"][:, 0], ratings.inputs["film"][:, 0]
    perfect = {(int(users[row]), int(films[row])) for row in rows.tolist() if liked[row]}

    def score_pairs(inputs: object) -> torch.Tensor:
        arrays = dict(inputs)  # type: ignore[call-overload]
        pairs = zip(arrays["user"][:, 0].tolist(), arrays["film"][:, 0].tolist(), strict=True)
        return torch.tensor([[float(pair in perfect)] for pair in pairs])

    evaluation = objective.extend_evaluation(
        objective.evaluate(torch.zeros(0, 1), ratings, rows, "test"), torch.zeros(0), score_pairs, ratings, rows
    )
    assert evaluation.metrics["ndcg@5"] == pytest.approx(1)
    assert evaluation.metrics["mrr"] == 1
    assert evaluation.metrics["popular_ndcg@5"] < 0.9
    assert evaluation.report is not None
    assert str(evaluation.report[0]["user"]).startswith("user ")


def test_users_without_training_rows_are_ranked_one_by_one(ratings: Prepared) -> None:
    objective = OBJECTIVES["ranking"].described(Training(objective="ranking", relevance_threshold=3.5), ratings.schema)
    rows, users = ratings.split["test"], ratings.inputs["user"]
    strangers = replace(ratings, inputs={**ratings.inputs, "user": users.where(users > 5, torch.zeros_like(users))})

    def count(data: Prepared) -> float:
        evaluation = objective.extend_evaluation(
            objective.evaluate(torch.zeros(0, 1), data, rows, "test"),
            torch.zeros(0),
            lambda inputs: torch.zeros(len(inputs["user"]), 1),
            data,
            rows,
        )
        return evaluation.metrics["users"]

    assert len(set(users[rows][users[rows] <= 5].tolist())) > 1
    assert count(strangers) == count(ratings)


@pytest.mark.parametrize(("split", "title"), [("train", "training"), ("validation", "validation")])
def test_a_rating_that_no_row_has_is_refused(split: str, title: str, ratings: Prepared) -> None:
    target = ratings.target.clone()
    target[ratings.split[split]] -= 20
    data = replace(ratings, target=target)
    with pytest.raises(TrainingError, match=f"No {title} row has a rating of at least 3.5"):
        OBJECTIVES["ranking"].configured(Training(objective="ranking", relevance_threshold=3.5), data, "cpu")


def test_validation_without_normal_rows_is_refused(tumors: Prepared) -> None:
    normal = int(tumors.target[tumors.split["train"]].bincount().argmax())
    target = tumors.target.clone()
    target[tumors.split["validation"]] = 1 - normal
    with pytest.raises(TrainingError, match="No validation row is of the class 'benign'"):
        OBJECTIVES["anomaly_detection"].configured(Training(), replace(tumors, target=target), "cpu")


def test_relevant_items_without_training_rows_are_counted_in_words(ratings: Prepared) -> None:
    objective = OBJECTIVES["ranking"].described(Training(objective="ranking", relevance_threshold=3.5), ratings.schema)
    rows, films = ratings.split["test"], ratings.inputs["film"]
    relevant = rows[objective.relevant_rows(ratings)[rows]]  # type: ignore[attr-defined]
    unknown = replace(ratings, inputs={**ratings.inputs, "film": films.where(films > 9, torch.zeros_like(films))})

    def unit(data: Prepared) -> str:
        evaluation = objective.evaluate(torch.zeros(0, 1), data, rows, "test")
        return objective.extend_evaluation(
            evaluation, torch.zeros(0), lambda inputs: torch.zeros(len(inputs["user"]), 1), data, rows
        ).unit

    count = int((films[relevant] <= 9).sum())
    assert count > 0
    assert unit(unknown).startswith(f"{count} of the {len(relevant)} relevant items are not in the training rows")
    assert unit(ratings) == ""


def test_rows_without_anything_to_measure_have_nan_metrics() -> None:
    parts = [Totals({"loss": 0.0, "accuracy": 0.0}, 0.0, {})]
    assert all(math.isnan(value) for value in metrics_of_totals(OBJECTIVES["classification"], parts).values())


def test_ratings_equal_to_the_threshold_are_relevant_at_any_scale(ratings: Prepared) -> None:
    scores = torch.randint(0, 1001, (len(ratings.target), 1), generator=torch.Generator().manual_seed(0)).numpy()
    fitted = FittedNumbers("number", "score", (613.7,), (251.3,))
    preprocess = replace(ratings.preprocess, target=fitted)
    scored = replace(ratings, preprocess=preprocess, target=torch.from_numpy(fitted.scale(scores)))
    for threshold in range(900, 1001):
        training = Training(objective="ranking", relevance_threshold=threshold)
        relevant = OBJECTIVES["ranking"].described(training, ratings.schema).relevant_rows(scored)  # type: ignore[attr-defined]
        assert relevant.tolist() == (scores[:, 0] >= threshold).tolist()


def test_every_item_is_relevant_without_ratings(ratings: Prepared) -> None:
    objective = OBJECTIVES["ranking"].described(Training(objective="ranking", relevance_threshold=9), ratings.schema)
    clicks = replace(ratings, target=torch.zeros_like(ratings.target))
    assert objective.relevant_rows(clicks).all()  # type: ignore[attr-defined]
    assert not objective.relevant_rows(ratings).any()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["breast_cancer_binary", "shapes_two_outputs", "shapes_simclr", "ratings_bpr"])
def test_resumed_run_equals_uninterrupted_run(name: str, home: Path) -> None:
    project = short_template(name, epochs=2, batch_size=32)
    recorder = Recorder()
    full = loop(project, home)
    full.fit(recorder)
    first = loop(project, home)
    first.fit(Recorder(stop_at=2))
    checkpoint = first.checkpoint()
    second = loop(project, home)
    second.resume(checkpoint, first.best.weights)
    second.fit(Recorder())
    assert all(torch.equal(value, second.model.state_dict()[key]) for key, value in full.model.state_dict().items())


def test_multi_output_run_evaluates_and_predicts(home: Path) -> None:
    trained: TrainedRun = fit_here(short_template("shapes_two_outputs"), home)
    evaluation = evaluate(trained)
    assert evaluation.outputs is not None
    assert {output["name"] for output in evaluation.outputs} == {"shape", "area"}
    assert set(predict(trained, [trained.data.row(0)])[0]["prediction"]) == {"shape", "area"}
    assert isinstance(trained.objective, SeveralOutputs)
    assert OBJECTIVES["several_outputs"].parts == ()  # type: ignore[attr-defined]  # the shared objective is unchanged
    json.dumps(evaluation.as_json())


def test_contrastive_evaluation_works_without_class_target(home: Path) -> None:
    data = prepare(DataChoice(dataset="ratings", options={"rows": 200}), home)
    objective = OBJECTIVES["contrastive"]
    base = objective.evaluate(torch.randn(30, 4, generator=GENERATOR), data, data.split["test"], "test")
    extended = objective.extend_evaluation(
        base, torch.randn(30, 4, generator=GENERATOR), lambda _: torch.zeros(0), data, data.split["test"]
    )
    assert extended.embedding is not None
    assert len(extended.embedding["x"]) == 30
    assert replace(extended, embedding=None) == base

"""Labels, pairs, views, rankings and several outputs against scikit-learn, PyTorch and written-out formulas."""

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
from netloom.document import DataChoice, Project, Training, dumps, loads
from netloom.document.loss_settings import Head
from netloom.runs import TrainedRun, fit_here, predict
from netloom.runs.trained_run import evaluate
from netloom.tasks.training_losses import TRAINING_LOSSES
from netloom.templates import templates
from netloom.training import OBJECTIVES
from netloom.training.batch_loss import batch_loss
from netloom.training.objectives.contrastive import Contrastive, knn, nt_xent, probe, spread
from netloom.training.objectives.loss_weights import positive_weight
from netloom.training.objectives.ranking import Ranking, ranking_metrics
from netloom.training.objectives.several_outputs import SeveralOutputs
from netloom.training.objectives.thresholds import best_threshold
from netloom.training.preflight import preflight_problems
from netloom.training.targets import WeightedTargets
from tests.networks import digits_mlp
from tests.runs.examples import Recorder, loop, supervised

CHANCE = torch.Generator().manual_seed(0)


@pytest.fixture
def tumours(home: Path) -> Prepared:
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


def brief(name: str, **training: object) -> Project:
    """A template that trains for an epoch on few rows."""
    project = templates()[name].project
    rows: dict[str, Any] = {} if name == "breast_cancer_binary" else {"rows": 100}
    data = DataChoice(dataset=project.data.dataset, options=rows)
    values: dict[str, Any] = {**project.training.model_dump(), "epochs": 1, "device": "cpu", **training}
    short = Training(**values)
    return project.model_copy(update={"training": short, "data": data})


def test_binary_classification_equals_scikit_learn(tumours: Prepared) -> None:
    rows = tumours.split["test"]
    truth = tumours.target[rows]
    logits = torch.randn(len(rows), 1, generator=CHANCE) + 2.0 * (truth.unsqueeze(1) - 0.5)
    found = OBJECTIVES["binary_classification"].evaluate(logits, tumours, rows, "test", {"threshold": 0.4})
    shares = logits[:, 0].double().sigmoid().numpy()
    guess = shares > 0.4
    assert found.metrics["loss"] == pytest.approx(metrics.log_loss(truth, shares), rel=1e-5)
    assert found.metrics["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, shares))
    assert found.metrics["pr_auc"] == pytest.approx(metrics.average_precision_score(truth, shares))
    assert found.metrics["f1"] == pytest.approx(metrics.f1_score(truth, guess))
    assert found.metrics["accuracy"] == metrics.accuracy_score(truth, guess)
    assert found.confusion == metrics.confusion_matrix(truth, guess).tolist()
    json.dumps(found.as_json())


def test_the_threshold_has_the_best_f1_of_all() -> None:
    for seed in range(6):
        chance = torch.Generator().manual_seed(seed)
        scores = (torch.rand(60, generator=chance) * 20).round() / 20  # with ties
        positive = torch.rand(60, generator=chance) < scores
        reached = metrics.f1_score(positive, scores > best_threshold(scores, positive))
        best = max(metrics.f1_score(positive, scores > limit) for limit in np.arange(-0.025, 1.0, 0.05))
        assert reached == pytest.approx(best)
    assert best_threshold(torch.tensor([0.2, 0.8]), torch.tensor([True, True])) == 0.5
    # Where saying yes to all is best, the threshold lies below every score, also below those under 0.
    mostly = torch.tensor([True, True, False, True])
    for scores in (
        torch.tensor([0.9, 0.8, 0.7, 0.6]),
        torch.tensor([0.9, 0.8, 0.7, 0.0]),
        -torch.tensor([0.1, 0.2, 0.3, 0.4]),
    ):
        assert bool((scores > best_threshold(scores, mostly)).all())


def test_positive_weights_are_those_of_pytorch(tumours: Prepared) -> None:
    training = Training(objective="binary_classification", positive_weight="balanced")
    made = OBJECTIVES["binary_classification"].configured(training, tumours, "cpu")
    learned = tumours.target[tumours.split["train"]]
    ratio = float((learned == 0).sum() / (learned == 1).sum())
    logits, target = torch.randn(50, 1, generator=CHANCE), torch.randint(0, 2, (50, 1), generator=CHANCE).float()
    expected = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([ratio]))(logits, target)
    assert float(made.loss(logits, target)) == pytest.approx(float(expected), rel=1e-6)
    assert made.training_loss_name == "weighted_loss"
    # A label that is nowhere, or everywhere, has no ratio.
    assert positive_weight("balanced", torch.tensor([[0, 1, 1], [0, 1, 0], [0, 1, 0]])).tolist() == [1, 1, 2]
    assert positive_weight(3.0, torch.zeros(4, 2)).tolist() == [3, 3]


def test_labels_equal_scikit_learn(scenes: Prepared) -> None:
    rows, objective = scenes.split["train"], OBJECTIVES["multi_label"]
    truth = scenes.target[rows]
    logits = torch.randn(truth.shape, generator=CHANCE) + 2.0 * (truth - 0.5)
    chosen = objective.calibrate(logits, scenes, rows)
    found = objective.evaluate(logits, scenes, rows, "train", chosen)
    shares, true = logits.double().sigmoid().numpy(), truth.numpy().astype(int)
    said = shares > np.array([chosen[str(label)] for label in range(4)])
    assert found.metrics["micro_f1"] == pytest.approx(metrics.f1_score(true, said, average="micro"))
    assert found.metrics["macro_f1"] == pytest.approx(metrics.f1_score(true, said, average="macro"))
    assert found.metrics["subset_accuracy"] == pytest.approx(metrics.accuracy_score(true, said))
    assert found.metrics["hamming_loss"] == pytest.approx(metrics.hamming_loss(true, said))
    expected = metrics.average_precision_score(true, shares, average="macro")
    assert found.metrics["mean_average_precision"] == pytest.approx(expected)
    assert found.report is not None
    assert [line["f1"] for line in found.report] == pytest.approx(metrics.f1_score(true, said, average=None))
    # Thresholds are chosen by F1, so none of them does worse than a half.
    half = metrics.f1_score(true, shares > 0.5, average=None)
    assert all(line["f1"] >= other - 1e-9 for line, other in zip(found.report, half, strict=True))
    answers = objective.answers(logits[:3], scenes, chosen=chosen)
    expected_names = [[name for name, on in zip(found.classes, row, strict=True) if on] for row in said[:3]]
    assert [answer["prediction"] for answer in answers] == expected_names


def test_measures_of_labels_along_the_way_are_those_of_the_end(scenes: Prepared) -> None:
    rows, objective = scenes.split["validation"], OBJECTIVES["multi_label"]
    logits = torch.randn(scenes.target[rows].shape, generator=CHANCE)
    scores = objective.scores(logits, scenes.target[rows])
    means = objective.finish({name: float(value) / scores.count for name, value in scores.sums.items()})
    found = objective.evaluate(logits, scenes, rows, "validation")  # with thresholds of a half
    for name in ("loss", "subset_accuracy", "micro_f1"):
        assert means[name] == pytest.approx(found.metrics[name], rel=1e-5)


def test_several_outputs_are_the_weighted_sum_of_each_alone(facts: Prepared) -> None:
    training = Training(
        objective="several_outputs", outputs={"shape": Head(weight=0.5), "area": Head(weight=3.0)}, label_smoothing=0.1
    )
    made = OBJECTIVES["several_outputs"].configured(training, facts, "cpu")
    output, target = torch.randn(40, 5, generator=CHANCE), facts.target[:40]
    first = functional.cross_entropy(output[:, :4], target[:, 0].long(), label_smoothing=0.1)
    second = functional.mse_loss(output[:, 4], target[:, 1])
    assert float(made.loss(output, target)) == pytest.approx(float(0.5 * first + 3 * second), rel=1e-6)
    scores = made.scores(output, target)
    means = made.finish({name: float(value) / scores.count for name, value in scores.sums.items()})
    plain = functional.cross_entropy(output[:, :4], target[:, 0].long())
    assert means["loss"] == pytest.approx(float(0.5 * plain + 3 * second), rel=1e-5)
    right = float((output[:, :4].argmax(1) == target[:, 0]).float().mean())
    assert means["accuracy (shape)"] == pytest.approx(right)
    assert set(means) == set(made.metrics)
    assert made.task.higher_is_better("accuracy (shape)")
    assert not made.task.higher_is_better("mae (area)")


@pytest.mark.parametrize("weights", ["balanced", (0.5, 3.0, 1.0, 0.0)])
def test_the_classes_of_one_of_several_outputs_count_by_their_weights(
    facts: Prepared, weights: str | tuple[float, ...]
) -> None:
    head = Head(weight=2.0, class_weights=weights)  # type: ignore[arg-type]
    training = Training(objective="several_outputs", outputs={"shape": head}, label_smoothing=0.1)
    made = OBJECTIVES["several_outputs"].configured(training, facts, "cpu")
    output, target = torch.randn(40, 5, generator=CHANCE), facts.target[:40]
    goal = target[:, 0].long()
    counts = facts.target[facts.split["train"], 0].long().bincount(minlength=4).double()
    each = counts.sum() / (4 * counts) if weights == "balanced" else torch.tensor(weights)
    told = functional.cross_entropy(output[:, :4], goal, each.float(), reduction="sum", label_smoothing=0.1) / 40
    expected = float(2 * told + functional.mse_loss(output[:, 4], target[:, 1]))
    assert float(made.loss(output, target)) == pytest.approx(expected, rel=1e-5)
    # Parts of a batch make up the whole, and so do rows that count alike.
    parts = [float(made.loss(output[place : place + 8], target[place : place + 8])) for place in range(0, 40, 8)]
    assert sum(parts) / 5 == pytest.approx(expected, rel=1e-5)
    weighted = batch_loss(made, output, WeightedTargets(target, torch.ones(40)))
    assert float(weighted) == pytest.approx(expected, rel=1e-5)
    # What is measured is without weights, so that runs can be compared.
    plain = OBJECTIVES["several_outputs"].configured(Training(objective="several_outputs"), facts, "cpu")
    assert made.scores(output, target).sums == plain.scores(output, target).sums
    assert (made.training_loss_name, plain.training_loss_name) == ("weighted_loss", "batch_loss")


def test_class_weights_of_an_output_that_cannot_be_are_told(facts: Prepared) -> None:
    made = OBJECTIVES["several_outputs"].described(Training(objective="several_outputs"), facts.schema)
    for weights, said in (
        ((1.0, 2.0), "There are 2 class weights of 'shape', but 'shape' has 4 classes"),
        ((0.0,) * 4, "All class weights of 'shape' are 0"),
    ):
        training = Training(objective="several_outputs", outputs={"shape": Head(class_weights=weights), "area": Head()})
        assert [said in one for one in preflight_problems(training, made, facts.schema, [], "cpu")] == [True]


def test_each_output_is_evaluated_in_its_own_units(facts: Prepared) -> None:
    made = OBJECTIVES["several_outputs"].described(Training(objective="several_outputs"), facts.schema)
    rows = facts.split["test"]
    output = torch.cat([torch.randn(len(rows), 4, generator=CHANCE), facts.target[rows, 1:] + 0.1], dim=1)
    found = made.evaluate(output, facts, rows, "test")
    areas = facts.raw.target[:, 1]
    std = areas[facts.split["train"].numpy()].std()
    assert found.metrics["mae (area)"] == pytest.approx(0.1 * std, rel=1e-3)
    truth, guess = facts.raw.target[rows.numpy(), 0], output[:, :4].argmax(1).numpy()
    assert found.metrics["accuracy (shape)"] == metrics.accuracy_score(truth, guess)
    assert found.outputs is not None
    assert found.outputs[0]["confusion"] == metrics.confusion_matrix(truth, guess, labels=range(4)).tolist()
    told = made.answers(output[:1], facts)[0]["prediction"]
    assert told["area"] == pytest.approx(areas[int(rows[0])] + 0.1 * std, rel=1e-3)


def test_the_worst_row_of_one_output_comes_first_whatever_its_other_output_is(facts: Prepared) -> None:
    made = OBJECTIVES["several_outputs"].described(Training(objective="several_outputs"), facts.schema)
    rows = facts.split["test"]
    scores = functional.one_hot(facts.target[rows, 0].long(), 4).float()
    output = torch.cat([scores * 4, facts.target[rows, 1:]], dim=1)
    output[15, :4] = -9 * scores[15]  # the worst shape, and one of the better areas
    output[:, 4] += torch.linspace(1, 0.1, len(rows))
    worst = made.evaluate(output, facts, rows, "test").worst
    assert [item.row for item in worst[:2]] == [int(rows[15]), int(rows[0])]
    assert len({item.row for item in worst}) == len(worst)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_of_batches_has_a_known_name(name: str) -> None:
    assert OBJECTIVES[name].training_loss_name in TRAINING_LOSSES


def test_a_document_without_outputs_is_written_as_before() -> None:
    project = digits_mlp()
    assert "outputs" not in dumps(project)
    changed = project.model_copy(update={"training": Training(outputs={"a": Head(weight=2.0)}, margin=0.5)})
    assert loads(dumps(changed)).training == changed.training


def test_the_contrastive_loss_is_hadsells() -> None:
    output, target = torch.randn(30, 8, generator=CHANCE), torch.randint(0, 2, (30,), generator=CHANCE)
    made = OBJECTIVES["siamese"].described(Training(margin=2.0), None)  # type: ignore[arg-type]
    costs = []
    for row, alike in zip(output.double().tolist(), target.tolist(), strict=True):
        far = math.dist(row[:4], row[4:])
        costs.append(0.5 * far**2 if alike else 0.5 * max(0.0, 2.0 - far) ** 2)
    assert float(made.loss(output, target)) == pytest.approx(sum(costs) / 30, rel=1e-5)
    same = torch.zeros(1, 8, requires_grad=True)
    made.loss(same, torch.tensor([0])).backward()  # type: ignore[no-untyped-call]
    assert bool(same.grad is not None and same.grad.isfinite().all())


def test_each_step_of_a_horizon_is_measured() -> None:
    noise = torch.Generator().manual_seed(4)
    one = prepare(DataChoice(dataset="diabetes"))
    data = replace(one, target=torch.randn(len(one.target), 3, generator=noise))
    rows = data.split["test"]
    wanted = data.target[rows]
    said = wanted + torch.tensor([0.1, 0.5, 1.0]) * torch.randn(wanted.shape, generator=noise)
    found = OBJECTIVES["regression"].evaluate(said, data, rows, "test").report
    assert found is not None
    assert [line["output"] for line in found] == [1, 2, 3]
    for place, line in enumerate(found):
        true, told = (data.restore(values)[:, place].numpy() for values in (wanted, said))
        assert line["rmse"] == pytest.approx(metrics.root_mean_squared_error(true, told), rel=1e-4)
        assert line["mae"] == pytest.approx(metrics.mean_absolute_error(true, told), rel=1e-4)
        assert line["r2"] == pytest.approx(metrics.r2_score(true, told), rel=1e-4)


def test_a_quantile_is_measured_by_its_loss_and_its_coverage(home: Path) -> None:
    data = prepare(DataChoice(dataset="diabetes"), home)
    rows, objective = data.split["test"], OBJECTIVES["regression"]
    output = data.target[rows] + torch.randn(len(rows), 1, generator=torch.Generator().manual_seed(1))
    asked = objective.described(Training(regression_loss="quantile", quantile=0.8), data.schema)
    found = asked.evaluate(output, data, rows, "test").metrics
    true, said = (data.restore(values).flatten().numpy() for values in (data.target[rows], output))
    assert found["pinball"] == pytest.approx(metrics.mean_pinball_loss(true, said, alpha=0.8), rel=1e-5)
    assert found["coverage"] == pytest.approx((true <= said).mean())
    assert not {"pinball", "coverage"} & set(objective.evaluate(output, data, rows, "test").metrics)


def test_nt_xent_is_the_papers() -> None:
    views, heat = torch.randn(12, 5, generator=CHANCE).double(), 0.3
    unit = [row / row.norm() for row in views]
    expected = []
    for one in range(12):
        partner = one + 1 if one % 2 == 0 else one - 1
        powers = {other: math.exp(float(unit[one] @ unit[other]) / heat) for other in range(12) if other != one}
        expected.append(-math.log(powers[partner] / sum(powers.values())))
    assert nt_xent(views, heat).tolist() == pytest.approx(expected, rel=1e-5)


def test_embeddings_are_probed_by_neighbors_and_by_a_line() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    labels = torch.arange(150) % 3
    middles = torch.randn(3, 6, generator=CHANCE)
    bank = middles[labels] + 0.7 * torch.randn(150, 6, generator=CHANCE)
    asked = middles[labels[:90]] + 0.7 * torch.randn(90, 6, generator=CHANCE)
    theirs = KNeighborsClassifier(1, metric="cosine").fit(bank, labels).predict(asked)
    assert knn(asked, bank, labels, 3, 1).tolist() == theirs.tolist()
    told = probe(bank, labels, asked)
    assert float((told == labels[:90]).float().mean()) >= 0.9
    assert torch.equal(probe(1000 * bank + 7, labels, 1000 * asked + 7), told), "units do not matter"
    assert probe(bank, torch.full((150,), 2), asked).tolist() == [2] * 90, "there is no other class"
    assert spread(torch.ones(20, 4) * torch.rand(20, 1)) <= 0.3
    assert spread(torch.randn(2000, 4, generator=CHANCE)) > 0.95


def test_views_are_measured_among_as_many_others_of_both_splits(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the loss of the larger split would be the higher one, whatever the network has learned."""
    made = loop(brief("shapes_simclr"), home)
    counts: list[int] = []

    def count(_inputs: Any, target: torch.Tensor) -> dict[str, float]:
        counts.append(len(target))
        return {}

    monkeypatch.setattr(made, "compute_metrics", count)
    for split in ("train", "validation"):
        made.evaluate(split)
    assert counts[0] == counts[1] == 2 * len(made.data.split["validation"])


def test_views_are_the_same_for_the_same_step(home: Path) -> None:
    made = supervised(brief("shapes_simclr"), home)
    inputs, target = [value[:6] for value in made.loader.train[0]], made.loader.train[1][:6]
    one, rows = made.objective.prepare_batch(inputs, target, (0, 3, 0))
    again, _ = made.objective.prepare_batch(inputs, target, (0, 3, 0))
    other, _ = made.objective.prepare_batch(inputs, target, (0, 4, 0))
    assert rows.tolist() == [row for row in target.tolist() for _ in range(2)]
    assert one[0].shape[0] == 12
    assert torch.equal(one[0], again[0])
    assert not torch.equal(one[0], other[0])
    assert not torch.equal(one[0][0::2], one[0][1::2])  # the two views differ
    assert isinstance(made.objective, Contrastive)


def test_rankings_equal_scikit_learn() -> None:
    for seed in range(4):
        chance = torch.Generator().manual_seed(seed)
        scores = torch.rand(30, generator=chance).double()
        wanted = torch.randperm(30, generator=chance)[:4]
        relevant = np.zeros((1, 30))
        relevant[0, wanted] = 1
        found = ranking_metrics(scores, wanted, 10)
        assert found["ndcg"] == pytest.approx(metrics.ndcg_score(relevant, scores.numpy()[None], k=10))
        order = (-scores.numpy()).argsort()
        assert found["recall"] == len(set(order[:10]) & set(wanted.tolist())) / 4
        assert found["mrr"] == 1 / (1 + min(list(order).index(place) for place in wanted.tolist()))


def test_bpr_is_the_papers_and_counts_only_liked_items(ratings: Prepared) -> None:
    made = OBJECTIVES["ranking"].configured(Training(objective="ranking", liked_from=3.5), ratings, "cpu")
    scores, liked = torch.randn(20, 1, generator=CHANCE), torch.tensor([1, 0, 1, 1, 0, 1, 1, 1, 0, 1]).float()
    ahead = (scores[0::2] - scores[1::2])[:, 0]
    costs = [-math.log(1 / (1 + math.exp(-float(gap)))) for gap, on in zip(ahead, liked, strict=True) if on]
    assert float(made.loss(scores, liked.repeat_interleave(2))) == pytest.approx(sum(costs) / len(costs), rel=1e-5)
    assert made.loss_targets(ratings).tolist() == (ratings.raw.target[:, 0] >= 3.5).astype(float).tolist()


def test_negatives_are_items_that_are_not_known_to_be_liked(ratings: Prepared) -> None:
    made = OBJECTIVES["ranking"].configured(Training(objective="ranking", liked_from=3.5), ratings, "cpu")
    made.join(["film", "user"], None)  # the order of the network's arguments does not matter
    rows = ratings.split["train"]
    inputs = [ratings.inputs["film"][rows], ratings.inputs["user"][rows]]
    drawn, _ = made.prepare_batch(inputs, made.loss_targets(ratings)[rows], (0, 0, 0))
    assert torch.equal(drawn[0][0::2], inputs[0])
    assert torch.equal(drawn[1][1::2], inputs[1])
    liked = ratings.raw.target[:, 0] >= 3.5
    known = {
        (int(ratings.inputs["user"][row, 0]), int(ratings.inputs["film"][row, 0]))
        for row in rows.tolist() if liked[row]
    }  # fmt: skip
    pairs = {(int(user), int(film)) for user, film in zip(drawn[1][1::2], drawn[0][1::2], strict=True)}
    assert not pairs & known
    assert 0 not in {film for _, film in pairs}


def test_recommendations_are_ranked_among_unseen_items(ratings: Prepared) -> None:
    made = OBJECTIVES["ranking"].described(Training(objective="ranking", liked_from=3.5, top_k=5), ratings.schema)
    assert isinstance(made, Ranking)
    rows, liked = ratings.split["test"], made.liked(ratings)
    users, films = ratings.inputs["user"][:, 0], ratings.inputs["film"][:, 0]
    perfect = {(int(users[row]), int(films[row])) for row in rows.tolist() if liked[row]}

    def ask(inputs: object) -> torch.Tensor:
        given = dict(inputs)  # type: ignore[call-overload]
        pairs = zip(given["user"][:, 0].tolist(), given["film"][:, 0].tolist(), strict=True)
        return torch.tensor([[float(pair in perfect)] for pair in pairs])

    found = made.extend_evaluation(
        made.evaluate(torch.zeros(0, 1), ratings, rows, "test"), torch.zeros(0), ask, ratings, rows
    )
    assert found.metrics["ndcg@5"] == pytest.approx(1)
    assert found.metrics["mrr"] == 1
    assert found.metrics["popular_ndcg@5"] < 0.9
    assert found.report is not None
    assert str(found.report[0]["user"]).startswith("user ")


@pytest.mark.parametrize("name", ["breast_cancer_binary", "shapes_two_outputs", "shapes_simclr", "ratings_bpr"])
def test_a_run_that_goes_on_ends_like_one_that_was_never_cut(name: str, home: Path) -> None:
    project = brief(name, epochs=2, batch_size=32)
    whole = Recorder()
    full = loop(project, home)
    full.fit(whole)
    first = loop(project, home)
    first.fit(Recorder(stop_at=2))
    kept = first.checkpoint()
    second = loop(project, home)
    second.resume(kept, first.best.weights)
    second.fit(Recorder())
    assert all(torch.equal(value, second.model.state_dict()[key]) for key, value in full.model.state_dict().items())


def test_everything_survives_to_the_answers(home: Path) -> None:
    trained: TrainedRun = fit_here(brief("shapes_two_outputs"), home)
    found = evaluate(trained)
    assert found.outputs is not None
    assert {output["name"] for output in found.outputs} == {"shape", "area"}
    assert set(predict(trained, [trained.data.row(0)])[0]["prediction"]) == {"shape", "area"}
    assert isinstance(trained.objective, SeveralOutputs)
    assert OBJECTIVES["several_outputs"].parts == ()  # type: ignore[attr-defined]  # the shared one learned nothing
    json.dumps(found.as_json())


def test_a_target_that_nothing_is_known_of_is_not_needed_for_views(home: Path) -> None:
    data = prepare(DataChoice(dataset="ratings", options={"rows": 200}), home)
    made = OBJECTIVES["contrastive"]
    found = made.evaluate(torch.randn(30, 4, generator=CHANCE), data, data.split["test"], "test")
    told = made.extend_evaluation(
        found, torch.randn(30, 4, generator=CHANCE), lambda _: torch.zeros(0), data, data.split["test"]
    )
    assert told.embedding is not None
    assert len(told.embedding["x"]) == 30
    assert replace(told, embedding=None) == found

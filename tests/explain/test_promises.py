"""Verdicts: they state faithfulness to the model at best, and never that the model is right."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import prepare
from netloom.data.uploads import add_file
from netloom.document import DataChoice, Training
from netloom.explain import explain, methods
from netloom.explain.concepts.concept_definition import ConceptDefinition
from netloom.explain.concepts.concepts import concepts
from netloom.explain.concepts.feature_visualization import visualize_unit
from netloom.explain.core.explainer import registry
from netloom.explain.core.explanation import Sampling, Verdict
from netloom.explain.core.request import ExplanationRequest, build_context
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.explain.evidence.cross_check import cross_check
from netloom.explain.evidence.model_check import ModelCheck
from netloom.explain.evidence.verdict import judge, on_faithfulness, on_sampling, with_model
from netloom.explain.flow.attribution_flow import flow
from netloom.explain.influence.influence import influence
from netloom.explain.influence.label_errors import find_label_errors
from netloom.explain.plots.page import html
from netloom.explain.robustness.robustness import robustness
from netloom.runs import TrainedRun, fit_here
from netloom.training.chance import chance_sentence, is_at_chance
from netloom.training.objectives.evaluation import Evaluation, Reference
from netloom.training.uncertainty import wilson
from netloom.ui.explain.headline import headline
from tests.explain.models import QUICK, trained
from tests.networks import chain

ROWS = 240


def classifier(lines: list[str], home: Path, *, epochs: int) -> TrainedRun:
    info = add_file("\n".join(lines).encode(), "table.csv", home, target="target")
    choice = DataChoice(dataset=info.name)
    field = prepare(choice, home).schema.inputs[0]
    source = ("Input", {"field": field.name, "kind": "vector", "shape": list(field.shape)})
    training = Training(epochs=epochs, learning_rate=0.02)
    return fit_here(
        chain(
            source, ("Linear", {"units": 16}), ("ReLU", {}), ("Linear", {"units": 2}), data=choice, training=training
        ),
        home,
    )


@pytest.fixture(scope="module")
def random_labels(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    random = np.random.default_rng(0)
    lines = [",".join([*(f"x{index}" for index in range(6)), "target"])]
    for _ in range(ROWS):
        lines.append(
            ",".join([*(f"{value:.4f}" for value in random.normal(size=6)), ("no", "yes")[random.integers(2)]])
        )
    return classifier(lines, tmp_path_factory.mktemp("home"), epochs=12)


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """One column contains the target in other words."""
    random = np.random.default_rng(1)
    lines = ["age,size,outcome,target"]
    for _ in range(ROWS):
        dead = random.integers(2)
        numbers = f"{random.normal() + dead:.4f},{random.normal():.4f}"
        lines.append(f"{numbers},{('left', 'stayed')[dead]},{('no', 'yes')[dead]}")
    return classifier(lines, tmp_path_factory.mktemp("home"), epochs=8)


def test_explanations_of_a_chance_level_network_are_never_good(random_labels: TrainedRun) -> None:
    row = int(random_labels.data.split["test"][0])
    for method in methods(random_labels):
        if not method.available:
            continue
        explanation = explain(random_labels, method.name, row, **QUICK.get(method.name, {}))
        assert explanation.verdict.level != "good", method.name
        assert "does not measurably beat a trivial predictor on" in explanation.verdict.sentence
        assert re.search(r"accuracy \d+\.\d% \(majority class: \d+\.\d%\)", explanation.verdict.sentence)
        assert explanation.verdict.title.endswith("the model does not beat the majority class"), method.name
    explanation = explain(random_labels, "integrated_gradients", row)
    assert explanation.verdict.title.startswith("Faithfulness checks passed, but "), "one title states both"
    for text in (headline(explanation), html(explanation)):
        assert "the model does not beat the majority class" in text
    assert "does not beat" in flow(random_labels, row).verdict.title
    assert "does not measurably beat" in global_attribution(random_labels, rows=3).sentence
    assert "does not beat" in robustness(random_labels, rows=20, strengths=(0.5,)).verdict.title


def test_influence_visualization_and_concepts_report_a_chance_level_network(random_labels: TrainedRun) -> None:
    influences = influence(random_labels, int(random_labels.data.split["test"][0]))
    assert influences.model == "the model does not beat the majority class"
    assert influences.level != "good"
    visualization = visualize_unit(random_labels, steps=4, seeds=1)
    assert visualization.verdict.model == influences.model
    concept_result = concepts(random_labels, ConceptDefinition("class", name="yes"), repeats=5)
    for sentence in (
        influences.verdict,
        find_label_errors(random_labels).sentence,
        visualization.verdict.sentence,
        concept_result.model,
    ):
        assert "does not measurably beat a trivial predictor on" in sentence


def test_chance_is_stated_by_the_title_and_the_format_of_a_metric() -> None:
    naive = Reference("Seasonal naive", {"r2": 0.47})
    evaluation = Evaluation("test", 20, {"r2": -0.5968}, reference=naive, intervals={"r2": (-1.1, 0.1)})
    assert chance_sentence(evaluation).endswith("on 20 test rows: R² -0.597 (seasonal naive: 0.470).")
    assert " on 1 test row: " in chance_sentence(replace(evaluation, rows=1))


def test_network_above_chance_gets_no_model_warning() -> None:
    run = trained("table")
    influences, ranking = influence(run, int(run.data.split["test"][0])), find_label_errors(run)
    assert (influences.model, visualize_unit(run, steps=4, seeds=1).verdict.model) == ("", "")
    assert all(text.startswith("Based on ") for text in (influences.verdict, ranking.sentence))


def test_leaking_column_is_named(leaking: TrainedRun) -> None:
    explanation = explain(leaking, "integrated_gradients", int(leaking.data.split["test"][0]))
    assert explanation.verdict.level == "caution"
    assert "The input 'outcome' gives the target away" in explanation.verdict.sentence
    assert explanation.verdict.title.endswith("an input gives the target away")
    assert "an input gives the target away" in headline(explanation)
    two = ModelCheck(50, at_chance=False, measured="", trivial="", leaks=("a", "b"))
    assert two.sentence.startswith("The inputs 'a' and 'b' give the target away")


def test_trained_network_passes_faithfulness_checks() -> None:
    explanation = explain(trained("table"), "integrated_gradients", 3)
    assert (explanation.verdict.level, explanation.verdict.title) == ("good", "Faithfulness checks passed")
    unchecked = explain(trained("table"), "saliency", 3, proofs=False)
    assert (unchecked.verdict.level, unchecked.verdict.title) == ("caution", "Not checked")


def test_chance_level_uses_metrics_robust_to_class_imbalance() -> None:
    def measured(intervals: dict[str, tuple[float, float]], trivial: dict[str, float]) -> Evaluation:
        means = {name: sum(pair) / 2 for name, pair in intervals.items()}
        return Evaluation("test", 100, means, reference=Reference("Majority class", trivial), intervals=intervals)

    assert is_at_chance(measured({"accuracy": (0.45, 0.6), "macro_f1": (0.5, 0.6)}, {"accuracy": 0.5, "macro_f1": 0.3}))
    assert not is_at_chance(measured({"accuracy": (0.55, 0.6)}, {"accuracy": 0.5}))
    # With a rare class, accuracy is uninformative, but ROC AUC is not.
    rare = measured({"accuracy": (0.9, 0.99), "roc_auc": (0.7, 0.9)}, {"accuracy": 0.95, "roc_auc": 0.5})
    assert not is_at_chance(rare)
    assert not is_at_chance(measured({"mae": (1.0, 2.0)}, {"mae": 2.5}))
    assert is_at_chance(measured({"mae": (1.0, 3.0)}, {"mae": 2.5}))
    assert not is_at_chance(measured({}, {})), "there are no scores"
    # Few groups of rows have no interval.
    no_interval = Evaluation("test", 30, {"accuracy": 0.4}, reference=Reference("Majority class", {"accuracy": 0.6}))
    assert is_at_chance(no_interval)
    assert chance_sentence(no_interval).endswith("on 30 test rows: accuracy 40.0% (majority class: 60.0%).")
    assert not is_at_chance(replace(no_interval, metrics={"accuracy": 0.7}))
    assert not is_at_chance(replace(no_interval, metrics={"accuracy": float("nan")}))
    # A network of labels or of several outputs can predict well although its loss is still high.
    high = (1.0, 2.0)
    assert not is_at_chance(
        measured({"loss": high, "subset_accuracy": (0.6, 0.7)}, {"loss": 1, "subset_accuracy": 0.5})
    )
    assert not is_at_chance(measured({"loss": high, "roc_auc (size)": (0.6, 0.7)}, {"loss": 1, "roc_auc (size)": 0.5}))
    assert is_at_chance(measured({"loss": high, "roc_auc (size)": (0.4, 0.7)}, {"loss": 1, "roc_auc (size)": 0.5}))


def test_guessing_networks_rarely_beat_the_trivial_predictor() -> None:
    """The interval of an accuracy would have to exclude that of the majority class, which is measured on the same rows
    and varies as much; 2.5% do so by chance."""
    random, rows, count = np.random.default_rng(0), 90, 2_000
    truth, guesses = random.random((2, count, rows)) < 0.5
    beating = 0
    for right, majority in zip((truth == guesses).mean(1), truth.mean(1), strict=True):
        evaluation = Evaluation(
            "test",
            rows,
            {"accuracy": float(right)},
            reference=Reference("Majority class", {"accuracy": float(majority)}),
            intervals={"accuracy": wilson(right, rows)},
            proportions=["accuracy"],
        )
        beating += not is_at_chance(evaluation)
    assert 0.015 < beating / count < 0.035


def test_model_warning_is_added_to_any_verdict() -> None:
    check = ModelCheck(50, at_chance=True, measured="accuracy 0.5 (majority class: 0.5)", trivial="majority class")
    assert with_model(Verdict("good", "It adds up."), check).level == "caution"
    assert with_model(Verdict("poor", "It does not."), check).level == "poor"
    assert with_model(Verdict("good", "It adds up."), replace(check, at_chance=False)).level == "good"
    assert judge([], check).title == "Interpret with caution; the model does not beat the majority class"


@pytest.mark.parametrize("method", ["kernel_shap", "shapley_sampling"])
def test_sampling_error_is_reported_unless_enumerated(method: str) -> None:
    """With 12 groups exact values are known: the reported error is about as large as the actual error."""
    run = trained("image")
    exact = explain(run, "shapley", 3, groups=12, proofs=False)
    assert exact.proofs.sampling == Sampling(0, None, enumerated=True)
    options: dict[str, Any] = {"samples": 200} if method == "kernel_shap" else {"orders": 8}
    truth = _group_sums(run, exact.attributions, 12)
    reported_errors, actual_errors = [], []
    for seed in range(8):
        explanation = explain(run, method, 3, groups=12, seed=seed, proofs=False, **options)
        sampling, completeness = explanation.proofs.sampling, explanation.proofs.completeness
        assert sampling is not None
        assert completeness is not None
        assert sampling.standard_error is not None
        assert completeness.relative_error is not None
        assert completeness.relative_error < 1e-3, "the attributions sum to the difference even if each is inexact"
        assert completeness.word == ""
        assert "by construction" in explanation.verdict.sentence
        assert "exact" not in explanation.verdict.sentence
        reported_errors.append(sampling.standard_error)
        actual_errors.append(
            float(np.abs(_group_sums(run, explanation.attributions, 12) - truth).sum() / np.abs(truth).sum())
        )
    # The mean absolute value of a normal error with standard deviation σ is √(2/π) σ.
    assert 0.5 < np.mean(actual_errors) / (np.sqrt(2 / np.pi) * np.mean(reported_errors)) < 2
    few = explain(run, method, 3, groups=5, proofs=False)
    same = explain(run, "shapley", 3, groups=5, proofs=False)
    np.testing.assert_allclose(few.attributions["image"], same.attributions["image"], atol=1e-6)
    assert few.proofs.sampling is not None
    assert few.proofs.sampling.enumerated
    assert "these Shapley values are exact" in few.verdict.sentence


def _group_sums(run: TrainedRun, attributions: dict[str, np.ndarray], groups: int) -> np.ndarray:
    from netloom.explain.core.estimation.groups import FeatureGroups

    labels = FeatureGroups(
        build_context(run.project, run.model, run.data, ExplanationRequest("", 3))[0], groups
    ).labels["image"]
    return np.array([attributions["image"][labels == group].sum() for group in range(groups)])


def test_every_sampling_method_reports_its_standard_error() -> None:
    run = trained("table")
    sampling_methods = ("smoothgrad", "gradient_shap", "feature_permutation", "lime", "kernel_shap", "shapley_sampling")
    for method in sampling_methods:
        explanation = explain(run, method, 3, proofs=False)
        sampling = explanation.proofs.sampling
        assert sampling is not None, method
        assert sampling.repeats > 1, method
        assert sampling.standard_error is not None, method
        assert f"{sampling.repeats} repeats" in explanation.verdict.sentence
    assert explain(run, "integrated_gradients", 3, proofs=False).proofs.sampling is None
    once = explain(run, "shapley_sampling", 3, orders=1, proofs=False)
    assert "sampling error is unknown" in once.verdict.sentence
    assert on_sampling(Sampling(4, 0.5, enumerated=False)).level == "poor"


def test_faithfulness_enumerates_all_orders_of_five_features() -> None:
    """Compared with all 120 orders computed manually, on a network whose features interact."""
    run = trained("table")
    context = build_context(run.project, run.model, run.data, ExplanationRequest("", 3))[0]
    (name,) = context.specs
    strongest = np.argsort(-np.abs(registry()["occlusion"].model_validate({}).run(context).attributions[name]))[:5]
    # Only five columns differ from the baseline, so there are only five features.
    for index in set(range(context.inputs[name].shape[1])) - set(strongest.tolist()):
        context.inputs[name][0, index] = context.baseline[name][0, index]
    from netloom.explain.evidence.faithfulness import faithfulness

    labels = np.full(context.inputs[name].shape[1], -1)
    labels[strongest] = range(5)
    context.feature_mask = lambda _: labels  # type: ignore[method-assign, assignment]
    parts = registry()["occlusion"].model_validate({}).run(context).attributions
    proof = faithfulness(context, parts, signed=True, seed=0)
    assert proof is not None
    assert (proof.units, proof.orders, proof.exhaustive) == (5, 120, True)

    def gain(order: tuple[int, ...]) -> float:
        curves = []
        for start, end in ((context.inputs, context.baseline), (context.baseline, context.inputs)):
            values = start[name].clone()
            scores = [float(context.score({name: values}))]
            for part in order:
                values[0, strongest[part]] = end[name][0, strongest[part]]
                scores.append(float(context.score({name: values})))
            curves.append(np.trapezoid(scores, dx=1 / 5))
        return float(curves[1] - curves[0])

    weight = np.array([parts[name][strongest[part]] for part in range(5)])
    actual_gain = gain(tuple(np.argsort(-weight, kind="stable").tolist()))
    as_good = sum(gain(order) >= actual_gain - 1e-5 for order in permutations(range(5)))
    assert proof.chance == pytest.approx(as_good / 120, abs=1 / 120)
    assert f"{120 - as_good} of 120 possible orders" in on_faithfulness(proof).sentence


def test_contradicting_cross_check_lowers_the_verdict() -> None:
    run = trained("image")
    context = build_context(run.project, run.model, run.data, ExplanationRequest("", 3))[0]
    for method in ("integrated_gradients", "occlusion", "saliency"):
        kind = registry()[method].model_validate({})
        parts = kind.run(context.with_model(run.model)).attributions
        agreeing = cross_check(kind, context.with_model(run.model), parts)
        assert agreeing is not None
        assert agreeing.title == ("Integrated Gradients" if method == "occlusion" else "Feature ablation")
        if kind.signed:
            contradicting = cross_check(
                kind, context.with_model(run.model), {name: -values for name, values in parts.items()}
            )
            assert contradicting is not None
            assert contradicting.spearman == pytest.approx(-agreeing.spearman, abs=1e-9)
    explanation = explain(run, "integrated_gradients", 3)
    assert explanation.proofs.cross_check is not None
    assert explanation.proofs.cross_check.spearman > 0.3
    assert "agrees (rank correlation" in explanation.verdict.sentence
    from netloom.explain.core.explanation import CrossCheck
    from netloom.explain.evidence.verdict import on_cross_check

    remark = on_cross_check(CrossCheck("Feature ablation", 0.29, 20))
    assert remark.level == "caution"
    assert "Feature ablation disagrees (rank correlation +0.29" in remark.sentence

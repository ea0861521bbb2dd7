"""Guarantees that every method gives on every kind of network."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from netloom.core.plain_json import JsonObject
from netloom.explain import ExplainError, Explanation, explain, methods
from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.targets import choose
from netloom.runs import TrainedRun
from tests.explain.models import PROJECTS, QUICK, trained


def state(run: TrainedRun) -> dict[str, object]:
    """All model and random state that an explanation could change."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "weights": {name: value.numpy().tobytes() for name, value in run.model.state_dict().items()},
        "gradients": [(value.requires_grad, value.grad) for value in run.model.parameters()],
        "hooks": [len(getattr(module, name)) for module in run.model.modules() for name in hooks],
        "modes": [module.training for module in run.model.modules()],
        "modules": [(name, type(module)) for name, module in run.model.named_modules()],
        "capture": [getattr(module, "capture", None) for module in run.model.modules()],
        "captured": [getattr(module, "attention", None) is None for module in run.model.modules()],
        "random": (torch.get_rng_state().numpy().tobytes(), str(np.random.get_state())),
    }


def without_seconds(explanation: Explanation) -> JsonObject:
    """The whole explanation except its duration."""
    return replace(explanation, seconds=0.0).as_json()


@pytest.mark.parametrize("name", PROJECTS)
def test_every_method_is_deterministic_or_refused_on_every_network(name: str) -> None:
    """Finite and reproducible, or refused with a reason; the network is unchanged."""
    run = trained(name)
    before = state(run)
    for method in methods(run):
        options = QUICK.get(method.name, {})
        if not method.available:
            assert method.reason.endswith(".")
            with pytest.raises(ExplainError, match="does not support this network"):
                explain(run, method.name, 3, **options)
            continue
        explanation = explain(run, method.name, 3, proofs=False, **options)
        again = explain(run, method.name, 3, proofs=False, **options)
        assert state(run) == before, method.name
        assert without_seconds(explanation) == without_seconds(again), method.name
        check_explanation(explanation, run)


def check_explanation(explanation: Explanation, run: TrainedRun) -> None:
    """Attributions have the shape of the input and are finite, and the verdict is a sentence."""
    assert explanation.attributions or explanation.nodes or explanation.attention
    for field in run.data.schema.inputs:
        values = explanation.attributions.get(field.name)
        assert values is None or values.shape == field.shape
    parts = [*explanation.attributions.values(), *explanation.nodes.values()]
    assert all(np.isfinite(values).all() for values in parts)
    assert np.isfinite([explanation.score, explanation.baseline_score]).all()
    assert explanation.verdict.sentence.endswith(".")
    assert json.loads(json.dumps(explanation.as_json(), allow_nan=False))["method"] == explanation.method


@pytest.mark.parametrize("name", PROJECTS)
def test_integrated_gradients_satisfy_completeness(name: str) -> None:
    run = trained(name)
    for row in (0, 11, 42):
        proof = explain(run, "integrated_gradients", row).proofs.completeness
        assert proof is not None
        assert proof.relative_error is None or proof.relative_error <= 0.01
        assert proof.sum == pytest.approx(proof.score - proof.baseline_score + proof.delta, abs=1e-6)


@pytest.mark.parametrize("name", PROJECTS)
def test_completeness_uses_the_network_output(name: str) -> None:
    run = trained(name)
    explanation = explain(run, "integrated_gradients", 5)
    output = run.output({key: value[5:6] for key, value in run.data.inputs.items()})
    proof = explanation.proofs.completeness
    assert proof is not None
    if explanation.target.kind == "class":
        assert proof.score == pytest.approx(float(output[0].max()), rel=1e-5)
        shares = run.objective.answers(output, run.data)[0]
        assert explanation.prediction.text == shares["prediction"]
        assert explanation.prediction.probabilities == pytest.approx(shares["probabilities"], abs=1e-6)
    elif explanation.target.kind == "number":
        assert proof.score == pytest.approx(run.objective.answers(output, run.data)[0]["prediction"], rel=1e-4)
    else:
        assert explanation.target.position is not None
        assert proof.score == pytest.approx(float(output[0, explanation.target.position].max()), rel=1e-5)


@pytest.mark.parametrize("name", ["table", "image", "series", "transformer", "characters"])
def test_raw_row_matches_the_dataset_row(name: str) -> None:
    run = trained(name)
    by_row, by_raw = explain(run, "occlusion", 8), explain(run, "occlusion", run.data.row(8))
    for field, values in by_row.attributions.items():
        np.testing.assert_allclose(by_raw.attributions[field], values, atol=1e-6)
    assert by_raw.labels == by_row.labels
    assert by_raw.example.tokens == by_row.example.tokens
    assert by_raw.example.columns == by_row.example.columns
    if by_row.example.image is not None:
        np.testing.assert_allclose(by_raw.example.image, by_row.example.image, atol=1e-6)


@pytest.mark.parametrize("name", PROJECTS)
def test_saliency_matches_autograd_gradient_magnitude(name: str) -> None:
    """Compared with autograd on the network itself, with the embedding output captured by a hook."""
    run = trained(name)
    explanation = explain(run, "saliency", 4)
    captured: list[torch.Tensor] = []
    inputs = {key: value[4:5].clone() for key, value in run.data.inputs.items()}
    field = run.data.schema.inputs[0]
    if field.kind == "tokens":
        handle = run.model.get_submodule("embedding_1").register_forward_hook(lambda *args: captured.append(args[2]))
    else:
        captured.append(inputs[field.name].requires_grad_())
    output = run.model(*inputs.values())
    if field.kind == "tokens":
        handle.remove()
    (gradient,) = torch.autograd.grad(_score(explanation, output, run), captured[0])
    magnitude = gradient[0].abs()
    expected = magnitude.sum(1) if field.kind == "tokens" else magnitude
    np.testing.assert_allclose(explanation.attributions[field.name], expected.numpy(), rtol=1e-4, atol=1e-7)


def _score(explanation: Explanation, output: torch.Tensor, run: TrainedRun) -> torch.Tensor:
    if explanation.target.kind == "class":
        return output[0, explanation.target.index]
    if explanation.target.kind == "number":
        return run.data.restore(output)[0, 0]
    return output[0, explanation.target.position, explanation.target.index]


@pytest.mark.parametrize("name", ["transformer", "recurrent", "characters"])
def test_token_attributions_match_captum_layer_integrated_gradients(name: str) -> None:
    """Captum hooks the embedding layer, with the same number of steps."""
    from captum.attr import LayerIntegratedGradients

    run = trained(name)
    explanation = explain(run, "integrated_gradients", 6)
    context = ExplanationContext(
        run.project, run.model, run.data, {"text": run.data.inputs["text"][6:7]}, explanation.target
    )
    layer = context.model.get_submodule("embedding_1")
    proof = explanation.proofs.completeness
    assert proof is not None

    def score(tokens: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = context.model(tokens)
        position, index = explanation.target.position, explanation.target.index
        return output[:, index] if position is None else output[:, position, index]

    # Captum replaces the layer output by a hook; the inputs only have to be valid tokens.
    context.model.requires_grad_(True)
    expected = LayerIntegratedGradients(score, layer).attribute(
        context.inputs["text"], baselines=context.baseline["text"], n_steps=proof.steps
    )
    np.testing.assert_allclose(
        explanation.attributions["text"], expected[0].sum(1).detach().numpy(), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("name", PROJECTS)
def test_faithfulness_curves_run_between_score_and_baseline(name: str) -> None:
    """Both curves start and end at the scores of the example and the baseline."""
    explanation = explain(trained(name), "integrated_gradients", 9)
    proof, sums = explanation.proofs.faithfulness, explanation.proofs.completeness
    assert proof is not None
    assert sums is not None
    assert proof.fractions[0] == 0
    assert proof.fractions[-1] == 1
    for curve, ends in (("deletion", (sums.score, sums.baseline_score)),
                        ("insertion", (sums.baseline_score, sums.score))):  # fmt: skip
        for kind in (curve, f"{curve}_chance"):
            assert (proof.curves[kind][0], proof.curves[kind][-1]) == pytest.approx(ends, rel=1e-4, abs=1e-4)


def test_seed_changes_random_orders_but_not_attributions() -> None:
    run = trained("table")
    first, second = (explain(run, "integrated_gradients", 3, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(first.attributions["features"], second.attributions["features"])
    assert first.proofs.faithfulness is not None
    assert second.proofs.faithfulness is not None
    assert first.proofs.faithfulness.deletion_chance != second.proofs.faithfulness.deletion_chance


def test_context_copies_the_model_and_inputs() -> None:
    run = trained("table")
    inputs = {"features": run.data.inputs["features"][:1]}
    target = choose(None, run.output(inputs), run.data, inputs)
    context = ExplanationContext(run.project, run.model, run.data, inputs, target)
    with torch.no_grad():
        next(context.model.parameters()).fill_(0.0)
        context.inputs["features"].fill_(0.0)
    assert next(run.model.parameters()).abs().sum() > 0
    assert run.data.inputs["features"][0].abs().sum() > 0


def test_concurrent_explanations_match_sequential_ones() -> None:
    run = trained("strided")
    jobs = [(method.name, 1 + number % 2) for number, method in enumerate(methods(run)) if method.available]

    def job(task: tuple[str, int]) -> JsonObject:
        method, row = task
        return without_seconds(explain(run, method, row, proofs=method == "saliency", **QUICK.get(method, {})))

    sequential = [job(task) for task in jobs]
    with ThreadPoolExecutor(2) as pool:
        concurrent = list(pool.map(job, jobs))
    assert concurrent == sequential

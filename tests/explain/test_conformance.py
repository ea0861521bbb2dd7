"""What every method promises on every kind of network."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from netloom.explain import ExplainError, Explanation, explain, methods
from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.targets import choose
from netloom.runs import TrainedRun
from tests.explain.models import PROJECTS, QUICK, trained


def state(run: TrainedRun) -> dict[str, object]:
    """Everything about a model that an explanation could leave changed."""
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


def same(found: Explanation) -> dict[str, object]:
    """All of an explanation but how long it took."""
    return replace(found, seconds=0.0).as_json()


@pytest.mark.parametrize("name", PROJECTS)
def test_every_method_on_every_network(name: str) -> None:
    """Finite and the same again, or refused with a reason; the network is left as it was."""
    run = trained(name)
    before = state(run)
    for method in methods(run):
        options = QUICK.get(method.name, {})
        if not method.available:
            assert method.reason.endswith(".")
            with pytest.raises(ExplainError, match="does not support this network"):
                explain(run, method.name, 3, **options)
            continue
        found = explain(run, method.name, 3, proofs=False, **options)
        again = explain(run, method.name, 3, proofs=False, **options)
        assert state(run) == before, method.name
        assert same(found) == same(again), method.name
        check(found, run)


def check(found: Explanation, run: TrainedRun) -> None:
    """Every part has its place, is finite, and comes with a sentence."""
    assert found.attributions or found.nodes or found.attention
    for field in run.data.schema.inputs:
        values = found.attributions.get(field.name)
        assert values is None or values.shape == field.shape
    parts = [*found.attributions.values(), *found.nodes.values()]
    assert all(np.isfinite(values).all() for values in parts)
    assert np.isfinite([found.answer, found.ground]).all()
    assert found.verdict.sentence.endswith(".")
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["method"] == found.method


@pytest.mark.parametrize("name", PROJECTS)
def test_integrated_gradients_add_up(name: str) -> None:
    run = trained(name)
    for row in (0, 11, 42):
        proof = explain(run, "integrated_gradients", row).proofs.completeness
        assert proof is not None
        assert proof.relative_error is None or proof.relative_error <= 0.01
        assert proof.sum == pytest.approx(proof.answer - proof.baseline_answer + proof.delta, abs=1e-6)


@pytest.mark.parametrize("name", PROJECTS)
def test_the_proof_speaks_of_the_networks_own_answer(name: str) -> None:
    run = trained(name)
    found = explain(run, "integrated_gradients", 5)
    output = run.output({key: value[5:6] for key, value in run.data.inputs.items()})
    proof = found.proofs.completeness
    assert proof is not None
    if found.target.kind == "class":
        assert proof.answer == pytest.approx(float(output[0].max()), rel=1e-5)
        shares = run.objective.answers(output, run.data)[0]
        assert found.prediction.text == shares["prediction"]
        assert found.prediction.probabilities == pytest.approx(shares["probabilities"], abs=1e-6)
    elif found.target.kind == "number":
        assert proof.answer == pytest.approx(run.objective.answers(output, run.data)[0]["prediction"], rel=1e-4)
    else:
        assert found.target.position is not None
        assert proof.answer == pytest.approx(float(output[0, found.target.position].max()), rel=1e-5)


@pytest.mark.parametrize("name", ["table", "image", "series", "transformer", "characters"])
def test_a_raw_row_is_explained_like_the_row_itself(name: str) -> None:
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
def test_saliency_is_the_size_of_the_gradient(name: str) -> None:
    """Against autograd on the network itself, with the embedding's output kept by a hook."""
    run = trained(name)
    found = explain(run, "saliency", 4)
    kept: list[torch.Tensor] = []
    inputs = {key: value[4:5].clone() for key, value in run.data.inputs.items()}
    field = run.data.schema.inputs[0]
    if field.kind == "tokens":
        handle = run.model.get_submodule("embedding_1").register_forward_hook(lambda *args: kept.append(args[2]))
    else:
        kept.append(inputs[field.name].requires_grad_())
    output = run.model(*inputs.values())
    if field.kind == "tokens":
        handle.remove()
    (gradient,) = torch.autograd.grad(_answer(found, output, run), kept[0])
    size = gradient[0].abs()
    expected = size.sum(1) if field.kind == "tokens" else size
    np.testing.assert_allclose(found.attributions[field.name], expected.numpy(), rtol=1e-4, atol=1e-7)


def _answer(found: Explanation, output: torch.Tensor, run: TrainedRun) -> torch.Tensor:
    if found.target.kind == "class":
        return output[0, found.target.index]
    if found.target.kind == "number":
        return run.data.restore(output)[0, 0]
    return output[0, found.target.position, found.target.index]


@pytest.mark.parametrize("name", ["transformer", "recurrent", "characters"])
def test_tokens_get_what_captums_layer_integrated_gradients_gives(name: str) -> None:
    """Captum's own way to an embedding, by hooks on its layer, with the same steps."""
    from captum.attr import LayerIntegratedGradients

    run = trained(name)
    found = explain(run, "integrated_gradients", 6)
    context = ExplanationContext(run.project, run.model, run.data, {"text": run.data.inputs["text"][6:7]}, found.target)
    layer = context.model.get_submodule("embedding_1")
    proof = found.proofs.completeness
    assert proof is not None

    def score(tokens: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = context.model(tokens)
        position, index = found.target.position, found.target.index
        return output[:, index] if position is None else output[:, position, index]

    # Captum feeds the layer by its hook; the tokens themselves only have to be tokens.
    context.model.requires_grad_(True)
    expected = LayerIntegratedGradients(score, layer).attribute(
        context.inputs["text"], baselines=context.baseline["text"], n_steps=proof.steps
    )
    np.testing.assert_allclose(found.attributions["text"], expected[0].sum(1).detach().numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", PROJECTS)
def test_faithfulness_ends_where_it_has_to(name: str) -> None:
    """Both curves go between the example and the baseline."""
    found = explain(trained(name), "integrated_gradients", 9)
    proof, sums = found.proofs.faithfulness, found.proofs.completeness
    assert proof is not None
    assert sums is not None
    assert proof.fractions[0] == 0
    assert proof.fractions[-1] == 1
    for curve, ends in (("deletion", (sums.answer, sums.baseline_answer)),
                        ("insertion", (sums.baseline_answer, sums.answer))):  # fmt: skip
        for kind in (curve, f"{curve}_chance"):
            assert (proof.curves[kind][0], proof.curves[kind][-1]) == pytest.approx(ends, rel=1e-4, abs=1e-4)


def test_another_seed_draws_other_orders_and_leaves_the_parts_alone() -> None:
    run = trained("table")
    first, second = (explain(run, "integrated_gradients", 3, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(first.attributions["features"], second.attributions["features"])
    assert first.proofs.faithfulness is not None
    assert second.proofs.faithfulness is not None
    assert first.proofs.faithfulness.deletion_chance != second.proofs.faithfulness.deletion_chance


def test_the_copy_is_private() -> None:
    run = trained("table")
    inputs = {"features": run.data.inputs["features"][:1]}
    target = choose(None, run.output(inputs), run.data, inputs)
    context = ExplanationContext(run.project, run.model, run.data, inputs, target)
    with torch.no_grad():
        next(context.model.parameters()).fill_(0.0)
        context.inputs["features"].fill_(0.0)
    assert next(run.model.parameters()).abs().sum() > 0
    assert run.data.inputs["features"][0].abs().sum() > 0


def test_two_explanations_at_once_do_not_disturb_each_other() -> None:
    run = trained("strided")
    jobs = [(method.name, row) for method in methods(run) if method.available for row in (1, 2)]

    def job(asked: tuple[str, int]) -> dict[str, object]:
        method, row = asked
        return same(explain(run, method, row, proofs=method == "saliency", **QUICK.get(method, {})))

    alone = [job(asked) for asked in jobs]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(job, jobs))
    assert together == alone

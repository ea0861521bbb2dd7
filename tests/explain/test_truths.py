"""Explanations whose correct values are known in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netloom.data import add_file, prepare
from netloom.document import DataChoice, Project, Training, apply
from netloom.explain import explain, explain_model
from netloom.explain.attribution.shapley.shapley_values import shapley_values
from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.targets import choose
from netloom.explain.evidence.faithfulness import faithfulness
from netloom.runs import fit_here
from tests.explain.models import network, trained, untrained_run
from tests.hooks import hooks_set, left
from tests.networks import chain

CSV_ROWS = 120


def linear_attributions(row: int) -> np.ndarray:
    """w·(x − mean) of the linear regression, in target units."""
    run = trained("regression")
    weights = run.model.get_submodule("linear_1").weight
    assert isinstance(weights, torch.Tensor)
    x = run.data.inputs["features"]
    ground = x[run.data.split["train"]].mean(0)
    scale = run.data.fitted_numbers.std[0]
    parts: np.ndarray = (weights[0] * (x[row] - ground) * scale).detach().numpy()
    return parts


SHARING: dict[str, dict[str, Any]] = {
    "integrated_gradients": {},
    "occlusion": {},
    "deep_lift": {},
    "feature_ablation": {},
    "shapley": {"groups": 10},
    "shapley_sampling": {"orders": 8},
    "kernel_shap": {},
}


@pytest.mark.parametrize("method", SHARING)
@pytest.mark.parametrize("row", [0, 7, 200])
def test_linear_model_attributions_match_closed_form(method: str, row: int) -> None:
    """w·(x − b), within 1e-5 of the target's standard deviation."""
    run = trained("regression")
    scale = run.data.fitted_numbers.std[0]
    explanation = explain(run, method, row, **SHARING[method])
    np.testing.assert_allclose(
        explanation.attributions["features"] / scale, linear_attributions(row) / scale, rtol=0, atol=1e-5
    )
    proof = explanation.proofs.completeness
    assert proof is not None
    assert abs(proof.delta) < 1e-3
    assert proof.word == ("exact" if proof.promised and not proof.by_construction else "")
    assert explanation.verdict.level == "good"
    assert explanation.proofs.faithfulness is not None
    assert explanation.proofs.faithfulness.infidelity == pytest.approx(0.0, abs=1e-6)


def test_reference_row_methods_match_linear_closed_form() -> None:
    """w·(x − the mean of the reference rows)."""
    run = trained("regression")
    weights = run.model.get_submodule("linear_1").weight
    assert isinstance(weights, torch.Tensor)
    scale = run.data.fitted_numbers.std[0]
    rows = run.data.split["train"]
    chosen = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(4))[:8]]
    x = run.data.inputs["features"]
    expected = (weights[0] * (x[3] - x[chosen].mean(0))).detach().numpy()
    for method, option in (("gradient_shap", "references"), ("deep_lift_shap", "references"),
                           ("feature_permutation", "others")):  # fmt: skip
        options: dict[str, Any] = {option: 8}
        attributions = explain(run, method, 3, seed=4, **options).attributions["features"]
        np.testing.assert_allclose(attributions / scale, expected, atol=1e-5, err_msg=method)


def test_lrp_equals_input_times_gradient_for_relu_networks() -> None:
    """Without biases, the LRP ε rule through linear layers and ReLU equals gradient × input."""
    run = trained("regression")
    weights = run.model.get_submodule("linear_1").weight
    assert isinstance(weights, torch.Tensor)
    scale = run.data.fitted_numbers.std[0]
    expected = (weights[0] * run.data.inputs["features"][5]).detach().numpy()
    for method in ("lrp", "input_x_gradient"):
        attributions = explain(run, method, 5).attributions["features"]
        np.testing.assert_allclose(attributions / scale, expected, atol=1e-5, err_msg=method)
    run = trained("strided")
    pairs = [explain(run, method, 5, proofs=False).attributions["image"] for method in ("lrp", "input_x_gradient")]
    np.testing.assert_allclose(pairs[0], pairs[1], atol=1e-3 * np.abs(pairs[1]).max())


def test_layer_methods_match_closed_form_before_a_linear_head() -> None:
    """After a ReLU layer h, the score is v·h + c, so both layer methods give v·(h(x) − h(b))."""
    run = trained("table")
    explanation = explain(run, "layer_integrated_gradients", 3, node="relu_1")
    x = run.data.inputs["features"]
    mean_row = x[run.data.split["train"]].mean(0)
    with torch.no_grad():
        hidden = [torch.relu(run.model.get_submodule("linear_1")(row)) for row in (x[3], mean_row)]
    last = run.model.get_submodule("linear_2").weight
    assert isinstance(last, torch.Tensor)
    expected = (last[explanation.target.index] * (hidden[0] - hidden[1])).detach().numpy()
    np.testing.assert_allclose(explanation.nodes["relu_1"], expected, atol=1e-4)
    conductance = explain(run, "layer_conductance", 3, node="relu_1", max_steps=4096).nodes["relu_1"]
    np.testing.assert_allclose(conductance, expected, atol=0.02 * np.abs(expected).max())
    activations = explain(run, "layer_activation", 3, node="relu_1").nodes["relu_1"]
    np.testing.assert_allclose(activations, hidden[0].numpy(), atol=1e-6)
    neuron = int(np.abs(activations).argmax())
    neuron_gradient = explain(run, "neuron_gradient", 3, node="relu_1", neuron=str(neuron)).attributions["features"]
    first = run.model.get_submodule("linear_1").weight
    assert isinstance(first, torch.Tensor)
    np.testing.assert_allclose(neuron_gradient, first[neuron].detach().numpy(), atol=1e-6)


def test_neuron_conductances_add_up_to_layer_conductance() -> None:
    run = trained("table")
    layer = explain(run, "layer_conductance", 3, node="relu_1", max_steps=1024).nodes["relu_1"]
    for neuron in np.argsort(-np.abs(layer))[:2]:
        parts = explain(run, "neuron_conductance", 3, node="relu_1", neuron=str(neuron), n_steps=512)
        assert parts.attributions["features"].sum() == pytest.approx(layer[neuron], abs=0.02 * np.abs(layer).max())


def test_shapley_values_of_the_glove_game() -> None:
    """One left glove and two right ones; a pair is worth 1. The Shapley values are 2/3, 1/6, 1/6."""
    bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
    worth = np.minimum(bits[:, 0], bits[:, 1:].max(1)).astype(float)
    np.testing.assert_allclose(shapley_values(worth, 3), [2 / 3, 1 / 6, 1 / 6], atol=1e-12)


class Gloves(nn.Module):
    """Column 0 is the left glove, 1 and 2 the right ones; present where the input differs from the baseline."""

    ground: torch.Tensor

    def __init__(self, ground: torch.Tensor) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(1, 1)
        self.register_buffer("ground", ground)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        there = (x - self.ground).abs() > 1e-6
        return (there[:, :1] & there[:, 1:3].any(1, keepdim=True)).float()


@pytest.mark.parametrize(("method", "off"), [("shapley", 1e-4), ("shapley_sampling", 0.05), ("kernel_shap", 0.05)])
def test_shapley_methods_solve_the_glove_game_network(method: str, off: float) -> None:
    run = trained("regression")
    x = run.data.inputs["features"]
    model = Gloves(x[run.data.split["train"]][:2048].mean(0))
    scale = run.data.fitted_numbers.std[0]
    options = {"shapley": {"groups": 10}, "shapley_sampling": {"orders": 600}, "kernel_shap": {"samples": 3000}}[method]
    attributions = explain_model(run.project, model, run.data, method, 3, **options).attributions["features"] / scale
    np.testing.assert_allclose(attributions, [2 / 3, 1 / 6, 1 / 6, *[0.0] * 7], atol=off)


def test_linear_saliency_is_the_weight_magnitude() -> None:
    run = trained("regression")
    weights = run.model.get_submodule("linear_1").weight
    assert isinstance(weights, torch.Tensor)
    scale = run.data.fitted_numbers.std[0]
    attributions = explain(run, "saliency", 3).attributions["features"]
    np.testing.assert_allclose(attributions, np.abs(weights[0].detach().numpy()) * scale, rtol=1e-5)


def test_pixel_occlusion_of_a_linear_network_matches_closed_form() -> None:
    project = network("digits", ("Flatten", {}), ("Linear", {"units": 10}), epochs=2)
    run = fit_here(project)
    explanation = explain(run, "occlusion", 5, target="3", window=1, baseline="black")
    weights = run.model.get_submodule("linear_1").weight
    assert isinstance(weights, torch.Tensor)
    fitted = run.data.image_field("image")
    black = float((0 - fitted.mean) / fitted.std)
    x = run.data.inputs["image"][5]
    expected = (weights[3].reshape(1, 8, 8) * (x - black)).detach().numpy()
    np.testing.assert_allclose(explanation.attributions["image"], expected, atol=1e-5)


def test_default_image_baseline_is_the_background_gray() -> None:
    digits = explain(fit_here(network("digits", ("Flatten", {}), ("Linear", {"units": 10}), epochs=1)), "saliency", 0)
    assert digits.attributions["image"].shape == (1, 8, 8)
    for name, dataset, low, high in (("digits", "digits", 0.0, 0.01), ("shapes", "shapes", 0.2, 0.4)):
        data = prepare(DataChoice(dataset=dataset))
        project = network(dataset, ("Flatten", {}), ("Linear", {"units": len(data.schema.target.classes)}))
        inputs = {"image": data.inputs["image"][:1]}
        model = nn.Sequential(nn.Flatten(), nn.LazyLinear(len(data.schema.target.classes)))
        target = choose(0, model(inputs["image"]), data, inputs)
        baseline = ExplanationContext(project, model, data, inputs, target).baseline["image"]
        fitted = data.image_field("image")
        gray = float(baseline[0, 0, 0, 0]) * fitted.std + fitted.mean
        assert low - 1e-6 <= gray <= high, name


@pytest.fixture
def colored_data(home: Path) -> DataChoice:
    """A table with a number and a category of three values."""
    random = np.random.default_rng(0)
    lines = ["size,colour,target"]
    for _ in range(CSV_ROWS):
        size, colour = random.normal(), ("red", "green", "blue")[random.integers(3)]
        lines.append(f"{size:.4f},{colour},{size + 2.0 * (colour == 'red') + random.normal(scale=0.01):.4f}")
    info = add_file("\n".join(lines).encode(), "coloured.csv", home, target="target")
    return DataChoice(dataset=info.name)


def colored_project(choice: DataChoice, home: Path) -> Project:
    field = prepare(choice, home).schema.inputs[0]
    source = ("Input", {"field": field.name, "kind": "vector", "shape": list(field.shape)})
    training = Training(objective="regression", epochs=40, learning_rate=0.03)
    return chain(source, ("Linear", {"units": 1}), data=choice, training=training)


def test_one_hot_columns_are_occluded_together(colored_data: DataChoice, home: Path) -> None:
    run = fit_here(colored_project(colored_data, home), home)
    columns = run.data.schema.inputs[0].columns
    assert columns[:2] == ("size", "colour = blue")
    assert len(columns) == 5
    row = next(i for i in range(CSV_ROWS) if run.data.row(i)["colour"] == "red")
    parts = explain(run, "occlusion", row).attributions[run.fields[0]]
    exact = explain(run, "integrated_gradients", row).attributions[run.fields[0]]
    assert len(set(parts[1:].round(6))) == 1
    assert parts[1:].sum() == pytest.approx(exact[1:].sum(), abs=1e-3)
    assert parts[0] == pytest.approx(exact[0], abs=1e-3)
    proof = explain(run, "occlusion", row).proofs.faithfulness
    assert proof is not None
    assert proof.units == 2


def test_attributions_concentrate_on_the_shape() -> None:
    """On images with a decoy, the share of evidence on the shape exceeds its share of the area."""
    run = trained("image")
    assert run.data.masks is not None
    rows = [int(row) for row in run.data.split["test"][:12]]
    for method in ("integrated_gradients", "occlusion", "saliency"):
        inside, area = [], []
        for row in rows:
            evidence = explain(run, method, row, proofs=False).attributions["image"][0].clip(min=0)
            mask = run.data.masks[row].numpy()
            near = np.asarray(nn.functional.max_pool2d(torch.from_numpy(mask).float()[None], 5, 1, 2)[0]) > 0
            inside.append(evidence[near].sum() / evidence.sum())
            area.append(near.mean())
        assert np.mean(inside) > 1.5 * np.mean(area), method


def _relative_error(row: int, **options: Any) -> float | None:
    proof = explain(trained("table"), "integrated_gradients", row, **options).proofs.completeness
    return proof.relative_error if proof else None


def test_integration_steps_double_until_completeness() -> None:
    run = trained("table")
    row = next(i for i in range(60) if (_relative_error(i, max_steps=1) or 0.0) > 0.05)
    few = explain(run, "integrated_gradients", row, max_steps=1)
    many = explain(run, "integrated_gradients", row)
    assert few.proofs.completeness is not None
    assert many.proofs.completeness is not None
    assert few.proofs.completeness.steps == 1
    assert many.proofs.completeness.steps is not None
    assert many.proofs.completeness.steps in (32, 64, 128, 256, 512, 1024)
    assert few.proofs.completeness.relative_error is not None
    assert few.proofs.completeness.relative_error > 0.05
    assert few.verdict.level == "poor"
    assert "unreliable" in few.verdict.sentence
    assert many.proofs.completeness.relative_error is not None
    assert many.proofs.completeness.relative_error <= 0.01


def test_reversed_or_random_order_is_not_faithful() -> None:
    run = trained("table")
    inputs = {"features": run.data.inputs["features"][3:4]}
    target = choose(None, run.output(inputs), run.data, inputs)
    context = ExplanationContext(run.project, run.model, run.data, inputs, target)
    attributions = explain(run, "integrated_gradients", 3).attributions
    good = faithfulness(context, attributions, signed=True, seed=0)
    bad = faithfulness(context, {"features": -attributions["features"]}, signed=True, seed=0)
    assert good is not None
    assert bad is not None
    assert good.chance <= 0.05
    assert good.deletion < good.deletion_chance
    assert good.insertion > good.insertion_chance
    assert bad.chance == 1.0
    random = np.random.default_rng(1)
    chances = []
    for _ in range(12):
        proof = faithfulness(context, {"features": random.normal(size=30)}, signed=True, seed=0)
        assert proof is not None
        chances.append(proof.chance)
    assert 0.25 < np.mean(chances) < 0.75


def test_linear_faithfulness_curves_match_hand_computation() -> None:
    """With a linear F, each curve is a cumulative sum of the ordered attributions."""
    run = trained("regression")
    row = 7
    parts = linear_attributions(row)
    proof = explain(run, "integrated_gradients", row).proofs.faithfulness
    sums = explain(run, "integrated_gradients", row).proofs.completeness
    assert proof is not None
    assert sums is not None
    falling = np.concatenate([[0.0], np.cumsum(np.sort(parts)[::-1])])
    np.testing.assert_allclose(proof.curves["deletion"], sums.score - falling, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(proof.curves["insertion"], sums.baseline_score + falling, rtol=1e-4, atol=1e-3)
    assert proof.deletion == pytest.approx(float(np.trapezoid(sums.score - falling, dx=0.1)), rel=1e-4)


class Refuses(nn.Module):
    """Computes a single row and raises for more: an error in the middle of a method."""

    def __init__(self) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise RuntimeError("one row only")
        output: torch.Tensor = self.linear_1(x)
        return output


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion", "saliency"])
def test_failing_forward_leaves_hooks_and_weights_unchanged(method: str) -> None:
    run, model = trained("regression"), Refuses()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with hooks_set() as hooks, pytest.raises(RuntimeError, match="one row only"):
        explain_model(run.project, model, run.data, method, 0)
    assert not left(hooks)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(value.requires_grad and value.grad is None for value in model.parameters())


def test_deep_lift_satisfies_completeness_with_tied_transposed_weights() -> None:
    document = network(
        "breast_cancer",
        *(("Linear", {"units": 8}), ("Tanh", {}), ("TransposedLinear", {"units": 30})),
        *(("ReLU", {}), ("Linear", {"units": 2})),
    )
    document = apply(document, {"kind": "update", "node": "transposedlinear_1", "shares": "linear_1"})
    explanation = explain(untrained_run(document), "deep_lift", 1)
    proof = explanation.proofs.completeness
    assert proof is not None
    assert proof.relative_error is not None
    assert proof.relative_error < 1e-4

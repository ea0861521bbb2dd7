"""Explanations whose right answer is known from elsewhere."""

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


def linear_parts(row: int) -> np.ndarray:
    """w·(x − mean) of the linear regression, in the target's own units."""
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
def test_a_linear_model_is_its_own_explanation(method: str, row: int) -> None:
    """w·(x − b), to one part in 100,000 of what the target spreads."""
    run = trained("regression")
    scale = run.data.fitted_numbers.std[0]
    found = explain(run, method, row, **SHARING[method])
    np.testing.assert_allclose(found.attributions["features"] / scale, linear_parts(row) / scale, rtol=0, atol=1e-5)
    proof = found.proofs.completeness
    assert proof is not None
    assert abs(proof.delta) < 1e-3
    assert proof.word == ("exact" if proof.promised and not proof.by_construction else "")
    assert found.verdict.level == "good"
    assert found.proofs.faithfulness is not None
    assert found.proofs.faithfulness.infidelity == pytest.approx(0.0, abs=1e-6)


def test_methods_against_other_rows_on_a_linear_model() -> None:
    """w·(x − the mean of the rows that stand for nothing)."""
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
        asked: dict[str, Any] = {option: 8}
        found = explain(run, method, 3, seed=4, **asked).attributions["features"]
        np.testing.assert_allclose(found / scale, expected, atol=1e-5, err_msg=method)


def test_relevance_and_input_times_gradient_of_linear_and_rectified_networks() -> None:
    """With biases left out, the ε rule through linear layers and ReLU is the gradient times the input."""
    run = trained("regression")
    weights = run.model.get_submodule("linear_1").weight
    assert isinstance(weights, torch.Tensor)
    scale = run.data.fitted_numbers.std[0]
    expected = (weights[0] * run.data.inputs["features"][5]).detach().numpy()
    for method in ("lrp", "input_x_gradient"):
        found = explain(run, method, 5).attributions["features"]
        np.testing.assert_allclose(found / scale, expected, atol=1e-5, err_msg=method)
    run = trained("strided")
    pairs = [explain(run, method, 5, proofs=False).attributions["image"] for method in ("lrp", "input_x_gradient")]
    np.testing.assert_allclose(pairs[0], pairs[1], atol=1e-3 * np.abs(pairs[1]).max())


def test_a_layer_of_a_linear_chain_shares_out_what_comes_out_of_it() -> None:
    """Behind a rectified layer h, the answer is v·h + c: both layer methods give v·(h(x) − h(b))."""
    run = trained("table")
    found = explain(run, "layer_integrated_gradients", 3, node="relu_1")
    x = run.data.inputs["features"]
    ground = x[run.data.split["train"]].mean(0)
    with torch.no_grad():
        hidden = [torch.relu(run.model.get_submodule("linear_1")(row)) for row in (x[3], ground)]
    last = run.model.get_submodule("linear_2").weight
    assert isinstance(last, torch.Tensor)
    expected = (last[found.target.index] * (hidden[0] - hidden[1])).detach().numpy()
    np.testing.assert_allclose(found.nodes["relu_1"], expected, atol=1e-4)
    through = explain(run, "layer_conductance", 3, node="relu_1", max_steps=4096).nodes["relu_1"]
    np.testing.assert_allclose(through, expected, atol=0.02 * np.abs(expected).max())
    seen = explain(run, "layer_activation", 3, node="relu_1").nodes["relu_1"]
    np.testing.assert_allclose(seen, hidden[0].numpy(), atol=1e-6)
    neuron = int(np.abs(seen).argmax())
    slope = explain(run, "neuron_gradient", 3, node="relu_1", neuron=str(neuron)).attributions["features"]
    first = run.model.get_submodule("linear_1").weight
    assert isinstance(first, torch.Tensor)
    np.testing.assert_allclose(slope, first[neuron].detach().numpy(), atol=1e-6)


def test_neuron_conductances_add_up_to_layer_conductance() -> None:
    run = trained("table")
    layer = explain(run, "layer_conductance", 3, node="relu_1", max_steps=1024).nodes["relu_1"]
    for neuron in np.argsort(-np.abs(layer))[:2]:
        parts = explain(run, "neuron_conductance", 3, node="relu_1", neuron=str(neuron), n_steps=512)
        assert parts.attributions["features"].sum() == pytest.approx(layer[neuron], abs=0.02 * np.abs(layer).max())


def test_the_glove_game() -> None:
    """One left glove and two right ones; a pair is worth 1. Shapley values 2/3, 1/6, 1/6."""
    bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
    worth = np.minimum(bits[:, 0], bits[:, 1:].max(1)).astype(float)
    np.testing.assert_allclose(shapley_values(worth, 3), [2 / 3, 1 / 6, 1 / 6], atol=1e-12)


class Gloves(nn.Module):
    """Column 0 is the left glove, 1 and 2 the right ones: there where the example is not the baseline."""

    ground: torch.Tensor

    def __init__(self, ground: torch.Tensor) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(1, 1)
        self.register_buffer("ground", ground)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        there = (x - self.ground).abs() > 1e-6
        return (there[:, :1] & there[:, 1:3].any(1, keepdim=True)).float()


@pytest.mark.parametrize(("method", "off"), [("shapley", 1e-4), ("shapley_sampling", 0.05), ("kernel_shap", 0.05)])
def test_the_glove_game_as_a_network(method: str, off: float) -> None:
    run = trained("regression")
    x = run.data.inputs["features"]
    model = Gloves(x[run.data.split["train"]][:2048].mean(0))
    scale = run.data.fitted_numbers.std[0]
    options = {"shapley": {"groups": 10}, "shapley_sampling": {"orders": 600}, "kernel_shap": {"samples": 3000}}[method]
    found = explain_model(run.project, model, run.data, method, 3, **options).attributions["features"] / scale
    np.testing.assert_allclose(found, [2 / 3, 1 / 6, 1 / 6, *[0.0] * 7], atol=off)


def test_saliency_of_a_linear_model_is_the_size_of_its_weights() -> None:
    run = trained("regression")
    weights = run.model.get_submodule("linear_1").weight
    assert isinstance(weights, torch.Tensor)
    scale = run.data.fitted_numbers.std[0]
    found = explain(run, "saliency", 3).attributions["features"]
    np.testing.assert_allclose(found, np.abs(weights[0].detach().numpy()) * scale, rtol=1e-5)


def test_occlusion_of_a_linear_picture_pixel_by_pixel() -> None:
    project = network("digits", ("Flatten", {}), ("Linear", {"units": 10}), epochs=2)
    run = fit_here(project)
    found = explain(run, "occlusion", 5, target="3", window=1, baseline="black")
    weights = run.model.get_submodule("linear_1").weight
    assert isinstance(weights, torch.Tensor)
    fitted = run.data.image_field("image")
    black = float((0 - fitted.mean) / fitted.std)
    x = run.data.inputs["image"][5]
    expected = (weights[3].reshape(1, 8, 8) * (x - black)).detach().numpy()
    np.testing.assert_allclose(found.attributions["image"], expected, atol=1e-5)


def test_the_usual_ground_of_digits_is_black_paper_and_of_shapes_is_their_grey() -> None:
    digits = explain(fit_here(network("digits", ("Flatten", {}), ("Linear", {"units": 10}), epochs=1)), "saliency", 0)
    assert digits.attributions["image"].shape == (1, 8, 8)
    for name, dataset, low, high in (("digits", "digits", 0.0, 0.01), ("shapes", "shapes", 0.2, 0.4)):
        data = prepare(DataChoice(dataset=dataset))
        project = network(dataset, ("Flatten", {}), ("Linear", {"units": len(data.schema.target.classes)}))
        inputs = {"image": data.inputs["image"][:1]}
        model = nn.Sequential(nn.Flatten(), nn.LazyLinear(len(data.schema.target.classes)))
        target = choose(0, model(inputs["image"]), data, inputs)
        ground = ExplanationContext(project, model, data, inputs, target).baseline["image"]
        fitted = data.image_field("image")
        grey = float(ground[0, 0, 0, 0]) * fitted.std + fitted.mean
        assert low - 1e-6 <= grey <= high, name


@pytest.fixture
def coloured(home: Path) -> DataChoice:
    """A table with a number and a category of three values."""
    random = np.random.default_rng(0)
    lines = ["size,colour,target"]
    for _ in range(CSV_ROWS):
        size, colour = random.normal(), ("red", "green", "blue")[random.integers(3)]
        lines.append(f"{size:.4f},{colour},{size + 2.0 * (colour == 'red') + random.normal(scale=0.01):.4f}")
    info = add_file("\n".join(lines).encode(), "coloured.csv", home, target="target")
    return DataChoice(dataset=info.name)


def coloured_project(choice: DataChoice, home: Path) -> Project:
    field = prepare(choice, home).schema.inputs[0]
    source = ("Input", {"field": field.name, "kind": "vector", "shape": list(field.shape)})
    training = Training(objective="regression", epochs=40, learning_rate=0.03)
    return chain(source, ("Linear", {"units": 1}), data=choice, training=training)


def test_columns_of_one_category_go_together(coloured: DataChoice, home: Path) -> None:
    run = fit_here(coloured_project(coloured, home), home)
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


def test_the_parts_of_a_shape_lie_on_the_shape() -> None:
    """On pictures with a decoy, more of the evidence lies on the shape than its share of the picture."""
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


def _error(row: int, **options: Any) -> float | None:
    proof = explain(trained("table"), "integrated_gradients", row, **options).proofs.completeness
    return proof.relative_error if proof else None


def test_steps_are_doubled_until_the_parts_add_up() -> None:
    run = trained("table")
    row = next(i for i in range(60) if (_error(i, max_steps=1) or 0.0) > 0.05)
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


def test_an_order_upside_down_or_by_chance_is_not_faithful() -> None:
    run = trained("table")
    inputs = {"features": run.data.inputs["features"][3:4]}
    target = choose(None, run.output(inputs), run.data, inputs)
    context = ExplanationContext(run.project, run.model, run.data, inputs, target)
    right = explain(run, "integrated_gradients", 3).attributions
    good = faithfulness(context, right, signed=True, seed=0)
    bad = faithfulness(context, {"features": -right["features"]}, signed=True, seed=0)
    assert good is not None
    assert bad is not None
    assert good.chance <= 0.05
    assert good.deletion < good.deletion_chance
    assert good.insertion > good.insertion_chance
    assert bad.chance == 1.0
    random = np.random.default_rng(1)
    chances = []
    for _ in range(12):
        found = faithfulness(context, {"features": random.normal(size=30)}, signed=True, seed=0)
        assert found is not None
        chances.append(found.chance)
    assert 0.25 < np.mean(chances) < 0.75


def test_areas_of_a_linear_model_by_hand() -> None:
    """With F linear, each curve is a sum of parts in their order; the mean over all orders goes straight."""
    run = trained("regression")
    row = 7
    parts = linear_parts(row)
    proof = explain(run, "integrated_gradients", row).proofs.faithfulness
    sums = explain(run, "integrated_gradients", row).proofs.completeness
    assert proof is not None
    assert sums is not None
    falling = np.concatenate([[0.0], np.cumsum(np.sort(parts)[::-1])])
    np.testing.assert_allclose(proof.curves["deletion"], sums.answer - falling, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(proof.curves["insertion"], sums.baseline_answer + falling, rtol=1e-4, atol=1e-3)
    assert proof.deletion == pytest.approx(float(np.trapezoid(sums.answer - falling, dx=0.1)), rel=1e-4)


class Refuses(nn.Module):
    """Answers one row, and raises for more: an error in the middle of a method."""

    def __init__(self) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:
            raise RuntimeError("one row only")
        found: torch.Tensor = self.linear_1(x)
        return found


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion", "saliency"])
def test_an_error_leaves_nothing_behind(method: str) -> None:
    run, model = trained("regression"), Refuses()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with hooks_set() as hooks, pytest.raises(RuntimeError, match="one row only"):
        explain_model(run.project, model, run.data, method, 0)
    assert not left(hooks)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(value.requires_grad and value.grad is None for value in model.parameters())


def test_deep_lift_adds_up_through_weights_that_are_used_both_ways() -> None:
    made = network(
        "breast_cancer",
        *(("Linear", {"units": 8}), ("Tanh", {}), ("TransposedLinear", {"units": 30})),
        *(("ReLU", {}), ("Linear", {"units": 2})),
    )
    made = apply(made, {"kind": "update", "node": "transposedlinear_1", "shares": "linear_1"})
    found = explain(untrained_run(made), "deep_lift", 1)
    proof = found.proofs.completeness
    assert proof is not None
    assert proof.relative_error is not None
    assert proof.relative_error < 1e-4

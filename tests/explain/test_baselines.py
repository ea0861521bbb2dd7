"""Baselines: which are supported, their values, and how the headline names them."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerConductance
from scipy.ndimage import gaussian_filter

from netloom.data import prepare
from netloom.document import DataChoice
from netloom.explain import ExplainError, explain, inner_nodes, methods
from netloom.explain.core.baselines import BASELINES, TYPICAL, choose, offered, typical_row
from netloom.explain.core.cache import FOLDER
from netloom.explain.core.explainer import BaselineExplainer, PathExplainer, registry
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.explain.flow.attribution_flow import flow
from netloom.explain.plots.page import html
from netloom.runs import TrainedRun
from netloom.ui.explain.headline import headline
from tests.explain.models import PROJECTS, QUICK, fresh, trained

ARGUMENTS = {"class": "class:benign", "row": "row:7"}


def inputs_at(run: TrainedRun, row: int = 3) -> dict[str, torch.Tensor]:
    return {name: run.data.inputs[name][row : row + 1] for name in run.fields}


@pytest.mark.parametrize("name", PROJECTS)
def test_each_baseline_fits_or_is_refused_with_a_reason(name: str) -> None:
    run = fresh(name)
    supported = {baseline_info.name for baseline_info in offered(run.data, run.fields)}
    assert {"usual", "row"} <= supported
    for baseline in BASELINES.values():
        request = baseline.name
        if baseline.argument:
            first = run.data.schema.target.classes[:1] or ("a",)
            request = f"{request}:{first[0] if baseline.name == 'class' else 7}"
        if baseline.name not in supported:
            with pytest.raises(ExplainError, match=f"'{baseline.name}' does not fit this network, which reads"):
                choose(request, run.data, inputs_at(run))
            continue
        chosen = choose(request, run.data, inputs_at(run))
        assert chosen.words
        for field, values in chosen.values.items():
            assert values.shape == inputs_at(run)[field].shape
            assert values.dtype == inputs_at(run)[field].dtype
            assert bool(values.isfinite().all())


def test_image_baselines_are_black_white_or_blurred() -> None:
    run = fresh("image")
    (name,) = run.fields
    field = run.data.image_field(name)
    inputs = inputs_at(run)

    def pixels(request: str) -> np.ndarray:
        values = choose(request, run.data, inputs).values[name].numpy()
        unscaled: np.ndarray = values * field.std + field.mean
        return unscaled

    np.testing.assert_allclose(pixels("black"), 0.0, atol=1e-6)
    np.testing.assert_allclose(pixels("white"), 1.0, atol=1e-6)
    original = inputs[name].numpy() * field.std + field.mean
    sigma = original.shape[2] / 8
    np.testing.assert_allclose(
        pixels("blur"), gaussian_filter(original, (0, 0, sigma, sigma), mode="nearest"), atol=1e-5
    )
    assert f"σ = {sigma:.3g}" in choose("blur", run.data, inputs).words
    train = run.data.inputs[name][run.data.split["train"]]
    np.testing.assert_allclose(choose("mean", run.data, inputs).values[name][0], train[:2048].mean(0), atol=1e-6)


def test_class_and_median_baselines_use_training_rows() -> None:
    run = trained("table")
    (name,), data = run.fields, run.data
    train = data.split["train"]
    benign = data.inputs[name][train[data.target[train] == 1]]
    np.testing.assert_allclose(choose("class:benign", data, inputs_at(run)).values[name][0], benign.mean(0), atol=1e-6)
    median = choose("median", data, inputs_at(run)).values[name][0]
    np.testing.assert_allclose(median, data.inputs[name][train].median(0).values, atol=1e-6)
    assert torch.equal(choose("row:7", data, inputs_at(run)).values[name], data.inputs[name][7:8])
    custom = choose(data.row(7), data, inputs_at(run))
    np.testing.assert_allclose(custom.values[name], data.inputs[name][7:8], atol=1e-5)


def test_integrated_gradients_match_captum_for_each_baseline() -> None:
    run = trained("table")
    (name,) = run.fields
    inputs = inputs_at(run)
    for request in ("zero", "mean", "median", "class:benign", "row:7"):
        explanation = explain(run, "integrated_gradients", 3, baseline=request, n_steps=48, proofs=False)
        baseline = choose(request, run.data, inputs).values[name]
        expected = IntegratedGradients(run.model).attribute(
            inputs[name], baseline, target=explanation.target.index, n_steps=48
        )
        np.testing.assert_allclose(explanation.attributions[name], expected[0].numpy(), atol=1e-5)
        assert explanation.proofs.completeness is not None
        assert explanation.proofs.completeness.steps == 48
        with torch.no_grad():
            assert explanation.baseline_score == pytest.approx(
                float(run.model(baseline)[0, explanation.target.index]), abs=1e-4
            )


def test_layer_conductance_uses_the_requested_steps() -> None:
    run = trained("table")
    few, many = (explain(run, "layer_conductance", 3, node="relu_1", n_steps=steps, proofs=False) for steps in (3, 200))
    method = LayerConductance(run.model, run.model.get_submodule("relu_1"))
    (name,) = run.fields
    inputs = inputs_at(run)
    baseline = choose("usual", run.data, inputs).values[name]
    for explanation, steps in ((few, 3), (many, 200)):
        expected: Any = method.attribute(inputs[name], baseline, target=explanation.target.index, n_steps=steps)
        np.testing.assert_allclose(explanation.nodes["relu_1"], expected[0].detach().numpy(), atol=1e-5)
    assert not np.allclose(few.nodes["relu_1"], many.nodes["relu_1"], atol=1e-5)


@pytest.mark.parametrize("name", [pytest.param("image", marks=pytest.mark.long), "transformer"])
def test_methods_apply_or_refuse_baseline_and_steps(name: str) -> None:
    run = trained(name)
    options: dict[str, Any] = {"baseline": "row:7", "n_steps": 5}
    for method, (option, value) in product(
        [method_.name for method_ in methods(run) if method_.available], options.items()
    ):
        quick, kind = QUICK.get(method, {}), registry()[method]
        if kind.explains_layer and issubclass(
            kind, BaselineExplainer
        ):  # after the last nonlinearity, the gradient is constant along the path
            quick = quick | {"node": inner_nodes(run.project, run.model)[0].path}
        if not issubclass(kind, BaselineExplainer if option == "baseline" else PathExplainer):
            name = "baseline" if option == "baseline" else "number of"
            with pytest.raises(ExplainError, match=f"does not take a {name}"):
                explain(run, method, 3, proofs=False, **quick, **{option: value})
            continue
        plain = explain(run, method, 3, proofs=False, **{**quick, "n_steps": 9} if "n_steps" in quick else quick)
        other = explain(run, method, 3, proofs=False, **{**quick, option: value})
        pairs = zip(
            (*plain.attributions.values(), *plain.nodes.values()),
            (*other.attributions.values(), *other.nodes.values()),
            strict=True,
        )
        assert any(not np.allclose(method_, two, atol=1e-9) for method_, two in pairs), (method, option)
        assert other.baseline == ("row 7 of the data" if option == "baseline" else plain.baseline)


def test_baseline_appears_in_headlines_and_cache_keys(tmp_path: Path) -> None:
    run = trained("table")
    explanation = explain(run, "integrated_gradients", 3, baseline="class:benign", folder=tmp_path)
    words = "compared with the mean of the training rows of the class benign"
    for text in (explanation.headline, html(explanation), headline(explanation)):
        assert words in text
    assert json.loads(json.dumps(explanation.as_json()))["baseline"] in words
    assert explain(run, "integrated_gradients", 3, baseline="class:benign", folder=tmp_path) is not None
    assert len(list((tmp_path / FOLDER).glob("*.npz"))) == 1
    first = explain(run, "occlusion", 3, baseline=run.data.row(7), folder=tmp_path)
    other = explain(run, "occlusion", 3, baseline=run.data.row(8), folder=tmp_path)
    assert first.baseline_score != other.baseline_score, "a custom baseline row is part of the cache key"
    assert "compared" not in explain(run, "saliency", 3).headline
    assert "128 training rows" in explain(run, "gradient_shap", 3, proofs=False).headline


def test_attribution_flow_uses_the_chosen_baseline() -> None:
    run = trained("table")
    flow_result = flow(run, 3, baseline="row:7")
    assert flow_result.baseline_score == pytest.approx(
        explain(run, "occlusion", 3, baseline="row:7").baseline_score, abs=1e-4
    )
    assert flow_result.baseline == "row 7 of the data"


def test_global_attribution_uses_the_chosen_baseline() -> None:
    run = trained("table")
    summary = global_attribution(run, rows=6, baseline="row:7")
    assert "compared with row 7 of the data" in summary.sentence
    steps = global_attribution(run, rows=6, baseline="row:7", n_steps=300)
    for one, other in zip(sorted(summary.table(), key=str), sorted(steps.table(), key=str), strict=True):
        assert one["mean"] == pytest.approx(other["mean"], abs=2e-2)
    blurred = global_attribution(trained("image"), rows=4, baseline="blur")
    explanations = [
        explain(trained("image"), "integrated_gradients", row.row, baseline="blur", n_steps=256, proofs=False)
        for row in blurred.rows
    ]
    groups = [np.mean([one.attributions["image"] for one in explanations if one.target.name == name], axis=0)
              for name in blurred.groups]  # fmt: skip
    for class_map, mean in zip(blurred.maps["image"], groups, strict=True):
        assert np.abs(class_map - mean).sum() < 0.05 * np.abs(mean).sum(), (
            "each image is compared with its own blurred copy"
        )


@pytest.mark.parametrize("name", ["table", pytest.param("image", marks=pytest.mark.long), "transformer"])
def test_global_layer_attribution_is_the_mean_over_rows(name: str) -> None:
    run = trained(name)
    for method in methods(run):
        if not method.explains_layer or not method.available:
            continue
        quick = QUICK.get(method.name, {})
        summary = global_attribution(run, rows=3, method=method.name, **quick)
        assert summary.layer, method.name
        assert summary.layer in summary.sentence
        assert summary.parts or summary.maps
        node = summary.layer.rpartition(" of ")[2]
        neuron = summary.layer.removeprefix("neuron ").partition(" of ")[0] if "neuron" in method.name else ""
        options = quick | {"node": node} | ({"neuron": neuron} if neuron else {})
        explanations = [explain(run, method.name, row.row, proofs=False, **options) for row in summary.rows]
        if explanations[0].attributions:
            continue  # attributions to the input are aggregated as for any other method
        values = np.stack([explanation.nodes[node] for explanation in explanations])
        flat = values.sum((2, 3)) if values.ndim == 4 else values.sum(1) if values.ndim == 3 else values
        means = {part.name.split()[1]: part.signed for part in summary.parts}
        for index, mean in enumerate(flat.reshape(3, -1).mean(0)[:20]):
            assert means[str(index)] == pytest.approx(float(mean), rel=1e-3, abs=1e-5), method.name


def test_class_baseline_is_refused_without_classes() -> None:
    data = prepare(DataChoice(dataset="diabetes"))
    with pytest.raises(
        ExplainError, match="reads numbers of a table and does not predict classes; choose one of usual"
    ):
        choose("class:a", data, {name: values[:1] for name, values in data.inputs.items()})


@pytest.mark.parametrize("name", ["table", "image", "transformer"])
def test_typical_row_is_closest_to_the_default_baseline(name: str) -> None:
    run = trained(name)
    ((field, values),) = run.data.inputs.items()
    center = choose("usual", run.data, {field: values[:1]}).values[field]
    first = run.data.split["train"][:TYPICAL].tolist()
    is_discrete = values.dtype == torch.int64
    distances = {
        row: float(((values[row] != center[0]) if is_discrete else (values[row] - center[0])).double().norm())
        for row in first
    }
    typical = typical_row(run.data, run.fields)
    assert distances[typical] == pytest.approx(min(distances.values()))
    assert max(distances.values()) > distances[typical]

"""Activation maximization: how far it gets, compared with real rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from netloom.explain import ExplainError, inner_nodes
from netloom.explain.concepts.feature_visualization import unavailable_reason, visualize_unit
from netloom.explain.concepts.unit import unit_counts
from netloom.modalities.encoding.field_encoder import ScaledEncoder
from tests.explain.models import trained
from tests.explain.test_conformance import state


def test_linear_output_is_maximized_within_training_range() -> None:
    run = trained("regression")
    visualization = visualize_unit(run)
    rows = run.data.inputs["features"][run.data.split["train"]]
    (weights, bias) = run.model.state_dict().values()
    std, mean = run.data.fitted_numbers.std[0], run.data.fitted_numbers.mean[0]
    most = (torch.where(weights[0] > 0, rows.amax(0), rows.amin(0)) @ weights[0] + bias[0]) * std + mean
    answers = (rows @ weights[0] + bias[0]) * std + mean
    assert std > 2, "original and standardized units must differ"
    assert visualization.name == f"{run.data.schema.target.name}, in the units of the data"
    assert visualization.train_max == pytest.approx(float(answers.max()), rel=1e-4)
    assert visualization.top_rows[0] == int(run.data.split["train"][answers.argmax()])
    assert visualization.train_mean == pytest.approx(float(answers.mean()), abs=1e-4)
    assert visualization.train_max < visualization.optimized_values[0] <= float(most) + 1e-4
    heaviest = int(weights[0].abs().argmax())
    name = run.data.schema.inputs[0].columns[heaviest]
    column_values = [run.data.row(int(row))[name] for row in run.data.split["train"]]
    end = max(column_values) if weights[0, heaviest] > 0 else min(column_values)
    assert visualization.optimized_inputs["features"][0][name] == pytest.approx(end, rel=1e-3)


@pytest.mark.parametrize(("name", "path"), [("strided", ""), ("strided", "conv2d_2"), ("series", "gru_1")])
def test_visualization_reaches_the_reported_activation(name: str, path: str) -> None:
    run = trained(name)
    before = state(run)
    visualization = visualize_unit(run, path, 1 if path else 0, seeds=2)
    spec, field = run.data.schema.inputs[0], run.data.fields[0]
    assert isinstance(field, ScaledEncoder)
    generated = torch.tensor(visualization.optimized_inputs[spec.name], dtype=torch.float32)
    if spec.kind == "image":
        assert generated.min() >= 0
        assert generated.max() <= 1
    scaled = (generated - torch.tensor(field.mean)) / torch.tensor(field.std)
    activations: list[torch.Tensor] = []
    hook = run.model.get_submodule(path).register_forward_hook(
        lambda _, __, output: activations.append(output[0] if isinstance(output, tuple) else output)
    )
    with torch.no_grad():
        run.model(scaled.float())
        real = run.model(run.data.inputs[spec.name][list(visualization.top_rows)])
    hook.remove()
    for value, reported in zip(activations, (visualization.optimized_values, visualization.top_values), strict=True):
        unit = value.flatten(2).mean(2)[:, 1] if value.ndim == 4 else value[..., visualization.unit]
        unit = unit.mean(1) if unit.ndim > 1 else unit
        np.testing.assert_allclose(unit.numpy(), reported, rtol=1e-3, atol=1e-3)
    assert len(real) == len(visualization.top_values)
    assert visualization.optimized_values[0] > visualization.train_mean + 0.8 * (
        visualization.train_max - visualization.train_mean
    ), "it reaches about the maximum of the rows"
    assert visualization.verdict.level in ("good", "caution")
    assert str(state(run)) == str(before)


def test_unit_counts_are_listed_and_unknown_units_refused() -> None:
    run = trained("strided")
    counts = unit_counts(run)
    assert counts[""] == 4
    assert counts["conv2d_1"] == 12
    assert counts.keys() - {""} == {node.path for node in inner_nodes(run.project, run.model)}
    with pytest.raises(ExplainError, match="no unit 12"):
        visualize_unit(run, "conv2d_1", 12)
    with pytest.raises(ExplainError, match="no layer"):
        visualize_unit(run, "conv9")
    assert "tokens" in unavailable_reason(trained("transformer"))
    with pytest.raises(ExplainError, match="tokens"):
        visualize_unit(trained("transformer"))


def test_unit_inactive_at_the_mean_is_activated() -> None:
    run = trained("table")
    for unit in range(4):
        visualization = visualize_unit(run, "relu_1", unit, steps=40)
        assert min(visualization.optimized_values) > 0 or visualization.train_max <= 0


def test_visualization_is_cached_reports_progress_and_cancels(tmp_path: Path) -> None:
    run = trained("table")
    shares: list[float] = []
    first = visualize_unit(run, steps=20, folder=tmp_path, progress=shares.append)
    again = visualize_unit(run, steps=20, folder=tmp_path)
    assert (again.seconds, again.optimized_values, again.optimized_inputs) == (
        first.seconds,
        first.optimized_values,
        first.optimized_inputs,
    )
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert visualize_unit(run, steps=20, seed=3, folder=tmp_path).optimized_inputs != first.optimized_inputs
    assert visualize_unit(run, steps=20).optimized_inputs == first.optimized_inputs

    def stop(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        visualize_unit(run, steps=20, progress=stop)

"""Inputs that are made to raise a number: how far they come, and that what is real is measured beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from netloom.explain import ExplainError, inner_nodes
from netloom.explain.concepts.feature_visualization import unavailable_reason, unit_counts, visualize_unit
from netloom.modalities.encoding.field_encoder import ScaledEncoder
from tests.explain.models import trained
from tests.explain.test_conformance import state


def test_a_linear_network_is_raised_to_the_ends_of_the_training_rows() -> None:
    run = trained("regression")
    found = visualize_unit(run)
    rows = run.data.inputs["features"][run.data.split["train"]]
    (weights, bias) = run.model.state_dict().values()
    std, mean = run.data.fitted_numbers.std[0], run.data.fitted_numbers.mean[0]
    most = (torch.where(weights[0] > 0, rows.amax(0), rows.amin(0)) @ weights[0] + bias[0]) * std + mean
    answers = (rows @ weights[0] + bias[0]) * std + mean
    assert std > 2, "so that it is told which units they are"
    assert found.name == f"{run.data.schema.target.name}, in the units of the data"
    assert found.highest == pytest.approx(float(answers.max()), rel=1e-4)
    assert found.rows_most[0] == int(run.data.split["train"][answers.argmax()])
    assert found.mean == pytest.approx(float(answers.mean()), abs=1e-4)
    assert found.highest < found.reached[0] <= float(most) + 1e-4
    heaviest = int(weights[0].abs().argmax())
    name = run.data.schema.inputs[0].columns[heaviest]
    held = [run.data.row(int(row))[name] for row in run.data.split["train"]]
    end = max(held) if weights[0, heaviest] > 0 else min(held)
    assert found.made["features"][0][name] == pytest.approx(end, rel=1e-3)


@pytest.mark.parametrize(("name", "path"), [("strided", ""), ("strided", "conv2d_2"), ("series", "gru_1")])
def test_what_was_made_does_what_is_said_of_it(name: str, path: str) -> None:
    run = trained(name)
    before = state(run)
    found = visualize_unit(run, path, 1 if path else 0, seeds=2)
    spec, field = run.data.schema.inputs[0], run.data.fields[0]
    assert isinstance(field, ScaledEncoder)
    made = torch.tensor(found.made[spec.name], dtype=torch.float32)
    if spec.kind == "image":
        assert made.min() >= 0
        assert made.max() <= 1
    taken = (made - torch.tensor(field.mean)) / torch.tensor(field.std)
    seen: list[torch.Tensor] = []
    hook = run.model.get_submodule(path).register_forward_hook(
        lambda _, __, output: seen.append(output[0] if isinstance(output, tuple) else output)
    )
    with torch.no_grad():
        run.model(taken.float())
        real = run.model(run.data.inputs[spec.name][list(found.rows_most)])
    hook.remove()
    for value, told in zip(seen, (found.reached, found.real), strict=True):
        unit = value.flatten(2).mean(2)[:, 1] if value.ndim == 4 else value[..., found.unit]
        unit = unit.mean(1) if unit.ndim > 1 else unit
        np.testing.assert_allclose(unit.numpy(), told, rtol=1e-3, atol=1e-3)
    assert len(real) == len(found.real)
    assert found.reached[0] > found.mean + 0.8 * (found.highest - found.mean), "it climbs about as far as the rows"
    assert found.verdict.level in ("good", "caution")
    assert str(state(run)) == str(before)


def test_every_node_has_its_numbers_and_others_are_refused() -> None:
    run = trained("strided")
    known = unit_counts(run)
    assert known[""] == 4
    assert known["conv2d_1"] == 12
    assert known.keys() - {""} == {node.path for node in inner_nodes(run.project, run.model)}
    with pytest.raises(ExplainError, match="no unit 12"):
        visualize_unit(run, "conv2d_1", 12)
    with pytest.raises(ExplainError, match="no layer"):
        visualize_unit(run, "conv9")
    assert "tokens" in unavailable_reason(trained("transformer"))
    with pytest.raises(ExplainError, match="tokens"):
        visualize_unit(trained("transformer"))


def test_a_unit_that_is_shut_at_the_mean_is_found_from_further_out() -> None:
    run = trained("table")
    for unit in range(4):
        found = visualize_unit(run, "relu_1", unit, steps=40)
        assert min(found.reached) > 0 or found.highest <= 0


def test_it_is_kept_told_how_far_it_is_and_can_be_ended(tmp_path: Path) -> None:
    run = trained("table")
    shares: list[float] = []
    first = visualize_unit(run, steps=20, folder=tmp_path, progress=shares.append)
    again = visualize_unit(run, steps=20, folder=tmp_path)
    assert (again.seconds, again.reached, again.made) == (first.seconds, first.reached, first.made)
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert visualize_unit(run, steps=20, seed=3, folder=tmp_path).made != first.made
    assert visualize_unit(run, steps=20).made == first.made

    def stop(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        visualize_unit(run, steps=20, progress=stop)

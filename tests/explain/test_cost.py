"""The cost of explanations in forward rows, and that the optimized paths give the same results."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

from netloom.compile.logit_network import with_logits
from netloom.explain import explain
from netloom.explain.attribution.gradient.adaptive_integrated_gradients import SPANS, STEPS, integrate_rows
from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.request import ExplanationRequest, build_context
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.explain.evidence.faithfulness import faithfulness
from netloom.explain.influence.per_sample_gradients import PerSampleGradients
from netloom.runs import TrainedRun
from netloom.ui.shell.session import HEAVY
from tests.explain.models import fresh, network, trained, untrained_run


@pytest.fixture
def forward_batch_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch size of each forward pass through the network of a context."""
    batch_sizes: list[int] = []
    forward = ExplanationContext.forward

    def counting(self: ExplanationContext, inputs: Any) -> torch.Tensor:
        batch_sizes.append(len(next(iter(inputs.values()))))
        return forward(self, inputs)

    monkeypatch.setattr(ExplanationContext, "forward", counting)
    return batch_sizes


def context_of(run: TrainedRun, row: int) -> ExplanationContext:
    return build_context(run.project, run.model, run.data, ExplanationRequest("", row))[0]


def test_faithfulness_scores_each_token_subset_once(forward_batch_sizes: list[int]) -> None:
    run = fresh("transformer")
    row = next(row for row in run.data.split["test"].tolist() if int((run.data.inputs["text"][row] != 0).sum()) == 4)
    context = context_of(run, row)
    values = {"text": np.random.default_rng(0).normal(size=run.data.inputs["text"].shape[1:])}
    forward_batch_sizes.clear()
    result = faithfulness(context, values, signed=True, seed=0)
    assert result is not None
    assert sum(forward_batch_sizes) == 2**4, "four words form sixteen coalitions"
    # The curves computed manually: the words are removed or inserted one by one, in order of attribution.
    real = np.nonzero(run.data.inputs["text"][row].numpy() != 0)[0]
    order = real[np.argsort(-values["text"][real])]
    for deleted, name in ((True, "deletion"), (False, "insertion")):
        tokens = context.inputs["text"] if deleted else context.baseline["text"]
        curve = [float(context.score({"text": tokens})[0])]
        for index in order:
            tokens = tokens.clone()
            tokens[0, index] = (context.baseline if deleted else context.inputs)["text"][0, index]
            curve.append(float(context.score({"text": tokens})[0]))
        assert result.curves[name] == pytest.approx(curve, abs=1e-5)


def test_adaptive_integration_refines_only_inaccurate_spans(forward_batch_sizes: list[int]) -> None:
    run = trained("recurrent")
    rows = run.data.split["test"][:6].tolist()
    summary = global_attribution(run, "test", rows=6)
    assert summary.converged == 1.0
    rows_computed = sum(forward_batch_sizes)
    # Captum integrates the whole path again, with 32, 64, … steps, until the attributions add up.
    singles = [explain(run, "integrated_gradients", row.row, proofs=False).proofs.completeness for row in summary.rows]
    doubled = sum(2 * (single.steps or 0) - 32 for single in singles if single)
    assert 6 * SPANS * STEPS <= rows_computed < doubled / 1.5
    # Compared with 2048 steps over the whole path.
    context = context_of(run, rows[0])
    adaptive, errors = integrate_rows(context)
    point = context.points[0]
    shares = (torch.arange(2048) + 0.5) / 2048
    total = torch.zeros_like(point.value)
    for share in torch.split(shares, 128):
        path = (point.baseline + share[:, None, None] * (point.value - point.baseline)).requires_grad_()
        (gradient,) = torch.autograd.grad(context.point_score(path).sum(), path)
        total += gradient.sum(0, keepdim=True) / 2048
    reference = ((point.value - point.baseline) * total)[0].sum(1).detach().numpy()
    assert errors[0] <= 0.01
    np.testing.assert_allclose(adaptive["text"][0], reference, atol=0.03 * np.abs(reference).sum())


def test_rows_with_different_targets_are_batched_together(forward_batch_sizes: list[int]) -> None:
    options = {"rows": 60}
    masks = untrained_run(network("shape_masks", ("Conv2d", {"filters": 5}), options=options, objective="segmentation"))
    summary = global_attribution(masks, "test", rows=6)
    assert max(forward_batch_sizes) > STEPS, "batches hold as many rows as the memory limit allows"
    assert len(forward_batch_sizes) < 6 * SPANS
    for index, row in enumerate(summary.rows):
        single = explain(masks, "integrated_gradients", row.row, proofs=False)
        assert single.target.name == row.target
        np.testing.assert_allclose(summary.row_maps["image"][index], single.attributions["image"], atol=1e-4)


def per_sample_gradients_on(name: str) -> tuple[PerSampleGradients, np.ndarray, list[torch.Tensor], torch.Tensor]:
    run = fresh(name)
    objective = run.objective.configured(run.project.training, run.data, "cpu")
    scorer = with_logits(run.project, run.model, run.data.schema)
    work, rows = PerSampleGradients(scorer, objective, run.data, run.fields, None), run.data.split["train"].numpy()
    test_row = run.data.split["test"][:1].numpy()
    return work, rows[:40], work.inputs(test_row), work.targets(test_row)


@pytest.mark.parametrize("name", ["table", "image", "series", "transformer", "recurrent"])
def test_directional_derivative_matches_in_forward_and_reverse_mode(name: str) -> None:
    work, rows, values, target = per_sample_gradients_on(name)
    direction = work.gradient(values, target)
    forwards, losses = work.along(rows, direction)
    assert work.forward_mode or name == "recurrent"
    work.forward_mode = False
    backwards, same = work.along(rows, direction)
    np.testing.assert_allclose(forwards, backwards, atol=1e-5 * np.abs(backwards).max())
    np.testing.assert_allclose(losses, same, atol=1e-6)


@pytest.mark.parametrize("name", ["table", "image", "transformer"])
def test_batched_retraining_matches_sequential_retraining(name: str) -> None:
    work, rows, values, target = per_sample_gradients_on(name)
    sets = np.stack([rows[:10], rows[10:20], rows[20:30]])
    passes: list[int] = []
    work.model.register_forward_hook(lambda *_: passes.append(1))
    sequential = work.learned(sets, 0.05, 3, values, target, at_once=False)
    assert len(set(sequential)) == 3
    sequential_passes = len(passes)
    batched = work.learned(sets, 0.05, 3, values, target)
    assert len(passes) - sequential_passes < sequential_passes
    np.testing.assert_allclose(batched, sequential, rtol=1e-5)
    # Where vmap is not possible, the sets run sequentially with the same result.
    work.model.register_forward_hook(lambda *given: given[-1].sum().item() and None)
    np.testing.assert_array_equal(work.learned(sets, 0.05, 3, values, target), sequential)


def test_preloaded_modules_exist() -> None:
    assert [name for name in HEAVY if find_spec(name) is None] == []

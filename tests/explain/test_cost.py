"""What explaining costs, counted in rows that pass through the network, and that what is cheaper gives the same."""

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
from netloom.explain.core.run import ExplanationRequest, build_context
from netloom.explain.dataset.global_attribution import global_attribution
from netloom.explain.evidence.faithfulness import faithfulness
from netloom.explain.influence.per_sample_gradients import PerSampleGradients
from netloom.runs import TrainedRun
from netloom.ui.shell.session import HEAVY
from tests.explain.models import fresh, network, trained, untrained_run


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each pass through the network of a context."""
    counted: list[int] = []
    forward = ExplanationContext.forward

    def counting(self: ExplanationContext, inputs: Any) -> torch.Tensor:
        counted.append(len(next(iter(inputs.values()))))
        return forward(self, inputs)

    monkeypatch.setattr(ExplanationContext, "forward", counting)
    return counted


def context(run: TrainedRun, row: int) -> ExplanationContext:
    return build_context(run.project, run.model, run.data, ExplanationRequest("", row))[0]


def test_what_lies_between_is_scored_once_however_many_orders_meet_it(passed: list[int]) -> None:
    run = fresh("transformer")
    row = next(row for row in run.data.split["test"].tolist() if int((run.data.inputs["text"][row] != 0).sum()) == 4)
    asked = context(run, row)
    values = {"text": np.random.default_rng(0).normal(size=run.data.inputs["text"].shape[1:])}
    passed.clear()
    found = faithfulness(asked, values, signed=True, seed=0)
    assert found is not None
    assert sum(passed) == 2**4, "four words are there or not in sixteen ways"
    # The curves by hand: the words go in their order, one after the other.
    real = np.nonzero(run.data.inputs["text"][row].numpy() != 0)[0]
    order = real[np.argsort(-values["text"][real])]
    for gone, name in ((True, "deletion"), (False, "insertion")):
        tokens = asked.inputs["text"] if gone else asked.baseline["text"]
        curve = [float(asked.score({"text": tokens})[0])]
        for place in order:
            tokens = tokens.clone()
            tokens[0, place] = (asked.baseline if gone else asked.inputs)["text"][0, place]
            curve.append(float(asked.score({"text": tokens})[0]))
        assert found.curves[name] == pytest.approx(curve, abs=1e-5)


def test_only_what_is_off_on_the_way_is_gone_over_again(passed: list[int]) -> None:
    run = trained("recurrent")
    rows = run.data.split["test"][:6].tolist()
    found = global_attribution(run, "test", rows=6)
    assert found.converged == 1.0
    taken = sum(passed)
    # Captum's way is gone over as a whole, in 32, 64, … steps, until its parts add up.
    singles = [explain(run, "integrated_gradients", row.row, proofs=False).proofs.completeness for row in found.rows]
    doubled = sum(2 * (single.steps or 0) - 32 for single in singles if single)
    assert 6 * SPANS * STEPS <= taken < doubled / 1.5
    # Against very many steps on the whole way.
    asked = context(run, rows[0])
    ours, errors = integrate_rows(asked)
    point = asked.points[0]
    shares = (torch.arange(2048) + 0.5) / 2048
    total = torch.zeros_like(point.value)
    for share in torch.split(shares, 128):
        way = (point.baseline + share[:, None, None] * (point.value - point.baseline)).requires_grad_()
        (gradient,) = torch.autograd.grad(asked.point_score(way).sum(), way)
        total += gradient.sum(0, keepdim=True) / 2048
    reference = ((point.value - point.baseline) * total)[0].sum(1).detach().numpy()
    assert errors[0] <= 0.01
    np.testing.assert_allclose(ours["text"][0], reference, atol=0.03 * np.abs(reference).sum())


def test_rows_that_explain_numbers_of_their_own_go_together(passed: list[int]) -> None:
    options = {"rows": 60}
    masks = untrained_run(network("shape_masks", ("Conv2d", {"filters": 5}), options=options, objective="segmentation"))
    found = global_attribution(masks, "test", rows=6)
    assert max(passed) > STEPS, "as many rows at once as there is room for"
    assert len(passed) < 6 * SPANS
    for place, row in enumerate(found.rows):
        single = explain(masks, "integrated_gradients", row.row, proofs=False)
        assert single.target.name == row.explained
        np.testing.assert_allclose(found.each["image"][place], single.attributions["image"], atol=1e-4)


def begun_on(name: str) -> tuple[PerSampleGradients, np.ndarray, list[torch.Tensor], torch.Tensor]:
    run = fresh(name)
    objective = run.objective.configured(run.project.training, run.data, "cpu")
    scorer = with_logits(run.project, run.model, run.data.schema)
    work, rows = PerSampleGradients(scorer, objective, run.data, run.fields, None), run.data.split["train"].numpy()
    one = run.data.split["test"][:1].numpy()
    return work, rows[:40], work.inputs(one), work.targets(one)


@pytest.mark.parametrize("name", ["table", "image", "series", "transformer", "recurrent"])
def test_the_slope_along_a_direction_is_the_same_forwards_and_backwards(name: str) -> None:
    work, rows, values, target = begun_on(name)
    direction = work.gradient(values, target)
    forwards, losses = work.along(rows, direction)
    assert work.forward_mode or name == "recurrent"
    work.forward_mode = False
    backwards, same = work.along(rows, direction)
    np.testing.assert_allclose(forwards, backwards, atol=1e-5 * np.abs(backwards).max())
    np.testing.assert_allclose(losses, same, atol=1e-6)


@pytest.mark.parametrize("name", ["table", "image", "transformer"])
def test_learning_side_by_side_is_as_one_after_the_other(name: str) -> None:
    work, rows, values, target = begun_on(name)
    sets = np.stack([rows[:10], rows[10:20], rows[20:30]])
    passes: list[int] = []
    work.model.register_forward_hook(lambda *_: passes.append(1))
    single = work.learned(sets, 0.05, 3, values, target, at_once=False)
    assert len(set(single)) == 3
    apart = len(passes)
    together = work.learned(sets, 0.05, 3, values, target)
    assert len(passes) - apart < apart
    np.testing.assert_allclose(together, single, rtol=1e-5)
    # Where that is not possible, one after the other, with the same result.
    work.model.register_forward_hook(lambda *given: given[-1].sum().item() and None)
    np.testing.assert_array_equal(work.learned(sets, 0.05, 3, values, target), single)


def test_what_is_imported_ahead_is_there() -> None:
    assert [name for name in HEAVY if find_spec(name) is None] == []

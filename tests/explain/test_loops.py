"""Explanations of networks that are applied once for each step along an axis."""

from __future__ import annotations

import pytest

from netloom.explain import ExplainError, explain, inner_nodes
from netloom.explain.flow.attribution_flow import flow
from netloom.runs import TrainedRun
from netloom.training.diagnostics.node_modules import places
from tests.explain.models import untrained_run
from tests.loops import STEPS, diabetes


@pytest.fixture(scope="module")
def run() -> TrainedRun:
    return untrained_run(diabetes(initial={"hidden": "learned"}, direction="reverse"))


def test_flow_is_conserved_in_each_step(run: TrainedRun) -> None:
    attribution_flow = flow(run, 3, tolerance=1e-4)
    gap = attribution_flow.score - attribution_flow.baseline_score
    assert {cut.path for cut in attribution_flow.cuts} == {"", *(f"cell_1.{step}" for step in range(STEPS))}
    for cut in attribution_flow.cuts:
        assert cut.sum == pytest.approx(cut.expected, rel=1e-2, abs=2e-4 * abs(gap)), (cut.path, cut.after)
    expected = explain(run, "integrated_gradients", 3, proofs=False)
    assert gap == pytest.approx(expected.score - expected.baseline_score, rel=1e-4)
    last = [node.value for node in attribution_flow.nodes if node.path == f"cell_1.{STEPS - 1}" and node.key == "act"]
    assert last == [pytest.approx(gap, rel=1e-3)]


def test_layers_of_a_step_have_no_activations_of_their_own(run: TrainedRun) -> None:
    assert [node.path for node in inner_nodes(run.project, run.model)] == ["steps", "cell_1", "head"]
    assert {place.path for place in places(run.project, run.model)} >= {"cell_1.cell.a", "cell_1.cell.act", "head"}


def test_rules_that_need_one_call_per_layer_are_refused(run: TrainedRun) -> None:
    with pytest.raises(ExplainError, match="runs several times with the same weights"):
        explain(run, "deep_lift", 3, proofs=False)

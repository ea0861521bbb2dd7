"""The benchmarked cost of explanation methods."""

from __future__ import annotations

import pytest

from netloom.cli.bench.methods import ROW, MethodCost, captum_call, image_network, measure_method, untrained_run
from netloom.explain import methods
from netloom.explain.core.explainer import registry
from netloom.explain.core.request import ExplanationRequest, build_context
from netloom.runs import TrainedRun


@pytest.fixture(scope="module")
def run() -> TrainedRun:
    return untrained_run(image_network())


def test_method_cost_counts_rows_and_forward_passes(run: TrainedRun) -> None:
    costs: dict[str, MethodCost] = {
        name: measure_method(run, name, 1, with_captum=True) for name in ("saliency", "feature_ablation")
    }
    assert costs["saliency"].rows == 1
    assert costs["feature_ablation"].rows == 64 + 1  # one per group, and the example
    assert costs["saliency"].passes.median < 10, "it is one pass there and back, and what stands around it"
    assert costs["saliency"].proven.median > costs["saliency"].passes.median
    captum = costs["feature_ablation"].captum
    assert captum is not None
    assert captum.median > 1, "called plainly, it takes the groups one by one"


def test_captum_call_exists_for_every_captum_method(run: TrainedRun) -> None:
    missing = []
    for method in methods(run):
        if not method.available or method.name in ("shapley_sampling", "kernel_shap", "lime"):
            continue  # slow methods
        context, *_ = build_context(run.project, run.model, run.data, ExplanationRequest("", ROW))
        explainer = registry()[method.name].model_validate({"groups": 3} if method.name == "shapley" else {})
        if captum_call(run, context, method.name, explainer.run(context)) is None:
            missing.append(method.name)
    assert not missing

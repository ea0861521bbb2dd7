"""What the benchmark says that a method of explanation costs."""

from __future__ import annotations

import pytest

from netloom.cli.bench.methods import ROW, MethodCost, captum_call, image_network, measure_method, untrained_run
from netloom.explain import methods
from netloom.explain.core.explainer import registry
from netloom.explain.core.run import ExplanationRequest, build_context
from netloom.runs import TrainedRun


@pytest.fixture(scope="module")
def run() -> TrainedRun:
    return untrained_run(image_network())


def test_rows_are_counted_and_time_is_that_of_passes(run: TrainedRun) -> None:
    found: dict[str, MethodCost] = {
        name: measure_method(run, name, 1, with_captum=True) for name in ("saliency", "feature_ablation")
    }
    assert found["saliency"].rows == 1
    assert found["feature_ablation"].rows == 64 + 1  # the groups, and the example itself
    assert found["saliency"].passes.median < 10, "it is one pass there and back, and what stands around it"
    assert found["saliency"].proven.median > found["saliency"].passes.median
    captum = found["feature_ablation"].captum
    assert captum is not None
    assert captum.median > 1, "called plainly, it takes the groups one by one"


def test_captum_is_called_on_all_that_it_has(run: TrainedRun) -> None:
    without = []
    for method in methods(run):
        if not method.available or method.name in ("shapley_sampling", "kernel_shap", "lime"):
            continue  # these take long
        context, *_ = build_context(run.project, run.model, run.data, ExplanationRequest("", ROW))
        explainer = registry()[method.name].model_validate({"groups": 3} if method.name == "shapley" else {})
        if captum_call(run, context, method.name, explainer.run(context)) is None:
            without.append(method.name)
    assert not without

"""Every template can be optimized, or a sentence says why not."""

from __future__ import annotations

import pytest

from netloom.compression import CompressionError, measure
from netloom.compression.method import file_methods, unavailable_reason
from netloom.runs import fit_here
from netloom.tasks import task
from netloom.templates import templates

pytestmark = pytest.mark.usefixtures("operators")

# One that is optimized and two that are refused. The others have layers and tasks that other tests of compression
# measure.
SHORT = ("diabetes", "digits_gan", "cartpole_dqn")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORT else pytest.mark.long) for name in templates()]
)
def test_every_template_is_optimized_or_refused(name: str) -> None:
    project = templates()[name].project
    training = project.training.model_copy(update={"epochs": 0, "device": "cpu", "teacher": ""})
    trained = fit_here(project.model_copy(update={"training": training}))
    reason = unavailable_reason(task(training.objective))
    if reason:
        with pytest.raises(CompressionError, match="variants"):
            measure(trained)
        return
    report, variants = measure(trained, repeats=1)
    done, refused = {item.method for item in report.measured[1:]}, dict(report.failures)
    assert done | set(refused) == {method.name for method in file_methods()}
    assert "onnx" in done
    assert len(variants) == len(done) >= 2
    assert not [sentence for sentence in refused.values() if "ONNX Runtime" in sentence], refused
    assert all(item.score == item.score and item.size > 0 and item.p50_ms > 0 for item in report.measured)
    exact = next(item for item in report.measured if item.method == "onnx")
    assert exact.difference < 1e-3
    assert exact.score == pytest.approx(report.measured[0].score, rel=1e-3, abs=1e-3)

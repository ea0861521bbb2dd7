"""Output scales inferred from the graph, compared with the network's actual outputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from netloom.compile import module, source
from netloom.compile.logit_network import RemovedActivation, with_logits
from netloom.document import Project, Training
from netloom.layers.author_code import ALLOW
from netloom.nn.probability import logits
from netloom.validation import analyze
from netloom.validation.output_scales import OutputScale, readings
from tests.networks import TABLE, chain, network, networks, project

Layers = list[tuple[str, dict[str, Any]]]
IMAGE = ("Input", {"field": "image", "kind": "image", "shape": [3, 8, 8]})
SIXTEEN: Layers = [("Linear", {"units": 16}), ("ReLU", {}), ("Linear", {"units": 4})]


def single_reading(document: Project) -> tuple[OutputScale, int, bool]:
    """The reading of the only output: its scale, the number of removed layers, and whether it is doubtful."""
    (reading,) = readings(document)
    assert reading is not None
    return reading.scale, len(reading.removed), bool(reading.doubt)


SEGMENTS = Training(objective="segmentation")
LABELS = Training(objective="multi_label")
CONV: tuple[str, dict[str, Any]] = ("Conv2d", {"filters": 4})
GRAPHS: dict[str, tuple[Project, tuple[OutputScale, int, bool]]] = {
    "nothing": (chain(TABLE, *SIXTEEN), (OutputScale.LOGITS, 0, False)),
    "a softmax in the middle": (
        chain(TABLE, *SIXTEEN, ("Softmax", {}), ("Linear", {"units": 4})),
        (OutputScale.LOGITS, 0, False),
    ),
    "two softmaxes": (chain(TABLE, *SIXTEEN, ("Softmax", {}), ("Softmax", {})), (OutputScale.PROBABILITIES, 1, False)),
    "softmin": (chain(TABLE, *SIXTEEN, ("Softmin", {})), (OutputScale.PROBABILITIES, 0, False)),
    "hard sigmoid": (
        chain(TABLE, *SIXTEEN, ("Hardsigmoid", {}), training=LABELS),
        (OutputScale.PROBABILITIES, 0, False),
    ),
    "scaled": (chain(TABLE, *SIXTEEN, ("Softmax", {}), ("ScaleShift", {"scale": 3.0})), (OutputScale.LOGITS, 0, True)),
    "cut too far": (
        chain(TABLE, *SIXTEEN, ("Softmax", {}), ("Clamp", {"low": 0.2, "high": 0.8})),
        (OutputScale.LOGITS, 0, True),
    ),
    "exp of no logarithm": (
        chain(TABLE, *SIXTEEN, ("Softmax", {}), ("Function", {"function": "exp"})),
        (OutputScale.LOGITS, 0, True),
    ),
    "reshaped and back": (
        chain(TABLE, *SIXTEEN, ("Softmax", {}), ("Reshape", {"shape": [2, 2]}), ("Flatten", {})),
        (OutputScale.LOGITS, 0, True),
    ),
    "squeezed": (
        chain(TABLE, *SIXTEEN, ("Reshape", {"shape": [4, 1]}), ("Softmax", {"axis": 1}), ("Squeeze", {})),
        (OutputScale.PROBABILITIES, 1, False),
    ),
    "channels last": (
        chain(
            IMAGE,
            CONV,
            ("Permute", {"order": [2, 3, 1]}),
            ("Softmax", {}),
            ("Permute", {"order": [3, 1, 2]}),
            training=SEGMENTS,
        ),
        (OutputScale.PROBABILITIES, 1, False),
    ),
    "swapped": (
        chain(
            IMAGE,
            CONV,
            ("Transpose", {"axis": 1, "other": 3}),
            ("LogSoftmax", {}),
            ("Transpose", {"axis": 1, "other": 3}),
            training=SEGMENTS,
        ),
        (OutputScale.LOG_PROBABILITIES, 1, False),
    ),
    "softmax2d": (chain(IMAGE, CONV, ("Softmax2d", {}), training=SEGMENTS), (OutputScale.PROBABILITIES, 1, False)),
    "another axis": (chain(IMAGE, CONV, ("Softmax", {}), training=SEGMENTS), (OutputScale.LOGITS, 0, True)),
    "the last place": (
        chain(
            TABLE, ("Reshape", {"shape": [5, 6]}), ("Linear", {"units": 4}), ("Softmax", {}), ("Select", {"index": -1})
        ),
        (OutputScale.PROBABILITIES, 1, False),
    ),
    "the mean of all places": (
        chain(TABLE, ("Reshape", {"shape": [5, 6]}), ("Linear", {"units": 4}), ("Softmax", {}), ("Mean", {})),
        (OutputScale.PROBABILITIES, 0, False),
    ),
    "the mean of logarithms": (
        chain(TABLE, ("Reshape", {"shape": [5, 6]}), ("Linear", {"units": 4}), ("LogSoftmax", {}), ("Mean", {})),
        (OutputScale.LOGITS, 0, True),
    ),
    "a map and its mean": (
        chain(IMAGE, CONV, ("Softmax2d", {}), ("GlobalAvgPool", {})),
        (OutputScale.PROBABILITIES, 0, False),
    ),
    "sigmoids for classes": (chain(TABLE, *SIXTEEN, ("Sigmoid", {})), (OutputScale.PROBABILITIES, 0, True)),
    "a softmax for labels": (
        chain(TABLE, *SIXTEEN, ("LogSoftmax", {}), training=LABELS),
        (OutputScale.LOG_PROBABILITIES, 0, True),
    ),
    "a picture, where no data says what it is": (chain(IMAGE, CONV, ("Sigmoid", {})), (OutputScale.LOGITS, 0, False)),
    "a single number, where no data says what it is": (
        chain(TABLE, ("Linear", {"units": 1}), ("Sigmoid", {})),
        (OutputScale.PROBABILITIES, 0, False),
    ),
    "an average of two": (
        project(
            {
                "input_1": TABLE,
                "linear_1": ("Linear", {"units": 4}),
                "linear_2": ("Linear", {"units": 4}),
                "softmax_1": ("Softmax", {}),
                "softmax_2": ("Softmax", {}),
                "average_1": ("Average", {}),
                "output_1": ("Output", {}),
            },
            [
                *(("input_1", "linear_1"), ("input_1", "linear_2"), ("linear_1", "softmax_1")),
                *(("linear_2", "softmax_2"), ("softmax_1", "average_1.a"), ("softmax_2", "average_1.b")),
                ("average_1", "output_1"),
            ],
        ),
        (OutputScale.PROBABILITIES, 0, False),
    ),
    "two heads side by side": (
        project(
            {
                "input_1": TABLE,
                "linear_1": ("Linear", {"units": 2}),
                "linear_2": ("Linear", {"units": 2}),
                "sigmoid_1": ("Sigmoid", {}),
                "sigmoid_2": ("Sigmoid", {}),
                "concat_1": ("Concat", {}),
                "output_1": ("Output", {}),
            },
            [
                *(("input_1", "linear_1"), ("input_1", "linear_2"), ("linear_1", "sigmoid_1")),
                *(("linear_2", "sigmoid_2"), ("sigmoid_1", "concat_1.a"), ("sigmoid_2", "concat_1.b")),
                ("concat_1", "output_1"),
            ],
            training=LABELS,
        ),
        (OutputScale.PROBABILITIES, 2, False),
    ),
    "read by two": (
        project(
            {
                "input_1": TABLE,
                "linear_1": ("Linear", {"units": 4}),
                "softmax_1": ("Softmax", {}),
                "linear_2": ("Linear", {"units": 4}),
                "output_1": ("Output", {}),
                "output_2": ("Output", {"name": "other"}),
            },
            [
                *(("input_1", "linear_1"), ("linear_1", "softmax_1"), ("softmax_1", "output_1")),
                *(("softmax_1", "linear_2"), ("linear_2", "output_2")),
            ],
        ),
        (OutputScale.PROBABILITIES, 0, False),
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_output_scale_is_inferred_from_the_graph(name: str) -> None:
    document, expected = GRAPHS[name]
    assert single_reading(document) == expected
    assert any(issue.code == "output_scale" for issue in analyze(document).issues) == expected[2]
    text = source(document)
    model = module(text).eval()
    logit_model = with_logits(document, model)
    inputs = torch.randn(6, *document.main_network.nodes["input_1"].params["shape"])  # type: ignore[misc]
    with torch.no_grad():
        (output, *_), (scores, *_) = (
            outputs if isinstance(outputs, tuple) else (outputs,) for outputs in (model(inputs), logit_model(inputs))
        )
    log = expected[0] == OutputScale.LOG_PROBABILITIES
    probabilities = output.exp() if log else output
    if expected[0] == OutputScale.LOGITS:
        assert logit_model is model
    elif document.training.objective == "multi_label":
        torch.testing.assert_close(scores.sigmoid(), probabilities, rtol=1e-5, atol=1e-6)
    else:
        torch.testing.assert_close(
            scores.softmax(1), probabilities / probabilities.sum(1, keepdim=True), rtol=1e-5, atol=1e-6
        )
    removed = [part for part in logit_model.modules() if isinstance(part, RemovedActivation)]
    assert len(removed) == expected[1]
    assert dict(logit_model.state_dict()).keys() == dict(model.state_dict()).keys()
    assert not any(isinstance(part, RemovedActivation) for part in model.modules()), "the network itself stays as it is"


def test_final_code_layer_is_read_as_logits_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")
    text = "class Own(nn.Module):\n    def forward(self, x):\n        return x.softmax(1)\n"
    document = chain(TABLE, *SIXTEEN, ("Code", {"source": text}))
    assert single_reading(document) == (OutputScale.LOGITS, 0, False)
    (hint,) = [issue for issue in analyze(document).issues if issue.code == "output_scale"]
    assert (hint.severity, hint.node) == ("hint", "code_1")
    with_softmax = chain(TABLE, *SIXTEEN, ("Code", {"source": text}), ("Softmax", {}))
    assert not [issue for issue in analyze(with_softmax).issues if issue.code == "output_scale"]


def nested_softmax(**node: Any) -> Project:
    """A network whose softmax is inside a subnetwork."""
    inner = network(
        {
            "input_1": ("Input", {"kind": "vector", "shape": [4]}),
            "linear_1": ("Linear", {"units": 4}),
            "softmax_1": ("Softmax", {}),
            "output_1": ("Output", {}),
        }
    )
    main = network(
        {
            "input_1": TABLE,
            "linear_1": ("Linear", {"units": 4}),
            "head_1": ("Subnetwork", {"network": "head", **node}),
            "output_1": ("Output", {}),
        }
    )
    return networks(main=main, head=inner)


@pytest.mark.parametrize(("node", "left_out"), [({}, 1), ({"repeat": 2}, 0), ({"repeat": 2, "shared": True}, 0)])
def test_softmax_in_a_repeated_network_is_not_removed(node: dict[str, Any], left_out: int) -> None:
    document = nested_softmax(**node)
    assert single_reading(document) == (OutputScale.PROBABILITIES, left_out, False)
    model = module(source(document)).eval()
    inputs = torch.randn(5, 30)
    scores = with_logits(document, model)(inputs)
    torch.testing.assert_close(scores.softmax(1), model(inputs))


@pytest.mark.parametrize("kind", ["regression", "reconstruction", "dqn", "ranking"])
def test_objectives_without_logits_keep_the_network(kind: str) -> None:
    document = chain(TABLE, *SIXTEEN, ("Sigmoid", {}), training=Training(objective=kind))
    model = module(source(document))
    assert with_logits(document, model) is model
    assert not any(issue.code == "output_scale" for issue in analyze(document).issues)


@pytest.mark.parametrize("family", ["softmax", "sigmoid"])
@pytest.mark.parametrize("scale", list(OutputScale))
def test_logits_from_probabilities_are_finite_and_match_torch(family: str, scale: OutputScale) -> None:
    x = torch.cat([torch.linspace(-8, 8, 33), torch.tensor([-300.0, -30.0, 30.0, 300.0])]).reshape(1, -1)
    logs = x.log_softmax(1) if family == "softmax" else nn.functional.logsigmoid(x)
    inputs = {"logits": x, "probabilities": logs.exp(), "log_probabilities": logs}[scale].requires_grad_()
    scores = logits(inputs, scale, family)
    assert scores.isfinite().all()
    scores.sum().backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()
    recovered = (scores.softmax(1), x.softmax(1)) if family == "softmax" else (scores.sigmoid(), x.sigmoid())
    torch.testing.assert_close(*recovered, rtol=1e-5, atol=1e-7)

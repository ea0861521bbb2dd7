"""The benchmark of imports tells reproduced, refused and wrong models apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from netloom.cli.bench.imports.case import ImportCase
from netloom.cli.bench.imports.measure import compare, measure_case
from netloom.cli.bench.imports.modules import as_module_case
from netloom.cli.bench.imports.onnx_files import onnx_cases
from tests.cli.conftest import Console

pytestmark = pytest.mark.usefixtures("operators")


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.unused = nn.Embedding(9, 4), nn.Linear(3, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.embedding(tokens) @ self.embedding.weight.T
        return result


class Unsupported(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.linalg.pinv(x)
        return result


def test_a_tied_module_is_reproduced_with_the_parameters_that_its_outputs_need() -> None:
    outcome = measure_case("own", as_module_case("tied", lambda: (Tied(), (torch.randint(9, (2, 5)),))))
    assert (outcome.state, outcome.reason) == ("reproduced", "")
    assert outcome.difference <= 1e-5


def test_an_operator_without_a_layer_is_refused_by_name() -> None:
    outcome = measure_case("own", as_module_case("pinv", lambda: (Unsupported(), (torch.randn(2, 3, 3),))))
    assert outcome.state == "refused"
    assert "linalg_pinv" in outcome.reason


def test_other_outputs_and_other_parameters_are_wrong() -> None:
    imported, reference = as_module_case("tied", lambda: (Tied(), (torch.randint(9, (2, 5)),))).load()
    other_outputs = replace(reference, outputs=tuple(output + 1e-3 for output in reference.outputs))
    assert "outputs differ" in compare(imported, other_outputs)[0]
    assert "parameters: 36 instead of 37" in compare(imported, replace(reference, parameters=37))[0]


def test_a_traceback_is_wrong() -> None:
    def fail() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
        raise KeyError("layer")

    outcome = measure_case("own", as_module_case("broken", fail))
    assert (outcome.state, outcome.reason) == ("wrong", "KeyError: 'layer'")


def _onnx_case(name: str) -> ImportCase:
    return next(case for case in onnx_cases() if case.name == name)


@pytest.mark.parametrize("name", ["BatchNorm2d_eval", "operator_add_size1_broadcast", "Embedding"])
def test_a_file_of_opset_6_reproduces_its_recorded_outputs(name: str) -> None:
    outcome = measure_case("onnx", _onnx_case(name))
    assert (outcome.state, outcome.reason) == ("reproduced", "")


def test_a_file_in_which_nothing_can_learn_is_imported_with_a_remark() -> None:
    imported, _ = _onnx_case("PixelShuffle").load()
    assert "This network has no trainable weights: add a layer with weights, or unfreeze one." in imported.remarks


def test_the_command_lists_numbers_and_reasons(console: Console) -> None:
    value = console("bench", "imports", "--model", "onnx/ReLU", "--model", "onnx/operator_view", "--json").value
    states = {outcome["name"]: outcome["state"] for outcome in value["imports"]["outcomes"]}
    assert states == {"ReLU": "reproduced", "operator_view": "refused"}

"""Operations without an ONNX operator give the same outputs in ONNX Runtime as in PyTorch, also for ties."""

from __future__ import annotations

from typing import Any

import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from torch import nn

from netloom.export.onnx_decompositions import decompose
from netloom.export.tracing import quiet
from netloom.nn.arithmetic import CumMax, CumProd
from netloom.nn.reduction import Sort

pytestmark = pytest.mark.usefixtures("operators")

CASES: dict[str, nn.Module] = {
    "sort": Sort(1),
    "sort down": Sort(2, descending=True),
    "cummax": CumMax(1),
    "cumprod": CumProd(2),
    "rrelu": nn.RReLU(0.1, 0.4),
}


@pytest.mark.parametrize("name", CASES)
def test_decomposed_operations_match_pytorch(name: str) -> None:
    network = CASES[name].eval()
    rows = torch.randint(-3, 4, (3, 7, 4), generator=torch.Generator().manual_seed(1)).float() / 2
    with quiet(), torch.no_grad():
        shapes: Any = ({0: torch.export.Dim.DYNAMIC},)
        program = decompose(torch.export.export(network, (rows,), dynamic_shapes=shapes))
        onnx_program = torch.onnx.export(program, dynamo=True, verbose=False, dynamic_shapes=({0: "batch"},))
        assert onnx_program is not None
        answers = network(rows[:2])
    expected = answers if isinstance(answers, tuple) else (answers,)
    content = onnx_program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: rows[:2].numpy()})
    for output, expected_output in zip(outputs, expected, strict=True):
        assert torch.allclose(torch.from_numpy(output), expected_output, atol=1e-6)


def test_cummax_indices_of_ties_match_pytorch() -> None:
    class Places(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x.cummax(1).values, x.cummax(1).indices

    rows = torch.tensor([[2.0, 1.0, 2.0, 3.0, 1.0, 3.0]])
    with quiet():
        program = decompose(torch.export.export(Places(), (rows,)))
        assert torch.equal(program.module()(rows)[1], torch.tensor([[0, 0, 2, 3, 3, 5]]))

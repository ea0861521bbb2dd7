"""The shortcuts for shapes and dtypes of meta tensors match PyTorch, also when cached."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from netloom.core.torch_internals import bilinear_operation
from netloom.validation.meta_ops import result

ATEN = torch.ops.aten


def meta_tensor(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype, device="meta")


CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "gelu": (ATEN.gelu.default, (meta_tensor(2, 5),)),
    "less": (ATEN.lt.Scalar, (meta_tensor(2, 5), 0.5)),
    "sum": (ATEN.add.Tensor, (meta_tensor(2, 5), meta_tensor(2, 5))),
    "broadcast": (ATEN.add.Tensor, (meta_tensor(2, 1, 5), meta_tensor(3, 1))),
    "whole by whole": (ATEN.div.Tensor, (meta_tensor(4, dtype=torch.int64), meta_tensor(4, dtype=torch.int64))),
    "whole by real": (ATEN.mul.Tensor, (meta_tensor(4, dtype=torch.int64), meta_tensor(4))),
    "whole by a number": (ATEN.mul.Tensor, (meta_tensor(4, dtype=torch.int64), 0.5)),
    "whole by a whole number": (ATEN.mul.Tensor, (meta_tensor(4, dtype=torch.int64), 2)),
    "gate": (ATEN.sigmoid.default, (meta_tensor(2, 15).chunk(3, 1)[1],)),
    "gates": (ATEN.mul.Tensor, (meta_tensor(2, 15).chunk(3, 1)[1], meta_tensor(2, 5))),
    "every other": (ATEN.tanh.default, (meta_tensor(4, 6, 8)[:, ::2, 1::2],)),
    "expanded": (ATEN.mul.Tensor, (meta_tensor(2, 1).expand(2, 5), meta_tensor(2, 5))),
    "turned and cut": (ATEN.add.Tensor, (meta_tensor(8, 5).t()[:, 1:3], meta_tensor(5, 2))),
    "of one row": (ATEN.add.Tensor, (meta_tensor(1, 15).chunk(3, 1)[1], meta_tensor(1, 5))),
    "channels last": (ATEN.relu.default, (meta_tensor(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),)),
    "turned": (ATEN.gelu.default, (meta_tensor(2, 5).t(),)),
    "linear": (ATEN.addmm.default, (meta_tensor(7), meta_tensor(2, 5), meta_tensor(5, 7))),
    "bilinear": (
        bilinear_operation(),
        (meta_tensor(4, 5), meta_tensor(6, 5, 3), meta_tensor(4, 3), [1, 3], [0], [1, 2], [2, 3]),
    ),
    "linear, wide bias": (ATEN.addmm.default, (meta_tensor(2, 7), meta_tensor(2, 5), meta_tensor(5, 7))),
}


@pytest.mark.parametrize("name", CASES)
def test_meta_results_match_pytorch(name: str) -> None:
    function, arguments = CASES[name]
    expected = function(*arguments)
    for _ in range(2):
        actual = result(function, arguments, {})
        assert (actual.shape, actual.dtype, actual.device) == (expected.shape, expected.dtype, expected.device)
        assert actual.stride() == expected.stride()


def test_invalid_shapes_are_refused_as_in_pytorch() -> None:
    with pytest.raises(RuntimeError):
        result(ATEN.addmm.default, (meta_tensor(6), meta_tensor(2, 5), meta_tensor(5, 7)), {})
    with pytest.raises(RuntimeError):
        result(ATEN.add.Tensor, (meta_tensor(2, 5), meta_tensor(3, 5)), {})

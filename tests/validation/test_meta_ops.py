"""Shapes and kinds of numbers that are found by a shorter way are those of PyTorch, also the second time."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from netloom.core.torch_internals import bilinear_operation
from netloom.validation.meta_ops import result

ATEN = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype, device="meta")


CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "gelu": (ATEN.gelu.default, (meta(2, 5),)),
    "less": (ATEN.lt.Scalar, (meta(2, 5), 0.5)),
    "sum": (ATEN.add.Tensor, (meta(2, 5), meta(2, 5))),
    "broadcast": (ATEN.add.Tensor, (meta(2, 1, 5), meta(3, 1))),
    "whole by whole": (ATEN.div.Tensor, (meta(4, dtype=torch.int64), meta(4, dtype=torch.int64))),
    "whole by real": (ATEN.mul.Tensor, (meta(4, dtype=torch.int64), meta(4))),
    "whole by a number": (ATEN.mul.Tensor, (meta(4, dtype=torch.int64), 0.5)),
    "whole by a whole number": (ATEN.mul.Tensor, (meta(4, dtype=torch.int64), 2)),
    "gate": (ATEN.sigmoid.default, (meta(2, 15).chunk(3, 1)[1],)),
    "gates": (ATEN.mul.Tensor, (meta(2, 15).chunk(3, 1)[1], meta(2, 5))),
    "every other": (ATEN.tanh.default, (meta(4, 6, 8)[:, ::2, 1::2],)),
    "expanded": (ATEN.mul.Tensor, (meta(2, 1).expand(2, 5), meta(2, 5))),
    "turned and cut": (ATEN.add.Tensor, (meta(8, 5).t()[:, 1:3], meta(5, 2))),
    "of one row": (ATEN.add.Tensor, (meta(1, 15).chunk(3, 1)[1], meta(1, 5))),
    "channels last": (ATEN.relu.default, (meta(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),)),
    "turned": (ATEN.gelu.default, (meta(2, 5).t(),)),
    "linear": (ATEN.addmm.default, (meta(7), meta(2, 5), meta(5, 7))),
    "bilinear": (bilinear_operation(), (meta(4, 5), meta(6, 5, 3), meta(4, 3), [1, 3], [0], [1, 2], [2, 3])),
    "linear, wide bias": (ATEN.addmm.default, (meta(2, 7), meta(2, 5), meta(5, 7))),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_pytorch_gives(name: str) -> None:
    function, given = CASES[name]
    wanted = function(*given)
    for _ in range(2):
        found = result(function, given, {})
        assert (found.shape, found.dtype, found.device) == (wanted.shape, wanted.dtype, wanted.device)
        assert found.stride() == wanted.stride()


def test_what_pytorch_refuses_is_refused() -> None:
    with pytest.raises(RuntimeError):
        result(ATEN.addmm.default, (meta(6), meta(2, 5), meta(5, 7)), {})
    with pytest.raises(RuntimeError):
        result(ATEN.add.Tensor, (meta(2, 5), meta(3, 5)), {})

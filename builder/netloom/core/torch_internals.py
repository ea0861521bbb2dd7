"""What is used of PyTorch that is not its public interface, each with the reason; nothing else may.

A version of PyTorch may change any of it without notice. So its version has an upper bound in pyproject.toml, and
tests/core/test_torch_internals.py says which of these is gone. PyTorch is imported when it is first needed.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

# Its compiler, which the first pass on meta tensors imports; a server does so before anybody waits for it.
COMPILER = "torch._dynamo"
# Loggers on which it speaks about itself while it records a network.
RECORDING_LOGGERS = ("torch.export", COMPILER, "torch.fx.experimental.symbolic_shapes")
ONNX_LOGGER = "torch.onnx._internal.exporter._registration"


def dispatch_mode() -> type[Any]:
    """The base of a context that is asked to carry out each operation, down to those of autograd."""
    from torch.utils._python_dispatch import TorchDispatchMode

    return TorchDispatchMode


def storage_id(tensor: torch.Tensor) -> int:
    """The storage of a tensor, for as long as the tensor lives; on the meta device it has no address."""
    return int(tensor.untyped_storage()._cdata)


def family(operation: Any) -> Any:
    """The operation of which this is one overload, by which FLOPs are registered."""
    return operation._overloadpacket


def shallow_copy(module: nn.Module) -> nn.Module:
    """A module of its own with the same parameters, buffers and parts, which copy.copy would let both change."""
    copied = copy.copy(module)
    for name in ("_modules", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"):
        copied.__dict__[name] = copy.copy(module.__dict__[name])
    return copied


def changes_its_input(operation: Any) -> bool:
    """Whether an operation writes to a tensor that it is given."""
    return bool(operation._schema.is_mutable)


def bilinear_operation() -> Any:
    """The operation of a bilinear layer: the product of three tensors."""
    import torch

    return torch.ops.aten._trilinear.default

"""All uses of private interfaces of PyTorch, each with its reason; no other module may have any.

A version of PyTorch can change any of them without notice. So its version has an upper bound in pyproject.toml, and
tests/core/test_torch_internals.py reports which of them has changed. PyTorch is imported when first needed.
"""

from __future__ import annotations

import copy
import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

# The compiler, whose import takes a second. The first pass on meta tensors imports it; a server does so in advance.
COMPILER = "torch._dynamo"
# The loggers with messages of PyTorch during the export of a network.
RECORDING_LOGGERS = (
    "torch.export",
    COMPILER,
    "torch.fx.experimental.symbolic_shapes",
    "torch._subclasses.fake_tensor",
)
ONNX_LOGGER = "torch.onnx._internal.exporter._registration"


def dispatch_mode() -> type[Any]:
    """Return the base class of a context that intercepts each operation, including those of autograd."""
    from torch.utils._python_dispatch import TorchDispatchMode

    return TorchDispatchMode


@cache
def spare_optimizers_the_compiler() -> None:
    """Let optimizers be created, saved and loaded without importing the compiler, which training needs only if it
    compiles the network.

    PyTorch imports it at the first call of these methods, only to exclude them from compilation.
    """
    import torch

    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        method: Any = inspect.unwrap(getattr(torch.optim.Optimizer, name))
        vars(method).setdefault("__dynamo_disable", method)


def leaves(value: Any) -> list[Any]:
    """Return what the tuples, lists and dictionaries of the output of a module contain, as torch.export lists it."""
    from torch.utils._pytree import tree_leaves

    return tree_leaves(value)


def scan(
    step: Callable[[list[torch.Tensor], list[torch.Tensor]], tuple[list[torch.Tensor], list[torch.Tensor]]],
    states: list[torch.Tensor],
    sequences: list[torch.Tensor],
    *,
    is_reversed: bool = False,
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Apply a function to each step along the first axis of sequences, as one operator of an exported program.

    Returns the last states, and the results of all steps, stacked along the first axis.
    """
    from torch._higher_order_ops.scan import scan as scan_operator

    last, stacked = scan_operator(step, states, sequences, dim=0, reverse=is_reversed)
    return list(last), list(stacked)


@cache
def correct_lstm_states() -> None:
    """Let exported programs record the last states of an LSTM with their shape, (layers · directions, N, H).

    PyTorch before 2.13 records an axis of length 1 too many, with which the layers that read the states fail:
    https://github.com/pytorch/pytorch/issues/151200
    """
    from torch._decomp import decompositions

    one_layer: Any = decompositions.one_layer_lstm

    def with_states(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        out, states = one_layer(*args, **kwargs)
        return out, tuple(state if state.dim() == 2 else state.squeeze(0) for state in states)

    decompositions.one_layer_lstm = with_states


def storage_id(tensor: torch.Tensor) -> int:
    """Return the identity of the storage of a tensor, valid as long as the tensor exists.

    `data_ptr` does not work here: it is 0 for all meta tensors.
    """
    return int(tensor.untyped_storage()._cdata)


def family(operation: Any) -> Any:
    """Return the packet of overloads of an operation, by which FLOP counters are registered."""
    return operation._overloadpacket


def shallow_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a module that shares parameters, buffers and submodules.

    A submodule or forward hook that is added to the copy is not added to the original, as it would be with copy.copy,
    which shares the dictionaries.
    """
    copied = copy.copy(module)
    for name in ("_modules", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"):
        copied.__dict__[name] = copy.copy(module.__dict__[name])
    return copied


def changes_its_input(operation: Any) -> bool:
    """Return whether an operation modifies one of its input tensors."""
    return bool(operation._schema.is_mutable)


def bilinear_operation() -> Any:
    """Return the operation of a bilinear layer: the product of three tensors."""
    import torch

    return torch.ops.aten._trilinear.default

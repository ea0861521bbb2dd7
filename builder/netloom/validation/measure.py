"""One layer on meta tensors: shapes, parameters, FLOPs and memory come from PyTorch, before a byte is allocated."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from netloom.core.torch_internals import dispatch_mode, family, storage_id
from netloom.layers import Layer, TensorSpec
from netloom.layers.author_code import explained

if TYPE_CHECKING:
    import torch


# The parameters of a layer: what each is called, and its shape.
Weights = tuple[tuple[object, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Measured:
    """What a layer does to inputs of given shapes.

    `flops` and `activation_bytes` are per example: multiplications and additions of one forward pass, and what training
    keeps for the backward pass. `refusal` is why PyTorch would not carry it out. `frozen` parameters are not trained.
    """

    outputs: dict[str, TensorSpec] = field(default_factory=dict)
    parameters: int = 0
    flops: int = 0
    activation_bytes: int = 0
    refusal: str | None = None
    code: str = "shape"
    frozen: int = 0
    weights: Weights = ()


# What PyTorch raises where it refuses what comes in.
_REFUSALS_RAISED = (ValueError, TypeError, RuntimeError, IndexError, OverflowError, NotImplementedError)

Specs = tuple[tuple[str, TensorSpec], ...]


# A longer sequence is measured by two short ones. A GRU on 2,000 steps takes 9 s otherwise, which an edit waits for.
_LONGEST, _SHORT, _TWICE = 64, 16, 32


@lru_cache(maxsize=16_384)
def measure(layer: Layer, specs: Specs) -> Measured:
    """Run `layer` on meta tensors with batches of two and of three; what differs between them is the batch axis."""
    if layer.steps_in_turn and len(specs[0][1].shape) == 3 and specs[0][1].size(1) > _LONGEST:
        return _extended(layer, specs) or _measured(layer, specs)
    return _measured(layer, specs)


def _extended(layer: Layer, specs: Specs) -> Measured | None:
    """What a layer whose steps are all alike does to a long sequence (N, T, D), from two short ones.

    Sizes, operations and memory grow by the same amount with each step, as long as PyTorch refuses neither sequence;
    None where they do not.
    """
    steps = specs[0][1].size(1)
    short, longer = (_measured(layer, _with_steps(specs, count)) for count in (_SHORT, _TWICE))
    if short.refusal or longer.refusal or short.weights != longer.weights:
        return None

    def at(first: int, second: int) -> int:
        growth, remainder = divmod(second - first, _TWICE - _SHORT)
        if remainder:
            raise ArithmeticError
        return first + growth * (steps - _SHORT)

    try:
        outputs = {
            name: TensorSpec(
                (
                    None,
                    *(
                        at(first or 0, second or 0)
                        for first, second in zip(spec.shape[1:], wide.shape[1:], strict=True)
                    ),
                ),
                spec.dtype,
            )
            for (name, spec), wide in zip(short.outputs.items(), longer.outputs.values(), strict=True)
        }
        flops, memory = at(short.flops, longer.flops), at(short.activation_bytes, longer.activation_bytes)
    except ArithmeticError:
        return None
    return replace(short, outputs=outputs, flops=flops, activation_bytes=memory)


def _with_steps(specs: Specs, steps: int) -> Specs:
    (port, spec), *other_specs = specs
    return ((port, replace(spec, shape=(spec.shape[0], steps, *spec.shape[2:]))), *other_specs)


def _measured(layer: Layer, specs: Specs) -> Measured:
    try:
        module = _module(layer, dict(specs))
        two, three = _run(module, layer, specs, 2), _run(module, layer, specs, 3)
    except (Exception, SystemExit) as error:
        if layer.own_code:
            return Measured(refusal=explained(error))
        if isinstance(error, SystemExit):
            raise RuntimeError("it terminated the process") from error
        if isinstance(error, RecursionError) or not isinstance(error, _REFUSALS_RAISED):
            raise
        return Measured(refusal=_refusal(error))
    weights = tuple((name, tuple(parameter.shape)) for name, parameter in module.named_parameters())
    parameters = sum(parameter.numel() for parameter in module.parameters())
    outputs: dict[str, TensorSpec] = {}
    for port, first, second, dtype in zip(layer.outputs(), two.shapes, three.shapes, two.dtypes, strict=True):
        if first[1:] != second[1:] or first[:1] != (2,) or second[:1] != (3,):
            return Measured(
                parameters=parameters,
                refusal=f"it mixes the examples of a batch: 2 examples give {first}, 3 examples give {second}",
                code="batch_axis",
            )
        outputs[port.name] = TensorSpec((None, *first[1:]), dtype)
    flops, memory = three.flops - two.flops, three.activation_bytes - two.activation_bytes
    return Measured(outputs, parameters, flops, memory, weights=weights)


@dataclass(frozen=True)
class _Pass:
    shapes: list[tuple[int, ...]]
    dtypes: list[Literal["float", "int"]]
    flops: int
    activation_bytes: int


def _module(layer: Layer, specs: dict[str, TensorSpec]) -> Any:
    import torch

    call = layer.build(specs)
    with torch.device("meta"):
        return call.build()


def _run(module: Any, layer: Layer, specs: Specs, batch: int) -> _Pass:
    import torch

    inputs = [_tensor(spec, batch) for _, spec in specs]
    saved: dict[int, torch.Tensor] = {}
    excluded = {storage_id(tensor) for tensor in (*inputs, *module.parameters(), *module.buffers())}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if storage_id(tensor) not in excluded:
            saved[storage_id(tensor)] = tensor
        return tensor

    counter = _counter()()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), counter:
        result = module(*inputs)
    outputs = result if isinstance(result, tuple) else (result,)
    if len(outputs) != len(layer.outputs()) or not all(isinstance(tensor, torch.Tensor) for tensor in outputs):
        types = ", ".join(type(value).__name__ for value in outputs)
        count = len(layer.outputs())
        raise TypeError(f"forward returns {types}, but must return {count} tensor{'s'[: count != 1]}")
    for tensor in outputs:
        keep(tensor)
    return _Pass(
        [tuple(tensor.shape) for tensor in outputs],
        ["float" if tensor.is_floating_point() else "int" for tensor in outputs],
        counter.flops,
        sum(tensor.untyped_storage().nbytes() for tensor in saved.values()),
    )


@cache
def _counter() -> Any:
    """The class of a context that counts the FLOPs of what runs inside it by torch's own formulas.

    FlopCounterMode does the same, and more that takes as long as the operations themselves on meta tensors.
    """
    from torch.utils.flop_counter import flop_registry

    from netloom.validation.meta_ops import result

    base = dispatch_mode()

    class Counter(base):  # type: ignore[misc, valid-type]
        flops = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = result(function, args, kwargs or {})
            formula = flop_registry.get(family(function))
            if formula is not None:
                self.flops += formula(*args, **(kwargs or {}), out_val=out)
            return out

    return Counter


def _tensor(spec: TensorSpec, batch: int) -> torch.Tensor:
    import torch

    shape = [batch if length is None else length for length in spec.shape]
    if spec.dtype == "int":
        return torch.zeros(shape, dtype=torch.int64, device="meta")
    return torch.zeros(shape, device="meta", requires_grad=True)


def _refusal(error: BaseException) -> str:
    """Why PyTorch refuses inputs, in a reader's words; what is not known passes as its first line."""
    if isinstance(error, OverflowError):
        return _TOO_LARGE
    message = str(error)
    for pattern, text in _TRANSLATIONS:
        match = pattern.search(message)
        if match:
            return text.format(*match.groups())
    first = message.strip().splitlines()[0] if message.strip() else "PyTorch raised an error"
    return first[:300].rstrip(".")


_TOO_LARGE = "the tensor would be too large; use smaller sizes"
# Each pattern is as long as PyTorch's own sentence is fixed: a single word of it, such as "exceeds", is also in others,
# and in the sentences of our layers.
_TRANSLATIONS = [
    (
        re.compile(r"Calculated padded input size per channel: \(([\d x]+)\)\. Kernel size: \(([\d x]+)\)"),
        "the kernel of {1} is larger than its padded input of {0}; lower kernel_size or raise padding",
    ),
    (
        re.compile(r"Given input size: \(([\dx]+)\)\. Calculated output size: \(([-\dx]+)\)"),
        "the window is larger than its input of {0}; lower kernel_size",
    ),
    (
        re.compile(r"shape '\[\d+, ([-\d, ]+)\]' is invalid for input of size (\d+)"),
        "its values cannot be reshaped to (N, {0}); the product of the sizes must stay the same",
    ),
    (
        re.compile(r"Expected more than 1 value per channel"),
        "batch normalization needs more than one value per channel",
    ),
    (
        re.compile(
            r"Storage size calculation overflowed|numel: integer multiplication overflow|Overflow when unpacking long"
        ),
        _TOO_LARGE,
    ),
]

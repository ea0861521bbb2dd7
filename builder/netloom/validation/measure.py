"""Shapes, parameters, FLOPs and memory of one layer, measured by running it on meta tensors, which hold no data."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from netloom.core.torch_internals import dispatch_mode, family, storage_id
from netloom.layers import Layer, TensorSpec
from netloom.layers.author_code import explained
from netloom.validation.weight_matrices import InitialWeights, module_weights

if TYPE_CHECKING:
    import torch
    from torch import nn


# The name and shape of each parameter of a layer.
Weights = tuple[tuple[object, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Measured:
    """The outputs and costs of a layer for inputs of given shapes.

    `flops` and `activation_bytes` are per example: multiplications and additions of one forward pass, and the bytes
    that autograd saves for the backward pass. `parameters` and `frozen` are counts; frozen parameters are not trained.
    `initial` are the weights that an initialization sets. `refusal` is the reason why PyTorch rejects the inputs, or
    None, and `code` is the code of its issue.

    The generated code depends on the rest: the names of the `arguments` of the module's constructor, whether the module
    updates running statistics during training, and whether it adds a term to the loss.
    """

    outputs: dict[str, TensorSpec] = field(default_factory=dict)
    parameters: int = 0
    flops: int = 0
    activation_bytes: int = 0
    refusal: str | None = None
    code: str = "shape"
    frozen: int = 0
    weights: Weights = ()
    initial: InitialWeights = field(default_factory=InitialWeights)
    arguments: tuple[str, ...] = ()
    has_statistics: bool = False
    has_auxiliary_loss: bool = False


# The exceptions that PyTorch raises for inputs that do not fit a layer. Any other exception is a failure of Netloom.
_REFUSALS_RAISED = (ValueError, TypeError, RuntimeError, IndexError, OverflowError, NotImplementedError)

Specs = tuple[tuple[str, TensorSpec], ...]
Measure = Callable[[Layer, Specs], Measured]


# Sequences longer than _LONGEST are extrapolated from two short ones: a GRU on 2,000 steps takes 9 s and on 52 half a
# second, and every edit waits for the measurement.
_LONGEST, _SHORT, _TWICE = 6, 2, 4


@lru_cache(maxsize=16_384)
def measure(layer: Layer, specs: Specs) -> Measured:
    """Run `layer` on meta tensors with batches of 2 and 3 examples; the axis that differs is the batch axis."""
    if layer.steps_in_turn and len(specs[0][1].shape) == 3 and specs[0][1].size(1) > _LONGEST:
        return _extended(layer, specs) or _measured(layer, specs)
    return _measured(layer, specs)


def _extended(layer: Layer, specs: Specs) -> Measured | None:
    """Return the measurement of a long sequence (N, T, D), extrapolated from two short ones.

    Sizes, FLOPs and memory of a layer with equal steps are linear in T. The result is None if they are not, or if
    PyTorch rejects a short sequence.
    """
    steps = specs[0][1].size(1)
    short, longer = (_measured(layer, _with_steps(specs, count)) for count in (_SHORT, _TWICE))
    # Weights that depend on the length are not those of the long sequence.
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
    # Custom code may call `sys.exit`, which must not end the server.
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
    # The difference of the two batches is the cost of one example, without the costs that do not depend on the batch.
    flops, memory = three.flops - two.flops, three.activation_bytes - two.activation_bytes
    return Measured(
        outputs,
        parameters,
        flops,
        memory,
        weights=weights,
        initial=module_weights(layer, module),
        arguments=() if layer.own_code else _argument_names(type(module)),
        has_statistics=any(name.endswith("running_mean") for name, _ in module.named_buffers()),
        has_auxiliary_loss=any(hasattr(part, "auxiliary_loss") for part in module.modules()),
    )


def _argument_names(module_class: type[nn.Module]) -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(module_class.__init__).parameters if name != "self")


@dataclass(frozen=True)
class _Pass:
    shapes: list[tuple[int, ...]]
    dtypes: list[Literal["float", "int"]]
    flops: int
    activation_bytes: int


def _module(layer: Layer, specs: dict[str, TensorSpec]) -> nn.Module:
    """Return the module of a layer on the meta device, without values."""
    import torch

    call = layer.build(specs)
    with torch.device("meta"), _no_random_values()():
        return call.build()


@cache
def _no_random_values() -> Any:
    """Return a context manager class that skips random initial values. A meta tensor has no values, but PyTorch would
    decompose each drawing of them, which takes a third of the time to build a layer."""
    import torch
    from torch.nn import init
    from torch.overrides import TorchFunctionMode

    skipped = {init.kaiming_uniform_, init.uniform_, init.normal_, torch.Tensor.uniform_, torch.Tensor.normal_}

    class NoRandomValues(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            named = kwargs or {}
            if function in skipped and (tensor := args[0] if args else named["tensor"]).is_meta:
                return tensor
            return function(*args, **named)

    return NoRandomValues


def _run(module: Any, layer: Layer, specs: Specs, batch: int) -> _Pass:
    import torch

    inputs = [_tensor(spec, batch) for _, spec in specs]
    # Holding the tensors keeps their storage ids unique: the id of a freed storage may be used again.
    saved: dict[int, torch.Tensor] = {}
    # Inputs belong to the previous layer and parameters are counted on their own, so autograd's references to them
    # are not activation memory.
    excluded = {storage_id(tensor) for tensor in (*inputs, *module.parameters(), *module.buffers())}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if storage_id(tensor) not in excluded:
            saved[storage_id(tensor)] = tensor
        return tensor

    counter = _counter()()
    # The caller may have disabled gradients; autograd would then save nothing.
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), counter:
        result = module(*inputs)
    outputs = result if isinstance(result, tuple) else (result,)
    if len(outputs) != len(layer.outputs()) or not all(isinstance(tensor, torch.Tensor) for tensor in outputs):
        types = ", ".join(type(value).__name__ for value in outputs)
        count = len(layer.outputs())
        raise TypeError(f"forward returns {types}, but must return {count} tensor{'s'[: count != 1]}")
    # Outputs stay in memory for the next layer, also if this layer does not save them.
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
    """Return a context manager class that counts the FLOPs of the operations inside it with the formulas of PyTorch.

    torch.utils.flop_counter.FlopCounterMode also tracks modules, which takes as long as the operations themselves on
    meta tensors.
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
    """Return why PyTorch rejects inputs, reworded for users; an unknown message is cut to its first line."""
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
# Each pattern is the complete fixed part of a message of PyTorch: a single word, such as "exceeds", also occurs in
# other messages, including those of our own layers.
_TRANSLATIONS = [
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

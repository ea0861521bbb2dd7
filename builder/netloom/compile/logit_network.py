"""A network that returns logits for losses and explanations, whatever activation its last layer applies.

The generated code and the weights do not change. `netloom.validation.output_scales` says on which scale each output is
and which activations can be removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from netloom.core.torch_internals import shallow_copy
from netloom.nn.probability import logits
from netloom.validation.output_scales import Reading, readings

if TYPE_CHECKING:
    from netloom.data import Schema
    from netloom.document import Project

Output = Any
# A scale and a family of distributions, or None for an output that is not converted.
Scale = tuple[str, str] | None
# The attribute of a network with logits that refers to the original network
_ORIGINAL = "_original_network"


class RemovedActivation(nn.Identity):
    """Replaces an activation that is removed; `removed` is the original module."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        # A tuple hides the activation from PyTorch: it must not become a submodule with parameters of its own.
        self._activation = (activation,)

    # Not called `activation`: Captum's LRP deletes an attribute of that name from modules that have one.
    @property
    def removed(self) -> nn.Module:
        return self._activation[0]


class LogitHook:
    """A forward hook that converts outputs into logits, each by its own scale."""

    def __init__(self, scales: tuple[Scale, ...]) -> None:
        self.scales = scales

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Output) -> Output:
        return to_logits(output, self.scales)


def to_logits(output: Output, scales: tuple[Scale, ...]) -> Output:
    """A network's output, a tensor or a tuple of tensors, as logits; outputs without a scale pass through."""
    if not isinstance(output, tuple):
        return logits(output, *scales[0]) if scales and scales[0] else output
    all_scales = (*scales, *[None] * (len(output) - len(scales)))
    return tuple(logits(tensor, *scale) if scale else tensor for tensor, scale in zip(output, all_scales, strict=True))


def with_logits(project: Project, model: nn.Module, schema: Schema | None = None) -> nn.Module:
    """The network with logits as outputs. It shares all weights with `model`, and all modules but the replaced ones.

    Returns `model` itself if its outputs are logits already. `schema` is required if there are several targets.
    """
    if hasattr(model, _ORIGINAL):
        return model
    output_readings = readings(project, schema)
    if all(reading is None or reading.plain for reading in output_readings):
        return model
    logit_model = shallow_copy(model)
    removed = [reading is not None and _remove_activations(logit_model, reading) for reading in output_readings]
    # Removing an activation is exact; where that is impossible, its output is converted back numerically.
    remaining = [
        reading if reading and not reading.plain and not is_removed else None
        for reading, is_removed in zip(output_readings, removed, strict=True)
    ]
    _convert_outputs(logit_model, remaining)
    # Written past nn.Module.__setattr__, which would register the original as a submodule and double the parameters.
    logit_model.__dict__[_ORIGINAL] = (model,)
    return logit_model


def original_network(model: nn.Module) -> nn.Module:
    """The network from which `with_logits` derived this one, or `model` itself."""
    original: nn.Module = model.__dict__.get(_ORIGINAL, (model,))[0]
    return original


def _remove_activations(model: nn.Module, reading: Reading) -> bool:
    """Replace each layer that turns logits into probabilities by a `RemovedActivation`.

    Returns whether that was possible; if not, the model is unchanged.
    """
    resolved = [_path(model, path) for path in reading.removed]
    paths = [path for path in resolved if path]
    if len(paths) < len(resolved):
        return False
    for path in paths:
        owner = model
        *parents, leaf = path
        # `model` shares its modules with the original, so that every module on the path is copied before it changes.
        for name in parents:
            setattr(owner, name, shallow_copy(owner.get_submodule(name)))
            owner = owner.get_submodule(name)
        setattr(owner, leaf, RemovedActivation(owner.get_submodule(leaf)))
    return bool(paths)


def _path(model: nn.Module, path: str) -> list[str] | None:
    """The attribute names that lead to a module, through `Repeated` containers that apply one network once.

    None if a network on the path is applied several times: its activation is then also applied before the last layer.
    """
    names: list[str] = []
    parent = model
    for name in path.split("."):
        if type(parent).__name__ == "Repeated":
            if len(list(parent.children())) != 1 or getattr(parent, "times", 1) != 1:
                return None
            names.append("0")
            parent = parent.get_submodule("0")
        if name not in dict(parent.named_children()):
            return None
        names.append(name)
        parent = parent.get_submodule(name)
    return names


def _convert_outputs(model: nn.Module, remaining: list[Reading | None]) -> None:
    """Convert outputs into logits with a hook.

    The hook is on the node of the output if no other node reads it, so that this part of the network also returns
    logits on its own; otherwise it is on the whole network.
    """
    at_end: list[Scale] = []
    for reading in remaining:
        scale = (str(reading.scale), reading.family) if reading else None
        if reading and scale and not reading.shared and reading.node in dict(model.named_children()):
            setattr(model, reading.node, shallow_copy(model.get_submodule(reading.node)))
            model.get_submodule(reading.node).register_forward_hook(LogitHook((scale,)))
            scale = None
        at_end.append(scale)
    if any(at_end):
        model.register_forward_hook(LogitHook(tuple(at_end)))

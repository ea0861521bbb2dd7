"""A network that gives logits, whatever its last layer makes of them: what losses and explanations work with.

The code that people see stays as it is, and so do its weights. `netloom.validation.output_scales` says how each
answer is read.
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

Answer = Any
# Where a network with logits for answers keeps the one that it was made of, which is no part of it.
_DRAWN = "_as_drawn"


class LeftOut(nn.Identity):
    """Stands where an activation is left out; `drawn` is that activation."""

    def __init__(self, drawn: nn.Module) -> None:
        super().__init__()
        self._drawn = (drawn,)  # in a tuple, as it is no part of the network here

    @property
    def drawn(self) -> nn.Module:
        return self._drawn[0]


class Converter:
    """A forward hook that turns answers into logits, by what each is: a scale and a family, or None for neither."""

    def __init__(self, scales: tuple[tuple[str, str] | None, ...]) -> None:
        self.scales = scales

    def __call__(self, module: nn.Module, args: tuple[Any, ...], answer: Answer) -> Answer:
        return converted(answer, self.scales)


def converted(answer: Answer, scales: tuple[tuple[str, str] | None, ...]) -> Answer:
    """A network's answer, a tensor or a tuple of them, as logits."""
    if not isinstance(answer, tuple):
        return logits(answer, *scales[0]) if scales and scales[0] else answer
    known = (*scales, *[None] * (len(answer) - len(scales)))
    return tuple(logits(one, *how) if how else one for one, how in zip(answer, known, strict=True))


def with_logits(project: Project, model: nn.Module, schema: Schema | None = None) -> nn.Module:
    """The network with logits for answers, which shares all weights and parts with `model` but the layers that differ.

    The very `model` where it gives logits already. `schema` is needed where there are several targets.
    """
    if hasattr(model, _DRAWN):
        return model
    found = readings(project, schema)
    if all(one is None or one.plain for one in found):
        return model
    made = shallow_copy(model)
    left = [_leave_out(made, one) if one else False for one in found]
    # A reading whose activation stays, as nothing of its own can be left out, is converted.
    open_ = [one if one and not one.plain and not done else None for one, done in zip(found, left, strict=True)]
    _convert(made, open_)
    made.__dict__[_DRAWN] = (model,)
    return made


def drawn(model: nn.Module) -> nn.Module:
    """The network as it is drawn, of which `with_logits` made this one; else the very same."""
    found: nn.Module = model.__dict__.get(_DRAWN, (model,))[0]
    return found


def _leave_out(made: nn.Module, reading: Reading) -> bool:
    """Put a `LeftOut` in the place of each layer that makes probabilities of logits. Whether that could be done."""
    found = [_path(made, path) for path in reading.removed]
    paths = [path for path in found if path]
    if len(paths) < len(found):
        return False
    for path in paths:
        owner = made
        *around, leaf = path
        for name in around:
            setattr(owner, name, shallow_copy(owner.get_submodule(name)))
            owner = owner.get_submodule(name)
        setattr(owner, leaf, LeftOut(owner.get_submodule(leaf)))
    return bool(paths)


def _path(model: nn.Module, path: str) -> list[str] | None:
    """The names that lead to a module; a network that could be repeated, but is there once, is looked into."""
    found: list[str] = []
    here = model
    for name in path.split("."):
        if type(here).__name__ == "Repeated":
            if len(list(here.children())) != 1 or getattr(here, "times", 1) != 1:
                return None
            found.append("0")
            here = here.get_submodule("0")
        if name not in dict(here.named_children()):
            return None
        found.append(name)
        here = here.get_submodule(name)
    return found


def _convert(made: nn.Module, open_: list[Reading | None]) -> None:
    """Turn answers into logits behind the node that gives each, where nothing else reads it, so that this holds for
    that part of the network by itself too; else behind the whole network."""
    at_end: list[tuple[str, str] | None] = []
    for one in open_:
        how = (str(one.scale), one.family) if one else None
        if one and how and not one.shared and one.node in dict(made.named_children()):
            setattr(made, one.node, shallow_copy(made.get_submodule(one.node)))
            made.get_submodule(one.node).register_forward_hook(Converter((how,)))
            how = None
        at_end.append(how)
    if any(at_end):
        made.register_forward_hook(Converter(tuple(at_end)))

"""Keeps torch's compiler away from where nothing is compiled: importing it takes as long as importing torch itself."""

from __future__ import annotations

import inspect
import itertools
import sys
from contextlib import suppress
from functools import cache
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Under this name, a function that the compiler has to leave alone keeps what is called in its place.
_MARK = "__dynamo_disable"


@cache
def spare_the_compiler() -> None:
    """Let torch's optimizers and its operations on meta tensors run without importing `torch._dynamo`.

    At its first call, each of them asks the compiler to leave it alone, which imports the compiler. What is compiled
    here never calls them from within, so they are called as they are.
    """
    with suppress(ImportError):  # another torch keeps them elsewhere, and imports its compiler as before
        from torch import _refs
        from torch._decomp import decompositions, global_decomposition_table
        from torch._refs import linalg, special
        from torch._refs.nn import functional
        from torch.optim import Optimizer

        named = [vars(place) for place in (_refs, linalg, special, functional, decompositions, Optimizer)]
        places: list[Any] = [*named, *global_decomposition_table.values()]
        spare(*itertools.chain.from_iterable(place.values() for place in places))


def step_as_it_is(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer take its steps without importing `torch._dynamo`, which it would tell where to end a graph."""
    import torch

    # Around it stand what calls hooks, of which there are none here, and what tells the compiler.
    inner: Any = inspect.unwrap(type(optimizer).step)
    optimizer.step = MethodType(torch.no_grad()(inner), optimizer)  # type: ignore[method-assign]


def spare(*functions: Any) -> None:
    """Call functions as they are that were to be hidden from the compiler, unless it has been imported by now."""
    if "torch._dynamo" in sys.modules:
        return
    try:
        from torch._compile import _disable_dynamo
    except ImportError:  # another torch hides them in another way, and imports its compiler
        return
    asking = {part for part in _disable_dynamo.__code__.co_consts if isinstance(part, CodeType)}
    waiting, seen = list(functions), set[int]()
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType) or id(function) in seen:
            continue
        seen.add(id(function))
        # What a function wraps stands in its closure; its `__wrapped__` may be what lies further inside.
        inside = _enclosed(function)
        waiting += inside.values()
        if function.__code__ in asking and "fn" in inside:
            vars(inside["fn"]).setdefault(_MARK, inside["fn"])


def _enclosed(function: FunctionType) -> dict[str, Any]:
    """What stands in a function's closure, by name."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # nothing stands in it yet
            found[name] = cell.cell_contents
    return found

"""torch.compile where it pays: tried on the first rows, kept where it is faster, and left off with a word otherwise."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

# Compiling takes from seconds to minutes, so a run that would end sooner is not worth the trial.
WORTH_S = 60.0
TRIED = 8
# What a compiled step has to be faster by, so that noise does not decide.
MARGIN = 0.95


@dataclass(frozen=True)
class Trial:
    """What came of it: what to call in the model's place, and a sentence that says why."""

    call: Callable[..., Any]
    compiled: bool
    sentence: str


def tried(model: nn.Module, step: Callable[[Callable[..., Any]], Any], steps_left: int) -> Trial:
    """Time forward and backward both ways. `step(call)` takes both with `call` in the model's place, and no step of an
    optimizer. Weights, buffers, gradients and random numbers are afterwards as they were."""
    with _untouched(model):
        plain = _time(model, step)
        if plain * steps_left < WORTH_S:
            return Trial(
                model, False, f"torch.compile is off: the whole run takes only about {plain * steps_left:.0f} s."
            )
        try:
            call = compiled(model)
            fast = _time(call, step)
        except Exception as error:
            return Trial(model, False, f"torch.compile is off: {_why(error)}")
    told = f"a step takes {fast * 1000:.3g} ms with and {plain * 1000:.3g} ms without compilation"
    if fast < plain * MARGIN:
        return Trial(call, True, f"torch.compile is on: {told}.")
    return Trial(model, False, f"torch.compile is off: {told}.")


def compiled(model: nn.Module) -> Callable[..., Any]:
    """The model, compiled when it is first called."""
    import torch

    made: Callable[..., Any] = torch.compile(model)
    return made


def _time(call: Callable[..., Any], step: Callable[[Callable[..., Any]], Any]) -> float:
    """Seconds that a step takes: the shortest, after the first two."""
    import torch

    took = []
    for _ in range(TRIED + 2):
        start = time.perf_counter()
        step(call)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took.append(time.perf_counter() - start)
    return min(took[2:])


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    import torch

    before = copy.deepcopy(dict(model.named_buffers()))
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        yield
    with torch.no_grad():
        for name, value in model.named_buffers():
            value.copy_(before[name])
    for weight in model.parameters():
        weight.grad = None


def _why(error: Exception) -> str:
    """Why compiling failed, in a sentence."""
    text = f"{type(error).__name__}: {error}"
    if "compiler" in text.lower() or "InvalidCxx" in text:
        return "this machine has no C++ compiler, which torch.compile needs on a CPU."
    return f"it failed ({text.strip().splitlines()[0][:200]})."

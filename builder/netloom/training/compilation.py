"""torch.compile if it is faster: tried on the first rows, with a remark in the log."""

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

# Compilation takes seconds to minutes, so it cannot pay off in a run that ends sooner.
WORTH_S = 60.0
# Timed steps of each variant, after two that are not timed
TRIED = 8
# The speedup that a compiled step needs to be used, so that timing noise does not decide.
MARGIN = 0.95


@dataclass(frozen=True)
class Trial:
    """The result of a trial: the callable to use as the model, and the reason in a sentence."""

    call: Callable[..., Any]
    compiled: bool
    sentence: str


def time_compilation(model: nn.Module, step: Callable[[Callable[..., Any]], Any], steps_left: int) -> Trial:
    """Time forward and backward with and without compilation. `step(call)` runs both with `call` as the model,
    without an optimizer step. Weights, buffers, gradients and random numbers are restored."""
    with _untouched(model):
        plain = _time(model, step)
        if plain * steps_left < WORTH_S:
            return Trial(
                model, False, f"torch.compile is off: the whole run takes only about {plain * steps_left:.0f} s."
            )
        try:
            call = compiled(model)
            fast = _time(call, step)
        except Exception as error:  # the compiler can fail in any way on any model; the run does not depend on it
            return Trial(model, False, f"torch.compile is off: {_why(error)}")
    times = f"a step takes {fast * 1000:.3g} ms with and {plain * 1000:.3g} ms without compilation"
    if fast < plain * MARGIN:
        return Trial(call, True, f"torch.compile is on: {times}.")
    return Trial(model, False, f"torch.compile is off: {times}.")


def compiled(model: nn.Module) -> Callable[..., Any]:
    """Return the model, compiled at its first call."""
    import torch

    model_call: Callable[..., Any] = torch.compile(model)
    return model_call


def _time(call: Callable[..., Any], step: Callable[[Callable[..., Any]], Any]) -> float:
    """Return the shortest time of a step in seconds.

    The first two steps do not count, as compilation and the allocation of memory happen in them. The shortest, because
    other processes only ever make a step longer.
    """
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
    """Context after which buffers, gradients and random numbers are as before."""
    import torch

    # Weights need no copy, as a trial takes no optimizer step; forward passes update the statistics of batch norms.
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
    """Return the reason of a failed compilation as a sentence."""
    text = f"{type(error).__name__}: {error}"
    if "compiler" in text.lower() or "InvalidCxx" in text:
        return "this machine has no C++ compiler, which torch.compile needs on a CPU."
    return f"it failed ({text.strip().splitlines()[0][:200]})."

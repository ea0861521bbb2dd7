"""Faster ways to take a training step: bf16, CUDA graphs and torch.compile. Each is tried on the first rows and used
only if it is faster there; a message in the log of the run gives the times."""

from __future__ import annotations

import copy
import platform
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from netloom.core.text import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

# Compilation takes seconds to minutes, so it cannot pay off in a run that ends sooner.
WORTH_COMPILING_S = 60.0
# The trial of a precision takes about twenty steps, and so does that of a CUDA graph, whose steps are short.
WORTH_LOWER_PRECISION_S = 10.0
WORTH_RECORDING_S = 2.0
# Timed steps of each variant, after those that are not timed, in which memory is allocated and code is compiled
TIMED, UNTIMED = 9, 2
# The speedup that a variant needs to be used, so that timing noise does not decide
MARGIN = 0.95
# How far the first loss may differ in bf16, as a share, and the least cosine between both gradients. bf16 has 8
# significant bits, so a single product differs by up to 0.4%.
LOSS_TOLERANCE, MIN_COSINE = 0.01, 0.95
# The same for a CUDA graph, which repeats the operations of the model: only sums in another order may differ
GRAPH_TOLERANCE, MIN_GRAPH_COSINE = 1e-4, 0.9999


@dataclass(frozen=True)
class Trial:
    """Whether the faster variant is used, and the reason in a sentence; "" if it is not worth one."""

    used: bool
    sentence: str


@dataclass(frozen=True)
class CallTrial(Trial):
    """The result of a trial of another way to call the model, with the callable to use."""

    call: Callable[..., Any]


def time_precision(model: nn.Module, step: Callable[[bool], torch.Tensor], steps_left: int) -> Trial:
    """Compare steps in float32 and in bf16, by their time and by their loss and gradient on equal random numbers.

    `step(lower)` runs forward and backward without an optimizer step, in bf16 if `lower`, and returns the loss.
    Weights, buffers, gradients and random numbers are restored.
    """
    with untouched(model):
        seconds_left = _seconds(lambda: step(False)) * steps_left
        if seconds_left < WORTH_LOWER_PRECISION_S:
            return Trial(False, f"bf16 is off: the whole run takes only about {seconds_left:.0f} s.")
        try:
            plain, lower = _outcome(model, lambda: step(False)), _outcome(model, lambda: step(True))
        except RuntimeError as error:  # an operation of the network has no kernel for bf16
            return Trial(False, f"bf16 is off: it failed ({first_line(error.__cause__ or error)}).")
        if problem := _disagreement(plain, lower, "bf16", "float32", LOSS_TOLERANCE, MIN_COSINE):
            return Trial(False, f"bf16 is off: {problem}.")
        slow, fast = _alternate(lambda: step(False), lambda: step(True))
    used = fast < slow * MARGIN
    return Trial(
        used,
        f"bf16 is {'on' if used else 'off'}: a step takes {fast * 1000:.3g} ms in bf16 and {slow * 1000:.3g} ms in "
        f"float32{'; the first loss agrees' if used else ''}.",
    )


def why_not_lower(device: str) -> str:
    """Return why bf16 cannot be faster on a device, as a sentence; "" if a trial has to find out."""
    import torch

    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    if device == "cpu" and is_x86 and not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        # Measured on a processor with AVX2: a product of matrices takes 30 times as long as in float32.
        return "bf16 is off: this processor has no AVX-512 instructions, without which bf16 is slower than float32."
    return ""


def time_cuda_graph(
    model: nn.Module,
    record: Callable[[], Callable[..., Any]],
    step: Callable[[Callable[..., Any]], Any],
    steps_left: int,
) -> CallTrial:
    """Compare steps of the model and of the CUDA graph that `record` makes of it, by their time and by their loss and
    gradient on equal random numbers.

    `step(call)` runs forward and backward with `call` as the model, without an optimizer step, and returns the loss.
    Weights, buffers, gradients and random numbers are restored.
    """
    with untouched(model):
        seconds_left = _seconds(lambda: step(model)) * steps_left
        if seconds_left < WORTH_RECORDING_S:
            return CallTrial(False, "", model)  # which nobody has asked for
        try:
            call = record()
            # The loss depends on random numbers, such as those of dropout, which both draw from the same state.
            plain, graph = _outcome(model, lambda: step(model)), _outcome(model, lambda: step(call))
        except Exception as error:  # an operation cannot be recorded, or is not supported by a later one
            return CallTrial(False, f"CUDA graphs are off: {first_line(error).rstrip('.')}.", model)
        if problem := _disagreement(plain, graph, "the graph", "the model", GRAPH_TOLERANCE, MIN_GRAPH_COSINE):
            return CallTrial(False, f"CUDA graphs are off: {problem}.", model)
        slow, fast = _alternate(lambda: step(model), lambda: step(call))
    return _faster("CUDA graphs are", "a CUDA graph", call, model, fast, slow)


def time_compilation(
    model: nn.Module, before: Callable[..., Any], step: Callable[[Callable[..., Any]], Any], steps_left: int
) -> CallTrial:
    """Time forward and backward with and without compilation; `before` is the model, or how it is called until now.

    `step(call)` runs both with `call` as the model, without an optimizer step. Weights, buffers, gradients and random
    numbers are restored.
    """
    with untouched(model):
        seconds_left = _seconds(lambda: step(before)) * steps_left
        if seconds_left < WORTH_COMPILING_S:
            reason = f"torch.compile is off: the whole run takes only about {seconds_left:.0f} s."
            return CallTrial(False, reason, before)
        try:
            call = compiled(model)
            slow, fast = _alternate(lambda: step(before), lambda: step(call))
        except Exception as error:  # the compiler can fail in any way on any model; the run does not depend on it
            return CallTrial(False, f"torch.compile is off: {_why(error)}", before)
    return _faster("torch.compile is", "compilation", call, before, fast, slow)


def _faster(
    title: str, means: str, call: Callable[..., Any], before: Callable[..., Any], fast: float, slow: float
) -> CallTrial:
    """Return the result of a trial by its times in seconds: with `call`, and with what was called `before`."""
    used = fast < slow * MARGIN
    times = f"a step takes {fast * 1000:.3g} ms with and {slow * 1000:.3g} ms without {means}"
    return CallTrial(used, f"{title} {'on' if used else 'off'}: {times}.", call if used else before)


def compiled(model: nn.Module) -> Callable[..., Any]:
    """Return the model, compiled at its first call."""
    import torch

    model_call: Callable[..., Any] = torch.compile(model)
    return model_call


def _alternate(*steps: Callable[[], Any]) -> list[float]:
    """Return the median time of each step in seconds.

    The steps alternate, because the load of a machine and its clock rate change within seconds: timed one after the
    other, equal steps were seen to differ by a factor of four.
    """
    took: list[list[float]] = [[] for _ in steps]
    for turn in range(UNTIMED + TIMED):
        for step, times in zip(steps, took, strict=True):
            seconds = _once(step)
            if turn >= UNTIMED:
                times.append(seconds)
    return [median(times) for times in took]


def _seconds(step: Callable[[], Any]) -> float:
    """Return a first estimate of the time of a step in seconds."""
    return min(_once(step) for _ in range(UNTIMED + 1))


def _once(step: Callable[[], Any]) -> float:
    import torch

    start = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _outcome(model: nn.Module, step: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """Return the loss of a step and its gradient, as a vector of all weights on the CPU."""
    import torch

    with torch.random.fork_rng(_devices()):  # equal dropout masks in both outcomes
        loss = float(step())
    # A weight without a gradient, such as an expert to which no row is routed, counts with zeros.
    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in model.parameters()]
    return loss, torch.cat([torch.zeros(0), *(gradient.detach().float().cpu().flatten() for gradient in gradients)])


def _disagreement(
    plain: tuple[float, torch.Tensor],
    faster: tuple[float, torch.Tensor],
    faster_name: str,
    plain_name: str,
    tolerance: float,
    min_cosine: float,
) -> str:
    """Return how the outcome of the faster way differs from the plain one, as the end of a sentence; "" if both agree
    within a share of the loss and a cosine of the gradients."""
    import torch

    (loss, gradient), (faster_loss, faster_gradient) = plain, faster
    if not abs(faster_loss - loss) <= tolerance * abs(loss):  # also True for NaN
        return f"the first loss is {faster_loss:.5g} in {faster_name} and {loss:.5g} in {plain_name}"
    if not gradient.any() and not faster_gradient.any():
        return ""
    cosine = float(torch.cosine_similarity(gradient, faster_gradient, dim=0))
    if not cosine >= min_cosine:
        return f"the first gradients in {faster_name} and in {plain_name} have a cosine similarity of only {cosine:.3g}"
    return ""


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Context after which buffers, gradients and random numbers are as before."""
    import torch

    # Weights need no copy, as a trial takes no optimizer step; forward passes update the statistics of batch norms.
    before = copy.deepcopy(dict(model.named_buffers()))
    with torch.random.fork_rng(_devices()):
        yield
    with torch.no_grad():
        for name, value in model.named_buffers():
            value.copy_(before[name])
    for weight in model.parameters():
        weight.grad = None


def _devices() -> list[int]:
    """Return the GPUs whose random numbers a trial draws."""
    import torch

    return [torch.cuda.current_device()] if torch.cuda.is_available() else []


def _why(error: Exception) -> str:
    """Return the reason of a failed compilation as a sentence."""
    text = f"{type(error).__name__}: {error}"
    if "compiler" in text.lower() or "InvalidCxx" in text:
        return "this machine has no C++ compiler, which torch.compile needs on a CPU."
    return f"it failed ({text.strip().splitlines()[0][:200]})."

"""Statistics of every layer in a training step, sampled from time to time.

An observed step computes the same values: hooks only read. The sampling rate adapts, so that observation takes at most
`SHARE` of the CPU time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.layers import layer_class
from netloom.training.diagnostics.budget import Budget
from netloom.training.diagnostics.node_modules import LayerModule
from netloom.training.diagnostics.statistics_file import MEASURES

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.training.trainer import Trainer

# At most two samples per second. The first samples of a run are closer together, so that a run of a second has some.
EVERY_S, EARLY = 0.5, 10
SHARE, FREE_S = 0.004, 0.01
# Limits of the number of layers, the rows of an output, and the elements of a weight that are copied.
MAX_PLACES, MAX_ROWS, MAX_COPIED = 200, 64, 2**20
# With fewer rows in a batch, a useful unit can be 0 for all of them by chance.
MIN_ROWS = 16


class LayerStatistics:
    """Samples the statistics of layers. `every_s` is the minimum time between two samples; 0 samples every step."""

    def __init__(self, model: nn.Module, places: list[LayerModule], every_s: float = EVERY_S) -> None:
        self.places = _most_telling(places, model)
        self._parts = [(layer, model.get_submodule(layer.path)) for layer in self.places]
        self._weights = [[weight for weight in part.parameters() if weight.requires_grad] for _, part in self._parts]
        self.sizes = [sum(weight.numel() for weight in weights) for weights in self._weights]
        self.every_s = every_s
        self.slower = 1.0  # factor of the interval, set as the stored history is thinned out
        self._began = self.due = time.monotonic()
        self._plain_s: float | None = None
        self._looked = False
        self._mode = ""  # of the current step: "look" (sample it), "time" (only measure its duration) or ""
        self._started = 0.0
        self._hooks: list[Any] = []
        self._statistics: dict[Any, torch.Tensor] = {}
        self._before: list[list[torch.Tensor]] = []
        self._budget = Budget(SHARE, FREE_S)

    def before_step(self) -> None:
        """Add hooks for the coming step, if a sample is due."""
        self._mode = ""
        time_s = time.monotonic()
        if time_s < self.due:
            return
        if self.every_s and not self._budget.left():
            self.due = time_s + self.every_s
            return
        _settle()
        self._started = time.process_time()
        if self.every_s and self._plain_s is None and self._looked:
            self._mode = "time"  # a step without hooks, as a reference for the cost of the next sample
            return
        self._mode = "look"
        self._add_hooks()
        self._before = [[_few(weight).clone() for weight in weights] for weights in self._weights]

    def after_step(self, forward: Callable[[], None] | None = None) -> np.ndarray | None:
        """Return the statistics of the step, (layers, measures); None if it was not sampled.

        `forward` runs the batch through the layers again, if a compiled or recorded step bypassed the hooks.
        """
        if not self._mode:
            return None
        if self._mode == "time":
            _settle()
            self._plain_s = time.process_time() - self._started
            return None
        if forward is not None:
            forward()
        self.close()
        numbers = self._numbers(self._statistics, self._before)
        if self._plain_s is not None:  # the first sample has no reference, and includes one-time setup of torch
            self._budget.spend(time.process_time() - self._started - self._plain_s)
        end = time.monotonic()
        self.due = end + min(self.every_s, (end - self._began) / EARLY) * self.slower
        self._plain_s, self._looked, self._before = None, True, []
        return numbers

    def _add_hooks(self) -> None:
        """Collect statistics of outputs by module path, and squared gradient norms by weight."""
        statistics = self._statistics = {}
        for layer, part in self._parts:
            self._hooks.append(part.register_forward_hook(_activations(statistics, layer)))
        for weight in {id(parameter): parameter for weights in self._weights for parameter in weights}.values():
            # The hook sees the gradient before clipping. It never runs for an unused weight.
            self._hooks.append(weight.register_post_accumulate_grad_hook(_gradient(statistics)))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Remove the hooks of a step."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _numbers(self, statistics: dict[Any, torch.Tensor], before: list[list[torch.Tensor]]) -> np.ndarray:
        """Return all statistics as an array (layers, measures), with a single device synchronization."""
        import torch

        cells: list[tuple[int, int]] = []
        values: list[torch.Tensor] = []
        for row, ((layer, _), weights, old) in enumerate(zip(self._parts, self._weights, before, strict=True)):
            squares = [statistics[id(weight)] for weight in weights if id(weight) in statistics]
            measures = {"gradient": torch.stack(squares).sum().sqrt()} if squares else {}
            if weights:
                measures["weight"], measures["update"] = _lengths(weights, old)
            if layer.path in statistics:
                measures |= dict(zip(("mean", "std", "zeros", "dead"), statistics[layer.path].unbind(), strict=True))
            cells += [(row, MEASURES.index(name)) for name in measures]
            values += measures.values()
        numbers = np.full((len(self._parts), len(MEASURES)), np.nan, np.float32)
        if values:
            rows, columns = zip(*cells, strict=True)
            numbers[rows, columns] = torch.stack([value.float() for value in values]).cpu().numpy()
        return numbers


def _lengths(weights: Sequence[torch.Tensor], before: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the norm of the weights of a layer, and the relative size of their update."""
    import torch

    norm = torch.stack([weight.detach().square().sum() for weight in weights]).sum().sqrt()
    # `before` holds only the first elements of large weights, so the update is relative to the norm of the same ones.
    steps = torch.stack([(_few(weight) - old).square().sum() for weight, old in zip(weights, before, strict=True)])
    length = torch.stack([old.square().sum() for old in before])
    return norm, (steps.sum() / length.sum()).sqrt()


def _activations(statistics: dict[Any, torch.Tensor], layer: LayerModule) -> Callable[..., None]:
    import torch

    is_rectifier = layer_class(layer.type).is_rectifier

    def hook(_: nn.Module, __: Any, answer: Any) -> None:
        first = answer[0] if isinstance(answer, tuple) else answer
        if not isinstance(first, torch.Tensor) or not first.is_floating_point() or not first.numel():
            return
        with torch.no_grad():
            rows = first.detach()[:MAX_ROWS].float()
            zero = rows == 0
            dead = _dead(zero) if is_rectifier else rows.new_full((), float("nan"))
            # Without Bessel's correction, which makes the deviation of a single element NaN
            statistics[layer.path] = torch.stack([rows.mean(), rows.std(correction=0), zero.float().mean(), dead])

    return hook


def _dead(zero: torch.Tensor) -> torch.Tensor:
    """Return the share of units that are 0 for all rows of (N, …). A unit is a channel of (N, C, H, W) or an element of
    a vector.

    In (N, a, b), either axis can hold the units: the middle one in convolutions, the last one in sequences. Along the
    wrong axis, all units would have to be 0 at once, so the greater share is the right one.
    """
    if len(zero) < MIN_ROWS:
        return zero.new_full((), float("nan"), dtype=zero.float().dtype)
    if zero.dim() == 3:
        return max(zero.all(2).all(0).float().mean(), zero.all(1).all(0).float().mean())
    zero_units = zero.flatten(2).all(2) if zero.dim() > 2 else zero
    return zero_units.all(0).float().mean()


def _gradient(statistics: dict[Any, torch.Tensor]) -> Callable[[torch.Tensor], None]:
    def hook(weight: torch.Tensor) -> None:
        if weight.grad is not None:
            statistics[id(weight)] = weight.grad.detach().float().square().sum()

    return hook


def forward_with_hooks(trainer: Trainer, inputs: list[torch.Tensor]) -> None:
    """Run rows through the layers themselves, because a compiled network and a CUDA graph bypass hooks."""
    import torch

    trainer.model.eval()  # evaluation mode draws no random numbers and does not update running means
    try:
        with torch.no_grad():
            trainer.model(*[value[:MAX_ROWS] for value in inputs])
    finally:
        trainer.model.train()


def _few(weight: torch.Tensor) -> torch.Tensor:
    """Return the first elements of a weight, a sample of a very large one."""
    return weight.detach().flatten()[:MAX_COPIED]


def _settle() -> None:
    """Wait until the GPU has finished, so that only the following work is timed."""
    import torch

    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()


def _most_telling(places: list[LayerModule], model: nn.Module) -> list[LayerModule]:
    """Return all layers, or if there are too many, an even selection of those with weights."""
    if len(places) <= MAX_PLACES:
        return places
    weighted = [index for index in places if next(model.get_submodule(index.path).parameters(), None) is not None]
    chosen = np.linspace(0, len(weighted) - 1, min(MAX_PLACES, len(weighted))).astype(int)
    return [weighted[index] for index in dict.fromkeys(chosen.tolist())]

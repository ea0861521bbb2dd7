"""Activation maximization: inputs that maximize a unit, by gradient ascent from noise.

Erhan, Bengio, Courville and Vincent 2009, with the jitter and the blur of
https://distill.pub/2017/feature-visualization/: images and series are shifted at random before each step and blurred
every few steps, which suppresses the high-frequency noise that only this network responds to. Table values are
regularized towards the mean. All values stay in the valid range; those of tables and series also stay in the range of
the training rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.concepts.unit import ROWS, Unit

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.request import Progress

LEARNING_RATE = 0.08
BLUR_EVERY, L2_WEIGHT = 8, 0.003
# Jitter and blur stop after this share of the steps; the remaining steps sharpen the result.
JITTERED_SHARE = 0.75
# The standard deviation of the noise that is added to the mean input at the start.
NOISE = 0.1


class ActivationMaximization:
    """Optimizes inputs that maximize a unit.

    Attributes:
        from_rows: whether each seed (seeds,) started from a training row instead of noise.
    """

    def __init__(self, unit: Unit, scale: float) -> None:
        """`scale` is the deviation of the unit, so that the regularization has the same weight for every unit."""
        import torch

        self.unit, self.scale, self.space, self.data = unit, scale, unit.space, unit.trained.data
        self.from_rows = torch.zeros(0, dtype=torch.bool)

    def optimize(
        self, seeds: int, steps: int, seed: int, best: torch.Tensor, progress: Progress | None
    ) -> dict[str, torch.Tensor]:
        """Optimize inputs by field (seeds, …) with Adam."""
        import torch

        coin = torch.Generator().manual_seed(seed)
        starts = self._starts(seeds, coin, best)
        values = {name: value.clone().requires_grad_() for name, value in starts.items()}
        adam = torch.optim.Adam(values.values(), lr=LEARNING_RATE)
        for step in range(steps):
            if progress is not None:
                progress(0.2 + 0.8 * step / steps)
            is_jittered = step < JITTERED_SHARE * steps
            jittered = {
                name: self._jittered(name, value, coin) if is_jittered else value for name, value in values.items()
            }
            penalties = [self._pull(name, values[name], starts[name]) for name in values]
            loss = (
                -self.unit.score(jittered).sum() / self.scale
                + sum(penalties)
                # Keeps every field in the graph: `autograd.grad` fails for a field that the unit does not depend on.
                + 0.0 * sum(value.sum() for value in values.values())
            )
            grads = torch.autograd.grad(loss, list(values.values()))
            for value, grad in zip(values.values(), grads, strict=True):
                value.grad = grad
            adam.step()
            with torch.no_grad():
                for name, value in values.items():
                    blur = is_jittered and step % BLUR_EVERY == BLUR_EVERY - 1
                    value.copy_(self._plausible(name, value, starts[name], blur=blur))
        return {name: value.detach() for name, value in values.items()}

    def describe(self, steps: int) -> str:
        """Return in words how the inputs were regularized."""
        specs = [part.spec for part in self.space.parts.values()]
        parts = [f"{steps} steps of Adam from the mean of the training rows plus noise"]
        if bool(self.from_rows.any()):
            seeds = int(self.from_rows.sum())
            parts[0] += f" ({seeds} seeds start from a training row, because the gradient there is 0)"
        if any(spec.is_image or spec.is_sequence for spec in specs):
            parts.append(f"jitter by up to 1/16 and a blur every {BLUR_EVERY} steps in the first three quarters")
        if any(spec.is_image for spec in specs):
            parts.append("values clipped to the range of the training images")
        if any(spec.is_vector or spec.is_sequence for spec in specs):
            parts.append("values pulled to the mean and clipped to the range of the training rows")
        return "; ".join(parts)

    def _starts(self, seeds: int, coin: torch.Generator, best: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return start values by field (seeds, …).

        If the gradient at a start is 0, as behind an inactive ReLU, no step can increase the unit, so that seed starts
        from one of the `best` training rows instead.
        """
        import torch

        starts = {name: self._start(name, seeds, coin) for name in self.space.parts}
        values = [value.clone().requires_grad_() for value in starts.values()]
        score = self.unit.score(dict(zip(starts, values, strict=True))).sum()
        score = score + 0.0 * sum(value.sum() for value in values)  # keeps every field in the graph
        grads = torch.autograd.grad(score, values)
        self.from_rows = torch.cat([grad.flatten(1) for grad in grads], dim=1).abs().amax(1) == 0
        rows = best[torch.arange(seeds) % len(best)]
        return {
            name: self.data.inputs[name][rows].where(self.from_rows.reshape(-1, *(1 for _ in value.shape[1:])), value)
            for name, value in starts.items()
        }

    def _start(self, name: str, seeds: int, coin: torch.Generator) -> torch.Tensor:
        import torch

        part, rows = self.space.parts[name], self.data.inputs[name][self.data.split["train"][:ROWS]]
        mean = rows.mean(0, keepdim=True)
        if part.spec.is_vector:  # a category is the most frequent one, not a mixture of one-hot vectors
            mean = mean.where(part.free, rows.median(0, keepdim=True).values)
        noise = NOISE * torch.randn(seeds, *part.spec.shape, generator=coin)
        return (mean + noise).clamp(part.least, part.most).where(part.free, mean)

    def _jittered(self, name: str, value: torch.Tensor, coin: torch.Generator) -> torch.Tensor:
        import torch

        spec = self.space.parts[name].spec
        axes = {"image": (2, 3), "sequence": (1,)}.get(spec.kind, ())
        if not axes:
            return value
        far = [value.shape[axis] // 16 for axis in axes]
        shifts = [int(torch.randint(-most, most + 1, (), generator=coin)) for most in far]
        return value.roll(shifts, axes)

    def _pull(self, name: str, value: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        spec = self.space.parts[name].spec
        return L2_WEIGHT * (0.0 if spec.is_image else 1.0) * (value - start).square().sum()

    def _plausible(self, name: str, value: torch.Tensor, start: torch.Tensor, *, blur: bool) -> torch.Tensor:
        part = self.space.parts[name]
        if blur and not part.spec.is_vector:
            value = _blur(value, part.spec.is_image)
        clamped = value.clamp(part.least, part.most)
        # Values that are not continuous, such as one-hot categories, keep their start.
        return clamped.where(part.free, start)


def _blur(value: torch.Tensor, picture: bool) -> torch.Tensor:
    """Blur images (N, C, H, W) or series (N, T, D) with a kernel of 3 positions."""
    import torch
    from torch.nn import functional

    kernel_1d = torch.tensor([0.15, 0.7, 0.15])
    if picture:
        channels = value.shape[1]
        kernel = (kernel_1d[:, None] * kernel_1d).expand(channels, 1, 3, 3)
        return functional.conv2d(functional.pad(value, (1, 1, 1, 1), "replicate"), kernel, groups=channels)
    channels_first = value.transpose(1, 2)
    kernel = kernel_1d.expand(channels_first.shape[1], 1, 3)
    return functional.conv1d(
        functional.pad(channels_first, (1, 1), "replicate"), kernel, groups=channels_first.shape[1]
    ).transpose(1, 2)

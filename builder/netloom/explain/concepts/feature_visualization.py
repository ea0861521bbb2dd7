"""Feature visualization: inputs that maximize a unit or a class, beside the training rows with the highest values.

Activation maximization (Erhan, Bengio, Courville and Vincent 2009) with the jitter and the blur of
https://distill.pub/2017/feature-visualization/: images and series are shifted at random before each step and blurred
every few steps, which suppresses the high-frequency noise that only this network responds to. Table values are
regularized towards the mean. All values stay in the valid range; those of tables and series also stay in the range of
the training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explanation import Verdict
from netloom.explain.core.network.cost import measure_network
from netloom.explain.evidence.model_check import model_check
from netloom.explain.evidence.verdict import with_model
from netloom.tasks import task

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.explain.core.request import Progress, Trained
    from netloom.explain.robustness.continuous_inputs import InputSpace

STEPS, SEEDS, LEARNING_RATE = 160, 3, 0.08
BLUR_EVERY, L2_WEIGHT = 8, 0.003
# Jitter and blur stop after this share of the steps; the remaining steps sharpen the result.
JITTERED_SHARE = 0.75
# The standard deviation of the noise that is added to the mean input at the start.
NOISE = 0.1
ROWS, BATCH_SIZE, MAX_LISTED_ROWS = 2_048, 128, 4
# Beyond this multiple of the highest training row (measured from the mean), an input counts as unrealistic.
UNREALISTIC_FACTOR = 1.5


@dataclass(frozen=True)
class VisualizedUnit:
    """Inputs that maximize one unit of the node at `path`, or of the output if `path` is empty.

    The value of a unit of a feature map or a sequence is its mean over all positions. `made` holds the optimized inputs
    by field in the units of the data, (seeds, …), or for a table a list of values by column; `reached` holds the values
    of the unit for them. Of the `rows` training rows, `highest` is the maximum value, `mean` and `deviation` describe
    all, and `rows_most` are the rows with the highest values `real`. `told` describes how the inputs were regularized.
    """

    path: str
    title: str
    unit: int
    units: int
    name: str
    made: dict[str, Any]
    reached: tuple[float, ...]
    highest: float
    mean: float
    deviation: float
    rows: int
    rows_most: tuple[int, ...]
    real: tuple[float, ...]
    told: str
    verdict: Verdict
    weights: str = ""
    checkpoint: str = ""
    seconds: float = 0.0


def unavailable_reason(trained: Trained) -> str:
    """Return why feature visualization is unavailable for a network, as a sentence; empty if it is available."""
    from netloom.explain.core.requirements import not_inspectable
    from netloom.explain.robustness.continuous_inputs import unchangeable_reason

    return not_inspectable(trained.model) or unchangeable_reason(trained.project, trained.data)


def _logit_model(trained: Trained) -> nn.Module:
    """Return the network with logits as outputs if it is a classifier."""
    from netloom.compile.logit_network import with_logits

    return with_logits(trained.project, trained.model, trained.data.schema)


def unit_counts(trained: Trained) -> dict[str, int]:
    """Return the number of units of each inner node by path; the key "" is the output.

    Units are the channels of feature maps (N, C, H, W) and the last dimension otherwise. Nodes with integer outputs are
    omitted.
    """
    import torch

    from netloom.explain.core.network.nodes import inner_nodes, output_port

    model, counts = deepcopy(_logit_model(trained)).eval(), dict[str, int]()
    nodes = {node.path: output_port(trained.project, node) for node in inner_nodes(trained.project, trained.model)}

    def record_units(path: str, port_number: int) -> Callable[..., None]:
        def record(_: Any, __: Any, output: Any) -> None:
            value = output[port_number] if isinstance(output, tuple) else output
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim > 1:
                counts[path] = value.shape[_unit_axis(value)]

        return record

    for path, port_number in nodes.items():
        model.get_submodule(path).register_forward_hook(record_units(path, port_number))
    with torch.no_grad():
        answer = model(*[trained.data.inputs[name][:1] for name in _arguments(trained)])
    answer = answer[0] if isinstance(answer, tuple) else answer
    return {
        "": answer.shape[_unit_axis(answer)] if answer.ndim > 1 else 1,
        **{path: counts[path] for path in nodes if path in counts},
    }


def visualize_unit(
    trained: Trained,
    path: str = "",
    unit: int = 0,
    *,
    seeds: int = SEEDS,
    steps: int = STEPS,
    seed: int = 0,
    folder: Path | None = None,
    checkpoint: str = "",
    progress: Progress | None = None,
) -> VisualizedUnit:
    """Optimize inputs that maximize one unit, one for each of `seeds` random starts.

    The result is cached in `folder`, the folder of the run. `progress` receives the fraction done; an exception from it
    cancels the work.

    Raises:
        ExplainError: The node or unit does not exist, or the inputs of this network cannot be optimized.
    """
    from netloom.explain.core import cache

    start = perf_counter()
    if reason := unavailable_reason(trained):
        raise ExplainError(f"Inputs of this network cannot be optimized: {reason}")
    optimizer = _InputOptimizer(trained, path, unit)
    weights = cache.weights_hash(trained.model)
    question = {"visualised": path, "unit": unit, "seeds": seeds, "steps": steps, "seed": seed}
    first = {name: trained.data.inputs[name][:1] for name in optimizer.space.parts}
    name = cache.key(weights, first, {**question, "data": trained.data.fingerprint})
    cached = cache.load_as(VisualizedUnit, folder, name) if folder else None
    if cached is not None:
        return replace(cached, checkpoint=checkpoint)
    result = replace(optimizer.run(seeds, steps, seed, progress), weights=weights, checkpoint=checkpoint)
    check_model = model_check(
        trained.project, trained.model, trained.data, weights, measure_network(trained.project).totals.flops
    )
    result = replace(result, verdict=with_model(result.verdict, check_model), seconds=perf_counter() - start)
    if folder:
        cache.save(folder, name, result)
    return result


def _arguments(trained: Trained) -> list[str]:
    from netloom.compile import input_fields

    return input_fields(trained.project)


def _unit_axis(value: torch.Tensor) -> int:
    """Return the axis of the units of an output (N, …): 1 for feature maps, otherwise the last."""
    return 1 if value.ndim > 3 else value.ndim - 1


class _InputOptimizer:
    """Activation maximization of one unit on a private copy of the network."""

    def __init__(self, trained: Trained, path: str, unit: int) -> None:
        import torch

        from netloom.explain.core.network.nodes import find_node, output_port
        from netloom.explain.robustness.continuous_inputs import InputSpace

        self.trained, self.path, self.unit = trained, path, unit
        self.space: InputSpace = InputSpace(trained.project, trained.data)
        self.model = deepcopy(_logit_model(trained)).to("cpu").float().eval().requires_grad_(False)
        self.title, self.port, self.captured = "the output", 0, None
        # A regression output is reported in the units of the data.
        self.in_target_units = not path and task(trained.project.training.objective).in_target_units
        self.shut, self.size = torch.zeros(0, dtype=torch.bool), 1.0
        if path:
            node = find_node(trained.project, trained.model, path)
            self.title, self.port = node.title, output_port(trained.project, node)
            self.model.get_submodule(path).register_forward_hook(self._note)
        counts = unit_counts(trained)
        if path not in counts:
            raise ExplainError(f"The output of {self.title} consists of integers, which cannot be optimized.")
        self.units = counts[path]
        if not 0 <= unit < self.units:
            raise ExplainError(f"There is no unit {unit} in {self.title}; it has units 0 to {self.units - 1}.")

    def _note(self, _: Any, __: Any, output: Any) -> None:
        self.captured = output[self.port] if isinstance(output, tuple) else output

    def score(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Compute the value of the unit (N,) for a batch of inputs by field."""
        output = self.model(*[inputs[name] for name in self.space.arguments])
        output = output[0] if isinstance(output, tuple) else output
        value = self.captured if self.path else output
        if value is None:
            raise ExplainError(f"{self.title} does not run for this input.")
        value = value if value.ndim > 1 else value.unsqueeze(1)
        value = self.trained.data.restore(value) if self.in_target_units else value
        unit_values: torch.Tensor = value.select(_unit_axis(value), self.unit)
        return unit_values.flatten(1).mean(1) if unit_values.ndim > 1 else unit_values

    def run(self, seeds: int, steps: int, seed: int, progress: Progress | None) -> VisualizedUnit:
        """Optimize from `seeds` starts, and sort the results by the value of the unit."""
        import torch

        rows, row_scores = self._real(progress)
        best = row_scores.argsort(descending=True)[:MAX_LISTED_ROWS]
        # In standard deviations, so that the regularization has the same weight for every unit. Without the correction,
        # a single row gives 0 instead of NaN.
        self.size = float(row_scores.std(correction=0)) or 1.0
        optimized = self._optimize(seeds, steps, seed, rows[best], progress)
        with torch.no_grad():
            scores = self.score(optimized)
        order = scores.argsort(descending=True)
        scores = scores[order]
        highest, best_score = float(row_scores[best[0]]), float(scores[0])
        displays = [
            self.space.shown({name: value[index : index + 1] for name, value in optimized.items()}) for index in order
        ]
        return VisualizedUnit(
            path=self.path,
            title=self.title,
            unit=self.unit,
            units=self.units,
            name=self._name(),
            made={name: _stack([display[name] for display in displays]) for name in self.space.parts},
            reached=tuple(scores.tolist()),
            highest=highest,
            mean=float(row_scores.mean()),
            deviation=float(row_scores.std(correction=0)),
            rows=len(rows),
            rows_most=tuple(rows[best].tolist()),
            real=tuple(row_scores[best].tolist()),
            told=self._describe_regularization(steps),
            verdict=_verdict(best_score, highest, float(row_scores.mean())),
        )

    def _name(self) -> str:
        """Return the unit in words, such as the class of an output."""
        target = self.trained.data.schema.target
        if not self.path and target.type.is_one_of and self.units == len(target.classes):
            valued = task(self.trained.project.training.objective).action_values
            return f"the {'value' if valued else 'score (logit)'} of {target.classes[self.unit]}"
        if not self.path and target.type.is_per_pixel and self.units == len(target.classes):
            return f"the mean score (logit) of {target.classes[self.unit]}"
        if self.in_target_units:
            return f"{target.name}{f' {self.unit + 1}' if self.units > 1 else ''}, in the units of the data"
        return f"unit {self.unit} of {self.title}" if self.units > 1 else self.title

    def _describe_regularization(self, steps: int) -> str:
        specs = [part.spec for part in self.space.parts.values()]
        parts = [f"{steps} steps of Adam from the mean of the training rows plus noise"]
        if bool(self.shut.any()):
            parts[0] += f" ({int(self.shut.sum())} seeds start from a training row, because the gradient there is 0)"
        if any(spec.is_image or spec.is_sequence for spec in specs):
            parts.append(f"jitter by up to 1/16 and a blur every {BLUR_EVERY} steps in the first three quarters")
        if any(spec.is_image for spec in specs):
            parts.append("values clipped to the range of the training images")
        if any(spec.is_vector or spec.is_sequence for spec in specs):
            parts.append("values pulled to the mean and clipped to the range of the training rows")
        return "; ".join(parts)

    def _real(self, progress: Progress | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the values of the unit for training rows: the row numbers (R,) and the values (R,)."""
        import torch

        rows = self.trained.data.split["train"]
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:ROWS]]
        scores = []
        with torch.no_grad():
            for start in range(0, len(rows), BATCH_SIZE):
                # The pass over training rows is counted as a fifth of the work.
                if progress is not None:
                    progress(0.2 * start / len(rows))
                batch = rows[start : start + BATCH_SIZE]
                scores.append(self.score({name: self.trained.data.inputs[name][batch] for name in self.space.parts}))
        return rows, torch.cat(scores)

    def _optimize(
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
                -self.score(jittered).sum() / self.size
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

    def _starts(self, seeds: int, coin: torch.Generator, best: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return start values by field (seeds, …).

        If the gradient at a start is 0, as behind an inactive ReLU, no step can increase the unit, so that seed starts
        from one of the `best` training rows instead.
        """
        import torch

        starts = {name: self._start(name, seeds, coin) for name in self.space.parts}
        values = [value.clone().requires_grad_() for value in starts.values()]
        score = self.score(dict(zip(starts, values, strict=True))).sum() + 0.0 * sum(value.sum() for value in values)
        grads = torch.autograd.grad(score, values)
        self.shut = torch.cat([grad.flatten(1) for grad in grads], dim=1).abs().amax(1) == 0
        rows = best[torch.arange(seeds) % len(best)]
        return {
            name: self.trained.data.inputs[name][rows].where(
                self.shut.reshape(-1, *(1 for _ in value.shape[1:])), value
            )
            for name, value in starts.items()
        }

    def _start(self, name: str, seeds: int, coin: torch.Generator) -> torch.Tensor:
        import torch

        part, rows = self.space.parts[name], self.trained.data.inputs[name][self.trained.data.split["train"][:ROWS]]
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


def _stack(values: list[Any]) -> Any:
    import numpy as np

    return values if isinstance(values[0], dict) else np.stack(values)


def _verdict(reached: float, highest: float, mean: float) -> Verdict:
    """Judge how realistic the optimized input is, by its distance from the mean row relative to the highest training
    row.

    Distances from the mean are used rather than ratios of values, because values can be negative.
    """
    if reached < highest:
        return Verdict(
            "caution",
            "A training row reaches a higher value than the optimized input, so the rows show better what the unit "
            "responds to.",
        )
    if reached - mean > UNREALISTIC_FACTOR * (highest - mean):
        return Verdict(
            "caution",
            "The optimized input goes far beyond every training row: it shows a direction to which the unit responds, "
            "not a realistic input. Compare it with the rows.",
        )
    return Verdict("good", "The optimized input reaches about the same value as the highest training rows.")

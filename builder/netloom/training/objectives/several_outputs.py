"""Several targets, each with its own output, objective and weight."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from netloom.core.text import in_sentence
from netloom.data.preparation.calibrated import Decoding
from netloom.tasks import several_outputs
from netloom.tasks.chosen_thresholds import output_settings
from netloom.tasks.several_outputs import head_of, head_width
from netloom.tasks.training_losses import BATCH_LOSS, WEIGHTED_LOSS
from netloom.training.objectives.calibrated_part import CalibratedPart
from netloom.training.objectives.evaluation import Evaluation, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Objective, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction
from netloom.training.objectives.registry import objectives

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.data import Prepared, Schema
    from netloom.document import Training


@dataclass(frozen=True)
class Part:
    """An output: values `start` to `start + width` of all outputs, with its `objective` and loss `weight`."""

    name: str
    objective: Objective
    weight: float
    start: int
    width: int

    def answer(self, output: torch.Tensor) -> torch.Tensor:
        """Return its part (N, width) of all outputs."""
        return output[:, self.start : self.start + self.width]

    def called(self, measure: str) -> str:
        """Return the name of a metric of this output."""
        return f"{measure} ({self.name})"


class SeveralOutputs(Objective):
    """The weighted sum of the losses of all outputs.

    The outputs are concatenated (N, values), the targets are float32 (N, targets) with classes as indices. `described`
    reads the outputs from the data and the document.
    """

    task = several_outputs.SeveralOutputs()
    parts: tuple[Part, ...] = ()
    titled: Mapping[str, str] | None = None

    @property
    def metrics(self) -> Mapping[str, str]:
        return self.titled or self.task.metrics

    def described(self, training: Training, schema: Schema) -> Self:
        described, parts, start = copy.copy(self), list[Part](), 0
        for spec in schema.target.parts:
            head, task = training.outputs.get(spec.name), head_of(spec, training)
            width = head_width(spec, task)
            parts.append(Part(spec.name, objectives()[task.name], head.weight if head else 1.0, start, width))
            start += width
        described.parts = tuple(parts)
        # The names of the metrics depend on the data; callers read them here, as for every other objective.
        described.titled = {
            **self.task.metrics,
            **{
                part.called(measure): f"{title}: {part.name}"
                for part in parts
                for measure, title in part.objective.metrics.items()
            },
        }
        return described

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        configured = self.described(training, data.schema)
        configured.parts = tuple(
            replace(
                part, objective=part.objective.configured(_output_training(training, part), view(data, index), device)
            )
            for index, part in enumerate(configured.parts)
        )
        return configured

    @property
    def batched(self) -> bool:
        return all(part.objective.batched for part in self.parts)

    @property
    def training_loss_name(self) -> str:
        return BATCH_LOSS if all(part.objective.loss_weights.is_unweighted for part in self.parts) else WEIGHTED_LOSS

    def titles(self, training: Training) -> Mapping[str, str]:
        return self.metrics

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        losses = []
        for index, part in enumerate(self.parts):
            answer, goal = part.answer(output), _part_targets(part, target[:, index])
            if part.objective.batched:
                cost = part.objective.loss(answer, goal)
            else:  # divided by the rows instead of their class weights, so that `mass` is the same for all outputs
                cost = part.objective.loss_weights.entropy(answer, goal, reduction="sum") / len(target)
            losses.append(part.weight * cost)
        return sum(losses[1:], losses[0])

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        sums: dict[str, torch.Tensor] = {}
        values: dict[str, torch.Tensor] = {}
        for index, part in enumerate(self.parts):
            scores = part.objective.scores(part.answer(output), _part_targets(part, target[:, index]))
            sums |= {part.called(name): value for name, value in scores.sums.items()}
            values |= {f"{index}:{name}": value for name, value in scores.values.items()}
        return Scores(sums, len(target), values)

    def metrics_of_values(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for index, part in enumerate(self.parts):
            start = f"{index}:"
            of_part = {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}
            metrics |= {part.called(name): value for name, value in part.objective.metrics_of_values(of_part).items()}
        return metrics

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        loss = sum(part.weight * means[part.called("loss")] for part in self.parts)
        return {"loss": loss, **means}

    def output_metrics(self, metrics: Collection[str]) -> tuple[str, ...]:
        names = []
        for part in self.parts:
            measures = [name.removesuffix(part.called("")) for name in metrics if name.endswith(part.called(""))]
            headline = part.objective.task.headline_metric(measures)
            names += [part.called(headline)] if headline else []
        return tuple(names)

    def calibrate(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> Settings:
        """Choose the parameters of each output, by its index, such as thresholds."""
        return {
            f"{index}:{name}": value
            for index, part in enumerate(self.parts)
            if part.objective.task.tunes_threshold
            for name, value in part.objective.calibrate(part.answer(output), view(data, index), rows).items()
        }

    def is_proportion(self, measure: str) -> bool:
        name, _, _ = measure.partition(" (")
        return any(part.called(name) == measure and part.objective.task.is_proportion(name) for part in self.parts)

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        import torch

        baselines = [part.objective.trivial(view(data, index), rows) for index, part in enumerate(self.parts)]
        available = [baseline for baseline in baselines if baseline is not None]
        if len(available) < len(baselines):
            return None
        first, *others = dict.fromkeys(baseline.title for baseline in available)
        title = ", ".join([first, *map(in_sentence, others)])
        return BaselinePrediction(title, torch.cat([baseline.output for baseline in available], dim=1))

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        evaluations = [
            part.objective.evaluate(part.answer(output), view(data, index), rows, split, output_settings(chosen, index))
            for index, part in enumerate(self.parts)
        ]
        means = self.scores(output, data.target[rows])
        losses = self.finish({name: float(value) / means.count for name, value in means.sums.items()})
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "loss": losses["loss"],
                **{
                    part.called(name): value
                    for part, evaluation in zip(self.parts, evaluations, strict=True)
                    for name, value in evaluation.metrics.items()
                },
            },
            outputs=[
                {
                    "name": part.name,
                    "objective": part.objective.task.title,
                    "weight": part.weight,
                    "metrics": evaluation.metrics,
                    "classes": evaluation.classes,
                    "confusion": evaluation.confusion,
                    "report": evaluation.report,
                    "residuals": evaluation.residuals,
                    "separation": evaluation.separation,
                }
                for part, evaluation in zip(self.parts, evaluations, strict=True)
            ],
            worst=self._worst([evaluation.worst for evaluation in evaluations]),
        )

    def _worst(self, worst_by_part: list[list[Worst]]) -> list[Worst]:
        """Return the worst rows of the outputs alternately, each row once."""
        # The losses of different outputs are not comparable, so there is no common order.
        interleaved = [
            replace(item, target=f"{part.name} {item.target}", predicted=f"{part.name} {item.predicted}")
            for rank in range(WORST)
            for part, rows in zip(self.parts, worst_by_part, strict=True)
            for item in rows[rank : rank + 1]
        ]
        first_by_row = dict[int, Worst]()
        for item in interleaved:
            first_by_row.setdefault(item.row, item)
        return list(first_by_row.values())[:WORST]

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        parts = [
            part.objective.decoding(view(data, index), output_settings(chosen, index))
            for index, part in enumerate(self.parts)
        ]
        return {**data.fitted_target.to_json(), "parts": parts}

    def calibrated_parts(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> tuple[CalibratedPart, ...]:
        return tuple(
            replace(calibrated, name=part.name)
            for index, part in enumerate(self.parts)
            for calibrated in part.objective.calibrated_parts(part.answer(output), view(data, index), rows)
        )

    def calibrated_output(self, output: torch.Tensor, parts: Mapping[str, Mapping[str, Any]]) -> torch.Tensor:
        import torch

        return torch.cat(
            [
                part.objective.calibrated_output(
                    part.answer(output), {"": parts[part.name]} if part.name in parts else {}
                )
                for part in self.parts
            ],
            dim=1,
        )

    def with_calibration(self, decoding: Decoding, parts: Mapping[str, Mapping[str, Any]]) -> Decoding:
        each = [
            part.objective.with_calibration(of_part, {"": parts[part.name]} if part.name in parts else {})
            for part, of_part in zip(self.parts, decoding["parts"], strict=True)
        ]
        return {**decoding, "parts": each}

    def parted(self, output: torch.Tensor, data: Prepared) -> torch.Tensor | tuple[torch.Tensor, ...]:
        return tuple(part.answer(output) for part in self.parts)


def _output_training(training: Training, part: Part) -> Training:
    """Return the settings of a document for an output."""
    head = training.outputs.get(part.name)
    return training.model_copy(update={"class_weights": head.class_weights if head else None})


def _part_targets(part: Part, values: torch.Tensor) -> torch.Tensor:
    """Return the targets (N,) of an output in the form that its objective needs."""
    return values.long() if part.objective.task.per_class_scores else values.unsqueeze(1)


def view(data: Prepared, output_index: int) -> Prepared:
    """Return the data with only one of its targets."""
    spec, values = data.schema.target.parts[output_index], data.target[:, output_index]
    part = data.fitted_targets[output_index]
    return replace(
        data,
        schema=replace(data.schema, target=replace(spec, shape=() if spec.type.is_class else (1,))),
        target=values.long() if spec.type.is_class else values.unsqueeze(1),
        preprocess=replace(data.preprocess, target=part),
    )

"""The base class of objectives: the training loss and the metrics of a task."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from netloom.core.text import in_sentence
from netloom.data.preparation.calibrated import Decoding, calibrated_logits
from netloom.data.preparation.decode import decode
from netloom.modalities.encoding.rows import Answer
from netloom.tasks import metric
from netloom.tasks.training_losses import BATCH_LOSS, WEIGHTED_LOSS
from netloom.training.objectives.calibrated_part import CalibratedPart, calibrated_part
from netloom.training.objectives.evaluation import Evaluation, Reference
from netloom.training.objectives.loss_weights import LossWeights, make_loss_weights

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.data import Prepared, Schema
    from netloom.document import Training
    from netloom.tasks import Task
    from netloom.training.batch_augmentation import BatchAugmentation
    from netloom.training.objectives.reference_predictors import BaselinePrediction
    from netloom.training.targets import Targets

# The batch size of evaluations. It is even, so that the two rows of a pair (`paired_views`) stay in one batch.
EVALUATION_BATCH = 512
# The number of worst rows in a result.
WORST = 20
Settings = Mapping[str, float]
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Scores:
    """Sums over the rows of a batch, scalars that stay on the device, and their divisor for means, `count`.

    `values` of single rows, (N, …), are for metrics that are not means over rows, such as the area under a curve.
    """

    sums: dict[str, torch.Tensor]
    count: int
    values: dict[str, torch.Tensor] = field(default_factory=dict)


def joined(answer: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Concatenate several outputs of a network to one tensor (N, values)."""
    import torch

    return torch.cat([part.flatten(1) for part in answer], dim=1) if isinstance(answer, tuple) else answer


class Objective(ABC):
    """The loss and metrics of a task on tensors. The rest of the declaration is in `task`."""

    task: ClassVar[Task]
    # The loss settings; `configured` replaces the defaults by those of a document.
    loss_weights: LossWeights = LossWeights()
    # Whether latent variables are sampled in evaluation, and their KL divergence is among the sums of `finish`.
    samples_latents: bool = False
    # Set by `join`.
    fields: tuple[str, ...] = ()
    change: BatchAugmentation | None = None

    @property
    def name(self) -> str:
        """The name of the task, as in documents."""
        return self.task.name

    @property
    def metrics(self) -> Mapping[str, str]:
        """The metrics on the curves by name, with their titles."""
        return self.task.metrics

    @property
    def monitors(self) -> tuple[str, ...]:
        """The metrics on the curves that can select the best weights or trials."""
        return self.task.monitors or tuple({"loss": "", **self.metrics})

    def described(self, training: Training, schema: Schema) -> Self:
        """Return this objective configured by a document, for everything except the training loss."""
        return self

    def prepare_batch(
        self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return a batch as the network receives it, such as with a second view of each row. Equal seeds give equal
        results."""
        return inputs, target

    def join(self, fields: Sequence[str], change: BatchAugmentation | None) -> None:
        """Set the fields in the order of the inputs and their augmentation, for tasks that augment batches."""
        self.fields, self.change = tuple(fields), change

    def batch(
        self, inputs: list[torch.Tensor], target: Targets, seed: tuple[int, int, int]
    ) -> tuple[list[torch.Tensor], Targets]:
        """Return the augmented batch of a step, for tasks that augment batches; the seed consists of the training
        seed, the epoch and the first row."""
        return self.prepare_batch(inputs, cast("torch.Tensor", target), seed)

    def extend_evaluation(
        self,
        evaluation: Evaluation,
        output: torch.Tensor,
        ask: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
        data: Prepared,
        rows: torch.Tensor,
    ) -> Evaluation:
        """Add results to an evaluation that need predictions for other rows, which `ask` returns."""
        return evaluation

    def generate_texts(
        self,
        ask: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
        data: Prepared,
        inputs: Mapping[str, torch.Tensor],
    ) -> list[str] | None:
        """Return the text that the network writes for each of the encoded `inputs` (N, …), from the outputs that `ask`
        returns. None if predictions are not texts that are written token by token."""
        return None

    def target(self, data: Prepared) -> torch.Tensor:
        """Return the targets of the loss for all rows of the data, (R, …)."""
        return data.target

    def loss_targets(self, data: Prepared) -> torch.Tensor:
        """Return the targets of the loss with the settings of a document."""
        return self.target(data)

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        """Return this objective with the loss settings of a document."""
        if not self.task.settings:
            return self
        loss_weights = make_loss_weights(
            training,
            self.task.settings,
            lambda: self.class_targets(data)[data.split["train"]],
            len(data.schema.target.classes),
            device,
        )
        configured = copy.copy(self)  # objectives in the registry are shared by all runs of a process
        configured.loss_weights = loss_weights
        return configured

    def class_targets(self, data: Prepared) -> torch.Tensor:
        """Return the classes for class weights, (R, …); below 0 if there is none."""
        return data.target

    @property
    def training_loss_name(self) -> str:
        """The name of the training loss on curves; it differs from "loss" if the evaluated loss is another one."""
        return BATCH_LOSS if self.loss_weights.is_unweighted else WEIGHTED_LOSS

    @property
    def batched(self) -> bool:
        """Whether per-row losses can be computed by `torch.func.vmap`; not with class weights."""
        # With class weights and label smoothing, torch's cross-entropy calls `masked_select`, which `vmap` rejects.
        return self.loss_weights.class_weights is None

    def is_proportion(self, metric: str) -> bool:
        """Whether a metric is a share of rows that are either right or wrong."""
        return self.task.is_proportion(metric)

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        """Return the outputs of a baseline predictor; None if there is none."""
        return None

    def other_trivials(self, data: Prepared, rows: torch.Tensor) -> Sequence[BaselinePrediction]:
        """Return further baseline predictors, which are better by some metrics."""
        return ()

    def reference(self, data: Prepared, rows: torch.Tensor, split: str) -> Reference | None:
        """Return the metrics of the baseline predictor on `rows`.

        A threshold is chosen on the monitored rows, as for a network. With the best F1, a constant predictor finds
        every row positive, which is hardly ever right if few are. So each metric is the better one of two: with this
        threshold, and without, where it predicts what is more frequent; and of those of other predictors, if different
        ones are best by different metrics.
        """
        from netloom.training.streaming import evaluation_rows

        baseline, monitored = self.trivial(data, rows), evaluation_rows(data, data.monitored_split)
        if baseline is None:
            return None
        metrics = self.evaluate(baseline.output, data, rows, split).metrics
        tuned = self.trivial(data, monitored) if self.task.tunes_threshold else None
        if tuned is not None:
            chosen = self.calibrate(tuned.output, data, monitored)
            metrics = self._better(self.evaluate(baseline.output, data, rows, split, chosen).metrics, metrics)
        others = self.other_trivials(data, rows)
        for other in others:
            metrics = self._better(metrics, self.evaluate(other.output, data, rows, split).metrics)
        *first, last = baseline.title, *(in_sentence(other.title) for other in others)
        return Reference(f"{', '.join(first)} or {last}" if first else last, metrics)

    def _better(self, first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
        """Return the better value of each metric; the first one if one of them is NaN."""
        better = {}
        for name, value in first.items():
            other = second[name]
            is_better = other > value if self.task.higher_is_better(name) else other < value
            better[name] = other if is_better and metric(name).is_score else value
        return better

    def output_metrics(self, metrics: Collection[str]) -> tuple[str, ...]:
        """Return the metric that summarizes each of several outputs, of those of an evaluation; () if one metric says
        how good the whole prediction is."""
        return ()

    def titles(self, training: Training) -> Mapping[str, str]:
        """Return the titles of the metrics with the settings of a document."""
        return self.metrics

    def mass(self, target: torch.Tensor) -> torch.Tensor | float:
        """Return the weight of a batch in the mean loss of a larger one: the divisor of `loss`."""
        return len(target)

    def partial_loss(self, output: torch.Tensor, target: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        """Return what some rows, outputs (n, …) and targets (n, …), add to the mean loss of a batch with the targets
        `whole` (N, …), a scalar. Means over different things in one loss override it."""
        return self.loss(output, target) * (self.mass(target) / self.mass(whole))

    @abstractmethod
    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a batch, a scalar, from outputs (N, …) and targets (N, …)."""

    @abstractmethod
    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        """Return the sums of the loss and the metrics over a batch, from outputs (N, …) and targets (N, …).

        Sums instead of means, so that batches of different size and the parts of ranks add up exactly.
        """

    def guess_loss(self, output: torch.Tensor) -> float | None:
        """Return the evaluated loss of equal scores for all classes, from outputs (N, …); None if the loss is another
        one than a cross-entropy."""
        return None

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        """Return the final metrics from the means of the sums."""
        return means

    def metrics_of_values(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Return the metrics that are not means over rows, from the `values` of all `scores`, (N, …) each. NaN where
        they are undefined, such as an area under a curve without positive rows."""
        return {}

    def calibrate(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> Settings:
        """Choose parameters after training, such as thresholds, from the outputs for the validation rows."""
        return {}

    @abstractmethod
    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        """Return the results for the Results page, from the outputs for `rows` and the result of `calibrate`."""

    def metrics_of_parts(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Callable[[np.ndarray], Mapping[str, float]]:
        """Return a function that computes the metrics of `evaluate` for some of the rows, by their places (n,). A task
        that computes each row separately can do that once, as confidence intervals call the function 20 times."""
        return lambda places: self.evaluate(output[places], data, rows[places], split, chosen).metrics

    def answers(
        self,
        output: torch.Tensor,
        data: Prepared,
        inputs: Mapping[str, torch.Tensor] = NOTHING,
        chosen: Settings = NOTHING,
    ) -> list[Answer]:
        """Return a prediction in plain JSON for each row of `output`, the outputs for `inputs`."""
        preprocess = {**data.preprocess.to_json(), "target": self.decoding(data, chosen)}
        return decode(preprocess, self.parted(output, data), inputs)

    def parted(self, output: torch.Tensor, data: Prepared) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Split `output` into the outputs of the network, (N, …)."""
        return output

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        """Return the data with which a script without Netloom decodes predictions, as plain JSON."""
        return data.fitted_target.to_json()

    def calibrated_parts(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> tuple[CalibratedPart, ...]:
        """Return what can be calibrated of the outputs (N, …) for `rows`; nothing if the task cannot."""
        part = calibrated_part(self.task, self.parted(output, data), data.target[rows], data.schema.target)
        return () if part is None else (part,)

    def calibrated_output(self, output: torch.Tensor, parts: Mapping[str, Mapping[str, Any]]) -> torch.Tensor:
        """Return outputs (N, …) with calibrated logits, for `calibrate`."""
        calibrated: torch.Tensor = calibrated_logits(parts[""], output) if "" in parts else output
        return calibrated

    def with_calibration(self, decoding: Decoding, parts: Mapping[str, Mapping[str, Any]]) -> Decoding:
        """Return `decoding` with the calibration of each part by its name, as plain JSON."""
        return {**decoding, "calibration": dict(parts[""])} if "" in parts else decoding

"""Observes a training loop: layer statistics, warnings, and predictions for a few rows.

It never changes the result of training and never ends a run: an error here is logged and turns off the part that
failed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from netloom.tasks.training_losses import BATCH_LOSS, TRAINING_LOSSES
from netloom.training.diagnostics.alerts import Adviser, Notice, Observations
from netloom.training.diagnostics.initial_loss import initial_loss_notice
from netloom.training.diagnostics.layer_statistics import EVERY_S, LayerStatistics, forward_with_hooks
from netloom.training.diagnostics.node_modules import places
from netloom.training.diagnostics.prediction_history import PredictionHistory
from netloom.training.diagnostics.rules import REFUTED, RULES
from netloom.training.diagnostics.statistics_file import Writer
from netloom.training.loop import SupervisedTrainer
from netloom.training.trainer import Callback, Trainer

if TYPE_CHECKING:
    import torch

    from netloom.document import Project
    from netloom.store import Points, RunArtifacts
    from netloom.store.run_summary import RunNotice
    from netloom.training.targets import Targets

# The limit of stored mean losses. Rules need only the first and the latest ones.
MAX_LOSSES = 1_000
# The share of the CPU time that the rules can use.
ADVICE = 0.002


class Observer(Callback):
    """Stores its observations in the `artifacts` of a run.

    `every_s` is the minimum time between two samples of layer statistics.
    """

    def __init__(self, project: Project, artifacts: RunArtifacts, every_s: float = EVERY_S) -> None:
        self._project, self._artifacts, self._every_s = project, artifacts, every_s
        self._trainer: Trainer | None = None
        self._lens: LayerStatistics | None = None
        self._writer: Writer | None = None
        self._samples: PredictionHistory | None = None
        self._adviser: Adviser | None = None
        self._added_notices: list[Notice] = []
        self.due = 0.0  # the time of the next sample, by `time.monotonic`
        self._inputs: list[torch.Tensor] = []
        self._is_looking = False
        self._checks_initial_loss = False

    @property
    def notices(self) -> list[RunNotice]:
        """All notices so far, in the order in which they occurred."""
        rule_notices = self._adviser.notices if self._adviser else []
        return [notice.as_reported() for notice in (*rule_notices, *self._added_notices)]

    def start(self, trainer: Trainer, earlier_notices: Sequence[RunNotice], points: Points | None = None) -> None:
        """Observe `trainer`. For a resumed run, pass its `earlier_notices` and its curves as `points`."""
        self._trainer, self.due = trainer, 0.0
        # Weights that were trained before, here or in another run, do not start with a guess.
        self._checks_initial_loss = trainer.step == 0 and not trainer.training.initial_weights
        self._safely("layers", partial(self._begin, trainer, earlier_notices))
        if trainer.objective.task.explainable_prediction:
            self._safely("samples", partial(self._begin_samples, trainer))
        if points is not None and self._adviser is not None:
            for split, name, value in zip(points.split, points.name, points.value, strict=True):
                _add_losses(self._adviser.observations, split, {name: value})

    def tell(self, notice: Notice) -> None:
        """Add a notice from another source."""
        self._added_notices.append(notice)

    def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Targets | None) -> None:
        if time.monotonic() < self.due:  # on short steps each call counts
            return
        if self._checks_initial_loss:
            self._checks_initial_loss = False
            self._safely("initial loss", partial(self._check_initial_loss, trainer))
        if self._lens is None:  # turned off after an error: the check above now returns at once
            self.due = math.inf
            return
        self._inputs, self._is_looking = inputs, True
        self._lens.before_step()

    def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
        if not self._is_looking or self._lens is None:
            return
        is_bypassed = isinstance(trainer, SupervisedTrainer) and trainer.speedups.bypass_hooks
        forward = partial(forward_with_hooks, trainer, self._inputs) if is_bypassed else None
        values = self._lens.after_step(forward)
        self._inputs, self._is_looking, self.due = [], False, self._lens.due
        if values is not None:
            self._safely("layers", partial(self._keep, trainer, values))

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        """Record a point of the curves."""
        if self._adviser is not None:
            observations = self._adviser.observations
            observations.step, observations.epoch = step, epoch
            if self._trainer is not None:
                observations.learning_rate = self._trainer.learning_rate
            _add_losses(observations, split, values)
            self._safely("warnings", self._adviser.check)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Record the end of an epoch."""
        last = trainer.epoch >= trainer.training.epochs
        if last and self._adviser is not None:
            self._safely("warnings", partial(self._adviser.check, immediately=True))
        if self._samples is not None:
            self._safely("samples", partial(self._samples.on_epoch_end, trainer, last=last))

    def _begin(self, trainer: Trainer, earlier_notices: Sequence[RunNotice]) -> None:
        layers = places(self._project, trainer.model)
        lens = LayerStatistics(trainer.model, layers, self._every_s)
        # A resumed run repeats the steps after its checkpoint; an error, such as NaN, belongs to the earlier attempt.
        notices = [
            Notice.of(value) for value in earlier_notices if value.step <= trainer.step and value.severity != "error"
        ]
        matrices = [
            any(
                weight.dim() > 1 and weight.requires_grad
                for weight in trainer.model.get_submodule(layer.path).parameters()
            )
            for layer in lens.places
        ]
        is_alternating = trainer.objective.task.environment or trainer.objective.task.alternating
        counts = {} if is_alternating else _class_counts(trainer)
        observations = Observations(
            trainer.training,
            lens.places,
            lens.sizes,
            matrices,
            trainer.batch_size,
            is_alternating,
            trainer.objective.training_loss_name == BATCH_LOSS,
            trainer.step > 0 or bool(trainer.training.initial_weights),
            counts,
        )
        self._writer = Writer(self._artifacts, lens.places, lens.sizes, trainer.step)
        # If every step is sampled, as in tests, check all rules each time: the budget is practically unlimited.
        self._adviser = Adviser(RULES, observations, notices, ADVICE if self._every_s else 1e9, REFUTED)
        self._lens = lens
        self._adviser.check()

    def _check_initial_loss(self, trainer: Trainer) -> None:
        if isinstance(trainer, SupervisedTrainer):
            notice = initial_loss_notice(self._project, trainer)
            if notice is not None:
                self.tell(notice)

    def _begin_samples(self, trainer: Trainer) -> None:
        self._samples = PredictionHistory(self._artifacts, trainer)

    def _keep(self, trainer: Trainer, values: np.ndarray) -> None:
        if self._writer is None or self._adviser is None or self._lens is None:
            return
        step = trainer.step
        self._writer.append(step, time.time(), values)
        self._lens.slower = self._writer.every
        self._adviser.observations.samples.append(values)
        observations = self._adviser.observations
        observations.step, observations.epoch, observations.learning_rate = step, trainer.epoch, trainer.learning_rate
        self._adviser.check()

    def _safely(self, part: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self._artifacts.log_event("observer", part=part, problem=repr(error))
            if part == "samples":
                self._samples = None
            elif part == "layers":
                self._lens = None
            elif part == "warnings":
                self._adviser = None


def _add_losses(observations: Observations, split: str, values: dict[str, float]) -> None:
    """Add losses to the observations."""
    for name in TRAINING_LOSSES:
        if name in values:
            observations.losses.append(values[name])
            if len(observations.losses) > MAX_LOSSES:
                del observations.losses[1 : MAX_LOSSES // 2]
    if "loss" in values:
        (observations.train if split == "train" else observations.validation).append(values["loss"])


def _class_counts(trainer: Trainer) -> dict[str, int]:
    """Return the number of training rows per class, for tasks with a single class as target."""
    target = trainer.data.schema.target
    if not target.type.is_class or not trainer.objective.task.per_class_scores:
        return {}
    counts = trainer.data.target[trainer.data.split["train"]].bincount(minlength=len(target.classes)).tolist()
    return dict(zip(target.classes, counts, strict=True))

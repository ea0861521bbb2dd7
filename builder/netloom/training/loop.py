"""The training loop: preloaded tensors, one permutation per epoch, and no step that waits for a number.

It knows no process, no store and no page; `Callback` is how the outside looks in and steers.
"""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netloom.compile import input_fields, module
from netloom.training import augmented_batches
from netloom.training.adversarial_trainer import Turns
from netloom.training.augmented_batches import BatchAugmentation, MixedTargets, Targets, WeightedTargets
from netloom.training.batches import batches, measure
from netloom.training.checkpoints import Checkpoint
from netloom.training.compilation import compiled, tried
from netloom.training.device import choose
from netloom.training.ema import EMA
from netloom.training.initialization import load_first
from netloom.training.memory_format import channels_last, set_memory_format
from netloom.training.objectives import OBJECTIVES, Objective
from netloom.training.objectives.objective import joined
from netloom.training.optimizers import FACTOR, ChainedOptimizer, clip_gradient, optimizer
from netloom.training.precision import Precision
from netloom.training.preflight import preflight_problems, weight_names
from netloom.training.schedules import Schedule
from netloom.training.streaming import Stream, measured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import nn

    from netloom.data import Prepared
    from netloom.document import Project, Training

# Rows of the training split on which its measures are taken after each epoch.
TRAIN_SAMPLE = 1_000
# The place of an epoch in the seed of what is drawn for measures; no run has so many.
MEASURED = 1_000_000
RECORD_EVERY_S = 0.25
# On the curves, what modules add to the loss.
AUXILIARY = "auxiliary_loss"


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one sentence that says why and what to change."""


class DivergedError(TrainingError):
    """The loss is no number any more. `advice` helps as long as nobody knows where that began."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what} {advice}")
        self.what = what


class Callback:
    """What the loop tells and asks between steps. This one listens to nobody; the worker has its own."""

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        """Numbers for the curves."""

    def should_continue(self, trainer: Trainer) -> bool:
        """Asked between steps. May pause, change the learning rate or save a checkpoint; false stops the run."""
        return True

    def on_epoch_end(self, trainer: Trainer) -> None:
        """An epoch is complete and evaluated."""

    def log_event(self, kind: str, sentence: str) -> None:
        """A remark on how the run is carried out, for its log."""

    def learn(self, learn: Callable[..., torch.Tensor], *batch: Any) -> torch.Tensor:
        """Takes a step, `learn(*batch)`, and may look on meanwhile. Returns its loss."""
        return learn(*batch)


@dataclass
class Best:
    """The best value so far of the measure that says which weights are best: the validation loss, or another."""

    value: float = math.inf
    epoch: int = 0
    step: int = 0
    weights: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """Trains `model` on `data` as `training` says. `epoch`, `step` and `row` say where it stands; `row` counts within
    the epoch's permutation. `fields` are the data's fields in the order of the model's arguments. A step takes
    `batch_size` rows, in several parts where gradients are accumulated.

    Raises:
        TrainingError: a setting does not fit the network, the objective or the device.
    """

    _average: EMA | None = None

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        data: Prepared,
        fields: list[str],
        training: Training,
        device: str,
    ) -> None:
        self._channels_last = channels_last(model, device)
        self.model = set_memory_format(model.to(device), self._channels_last)
        self.objective, self.data, self.training, self.device, self.fields = objective, data, training, device, fields
        self.learning_rate = training.learning_rate
        self.epoch = self.step = self.row = 0
        self._set_out()
        self.total_steps = self.steps_per_epoch * training.epochs
        problems = preflight_problems(training, self.objective, data.schema, weight_names(self.model), device)
        if problems:
            raise TrainingError(problems[0])
        self.optimizer: torch.optim.Optimizer | ChainedOptimizer | Turns
        self.optimizer = objective.turns(self.model, training) or optimizer(training, self.model)
        self._schedule = Schedule(training, self.total_steps, self.steps_per_epoch)
        self._precision = Precision(training.precision, device)
        if training.average is not None:
            self._average = EMA(self.model, training.average)
        # What a step calls: the model, or the model compiled. None: it has not been tried yet.
        self._call: Callable[..., Any] = self.model
        self._compiled: bool | None = None
        self._parameters = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        self._sign = -1 if self.objective.task.higher_is_better(self.monitor) else 1
        self.best, self._since_best = Best(self._sign * math.inf), 0
        self._losses: list[torch.Tensor] = []
        self._recorded_at = 0.0
        # Modules whose forward leaves a loss of their own, to be lowered beside that of the objective, and the sum of
        # what they have left in this epoch. Parts that learn in turns see to their own.
        parts = () if objective.task.alternating else self.model.modules()
        self._auxiliary: list[Any] = [part for part in parts if hasattr(part, "auxiliary_loss")]
        self._added: torch.Tensor | float = 0.0

    def _set_out(self) -> None:
        """What it learns from: rows of the data, and how many of them a step and an epoch take."""
        training, data, device = self.training, self.data, self.device
        objective = self.objective
        self.objective = objective.configured(training, data, device)
        self._target = self.objective.goal(data)
        rows = data.split["train"]
        # Of data that is larger than memory only the first rows are held, for measures; steps take theirs from files.
        held = max(TRAIN_SAMPLE, training.batch_size * training.accumulation)
        self._train = self._tensors(rows[:held] if data.files else rows)
        self._validation = self._tensors(measured(data, "validation"))
        self._augmented = BatchAugmentation(training, data, self.fields, self._target) if training.augment else None
        self._weights: torch.Tensor | None = None
        if self.objective.task.augments_batch:
            self.objective.join(self.fields, self._augmented)
        if data.weights is not None and not objective.task.alternating and objective.task.supports_sample_weights:
            self._weights = data.weights[rows[: len(self._train[1])]].to(device)
        self.rows = len(rows)
        self._stream: Stream | None = None
        if data.files:
            weights = data.weights if self._weights is not None else None
            self._stream = Stream(data, self.fields, rows, self._target, weights, device)
        self.batch_size = min(training.batch_size * training.accumulation, self.rows)
        self.steps_per_epoch = len(batches(self.rows, self.batch_size))

    def fit(self, callback: Callback) -> bool:
        """Train to the end; with no epochs, measure the weights as they are. Returns false where `callback` stopped it.

        Raises:
            TrainingError: the loss is no number any more.
        """
        if self.training.epochs == 0 and not self.best.weights:
            self._take_as_they_are(callback)
        if self.training.compile == "auto" and not self._done():
            self._choose_call(callback)
        if self._stream is not None and not self._done():
            callback.log_event("data", self._stream.sentence(len(self._validation[1])))
        while not self._done():
            if not self._run_epoch(callback):
                return False
            self._finish_epoch(callback)
            # Asked only here after an epoch's last step, so that a checkpoint never parts a step from its measures.
            if not self._done() and not callback.should_continue(self):
                return False
        return True

    def _done(self) -> bool:
        patience = self.training.early_stopping
        return self.epoch >= self.training.epochs or (patience is not None and self._since_best >= patience)

    def checkpoint(self) -> Checkpoint:
        """Everything needed to go on from here."""
        return Checkpoint(dict(self.model.state_dict()), {**self._state(), "compiled": self._compiled})

    def _state(self) -> dict[str, Any]:
        """What every loop needs besides the weights to go on."""
        import torch

        return {
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if self.device.startswith("cuda") else [],
            "epoch": self.epoch,
            "step": self.step,
            "row": self.row,
            "learning_rate": self.learning_rate,
            "best": {"value": self.best.value, "epoch": self.best.epoch, "step": self.best.step},
            "since_best": self._since_best,
            "schedule": self._schedule.state_dict(),
            "precision": self._precision.state_dict(),
            "average": self._average.state_dict() if self._average is not None else {},
            "auxiliary": float(self._added),
            "channels_last": self._channels_last,
        }

    def resume(self, checkpoint: Checkpoint, best: dict[str, Any] | None = None) -> None:
        """Go back to where `checkpoint` was taken; `best` are the best weights that were kept beside it."""
        import torch

        state = checkpoint.state
        # As it was, since an optimizer goes through its means in the order in which they lie in memory.
        self._channels_last = state.get("channels_last", False)
        set_memory_format(self.model, self._channels_last)
        self.model.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] and self.device.startswith("cuda"):
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        self.epoch, self.step, self.row = state["epoch"], state["step"], state["row"]
        self.learning_rate = state["learning_rate"]
        self._since_best = state["since_best"]
        # Without its weights a best value is of no use: nothing would be kept until it is beaten.
        self.best = Best(**state["best"], weights=best) if best else Best(self._sign * math.inf)
        # Checkpoints from before there were these have none of them.
        self._schedule.load_state_dict(state.get("schedule", {}))
        self._precision.load_state_dict(state.get("precision", {}))
        if self._average is not None and state.get("average"):
            self._average.load_state_dict(state["average"])
        self._compiled = state.get("compiled")
        self._added = state.get("auxiliary", 0.0)

    def flush(self, callback: Callback) -> None:
        """Record the mean loss of the steps since the last record.

        Raises:
            TrainingError: the loss is no number any more.
        """
        import torch

        self._recorded_at = time.monotonic()
        if not self._losses:
            return
        loss = float(torch.stack(self._losses).mean())
        self._losses.clear()
        if not math.isfinite(loss):
            raise DivergedError(
                f"The loss became {loss} by step {self.step} (epoch {self.epoch + 1}).",
                f"Lower the learning rate from {self.learning_rate:g}, clip the gradient, or look for extreme values "
                "in the data.",
            )
        # What is lowered is not always the loss that is measured after each epoch.
        name = "weighted_loss" if self._weights is not None else self.objective.lowered
        if isinstance(self.optimizer, Turns):
            name = "turns_loss"
        callback.log_metrics(self.step, self.epoch, "train", {name: loss})

    def evaluate(self, split: str) -> dict[str, float]:
        """The objective's measures on a split; on "train", over its first thousand rows."""
        inputs, target = self._validation if split == "validation" else self._train
        rows = len(target) if split == "validation" else min(TRAIN_SAMPLE, len(target))
        if self.objective.task.paired_views:  # what is compared with the other rows is harder among more of them
            rows = min(rows, len(self._validation[1]))
        inputs, target = [value[:rows] for value in inputs], target[:rows]
        if self.objective.task.paired_views:  # always the same views and draws, so that epochs can be compared
            inputs, target = self.objective.drawn(inputs, target, (self.training.seed, MEASURED, 0))
            rows = len(target)
        with self.averaged():
            if isinstance(self.optimizer, Turns):
                return self.optimizer.measure(inputs[0][:rows], target[:rows])
            return self._measured([value[:rows] for value in inputs], target[:rows])

    def _measured(self, inputs: list[torch.Tensor], target: torch.Tensor) -> dict[str, float]:
        return measure(self.model, self.objective, inputs, target)

    def averaged(self) -> AbstractContextManager[None]:
        """Within, the model has the weights that are measured and kept: their running mean, where one is taken."""
        return self._average.in_place() if self._average is not None else nullcontext()

    def best_model(self) -> nn.Module:
        """The network as it is drawn with the weights to use, on the CPU in evaluation mode: the best so far, or the
        last."""
        from netloom.compile.logit_network import drawn

        if self.best.weights and self.training.keep == "best":
            self.model.load_state_dict(self.best.weights)
        return drawn(set_memory_format(self.model.cpu(), False)).eval()

    @property
    def schedule(self) -> Schedule:
        """The schedule that the document names now; it may be changed while the run goes on."""
        if self._schedule.name != self.training.schedule:
            self._schedule = Schedule(self.training, self.total_steps, self.steps_per_epoch)
        return self._schedule

    def _run_epoch(self, callback: Callback) -> bool:
        if self._stream is not None:
            self._stream.begin(self._seed())
        inputs, target = self._shuffled() if self._stream is None else ([], self._target)
        self.model.train()
        for start, end in batches(self.rows, self.batch_size):
            if start < self.row:
                continue
            self._set_rate()
            if self._stream is None:
                batch = self._batch([value[start:end] for value in inputs], target[start:end], start)
            else:
                batch = self._batch(*self._stream.batch(start, end), start)
            self._losses.append(callback.learn(self._learn, *batch))
            self.step, self.row = self.step + 1, end
            if time.monotonic() - self._recorded_at >= RECORD_EVERY_S:
                self.flush(callback)
            if end < self.rows and not callback.should_continue(self):
                return False
        return True

    def _shuffled(self) -> tuple[list[torch.Tensor], torch.Tensor | WeightedTargets]:
        """The training rows in the order of this epoch."""
        import torch

        order = torch.randperm(self.rows, generator=torch.Generator().manual_seed(self._seed())).to(self.device)
        inputs, target = [value[order] for value in self._train[0]], self._train[1][order]
        return inputs, target if self._weights is None else WeightedTargets(target, self._weights[order])

    def _batch(
        self, inputs: list[torch.Tensor], target: torch.Tensor | WeightedTargets, start: int
    ) -> tuple[list[torch.Tensor], Targets]:
        """The rows of a step that begins at `start`, changed at random where the document says so."""
        if self.objective.task.augments_batch:
            return self.objective.batch(inputs, target, (self.training.seed, self.epoch, start))
        return (inputs, target) if self._augmented is None else self._augmented(inputs, target, self.epoch, start)

    @property
    def rate(self) -> float:
        """The learning rate of the next step: the one that was chosen, as the schedule has it there."""
        return self.learning_rate * self.schedule.factor(self.step)

    def _set_rate(self) -> None:
        rate = self.rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group[FACTOR]

    def _learn(self, inputs: list[torch.Tensor], target: Targets) -> torch.Tensor:
        """One step on a batch, of the whole network or of each of its parts in turn. Returns the loss."""
        if isinstance(self.optimizer, Turns) and not isinstance(target, MixedTargets | WeightedTargets):
            loss = self.optimizer.step(inputs[0], target, self.training.gradient_clip)
        else:
            loss = self._gradient(self._call, inputs, target)
            clips = self.training.gradient_clip is not None or self.training.gradient_clip_value is not None
            self._precision.step(self.optimizer, self._clip if clips else None)
        if self._average is not None:
            self._average.update()
        return loss

    def _gradient(self, call: Callable[..., Any], inputs: list[torch.Tensor], target: Targets) -> torch.Tensor:
        """The gradient of a step's rows, at once or in parts that count as much as they hold. Returns the loss."""
        if self.training.accumulation == 1:
            loss = augmented_batches.loss(self.objective, joined(self._precision.call(call, inputs)), target)
            self._forget_gradient()
            self._precision.backward(self._with_auxiliary(loss))
            return loss.detach()
        self._forget_gradient()
        whole, losses = augmented_batches.mass(self.objective, target), []
        for start, end in batches(len(target), self.training.batch_size):
            part = target[start:end]
            answer = joined(self._precision.call(call, [value[start:end] for value in inputs]))
            loss = augmented_batches.loss(self.objective, answer, part) * (
                augmented_batches.mass(self.objective, part) / whole
            )
            self._precision.backward(self._with_auxiliary(loss, (end - start) / len(target)))
            losses.append(loss.detach())
        return sum(losses[1:], losses[0])

    def _forget_gradient(self) -> None:
        for weight in self._parameters:  # what `zero_grad` does, which on short steps takes 3 % of the time
            weight.grad = None

    def _clip(self) -> None:
        clip_gradient(self._parameters, self.training.gradient_clip, self.training.gradient_clip_value)

    def _with_auxiliary(self, loss: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        for part in self._auxiliary:
            if part.auxiliary_loss is not None:
                added = part.auxiliary_loss if share == 1.0 else part.auxiliary_loss * share
                loss, part.auxiliary_loss = loss + added, None
                self._added = self._added + added.detach().float()
        return loss

    def _choose_call(self, callback: Callback) -> None:
        """Compile the model if that pays; a run that goes on does as it did before."""
        if isinstance(self.optimizer, Turns):
            callback.log_event("compile", "torch.compile was left off: networks that learn in turns are not compiled.")
            return
        if self._compiled is None:
            rows = min(self.training.batch_size, self.rows)
            (inputs, target), self._compiled = self._train, False
            batch = self._batch([value[:rows] for value in inputs], target[:rows], 0)
            self.model.train()
            parts = self.training.accumulation
            trial = tried(self.model, lambda call: self._gradient(call, *batch), parts * (self.total_steps - self.step))
            self._call, self._compiled, self._added = trial.call, trial.compiled, 0.0
            callback.log_event("compile", trial.sentence)
        elif self._compiled:
            self._call = compiled(self.model)

    def _take_as_they_are(self, callback: Callback) -> None:
        if not self._measure(callback):
            raise TrainingError(
                "The loss of these weights is no number on the validation rows: they hold values that are none, or "
                "were trained on data of another scale. Train for at least one epoch, or start from other weights."
            )
        callback.on_epoch_end(self)

    def _finish_epoch(self, callback: Callback) -> None:
        self.flush(callback)
        better = self._measure(callback)
        self._since_best = 0 if better else self._since_best + 1
        self.epoch, self.row, self._added = self.epoch + 1, 0, 0.0
        callback.on_epoch_end(self)

    def _measure(self, callback: Callback) -> bool:
        """Record the measures of the weights as they are. Returns whether they are the best so far."""
        with self.averaged():
            train, validation = self.evaluate("train"), self.evaluate("validation")
            value = validation[self.monitor]
            better = self._sign * value < self._sign * self.best.value
            if better:
                copy = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
                self.best = Best(value, self.epoch, self.step, copy)
        callback.log_metrics(self.step, self.epoch, "train", train | self._own_losses())
        callback.log_metrics(self.step, self.epoch, "validation", validation)
        if self.step:
            self.schedule.on_epoch_end(validation["loss"])
        return better

    def _own_losses(self) -> dict[str, float]:
        """The mean over the steps of an epoch of what modules left to be lowered, such as a KL divergence."""
        return {AUXILIARY: float(self._added) / self.steps_per_epoch} if self._auxiliary and self.step else {}

    @property
    def monitor(self) -> str:
        """The measure that says which weights are best."""
        return self.training.monitor

    @property
    def titles(self) -> dict[str, str]:
        """What the measures are called."""
        own = {AUXILIARY: "Auxiliary loss"} if self._auxiliary else {}
        return {**self.objective.titles(self.training), **own}

    def _seed(self) -> int:
        return self.training.seed * 1_000_003 + self.epoch

    def _tensors(self, rows: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        if self.data.files:
            return Stream(self.data, self.fields, rows, self._target, None, self.device).take(rows.numpy())
        inputs = [self.data.inputs[name][rows].to(self.device) for name in self.fields]
        return inputs, self._target[rows].to(self.device)


def build_trainer(
    project: Project, text: str, data: Prepared, first: Path | None = None, kind: type[Trainer] = Trainer
) -> Trainer:
    """The loop that trains a project: weights from its seed, on the device that it asks for.

    Those of the file `first` take their place, as far as they fit. `kind` is used where the objective has no own loop.

    Raises:
        StartError: none of them fits.
        ValueError: there is no such device.
    """
    import torch

    from netloom.compile.logit_network import with_logits

    training = project.training
    torch.manual_seed(training.seed)
    objective, model = OBJECTIVES[training.objective], module(text)
    if first is not None:
        load_first(project, model, first)
    model = with_logits(project, model, data.schema)
    return (objective.loop() or kind)(model, objective, data, input_fields(project), training, choose(training.device))

"""The training loop: preloaded tensors, one permutation per epoch, and no step that waits for a number.

It knows no process, no store and no page; `Watch` is how the outside looks in and steers.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builder.compile import input_fields, module
from builder.train.checkpoints import Checkpoint
from builder.train.device import choose
from builder.train.objectives import EVALUATION_BATCH, OBJECTIVES, Objective
from builder.train.objectives.base import joined
from builder.train.optimizers import factor, optimizer
from builder.train.origin import load_first
from builder.train.turns import Turns

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from builder.data import Prepared
    from builder.graph import Project, Training

# Rows of the training split on which its measures are taken after each epoch.
TRAIN_SAMPLE = 1_000
RECORD_EVERY_S = 0.25


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one sentence that says why and what to change."""


class Watch:
    """What the loop tells and asks between steps. This one listens to nobody; the worker has its own."""

    def record(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        """Numbers for the curves."""

    def poll(self, loop: Loop) -> bool:
        """Asked between steps. May pause, change the learning rate or save a checkpoint; false stops the run."""
        return True

    def epoch_done(self, loop: Loop) -> None:
        """An epoch is complete and evaluated."""


@dataclass
class Best:
    """The lowest validation loss so far."""

    value: float = math.inf
    epoch: int = 0
    step: int = 0
    weights: dict[str, Any] = field(default_factory=dict)


class Loop:
    """Trains `model` on `data` as `training` says. `epoch`, `step` and `row` say where it stands; `row` counts within
    the epoch's permutation. `fields` are the data's fields in the order of the model's arguments."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        data: Prepared,
        fields: list[str],
        training: Training,
        device: str,
    ) -> None:
        self.model = model.to(device)
        self.objective = objective
        self.data = data
        self.training = training
        self.device = device
        self.fields = fields
        self._target = objective.target(data)
        self._train = self._tensors(data.split["train"])
        self._validation = self._tensors(data.split["validation"])
        self.rows = len(data.split["train"])
        self.batch_size = min(training.batch_size, self.rows)
        self.steps_per_epoch = len(batches(self.rows, self.batch_size))
        self.total_steps = self.steps_per_epoch * training.epochs
        self.optimizer: torch.optim.Optimizer | Turns = objective.turns(self.model, training) or optimizer(
            training, self.model.parameters()
        )
        self._parameters = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        self.learning_rate = training.learning_rate
        self.epoch = self.step = self.row = 0
        self.best = Best()
        self._since_best = 0
        self._losses: list[torch.Tensor] = []
        self._recorded_at = 0.0
        # Modules whose forward leaves a loss of their own, to be lowered beside that of the objective.
        self._auxiliary: list[Any] = [part for part in self.model.modules() if hasattr(part, "auxiliary_loss")]

    def run(self, watch: Watch) -> bool:
        """Train to the end; with no epochs, measure the weights as they are. Returns false where `watch` stopped it.

        Raises:
            TrainingError: the loss is no number any more.
        """
        if self.training.epochs == 0 and not self.best.weights:
            self._take_as_they_are(watch)
        while not self._done():
            if not self._run_epoch(watch):
                return False
            self._finish_epoch(watch)
            # Asked only here after an epoch's last step, so that a checkpoint never parts a step from its measures.
            if not self._done() and not watch.poll(self):
                return False
        return True

    def _done(self) -> bool:
        patience = self.training.early_stopping
        return self.epoch >= self.training.epochs or (patience is not None and self._since_best >= patience)

    def checkpoint(self) -> Checkpoint:
        """Everything needed to go on from here."""
        import torch

        state: dict[str, Any] = {
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if self.device.startswith("cuda") else [],
            "epoch": self.epoch,
            "step": self.step,
            "row": self.row,
            "learning_rate": self.learning_rate,
            "best": {"value": self.best.value, "epoch": self.best.epoch, "step": self.best.step},
            "since_best": self._since_best,
        }
        return Checkpoint(dict(self.model.state_dict()), state)

    def restore(self, checkpoint: Checkpoint, best: dict[str, Any] | None = None) -> None:
        """Go back to where `checkpoint` was taken; `best` are the best weights that were kept beside it."""
        import torch

        state = checkpoint.state
        self.model.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] and self.device.startswith("cuda"):
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        self.epoch, self.step, self.row = state["epoch"], state["step"], state["row"]
        self.learning_rate = state["learning_rate"]
        self._since_best = state["since_best"]
        self.best = Best(**state["best"], weights=best or {})

    def flush(self, watch: Watch) -> None:
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
            raise TrainingError(
                f"The loss became {loss} by step {self.step} (epoch {self.epoch + 1}). Lower the learning rate from "
                f"{self.learning_rate:g}, clip the gradient, or look for extreme values in the data."
            )
        # Where parts learn in turns, what they lower is not the loss that is measured after each epoch.
        name = "turns_loss" if isinstance(self.optimizer, Turns) else "batch_loss"
        watch.record(self.step, self.epoch, "train", {name: loss})

    def evaluate(self, split: str) -> dict[str, float]:
        """The objective's measures on a split; on "train", over its first thousand rows."""
        inputs, target = self._validation if split == "validation" else self._train
        rows = len(target) if split == "validation" else min(TRAIN_SAMPLE, len(target))
        if isinstance(self.optimizer, Turns):
            return self.optimizer.measure(inputs[0][:rows], target[:rows])
        return measure(self.model, self.objective, [value[:rows] for value in inputs], target[:rows])

    def best_model(self) -> nn.Module:
        """The model with the best weights so far, on the CPU in evaluation mode."""
        if self.best.weights:
            self.model.load_state_dict(self.best.weights)
        return self.model.cpu().eval()

    def _run_epoch(self, watch: Watch) -> bool:
        import torch

        order = torch.randperm(self.rows, generator=torch.Generator().manual_seed(self._seed())).to(self.device)
        inputs, target = [value[order] for value in self._train[0]], self._train[1][order]
        schedule = self.training.schedule
        self.model.train()
        for start, end in batches(self.rows, self.batch_size):
            if start < self.row:
                continue
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate * factor(schedule, self.step, self.total_steps)
            self._losses.append(self._learn([value[start:end] for value in inputs], target[start:end]))
            self.step, self.row = self.step + 1, end
            if time.monotonic() - self._recorded_at >= RECORD_EVERY_S:
                self.flush(watch)
            if end < self.rows and not watch.poll(self):
                return False
        return True

    def _learn(self, inputs: list[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        """One step on a batch, of the whole network or of each of its parts in turn. Returns the loss."""
        import torch

        if isinstance(self.optimizer, Turns):
            return self.optimizer.step(inputs[0], target, self.training.gradient_clip)
        loss = self.objective.loss(joined(self.model(*inputs)), target)
        self.optimizer.zero_grad(set_to_none=True)
        self._with_auxiliary(loss).backward()  # type: ignore[no-untyped-call]
        if self.training.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.training.gradient_clip)
        self.optimizer.step()
        return loss.detach()

    def _with_auxiliary(self, loss: torch.Tensor) -> torch.Tensor:
        for part in self._auxiliary:
            if part.auxiliary_loss is not None:
                loss, part.auxiliary_loss = loss + part.auxiliary_loss, None
        return loss

    def _take_as_they_are(self, watch: Watch) -> None:
        if not self._measure(watch):
            raise TrainingError(
                "The loss of these weights is no number on the validation rows: they hold values that are none, or "
                "were trained on data of another scale. Train for at least one epoch, or start from other weights."
            )
        watch.epoch_done(self)

    def _finish_epoch(self, watch: Watch) -> None:
        self.flush(watch)
        self._since_best = 0 if self._measure(watch) else self._since_best + 1
        self.epoch, self.row = self.epoch + 1, 0
        watch.epoch_done(self)

    def _measure(self, watch: Watch) -> bool:
        """Record the measures of the weights as they are. Returns whether they are the best so far."""
        train, validation = self.evaluate("train"), self.evaluate("validation")
        watch.record(self.step, self.epoch, "train", train)
        watch.record(self.step, self.epoch, "validation", validation)
        better = validation["loss"] < self.best.value
        if better:
            copy = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            self.best = Best(validation["loss"], self.epoch, self.step, copy)
        return better

    def _seed(self) -> int:
        return self.training.seed * 1_000_003 + self.epoch

    def _tensors(self, rows: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        inputs = [self.data.inputs[name][rows].to(self.device) for name in self.fields]
        return inputs, self._target[rows].to(self.device)


def begin(project: Project, text: str, data: Prepared, first: Path | None = None) -> Loop:
    """The loop that trains a project: weights from its seed, on the device that it asks for.

    Those of the file `first` take their place, as far as they fit.

    Raises:
        StartError: none of them fits.
        ValueError: there is no such device.
    """
    import torch

    training = project.training
    torch.manual_seed(training.seed)
    objective, model = OBJECTIVES[training.objective], module(text)
    if first is not None:
        load_first(project, model, first)
    return Loop(model, objective, data, input_fields(project), training, choose(training.device))


def batches(rows: int, size: int) -> list[tuple[int, int]]:
    """The bounds of each batch. A single row left over joins the batch before it, as batch normalisation needs two."""
    bounds = [(start, min(start + size, rows)) for start in range(0, rows, size)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        start, _ = bounds[-2]
        bounds[-2:] = [(start, rows)]
    return bounds


def measure(
    model: nn.Module, objective: Objective, inputs: list[torch.Tensor], target: torch.Tensor
) -> dict[str, float]:
    """The objective's measures of `model` in evaluation mode."""
    import torch

    was_training = model.training
    model.eval()
    totals: dict[str, torch.Tensor] = {}
    count = 0
    with torch.no_grad():
        for start in range(0, len(target), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            scores = objective.scores(joined(model(*[value[part] for value in inputs])), target[part])
            for name, value in scores.sums.items():
                totals[name] = totals[name] + value if name in totals else value
            count += scores.count
    model.train(was_training)
    return objective.finish({name: float(value) / count for name, value in totals.items()})

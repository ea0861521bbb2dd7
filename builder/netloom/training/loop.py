"""The training loop: data → batches → forward → loss → backward → clip → step → schedule → callbacks.

Read `fit`, `train_epoch`, `train_step` and `compute_gradients`, in this order. `trainer` has the base class of all
trainers with the optimizer, the checkpoints and the events of callbacks; `trainers` has adversarial and distributed
training.

A batch has N rows: `inputs` is a list with one tensor (N, …) for each field of the network, `targets` is a tensor
(N, …), or one with weights or with a second target to mix (`targets`). `self.objective` turns outputs and targets into
a loss and into metrics. `self.epoch`, `self.step` and `self.row` are the progress. Together with the seed, they
determine the next batch, so that a resumed run takes the same steps as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from netloom.core.text import in_sentence
from netloom.tasks.training_losses import WEIGHTED_LOSS
from netloom.training.batch_loss import batch_loss, partial_loss
from netloom.training.batches import BatchLoader, batch_bounds
from netloom.training.callbacks import CallbackList
from netloom.training.errors import DivergedError, TrainingError
from netloom.training.evaluation import compute_metrics
from netloom.training.objectives.objective import joined
from netloom.training.running_loss import RunningLoss
from netloom.training.speed.step_speedups import StepSpeedups
from netloom.training.trainer import Callback, Trainer
from netloom.training.weights.weight_files import StateDict

if TYPE_CHECKING:
    import torch

    from netloom.training.targets import Targets


NO_VALIDATION = (
    "There are no validation rows, so the metrics on training rows select the best weights and stop the run early; "
    "they do not show overfitting."
)


class SupervisedTrainer(Trainer):
    """Minimizes the loss between the outputs of the network and the targets of the data, batch by batch."""

    uses_sample_weights: ClassVar[bool] = True
    # Why the precision is not tried, and why the model is neither compiled nor a CUDA graph, as sentences; "" if it is
    why_no_precision_trial: ClassVar[str] = ""
    why_not_compiled: ClassVar[str] = ""

    def prepare_data(self) -> None:
        """Load the data to the device, or open its stream."""
        self.loader = BatchLoader(
            self.objective,
            self.data,
            self.fields,
            self.training,
            self.device,
            sample_weights=self.uses_sample_weights,
        )
        self.batch_size, self.steps_per_epoch = self.loader.batch_size, self.loader.steps_per_epoch
        self.running_loss = RunningLoss()
        self.forward: Callable[..., Any] = self.model  # called in each step: the model, or what `speedups` makes of it
        self.speedups = StepSpeedups(self)

    def fit(self, *callbacks: Callback) -> bool:
        self.callbacks = CallbackList(callbacks)
        self.callbacks.on_fit_start(self)
        self.prepare_first_step()
        while not self.is_done:
            self.callbacks.on_epoch_start(self)
            if not self.train_epoch():
                return False
            metrics = self.evaluate_epoch()  # on the validation rows, if there are any
            self.schedule.on_epoch_end(metrics["loss"])  # only a plateau schedule reacts to it
            # Counted before the callbacks: a checkpoint saved there resumes with the next epoch, not with this one.
            self.epoch, self.row, self.auxiliary_losses.sum = self.epoch + 1, 0, 0.0
            self.callbacks.on_epoch_end(self)
            # A request to stop after the last epoch comes too late: the run is complete.
            if not self.is_done and not self.callbacks.should_continue(self):
                return False
        self.callbacks.on_fit_end(self)
        return True

    def train_epoch(self) -> bool:
        """Run the remaining steps of an epoch. Returns False if a callback stopped it."""
        self.model.train()
        # A batch of N rows: one tensor (N, …) per field, targets (N, …), and the index after its last row. After a
        # resume in the middle of an epoch, `row` is above 0, and the seed gives the same order again.
        for inputs, targets, end in self.loader.epoch(self.epoch, start=self.row):
            self.set_learning_rate(self.current_learning_rate)
            self.callbacks.on_step_start(self, inputs, targets)
            loss = self.train_step(inputs, targets)
            self.step, self.row = self.step + 1, end  # before `on_step_end`, which sees the number of completed steps
            self.running_loss.add(loss)  # stays a tensor: `item` in every step would make the CPU wait for the device
            self.callbacks.on_step_end(self, loss)
            if self.running_loss.is_due:
                self.log_running_loss()
            # After the last step of an epoch, `fit` asks only once the evaluation is done, so that a checkpoint never
            # separates a step from its metrics.
            if end < self.loader.rows and not self.callbacks.should_continue(self):
                return False
        self.log_running_loss()  # which ends a diverged run before its NaN weights are evaluated
        return True

    def train_step(self, inputs: list[torch.Tensor], targets: Targets) -> torch.Tensor:
        """Take an optimizer step on a batch. Returns the loss, a scalar on the device."""
        loss = self.compute_gradients(self.forward, inputs, targets)
        self.clip_gradients()
        self.precision.step(self.optimizer)  # a fused or foreach kernel for all weights, see `optimizers`
        if self.ema is not None:
            self.ema.update()
        return loss

    def compute_gradients(
        self, forward: Callable[..., Any], inputs: list[torch.Tensor], targets: Targets
    ) -> torch.Tensor:
        """Run forward, loss and backward on a batch, in micro-batches with gradient accumulation. Returns the loss."""
        self.zero_grad()
        losses = []
        # Gradients add up over the micro-batches, while activations exist for one of them at a time.
        for part_inputs, part_targets, row_share in self.micro_batches(inputs, targets):
            outputs = joined(self.precision.forward(forward, part_inputs))  # (n, …), float32 in any precision
            if part_targets is targets:
                loss = batch_loss(self.objective, outputs, targets)  # scalar, the mean over the N rows
            else:
                loss = partial_loss(self.objective, outputs, part_targets, targets)  # scalars that add up to it
            self.precision.backward(self.auxiliary_losses.add_to(loss, row_share))
            losses.append(loss.detach())
        return sum(losses[1:], losses[0])  # scalar, the mean over the N rows

    def micro_batches(
        self, inputs: list[torch.Tensor], targets: Targets
    ) -> Iterator[tuple[list[torch.Tensor], Targets, float]]:
        """Yield the micro-batches of a batch: inputs, targets, and their share of the rows."""
        if self.training.gradient_accumulation_steps == 1:
            yield inputs, targets, 1.0
            return
        for start, end in batch_bounds(len(targets), self.training.batch_size):
            yield [value[start:end] for value in inputs], targets[start:end], (end - start) / len(targets)

    def evaluate(self, split: str) -> dict[str, float]:
        """Return the metrics on all validation rows, or on the first 1,000 of "train"."""
        inputs, targets = self.loader.evaluation_rows(split)
        with self.averaged_weights():
            return self.compute_metrics(inputs, targets)

    def compute_metrics(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> dict[str, float]:
        return compute_metrics(self.model, self.objective, inputs, targets)

    def evaluate_epoch(self) -> dict[str, float]:
        """Log the metrics of both splits and update the best weights. Returns the monitored metrics: those of the
        validation rows, or of the training rows if there are no others."""
        with self.averaged_weights():  # around both: the best weights are a copy of exactly those that were evaluated
            train = self.evaluate("train")
            is_validated = self.monitored_split == "validation"
            monitored = self.evaluate("validation") if is_validated else train
            self._check_monitored(monitored)
            self.early_stopping.update(monitored[self.monitor], self.epoch, self.step, self.model)
        self.callbacks.log_metrics(self.step, self.epoch, "train", train | self.mean_auxiliary_loss())
        if is_validated:
            self.callbacks.log_metrics(self.step, self.epoch, "validation", monitored)
        return monitored

    def _check_monitored(self, metrics: dict[str, float]) -> None:
        """Check that the monitored metric is defined, so that it can select weights. A NaN loss is another problem."""
        if math.isnan(metrics[self.monitor]) and not math.isnan(metrics.get("loss", 0.0)):
            title = in_sentence(self.titles.get(self.monitor, self.monitor))
            raise TrainingError(
                f"The {title} of the {self.monitored_split} rows is undefined, for example because all rows have the "
                "same label, so it cannot select the best weights. Monitor the loss, or choose another split."
            )

    def mean_auxiliary_loss(self) -> dict[str, float]:
        """Return the mean auxiliary loss over the steps of the epoch, such as a KL divergence."""
        # The sum is part of a checkpoint, so after a resume it covers all steps of the epoch, too.
        return self.auxiliary_losses.mean(self.steps_per_epoch) if self.step else {}

    @property
    def training_loss_name(self) -> str:
        """The name of the training loss on the curves; it can differ from the loss that is evaluated after an epoch."""
        return WEIGHTED_LOSS if self.loader.weights is not None else self.objective.training_loss_name

    def log_running_loss(self) -> None:
        """Log the mean loss of the steps since the last point.

        Raises:
            DivergedError: the loss is NaN or infinite.
        """
        loss = self.running_loss.take()
        if loss is None:
            return
        if not math.isfinite(loss):
            raise DivergedError(
                f"The loss became {loss} by step {self.step} (epoch {self.epoch + 1}).",
                f"Lower the learning rate from {self.learning_rate:g}, clip the gradient, or check the data for "
                "extreme values.",
            )
        self.callbacks.log_metrics(self.step, self.epoch, "train", {self.training_loss_name: loss})

    def flush(self) -> None:
        self.log_running_loss()

    def prepare_first_step(self) -> None:
        """With 0 epochs, evaluate the initial weights; otherwise choose how steps call the model.

        Raises:
            TrainingError: the monitored metric of weights that are only evaluated is NaN or infinite.
        """
        if self.training.epochs == 0 and not self.best.weights:  # with best weights, a resumed run was evaluated before
            value = self.evaluate_epoch()[self.monitor]
            if not self.best.weights:  # NaN is not better than the initial value of `Best`, infinity
                metric = f"{self.monitored_split} {in_sentence(self.titles.get(self.monitor, self.monitor))}"
                wrong = "NaN" if math.isnan(value) else "infinite"
                raise TrainingError(
                    f"The {metric} of these weights is {wrong}: the weights contain NaN, or they were "
                    "trained on data of another scale. Train for at least one epoch, or choose another initialization."
                )
            self.callbacks.on_epoch_end(self)
        if self.is_done:
            return
        if self.monitored_split != "validation" and self.step == 0:
            self.callbacks.log_event("data", NO_VALIDATION)
        self.speedups.choose()
        if self.loader.description:
            self.callbacks.log_event("data", self.loader.description)

    def state_dict(self) -> StateDict:
        return {**super().state_dict(), **self.speedups.state_dict()}

    def load_state_dict(self, state: StateDict) -> None:
        super().load_state_dict(state)
        self.speedups.load_state_dict(state)

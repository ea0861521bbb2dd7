"""The base classes of trainers and of callbacks, which observe and control them.

The events are named as in `pytorch/ignite` and Lightning, and occur in this order:

    on_fit_start
        on_epoch_start
            on_step_start → on_step_end → should_continue     for each step of the optimizer
        on_epoch_end → should_continue                        after the evaluation of the epoch
    on_fit_end

After the last step of an epoch `should_continue` waits for the evaluation, so that a checkpoint that is saved there
never separates a step from its metrics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, ClassVar

from netloom.training.auxiliary_losses import NAME, TITLE, AuxiliaryLosses
from netloom.training.errors import TrainingError
from netloom.training.optimization.early_stopping import Best, EarlyStopping
from netloom.training.optimization.ema import EMA
from netloom.training.optimization.optimizers import (
    FACTOR,
    ChainedOptimizer,
    clip_gradient,
    optimizer,
    setting_names,
)
from netloom.training.optimization.schedules import Schedule
from netloom.training.preflight import preflight_problems, weight_names
from netloom.training.speed.device import make_deterministic
from netloom.training.speed.memory_format import channels_last, set_memory_format
from netloom.training.speed.precision import Precision
from netloom.training.weights.checkpoints import Checkpoint
from netloom.training.weights.weight_files import StateDict

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Prepared
    from netloom.document import Training
    from netloom.training.objectives import Objective
    from netloom.training.targets import Targets


class Callback:
    """Methods that a trainer calls around its steps; override those of interest. This class does nothing."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Training starts or resumes."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """An epoch starts or resumes."""

    def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Targets | None) -> None:
        """The optimizer is about to take a step on a batch."""

    def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
        """The optimizer has taken a step. `loss.item()` makes the CPU wait for the device."""

    def should_continue(self, trainer: Trainer) -> bool:
        """Return whether to continue. Can pause, change the learning rate or save a checkpoint."""
        return True

    def on_epoch_end(self, trainer: Trainer) -> None:
        """An epoch is complete and evaluated."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Training is complete. Not called if a callback or an error stopped it."""

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        """Log a point of the curves."""

    def log_event(self, kind: str, sentence: str) -> None:
        """Log a message about the run, such as the result of a compilation trial."""


class Trainer(ABC):
    """Trains `model` on `data` with the settings in `training`.

    `epoch`, `step` and `row` are the progress: completed epochs, optimizer steps (for an agent: actions), and rows of
    the current epoch. `fields` are the fields of the data in the order of the model's arguments.

    Raises:
        TrainingError: a setting does not match the network, the objective or the device.
    """

    # Whether a later epoch with an equal metric replaces the best weights.
    prefer_later: ClassVar[bool] = False

    steps_per_epoch: int
    batch_size: int  # rows per optimizer step, over all micro-batches and ranks

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        data: Prepared,
        fields: list[str],
        training: Training,
        device: str,
    ) -> None:
        make_deterministic(device)
        self.channels_last = channels_last(model, device)
        self.model = set_memory_format(model.to(device), self.channels_last)
        self.objective = objective.configured(training, data, device)
        self.data, self.fields, self.training, self.device = data, fields, training, device
        self.callbacks = Callback()  # does nothing; `fit` replaces it
        self.learning_rate = training.learning_rate  # before the schedule; users can change it during the run
        self.epoch = self.step = self.row = 0
        self.needs_hooks = False  # of layers in every step, which a compiled model and a CUDA graph bypass
        self.prepare_data()  # which needs the configured objective, and sets the steps of the schedule below
        self.total_steps = self.steps_per_epoch * training.epochs
        problems = preflight_problems(training, self.objective, data.schema, weight_names(self.model), device)
        if problems:
            raise TrainingError(problems[0])
        self.optimizer = self.make_optimizer()
        self.parameters = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        self.precision = Precision(training.precision, device)
        self.ema = EMA(self.model, training.ema_decay) if training.ema_decay is not None else None
        self.auxiliary_losses = AuxiliaryLosses(self.auxiliary_modules())
        self.early_stopping = EarlyStopping(
            higher_is_better=objective.task.higher_is_better(self.monitor),
            patience=training.early_stopping,
            prefer_later=self.prefer_later,
        )
        self._schedule = Schedule(training, self.total_steps, self.steps_per_epoch)

    # What each trainer adds.

    @abstractmethod
    def prepare_data(self) -> None:
        """Prepare the training data, and set `batch_size` and `steps_per_epoch`."""

    @abstractmethod
    def fit(self, *callbacks: Callback) -> bool:
        """Train to the end; with 0 epochs, only evaluate the weights.

        Returns False if a callback stopped it.

        Raises:
            TrainingError: training cannot continue, such as because the loss became NaN.
        """

    @abstractmethod
    def evaluate(self, split: str) -> dict[str, float]:
        """Return the metrics of the current weights on "train" or "validation"."""

    def flush(self) -> None:
        """Log pending metrics before a checkpoint is saved.

        Raises:
            TrainingError: a pending loss is NaN.
        """
        return  # nothing, unless a trainer collects losses

    def make_optimizer(self) -> torch.optim.Optimizer | ChainedOptimizer:
        return optimizer(self.training, self.model)

    def auxiliary_modules(self) -> Iterable[nn.Module]:
        """The modules with auxiliary losses, which are added to the loss of the objective."""
        return self.model.modules()

    # Steps.

    @property
    def is_done(self) -> bool:
        return self.epoch >= self.training.epochs or self.early_stopping.should_stop

    @property
    def schedule(self) -> Schedule:
        """The current schedule; users can change it during the run."""
        if self._schedule.name != self.training.schedule:
            self._schedule = Schedule(self.training, self.total_steps, self.steps_per_epoch)
        return self._schedule

    @property
    def current_learning_rate(self) -> float:
        """The learning rate of the next step: the configured one times the factor of the schedule."""
        return self.learning_rate * self.schedule.factor(self.step)

    def set_learning_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group[FACTOR]

    def zero_grad(self) -> None:
        for weight in self.parameters:  # `Optimizer.zero_grad` does the same, but takes 3% of the time of short steps
            weight.grad = None

    def clip_gradients(self) -> None:
        """Clip the gradient by value, then by norm, as configured in the document."""
        norm, value = self.training.gradient_clip, self.training.gradient_clip_value
        if norm is not None or value is not None:
            self.precision.unscale(self.optimizer)  # the limits apply to the gradient without the loss scale of fp16
            clip_gradient(self.parameters, norm, value)

    # Metrics.

    @property
    def monitor(self) -> str:
        """The metric that selects the best weights."""
        return self.training.monitor

    @property
    def monitored_split(self) -> str:
        """The split whose metrics select the best weights: "train" for data without validation rows."""
        return self.data.monitored_split

    @property
    def best(self) -> Best:
        return self.early_stopping.best

    @property
    def titles(self) -> dict[str, str]:
        """The titles of the metrics on the curves, by name."""
        auxiliary = {NAME: TITLE} if self.auxiliary_losses.modules else {}
        return {**self.objective.titles(self.training), **auxiliary}

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Context in which the model has the weights to evaluate and save: their EMA, if it is turned on."""
        return self.ema.averaged_weights() if self.ema is not None else nullcontext()

    def averaged_state(self) -> StateDict:
        """Return a copy of the state of the model with the EMA of its weights, on the CPU; empty if EMA is off."""
        if self.ema is None:
            return {}
        with self.averaged_weights():
            return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self.model.state_dict().items()}

    def best_model(self) -> nn.Module:
        """Return the network with the best or the last weights (their EMA if it is on), on the CPU in evaluation mode.

        Training uses a view of the network that returns logits; the result applies its activations again.
        """
        from netloom.compile.logit_network import original_network

        weights = self.best.weights if self.training.checkpoint == "best" else {}
        self.model.load_state_dict(weights or self.averaged_state() or self.model.state_dict())
        return original_network(set_memory_format(self.model.cpu(), False)).eval()

    # Checkpoints.

    def checkpoint(self) -> Checkpoint:
        """Return the complete state, from which training continues with the same results."""
        return Checkpoint(dict(self.model.state_dict()), self.state_dict(), averaged=self.averaged_state())

    def resume(self, checkpoint: Checkpoint, best: StateDict | None = None) -> None:
        """Restore a `checkpoint`; `best` are the best weights that were saved with it."""
        # Use the memory format of the checkpoint: optimizers sum in memory order, so another format would change the
        # last bits of the result. Checkpoints from before memory formats lack the key.
        self.channels_last = checkpoint.state.get("channels_last", False)
        set_memory_format(self.model, self.channels_last)
        self.model.load_state_dict(checkpoint.weights)
        self.load_state_dict(checkpoint.state)
        self.early_stopping.load_state_dict(checkpoint.state, best)

    def state_dict(self) -> StateDict:
        """Return the state of training without the weights of the model."""
        import torch

        return {
            "optimizer": self.optimizer.state_dict(),
            "optimizer_name": self.training.optimizer,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if self.device.startswith("cuda") else [],
            "epoch": self.epoch,
            "step": self.step,
            "row": self.row,
            "learning_rate": self.learning_rate,
            "schedule": self._schedule.state_dict(),
            "precision": self.precision.state_dict(),
            "ema": self.ema.state_dict() if self.ema is not None else {},
            "auxiliary": float(self.auxiliary_losses.sum),
            "channels_last": self.channels_last,
            **self.early_stopping.state_dict(),
        }

    def load_state_dict(self, state: StateDict) -> None:
        """Restore the result of `state_dict`. Older checkpoints lack the keys that are read by `get`.

        Raises:
            ValueError: the state is that of another optimizer, which PyTorch would notice only in the next step.
        """
        import torch

        if (name := state.get("optimizer_name", self.training.optimizer)) != self.training.optimizer:
            raise ValueError(f"This is a checkpoint of the optimizer {name}, not of {self.training.optimizer}.")
        needed = setting_names(self.optimizer)
        self.optimizer.load_state_dict(state["optimizer"])
        loaded = setting_names(self.optimizer)
        if any(names - others for names, others in zip(needed, loaded, strict=True)):  # older checkpoints have no name
            raise ValueError(f"This is a checkpoint of another optimizer than {self.training.optimizer}.")
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] and self.device.startswith("cuda"):
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        self.epoch, self.step, self.row = state["epoch"], state["step"], state["row"]
        self.learning_rate = state["learning_rate"]
        self._schedule.load_state_dict(state.get("schedule", {}))
        self.precision.load_state_dict(state.get("precision", {}))
        ema = state.get("ema", state.get("average"))  # its former name
        if self.ema is not None and ema:
            self.ema.load_state_dict(ema)
        self.auxiliary_losses.sum = state.get("auxiliary", 0.0)

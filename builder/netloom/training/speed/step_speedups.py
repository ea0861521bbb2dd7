"""How steps call the model: in which precision, and whether as a CUDA graph or compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from netloom.training.speed.cuda_graph import recorded
from netloom.training.speed.precision import Precision
from netloom.training.speed.speed_trials import (
    Trial,
    compiled,
    time_compilation,
    time_cuda_graph,
    time_precision,
    untouched,
    why_not_lower,
)
from netloom.training.weights.weight_files import StateDict

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.document import Training
    from netloom.training.auxiliary_losses import AuxiliaryLosses
    from netloom.training.batches import BatchLoader
    from netloom.training.targets import Targets


class EventLog(Protocol):
    def log_event(self, kind: str, sentence: str) -> None:
        """Log a message about the run."""


class StepTrainer(Protocol):
    """What speedups need of a trainer."""

    model: nn.Module
    forward: Callable[..., Any]
    training: Training
    device: str
    precision: Precision
    loader: BatchLoader
    auxiliary_losses: AuxiliaryLosses
    epoch: int
    step: int
    total_steps: int
    needs_hooks: bool

    @property
    def why_no_precision_trial(self) -> str: ...
    @property
    def why_not_compiled(self) -> str: ...
    @property
    def callbacks(self) -> EventLog: ...

    def compute_gradients(
        self, forward: Callable[..., Any], inputs: list[torch.Tensor], targets: Targets
    ) -> torch.Tensor:
        """Run forward, loss and backward on a batch."""


class StepSpeedups:
    """Tries what is set to "auto" before the first step of a trainer, and sets its `precision` and its `forward`.

    A resumed run keeps its earlier decisions, because other code can round differently.

    Attributes:
        precision: What "auto" stands for; None until a trial decides, as for the others.
        recorded: Whether steps call a CUDA graph.
        compiled: Whether steps call a compiled model.
    """

    def __init__(self, trainer: StepTrainer) -> None:
        self._trainer = trainer
        self.precision: str | None = None
        self.recorded: bool | None = None
        self.compiled: bool | None = None

    @property
    def bypass_hooks(self) -> bool:
        """Whether hooks of layers do not run in steps."""
        return bool(self.recorded or self.compiled)

    def choose(self) -> None:
        """Try what is set to "auto", unless it was decided before."""
        trainer, training = self._trainer, self._trainer.training
        if training.precision == "auto":
            if trainer.why_no_precision_trial:
                trainer.callbacks.log_event("precision", trainer.why_no_precision_trial)
            else:
                self.choose_precision()
        if trainer.why_not_compiled:
            if training.compile == "auto":
                trainer.callbacks.log_event("compile", trainer.why_not_compiled)
        elif not trainer.needs_hooks:
            if training.cuda_graphs == "auto" and not self.compiled:  # a resumed run that calls a compiled model
                self.record_if_faster()
            if training.compile == "auto":
                self.compile_if_faster()

    def choose_precision(self) -> None:
        """Use bf16 from here on if it is faster and its first loss agrees with that in float32."""
        if self.precision is None:
            problem = why_not_lower(self._trainer.device)
            trial = Trial(False, problem) if problem else self._try_lower_precision()
            self.precision = "bf16" if trial.used else "float32"
            self._log("precision", trial)
        self._trainer.precision = Precision(self.precision, self._trainer.device)

    def record_if_faster(self) -> None:
        """Call the model as a CUDA graph from here on if it is faster."""
        trainer = self._trainer
        is_on_gpu = trainer.device.startswith("cuda")
        # With accumulation, the next call of a graph overwrites its gradient
        if not is_on_gpu or trainer.training.gradient_accumulation_steps > 1:
            return

        def record() -> Callable[..., Any]:
            return recorded(trainer.model, batch[0], trainer.precision, trainer.auxiliary_losses)

        with self._trial_batch() as (batch, steps_left):
            if self.recorded is None:
                trial = time_cuda_graph(
                    trainer.model, record, lambda call: trainer.compute_gradients(call, *batch), steps_left
                )
                trainer.forward, self.recorded = trial.call, trial.used
                self._log("cuda_graph", trial)
            elif self.recorded:
                with untouched(trainer.model), suppress(RuntimeError):  # the model itself computes the same
                    trainer.forward = record()

    def compile_if_faster(self) -> None:
        """Use the compiled model from here on if it is faster."""
        trainer = self._trainer
        if self.compiled is None:
            with self._trial_batch() as (batch, steps_left):
                trial = time_compilation(
                    trainer.model, trainer.forward, lambda call: trainer.compute_gradients(call, *batch), steps_left
                )
            trainer.forward, self.compiled = trial.call, trial.used
            self._log("compile", trial)
        elif self.compiled:
            trainer.forward = compiled(trainer.model)

    def state_dict(self) -> StateDict:
        return {"chosen_precision": self.precision, "compiled": self.compiled, "recorded": self.recorded}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore the result of `state_dict`. Older checkpoints lack some of its keys."""
        self.precision, self.compiled = state.get("chosen_precision"), state.get("compiled")
        self.recorded = state.get("recorded")

    def _try_lower_precision(self) -> Trial:
        """Return whether steps on the first micro-batch are faster in bf16."""
        trainer = self._trainer
        precisions = {lower: Precision("bf16" if lower else "float32", trainer.device) for lower in (False, True)}

        def step(lower: bool) -> torch.Tensor:
            trainer.precision = precisions[lower]
            return trainer.compute_gradients(trainer.model, *batch)

        with self._trial_batch() as (batch, steps_left):
            return time_precision(trainer.model, step, steps_left)

    @contextmanager
    def _trial_batch(self) -> Iterator[tuple[tuple[list[torch.Tensor], Targets], int]]:
        """Context of a trial in training mode, with the first micro-batch of the epoch and the number of micro-batches
        to come."""
        trainer = self._trainer
        trainer.model.train()
        earlier_sum = trainer.auxiliary_losses.sum
        batch = trainer.loader.first_batch(min(trainer.training.batch_size, trainer.loader.rows), trainer.epoch)
        yield batch, trainer.training.gradient_accumulation_steps * (trainer.total_steps - trainer.step)
        trainer.auxiliary_losses.sum = earlier_sum

    def _log(self, kind: str, trial: Trial) -> None:
        if trial.sentence:
            self._trainer.callbacks.log_event(kind, trial.sentence)

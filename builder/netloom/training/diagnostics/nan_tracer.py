"""Finds the source of the first NaN: repeats the steps since the last checkpoint and checks every layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.document import Project
from netloom.store import RunArtifacts
from netloom.training.diagnostics.alerts import Notice
from netloom.training.diagnostics.node_modules import LayerModule, places
from netloom.training.errors import DivergedError
from netloom.training.trainer import Callback, Trainer
from netloom.training.weights import checkpoints
from netloom.training.weights.weight_files import CheckpointError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.training.targets import Targets

# The steps since the last checkpoint took some seconds, and checking every layer doubles that.
LIMIT_S = 20.0
KINDS = {
    "data": "the batch contains {value} before it reaches the network",
    "answer": "the output of {place} is {value}",
    "loss": "all outputs are finite, but the loss is {value}",
    "gradient": "the gradient at the output of {place} is {value}",
    "weights": "the optimizer step sets weights of {place} to {value}",
}
FIXES = {
    "data": "Check the data for empty and extreme values.",
    "answer": "Lower the learning rate, clip the gradient, or add a normalization layer before this layer.",
}
USUAL = "Lower the learning rate or clip the gradient."
# In the first step, the learning rate cannot be the cause, because no update has been applied yet.
UNTRAINED = (
    "This happened in the first step, so check the computation and the inputs of this layer, such as a logarithm or "
    "root of a negative number, a division by 0, or very large inputs."
)


@dataclass(frozen=True)
class NonFinite:
    """The first non-finite value: its `kind`, its layer, and its batch and epoch, counted from 1."""

    kind: str
    layer: LayerModule | None
    value: str
    batch: int
    epoch: int
    step: int

    def sentence(self) -> str:
        description = KINDS[self.kind].format(place=self.layer.title if self.layer else "", value=self.value)
        return f"First seen in batch {self.batch} of epoch {self.epoch} (step {self.step}): {description}."

    def notice(self) -> Notice:
        fix = UNTRAINED if self.kind == "answer" and self.step == 1 else FIXES.get(self.kind, USUAL)
        layer = {"where": self.layer.title, "nodes": self.layer.nodes} if self.layer else {}
        details: dict[str, Any] = {**layer, "step": self.step, "epoch": self.epoch - 1}
        return Notice("not_a_number", "error", f"The loss became NaN or infinite. {self.sentence()}", fix, **details)


def trace_nan(
    project: Project, artifacts: RunArtifacts, create_trainer: Callable[[], Trainer], limit_s: float = LIMIT_S
) -> NonFinite | None:
    """Repeat a diverged run from its last checkpoint, or from its start, with the trainer from `create_trainer`.

    Returns None if it takes too long, or does not diverge again, as can happen on a GPU.
    """
    trainer = create_trainer()
    trainer.needs_hooks = True
    checkpoint = None
    with suppress(CheckpointError):  # without an intact checkpoint, repeat from the start
        checkpoint = checkpoints.load(artifacts)
    if checkpoint is not None:
        trainer.resume(checkpoint[1])
    witness = _FiniteCheck(trainer, places(project, trainer.model), limit_s)
    try:
        with suppress(DivergedError):  # expected; `witness` has recorded the source
            trainer.fit(witness)
    finally:
        witness.close()
    return witness.culprit


class _FiniteCheck(Callback):
    """Records non-finite values in every step, in the order in which they occur."""

    def __init__(self, trainer: Trainer, layers: list[LayerModule], limit_s: float) -> None:
        self.culprit: NonFinite | None = None
        self._until = time.monotonic() + limit_s
        self._batch = 0
        self._checks: list[tuple[str, LayerModule | None, torch.Tensor]] = []
        self._usual: set[tuple[str, str]] = set()
        self._is_looking = False
        self._hooks: list[Any] = []
        self._weights: list[tuple[LayerModule, nn.Parameter]] = []
        for layer in layers:
            part = trainer.model.get_submodule(layer.path)
            self._hooks.append(part.register_forward_hook(self._answered(layer)))
            for weight in part.parameters():
                if weight.requires_grad:
                    self._weights.append((layer, weight))
                    self._hooks.append(weight.register_post_accumulate_grad_hook(self._arrived(layer)))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def should_continue(self, trainer: Trainer) -> bool:
        return self.culprit is None and time.monotonic() < self._until

    def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Targets | None) -> None:
        self._checks, self._is_looking = [], True
        self._batch = -(-trainer.row // trainer.batch_size) + 1  # counted from 1, within the epoch
        for value in [*inputs, targets]:
            self._note("data", None, value)

    def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
        self._is_looking = False
        # The callback receives the loss after backward, so insert it before the gradients to restore the order of
        # computation.
        behind = next((at for at, (kind, _, _) in enumerate(self._checks) if kind == "gradient"), len(self._checks))
        gradients, self._checks = self._checks[behind:], self._checks[:behind]
        self._note("loss", None, loss)
        self._checks += gradients
        for layer, weight in self._weights:
            self._note("weights", layer, weight.detach())
        self._judge(trainer)

    def _note(self, kind: str, layer: LayerModule | None, value: Any) -> None:
        import torch

        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel():
            # scalar on the device: 0 if all values are finite, 1 for infinity, 2 for NaN
            worst = torch.stack([value.isinf().any().float(), 2 * value.isnan().any().float()]).max()
            self._checks.append((kind, layer, worst))

    def _answered(self, layer: LayerModule) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, answer: Any) -> None:
            if self._is_looking:
                for value in answer if isinstance(answer, tuple) else (answer,):
                    self._note("answer", layer, value.detach() if hasattr(value, "detach") else value)

        return hook

    def _arrived(self, layer: LayerModule) -> Callable[[torch.Tensor], None]:
        def hook(weight: torch.Tensor) -> None:
            if self._is_looking:
                self._note("gradient", layer, weight.grad)

        return hook

    def _judge(self, trainer: Trainer) -> None:
        import torch

        marks = torch.stack([mark for _, _, mark in self._checks]).tolist()  # one synchronization per step
        wrong = [(kind, layer, mark) for (kind, layer, _), mark in zip(self._checks, marks, strict=True) if mark]
        # Infinity can be intended, as in an attention mask. A value that was infinite in a step with a finite loss is
        # not the cause.
        new = [item for item in wrong if (item[0], item[1].path if item[1] else "") not in self._usual]
        # Activations alone do not count: they can be masked later. The first non-finite value is the source.
        if any(kind in ("loss", "gradient", "weights") for kind, _, _ in new):
            kind, layer, mark = new[0]
            value = "NaN" if mark == 2 else "infinity"
            self.culprit = NonFinite(kind, layer, value, self._batch, trainer.epoch + 1, trainer.step)
        self._usual |= {(kind, layer.path if layer else "") for kind, layer, _ in wrong}

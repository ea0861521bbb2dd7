"""Distributed training: each worker processes a part of every batch, and all take the same step.

The global batch size does not depend on the number of workers, so the curves equal those on one machine, up to
floating-point summation order. Workers are the ranks of a torch process group; DistributedDataParallel sums the
gradients (https://pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html).
"""

from __future__ import annotations

import gc
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from netloom.training.batch_loss import batch_loss, batch_mass
from netloom.training.batches import batch_bounds
from netloom.training.checkpoints import Checkpoint
from netloom.training.errors import DivergedError, TrainingError
from netloom.training.evaluation import mean_metrics, metric_sums
from netloom.training.loop import SupervisedTrainer
from netloom.training.objectives.objective import EVALUATION_BATCH, joined
from netloom.training.trainer import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from netloom.training.targets import Targets

# The rows on which is tried whether a batch can be divided, and how far the sum of the parts may be off.
TRIED_ROWS, TOLERANCE = 64, 1e-3
# A part of fewer rows has no spread, which batch normalization needs.
LEAST_ROWS = 2
# With fewer rows to evaluate, it does not pay to divide them.
LEAST_EVALUATED = 64


class DistributedTrainer(SupervisedTrainer):
    """A trainer whose steps are shared by all ranks of the process group. Only rank 0 has a store."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        import torch.distributed as dist

        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.running = False
        self.problem: Exception | None = None

    def fit(self, *callbacks: Callback) -> bool:
        """Train to the end, synchronously with all other ranks.

        Raises:
            TrainingError: as on one machine; then all ranks end.
        """
        self.running = True
        self._share_state()
        try:
            done = super().fit(*callbacks)
        finally:
            # What adds up gradients goes before the process group does. Were it the last to hold the group, its end
            # would wait for a thread that waits for Python's lock, for ever; and it lies in a circle of references.
            self.forward = self.model
            gc.collect()
        self.running = False
        if self.problem is not None:
            raise self.problem
        return done

    def resume(self, checkpoint: Checkpoint, best: dict[str, Any] | None = None) -> None:
        # What is drawn at random goes by the number of the step, so the state of a GPU's generator is not needed.
        super().resume(Checkpoint(checkpoint.weights, {**checkpoint.state, "cuda_rng": []}), best)

    def log_running_loss(self) -> None:
        """Log the mean loss. Each rank does so by its own clock; a rank that finds NaN informs the others."""
        try:
            super().log_running_loss()
        except DivergedError as error:
            self.problem = self.problem or error

    def flush(self) -> None:
        super().log_running_loss()  # which raises, as a checkpoint must not be saved then

    def compute_metrics(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> dict[str, float]:
        """Return the metrics, for which each rank processes a part of the rows; equal on all ranks."""
        import torch.distributed as dist

        for buffer in self.model.buffers():
            if buffer.is_floating_point() and buffer.is_contiguous():  # running means, of the rows that a rank has seen
                dist.broadcast(buffer, src=0)
        size = max(LEAST_EVALUATED, min(EVALUATION_BATCH, -(-len(targets) // self.world)))
        mine = range(self.rank * size, len(targets), self.world * size)
        sums: list[Any] = [None] * self.world
        dist.all_gather_object(sums, metric_sums(self.model, self.objective, inputs, targets, mine, size))
        return self.objective.finish(mean_metrics(sums))

    def mean_auxiliary_loss(self) -> dict[str, float]:
        return {}  # each rank knows of its own rows alone

    def from_first(self, value: Any) -> Any:
        """Return the object of rank 0 on all ranks. All ranks must call it together."""
        import torch
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device(self.device))
        return box[0]

    def _share_state(self) -> None:
        """Synchronize with the state of rank 0, and sum gradients from here on."""
        checkpoint = self.checkpoint() if self.rank == 0 else None
        shared, has_best = self.from_first((_on_cpu(checkpoint), bool(self.best.weights)))
        if self.rank and shared is not None:
            self.resume(shared, shared.weights if has_best else None)
        if any(weight.requires_grad for weight in self.model.parameters()):
            from torch.nn.parallel import DistributedDataParallel

            # A part of a network may be without a gradient at one rank, such as an expert that is not asked there.
            self.forward = DistributedDataParallel(
                self.model, find_unused_parameters=bool(self.auxiliary_losses.modules)
            )

    def compile_if_faster(self) -> None:
        sentence = "torch.compile is off: it is not used when a batch is divided among workers."
        self.callbacks.log_event("compile", sentence)

    def train_step(self, inputs: list[torch.Tensor], targets: Targets) -> torch.Tensor:
        """Take a step on a batch. Returns the loss of the whole batch, equal on all ranks."""
        import torch
        import torch.distributed as dist

        torch.manual_seed(((self.training.seed * 1_000_003 + self.step) * 1_031 + self.rank) % 2**63)
        loss = super().train_step(inputs, targets)
        dist.all_reduce(loss)
        return loss

    def compute_gradients(
        self, forward: Callable[..., Any], inputs: list[torch.Tensor], targets: Targets
    ) -> torch.Tensor:
        """Compute the gradient of a batch, divided among the ranks. Returns the share of this rank of the loss."""
        size = self.training.batch_size if self.training.accumulation > 1 else len(targets)
        parts = batch_bounds(len(targets), size)
        mass, losses = batch_mass(self.objective, targets), []
        self.zero_grad()
        for place, (start, end) in enumerate(parts):
            first, last, counts = share(start, end, self.rank, self.world)
            part = targets[first:last]
            # Ranks exchange gradients once in a step, after its last part.
            wait = place + 1 < len(parts) and hasattr(forward, "no_sync")
            with forward.no_sync() if wait else nullcontext():  # type: ignore[attr-defined]
                outputs = joined(self.precision.forward(forward, [value[first:last] for value in inputs]))
                weight = batch_mass(self.objective, part) / mass if counts else 0.0
                loss = batch_loss(self.objective, outputs, part) * weight
                row_share = (last - first) / len(targets) if counts else 0.0
                # DistributedDataParallel takes the mean over the ranks, and the sum is wanted.
                self.precision.backward(self.auxiliary_losses.add_to(loss, row_share) * self.world)
            losses.append(loss.detach())
        return sum(losses[1:], losses[0])

    def check(self) -> None:
        """Check on a few rows that the loss of a batch is a weighted mean of the losses of its rows.

        Raises:
            TrainingError: it is not, so batches cannot be divided.
        """
        import torch

        if self.world == 1:
            return
        rows = min(TRIED_ROWS, self.loader.rows)
        inputs, targets = self.loader.first_batch(rows)
        rows = len(targets)
        self.model.eval()
        with torch.no_grad():
            answer = joined(self.model(*inputs))
            batch_mean = batch_loss(self.objective, answer, targets)
            parts = sum(
                batch_loss(self.objective, answer[start:end], targets[start:end])
                * batch_mass(self.objective, targets[start:end])
                for start, end in ((0, rows // 3), (rows // 3, rows))
                if end > start
            ) / batch_mass(self.objective, targets)
        self.model.train()
        off = float((batch_mean - parts).abs() / batch_mean.abs().clamp(min=1e-6))
        if off > TOLERANCE:
            raise TrainingError(
                f"{self.objective.task.title} computes its loss over all rows of a batch, so the batch cannot be "
                "divided among workers; choose one worker, or train on this machine."
            )


def share(start: int, end: int, rank: int, world: int) -> tuple[int, int, bool]:
    """Return the bounds of a rank's part of the rows from `start` to `end`, and whether it counts.

    Parts differ by one row at most. In a small batch, some ranks have no part and process its first rows with weight 0,
    because all ranks must take part in each step.
    """
    rows = end - start
    taking = max(1, min(world, rows // LEAST_ROWS))
    if rank >= taking:
        return start, min(start + LEAST_ROWS, end), False
    size, longer = divmod(rows, taking)
    first = start + rank * size + min(rank, longer)
    return first, first + size + (rank < longer), True


def _on_cpu(value: Any) -> Any:
    """Return the checkpoint with its tensors on the CPU."""
    import torch

    if isinstance(value, Checkpoint):
        return Checkpoint(_on_cpu(value.weights), _on_cpu(value.state))
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    return type(value)(_on_cpu(item) for item in value) if isinstance(value, list | tuple) else value

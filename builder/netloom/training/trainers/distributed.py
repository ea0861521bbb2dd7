"""Distributed training: each worker processes a part of every batch, and all workers take the same step.

The global batch size does not depend on the number of workers, so the curves equal those on one machine, up to
floating-point summation order. Workers are the ranks of a torch process group; DistributedDataParallel sums the
gradients (https://pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html).
"""

from __future__ import annotations

import gc
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from netloom.training.batch_loss import batch_loss, partial_loss
from netloom.training.batches import batch_bounds
from netloom.training.errors import DivergedError, TrainingError
from netloom.training.evaluation import batch_totals, metrics_of_totals
from netloom.training.loop import SupervisedTrainer
from netloom.training.objectives.objective import EVALUATION_BATCH, joined
from netloom.training.trainer import Callback
from netloom.training.weights.checkpoints import Checkpoint
from netloom.training.weights.weight_files import StateDict

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from netloom.training.targets import Targets

# `check` divides this many rows; the relative error of the recombined loss must not exceed the tolerance.
TRIED_ROWS, TOLERANCE = 64, 1e-3
# Batch normalization needs at least two rows in each part.
MIN_ROWS = 2
# Smaller parts are not worth the exchange between ranks.
MIN_EVALUATED = 64


class DistributedTrainer(SupervisedTrainer):
    """A trainer whose steps are divided among the ranks of the process group. Only rank 0 has a store."""

    why_no_precision_trial = (
        "The precision is float32: it is not chosen by a trial when a batch is divided among workers."
    )
    why_not_compiled = "torch.compile is off: it is not used when a batch is divided among workers."

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        import torch.distributed as dist

        # Rows that must not be divided, as the loss compares the two views of a row
        self._together = 2 if self.objective.task.paired_views else 1
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
            # Drop DistributedDataParallel while the process group still exists. If it held the last reference to the
            # group, destroying the group would wait forever for a thread that waits for the GIL. `collect`, because it
            # is part of a reference cycle.
            self.forward = self.model
            gc.collect()
        self.running = False
        if self.problem is not None:
            raise self.problem
        return done

    def resume(self, checkpoint: Checkpoint, best: StateDict | None = None) -> None:
        # `train_step` seeds random numbers by the step, so the state of the GPU generators of rank 0 is not needed.
        super().resume(Checkpoint(checkpoint.weights, {**checkpoint.state, "cuda_rng": []}), best)

    def log_running_loss(self) -> None:
        """Log the mean loss. Ranks log at different times, by their own clocks.

        A NaN loss is stored instead of raised, so that all ranks stop at the same step.
        """
        try:
            super().log_running_loss()
        except DivergedError as error:
            self.problem = self.problem or error

    def flush(self) -> None:
        super().log_running_loss()  # raises for NaN: such a state must not be saved as a checkpoint

    def compute_metrics(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> dict[str, float]:
        """Return the metrics, equal on all ranks. Each rank processes a part of the rows."""
        import torch.distributed as dist

        for buffer in self.model.buffers():
            # The running statistics of a rank come from its own rows; evaluate the same network on all ranks.
            if buffer.is_floating_point() and buffer.is_contiguous():
                dist.broadcast(buffer, src=0)
        size = max(MIN_EVALUATED, min(EVALUATION_BATCH, -(-len(targets) // self.world)))
        size += size % self._together
        mine = range(self.rank * size, len(targets), self.world * size)
        totals: list[Any] = [None] * self.world
        dist.all_gather_object(totals, batch_totals(self.model, self.objective, inputs, targets, mine, size))
        return metrics_of_totals(self.objective, totals)

    def mean_auxiliary_loss(self) -> dict[str, float]:
        return {}  # each rank has the sum over its own rows only

    def from_first(self, value: Any) -> Any:
        """Return the object of rank 0 on all ranks. All ranks must call it together."""
        import torch
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device(self.device))
        return box[0]

    def _share_state(self) -> None:
        """Restore the state of rank 0 on all ranks, and wrap the model so that gradients are summed over ranks."""
        checkpoint = self.checkpoint() if self.rank == 0 else None
        shared, has_best = self.from_first((_on_cpu(checkpoint), bool(self.best.weights)))
        if self.rank and shared is not None:
            self.resume(shared, shared.weights if has_best else None)
        if any(weight.requires_grad for weight in self.model.parameters()):
            from torch.nn.parallel import DistributedDataParallel

            # On one rank, weights can lack a gradient, such as an expert to which none of its rows are routed. Such
            # networks have auxiliary losses; for all others, the search for unused weights would only cost time.
            self.forward = DistributedDataParallel(
                self.model, find_unused_parameters=bool(self.auxiliary_losses.modules)
            )

    def train_step(self, inputs: list[torch.Tensor], targets: Targets) -> torch.Tensor:
        """Take a step on a batch. Returns the loss of the whole batch, equal on all ranks."""
        import torch
        import torch.distributed as dist

        # Ranks need different dropout masks, and a resumed run the same ones as before.
        torch.manual_seed(((self.training.seed * 1_000_003 + self.step) * 1_031 + self.rank) % 2**63)
        loss = super().train_step(inputs, targets)
        dist.all_reduce(loss)  # sum of the shares of all ranks
        return loss

    def compute_gradients(
        self, forward: Callable[..., Any], inputs: list[torch.Tensor], targets: Targets
    ) -> torch.Tensor:
        """Compute the gradient of a batch that is divided among the ranks. Returns this rank's share of the loss."""
        size = self.training.batch_size if self.training.gradient_accumulation_steps > 1 else len(targets)
        parts = batch_bounds(len(targets), size)
        losses = []
        self.zero_grad()
        for index, (start, end) in enumerate(parts):
            first, last, counts = share(start, end, self.rank, self.world, self._together)
            part = targets[first:last]
            # Ranks exchange gradients once per step, in the backward pass of the last micro-batch.
            wait = index + 1 < len(parts) and hasattr(forward, "no_sync")
            with forward.no_sync() if wait else nullcontext():  # type: ignore[attr-defined]
                outputs = joined(self.precision.forward(forward, [value[first:last] for value in inputs]))
                loss = partial_loss(self.objective, outputs, part, targets) * float(counts)
                row_share = (last - first) / len(targets) if counts else 0.0
                # DistributedDataParallel divides the sum over ranks by their number; the weights of the parts add up to
                # 1 already, so undo that.
                self.precision.backward(self.auxiliary_losses.add_to(loss, row_share) * self.world)
            losses.append(loss.detach())
        return sum(losses[1:], losses[0])

    def check(self) -> None:
        """Check on a few rows that the loss of a batch is a weighted mean of the losses of its rows.

        Raises:
            TrainingError: it is not, so batches cannot be divided. An example is a loss that compares rows.
        """
        import torch

        if self.world == 1:
            return
        rows = min(TRIED_ROWS, self.loader.rows)
        inputs, targets = self.loader.first_batch(rows)
        rows = len(targets)
        third = rows // 3 // self._together * self._together
        self.model.eval()
        with torch.no_grad():
            answer = joined(self.model(*inputs))
            batch_mean = batch_loss(self.objective, answer, targets)
            # Two parts of unequal size, for which the unweighted mean of their losses would be wrong
            parts = sum(
                partial_loss(self.objective, answer[start:end], targets[start:end], targets)
                for start, end in ((0, third), (third, rows))
                if end > start
            )
        self.model.train()
        off = float((batch_mean - parts).abs() / batch_mean.abs().clamp(min=1e-6))
        if off > TOLERANCE:
            raise TrainingError(
                f"{self.objective.task.title} computes its loss over all rows of a batch, so the batch cannot be "
                "divided among workers; choose one worker, or train on this machine."
            )


def share(start: int, end: int, rank: int, world: int, together: int = 1) -> tuple[int, int, bool]:
    """Return the bounds of a rank's part of the rows from `start` to `end`, and whether it counts.

    `together` consecutive rows stay in one part, and parts differ by as many rows at most. In a small batch, some ranks
    have no part and process its first rows with weight 0, because all ranks must take part in each step.
    """
    groups = (end - start) // together
    active_ranks = max(1, min(world, (end - start) // max(MIN_ROWS, together)))
    if rank >= active_ranks:
        return start, min(start + MIN_ROWS, end), False
    size, longer = divmod(groups, active_ranks)
    first = start + (rank * size + min(rank, longer)) * together
    return first, first + (size + (rank < longer)) * together, True


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

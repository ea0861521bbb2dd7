"""The loss of a batch, also with mixed targets or sample weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from netloom.training.targets import MixedTargets, Targets, WeightedTargets

if TYPE_CHECKING:
    import torch

    from netloom.training.objectives import Objective


def batch_loss(objective: Objective, output: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Return the loss of the objective, a scalar; for mixed targets, weighted by their share
    (https://arxiv.org/abs/1710.09412)."""
    if isinstance(targets, WeightedTargets):
        return _weighted_loss(objective, output, targets)
    if isinstance(targets, MixedTargets):
        first, second = objective.loss(output, targets.first), objective.loss(output, targets.second)
        return targets.share * first + (1 - targets.share) * second
    return objective.loss(output, targets)


def partial_loss(objective: Objective, output: torch.Tensor, part: Targets, whole: Targets) -> torch.Tensor:
    """Return what the rows of `part` add to the mean loss of the batch `whole`, a scalar.

    Batches that are split, for gradient accumulation or among ranks, add up by it to the loss of the whole batch.
    """
    if isinstance(part, WeightedTargets) or isinstance(whole, WeightedTargets):
        return batch_loss(objective, output, part) * (batch_mass(objective, part) / batch_mass(objective, whole))
    if isinstance(part, MixedTargets) and isinstance(whole, MixedTargets):
        first = objective.partial_loss(output, part.first, whole.first)
        second = objective.partial_loss(output, part.second, whole.second)
        return part.share * first + (1 - part.share) * second
    return objective.partial_loss(output, cast("torch.Tensor", part), cast("torch.Tensor", whole))


def _weighted_loss(objective: Objective, output: torch.Tensor, targets: WeightedTargets) -> torch.Tensor:
    """Return the weighted mean of the losses of rows, a scalar.

    The sum is divided by the mass of the rows and not by that of their weights, which have the mean 1 over all training
    rows: otherwise the weight of a row would depend on the other rows of its batch.
    """
    import torch

    if isinstance(targets.target, MixedTargets):
        pair = (targets.target.first, targets.target.second)
        first, second = (_weighted_loss(objective, output, WeightedTargets(part, targets.weights)) for part in pair)
        return targets.target.share * first + (1 - targets.target.share) * second

    # `objective.loss` returns only the mean over rows, so it is called for each row, as a batch of one.
    def row(answer: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cost = objective.loss(answer[None], target[None])
        return cost, cost.new_ones(()) * objective.mass(target[None])  # a tensor, as `vmap` requires

    if objective.batched:
        costs, masses = torch.func.vmap(row)(output, targets.target)
    else:  # row by row, see `Objective.batched`
        costs, masses = map(torch.stack, zip(*map(row, output, targets.target), strict=True))
    return (targets.weights * masses * costs).sum() / masses.sum()


def batch_mass(objective: Objective, targets: Targets) -> torch.Tensor | float:
    """Return the weight of these rows in the mean loss of a larger batch; for mixed targets, by their share.

    It is the number of rows, unless the loss of the objective is a mean over something else, such as the words of
    texts or the weights of classes.
    """
    if isinstance(targets, WeightedTargets):
        return batch_mass(objective, targets.target)
    if isinstance(targets, MixedTargets):
        return targets.share * objective.mass(targets.first) + (1 - targets.share) * objective.mass(targets.second)
    return objective.mass(targets)

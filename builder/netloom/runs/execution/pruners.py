"""The pruners of sweeps, which stop unpromising trials: when a trial is worse than others at the same epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

# Trials are not pruned before this number of results, and before this share of the epochs.
FIRST_TRIALS = 4
WARMUP = 0.1


@dataclass(frozen=True)
class Pruner:
    """A pruner. `create` returns it for a number of epochs; None if no trial is pruned."""

    name: str
    title: str
    create: Callable[[int], optuna.pruners.BasePruner] | None


def _median(epochs: int) -> optuna.pruners.BasePruner:
    import optuna

    return optuna.pruners.MedianPruner(FIRST_TRIALS, n_warmup_steps=int(epochs * WARMUP))


def _hyperband(epochs: int) -> optuna.pruners.BasePruner:
    import optuna

    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)


_ALL = (
    Pruner("none", "None", None),
    Pruner("median", "Median pruner", _median),
    Pruner("hyperband", "Hyperband", _hyperband),
)
PRUNERS: dict[str, Pruner] = {pruner.name: pruner for pruner in _ALL}

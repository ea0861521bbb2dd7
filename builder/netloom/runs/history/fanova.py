"""The importance of hyperparameters by fANOVA (https://proceedings.mlr.press/v32/hutter14.html)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

# The number of results from which importance is estimated.
MIN_RESULTS = 4
TREES = 32


def fanova(study: optuna.Study, names: Sequence[str]) -> dict[str, float]:
    """Return the share of the variation of a study's values that each of its parameters explains, the largest first."""
    import optuna

    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(names))
    return dict(sorted(((name, float(share)) for name, share in shares.items()), key=lambda item: -item[1]))

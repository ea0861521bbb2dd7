"""Check the explained model itself: test metrics against a trivial predictor, and target leakage.

A faithful explanation of a model at chance explains noise: before this check, 25 of 46 explanations of a network that
was trained on random labels were rated good.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from netloom.compile import input_fields

if TYPE_CHECKING:
    from torch import nn

    from netloom.data import Prepared
    from netloom.document import Project

# The budget in FLOPs, and the smallest and largest number of test rows.
FLOPS, FEWEST, MOST = 10**11, 60, 2_000
MAX_RESULTS = 64


@dataclass(frozen=True)
class ModelCheck:
    """The quality of a model on `rows` test rows.

    `at_chance` is True if no metric beats the `trivial` predictor by more than its confidence interval; `measured`
    states the metrics of both. `leaks` are columns that give the target away by themselves.
    """

    rows: int
    at_chance: bool
    measured: str
    trivial: str
    leaks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no problem is known."""
        return not self.at_chance and not self.leaks

    @property
    def sentence(self) -> str:
        """The known problems of the model as sentences; empty if there are none."""
        sentences = []
        if self.at_chance:
            sentences.append(
                f"The model does not measurably beat a trivial predictor on {self.rows} test rows: {self.measured}. "
                "What it relies on says little about the real world."
            )
        if self.leaks:
            names = " and ".join(repr(name) for name in self.leaks[:3])
            subject = f"The input {names} gives" if len(self.leaks) == 1 else f"The inputs {names} give"
            sentences.append(f"{subject} the target away (target leakage), so the test score is too optimistic.")
        return " ".join(sentences)

    @property
    def title(self) -> str:
        """The problem in a few words that follow "faithful to the model"."""
        if self.at_chance:
            return f"the model does not beat the {self.trivial}"
        return "an input gives the target away" if self.leaks else ""


_LOCK = Lock()
_RESULTS: OrderedDict[tuple[str, str], ModelCheck] = OrderedDict()


def model_check(project: Project, model: nn.Module, data: Prepared, weights: str, flops: int) -> ModelCheck | None:
    """Check the model with these weights (their hash); `flops` is the cost of one row.

    The result is None if nothing can be measured, as for agents, which have no test rows. Results are cached by weights
    and data. Concurrent calls may compute the same result twice, because no thread waits for another.
    """
    key = (weights, data.fingerprint)
    with _LOCK:
        if key in _RESULTS:
            _RESULTS.move_to_end(key)
            return _RESULTS[key]
    check = _check(project, model, data, flops)
    if check is not None:
        with _LOCK:
            _RESULTS[key] = check
            while len(_RESULTS) > MAX_RESULTS:
                _RESULTS.popitem(last=False)
    return check


def _check(project: Project, model: nn.Module, data: Prepared, flops: int) -> ModelCheck | None:
    import torch

    from netloom.runs import TrainedRun, evaluate
    from netloom.training.chance import compared, is_at_chance, trivial_title

    test = data.split["test"]
    if data.schema.target.type.is_action or not len(test) or not len(data.split["train"]):
        return None
    max_rows = max(FEWEST, min(MOST, FLOPS // max(1, flops)))
    if len(test) > max_rows:
        # A fixed sample, because results are cached by weights and data only.
        chosen = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:max_rows]
        test = test[chosen.sort().values]
    sampled_run = TrainedRun(project, "", model, replace(data, split={**data.split, "test": test}))
    evaluation = evaluate(sampled_run)
    leaks = tuple(_leaking_columns(data, input_fields(project)))
    trivial = trivial_title(evaluation)
    return ModelCheck(len(test), is_at_chance(evaluation), compared(evaluation), trivial, leaks)


def _leaking_columns(data: Prepared, fields: list[str]) -> list[str]:
    """Return the input columns that the data quality check reports as target leakage."""
    from netloom.data.quality.checks.target_leakage import TargetLeakage
    from netloom.data.quality.quality_view import QualityView

    column_names = {
        column.date_column or column.name: column.name
        for field in data.fields
        if field.name in fields
        for column in field.columns
    }
    columns = {*column_names, *column_names.values()}
    if not columns:
        return []
    return [name for finding in TargetLeakage().check(QualityView(data)) for name in finding.columns if name in columns]

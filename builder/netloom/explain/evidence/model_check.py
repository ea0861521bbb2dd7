"""Whether the explained network itself is worth believing: what it reaches on its test rows beside a trivial predictor,
and whether a column gives the target away. A faithful explanation of a network at chance explains noise."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from netloom.compile import input_fields
from netloom.tasks import higher_is_better

if TYPE_CHECKING:
    from torch import nn

    from netloom.data import Prepared
    from netloom.document import Project
    from netloom.training.objectives.evaluation import Evaluation

# How much of the network's work measuring may take, and of how many test rows.
FLOPS, FEWEST, MOST = 10**11, 60, 2_000
# Measures by which a network that learned nothing is not better than the trivial predictor, the one to tell first. An
# F1 or IoU is none of them: that of a constant answer is far below that of guesses.
METRICS = (
    "accuracy", "balanced_accuracy", "roc_auc", "r2", "word_accuracy", "pair_accuracy", "mae", "rmse", "mse", "loss"
)  # fmt: skip
MAX_RESULTS = 64


@dataclass(frozen=True)
class ModelCheck:
    """`at_chance`: no measure is better than that of the `trivial` predictor by more than the choice of `rows` test
    rows could be off; `measured` says what both reach. `leaks` are columns that give the target away by themselves."""

    rows: int
    at_chance: bool
    measured: str
    trivial: str
    leaks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.at_chance and not self.leaks

    @property
    def sentence(self) -> str:
        """What is wrong with the model, in words; empty where nothing is known to be."""
        sentences = []
        if self.at_chance:
            sentences.append(
                f"The model does not measurably beat a trivial predictor on {self.rows} test rows: {self.measured}. "
                "What it relies on says little about the real world."
            )
        if self.leaks:
            names = " and ".join(repr(name) for name in self.leaks[:3])
            verb = "gives" if len(self.leaks) == 1 else "give"
            sentences.append(
                f"The input {names} {verb} the target away (target leakage), so the test score is too optimistic."
            )
        return " ".join(sentences)

    @property
    def title(self) -> str:
        """The same in a few words, as they follow "faithful to the model"."""
        if self.at_chance:
            return f"the model does not beat the {self.trivial}"
        return "an input gives the target away" if self.leaks else ""


_LOCK = Lock()
_RESULTS: OrderedDict[tuple[str, str], ModelCheck] = OrderedDict()


def model_check(project: Project, model: nn.Module, data: Prepared, weights: str, flops: int) -> ModelCheck | None:
    """How good the network with these weights (their hash) is; `flops` are what one row takes. None where nothing can
    be measured: an agent has no test rows. What was measured before is known by the weights and the data.

    Two that ask at the same time both measure, as nobody is to wait for another.
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

    test = data.split["test"]
    if data.schema.target.type.is_action or not len(test) or not len(data.split["train"]):
        return None
    max_rows = max(FEWEST, min(MOST, FLOPS // max(1, flops)))
    if len(test) > max_rows:
        chosen = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:max_rows]
        test = test[chosen.sort().values]
    sampled_run = TrainedRun(project, "", model, replace(data, split={**data.split, "test": test}))
    evaluation = evaluate(sampled_run)
    leaks = tuple(_leaking_columns(data, input_fields(project)))
    title = evaluation.reference.title if evaluation.reference else ""
    trivial = f"{title[:1].lower()}{title[1:]}"
    return ModelCheck(len(test), is_at_chance(evaluation), _describe(evaluation, trivial), trivial, leaks)


def is_at_chance(evaluation: Evaluation) -> bool:
    """Whether each measure that has an interval and a trivial reference could be as good by the choice of rows."""
    metrics = _compared_metrics(evaluation)
    return bool(metrics) and not any(_beats(evaluation, name) for name in metrics)


def _compared_metrics(evaluation: Evaluation) -> list[str]:
    reference = evaluation.reference.metrics if evaluation.reference else {}
    return [name for name in METRICS if name in evaluation.intervals and name in reference]


def _beats(evaluation: Evaluation, name: str) -> bool:
    low, high = evaluation.intervals[name]
    trivial = evaluation.reference.metrics[name] if evaluation.reference else float("nan")
    return low > trivial if higher_is_better(name) else high < trivial


def _describe(evaluation: Evaluation, trivial: str) -> str:
    """The first measure of the network beside that of the trivial predictor."""
    names = _compared_metrics(evaluation)
    if evaluation.reference is None or not names:
        return ""
    words = f"{names[0].replace('_', ' ')} {evaluation.metrics[names[0]]:.3g}"
    return f"{words} ({trivial}: {evaluation.reference.metrics[names[0]]:.3g})"


def _leaking_columns(data: Prepared, fields: list[str]) -> list[str]:
    """The columns among the inputs that give the target away, as the report on the data finds them."""
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

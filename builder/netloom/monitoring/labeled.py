"""Predictions whose true labels arrived later: how good they are beside the test rows, and when they became worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from netloom.core.errors import DataError
from netloom.drift import Adwin, PageHinkley
from netloom.monitoring.log_reader import LoggedRow
from netloom.runs.prediction.trained_run import answers
from netloom.tasks import task
from netloom.training.streaming import take
from netloom.training.uncertainty import difference_of_shares, mean_interval, share_interval

if TYPE_CHECKING:
    from netloom.runs import TrainedRun
    from netloom.tasks.true_labels import TrueLabel

# Predictions with their labels
Pairs: TypeAlias = list[tuple[Any, Any]]

# Fewer labels give no alert.
MIN_LABELS = 30
MAX_TEST_ROWS = 5_000
# Of the Page–Hinkley test, in standard deviations of the errors of test rows. In simulated streams of 1,000 labels with
# error rates from 3% to 30%, the detectors together gave a false alarm in at most 5%, and found an error rate that was
# 20 points higher in the second half in at least 95%; `tests/monitoring/test_labeled.py` repeats it with fewer streams.
TOLERANCE, THRESHOLD = 0.15, 35.0
# Distances become numbers from 0 to 1 for ADWIN by this multiple of the mean distance of test rows.
_LARGE = 4.0


@dataclass(frozen=True)
class ColumnErrors:
    """The mean absolute error and the root mean squared error of one of several columns or series in its unit, on
    labeled predictions and on test rows; None without test rows."""

    name: str
    mae: float
    rmse: float
    test_mae: float | None
    test_rmse: float | None


@dataclass(frozen=True)
class LabeledReport:
    """The errors of labeled predictions beside those of test rows.

    Attributes:
        title: the measure, such as accuracy.
        value: the measure as text, with its 95% interval; `test_value` is that of the test rows, or "".
        error: the mean error, 1 − accuracy for classes; `test_error` is that of the test rows.
        is_worse: whether the 95% interval of the difference excludes 0, to the worse.
        changes: a sentence if predictions are not finite numbers, which the means leave out, and one for each detector
            that found an increase of the errors in their order.
        columns: the errors of each of several columns or series; () for predictions of other kinds.
    """

    title: str
    rows: int
    value: str
    error: float
    test_rows: int
    test_value: str
    test_error: float | None
    difference: str
    is_worse: bool
    changes: tuple[str, ...]
    columns: tuple[ColumnErrors, ...] = ()

    @property
    def alerts(self) -> tuple[str, ...]:
        """A sentence for each alert."""
        worse = (
            f"{self.title} is worse: {self.value} on {self.rows:,} labeled predictions, {self.test_value} on test rows."
        )
        return (*((worse,) if self.is_worse else ()), *self.changes)


def true_label_of(trained: TrainedRun) -> TrueLabel | None:
    """Return the kind of the labels of a run; None if a label does not measure its predictions."""
    true_label = task(trained.project.training.objective).true_label(trained.data.schema)
    return None if true_label is None else true_label.measured_with(trained.data)


def check_examples(trained: TrainedRun, examples: Sequence[tuple[Mapping[str, Any], Any]], title: str = "run") -> None:
    """Check that a run can read and predict all collected examples. `title` names the run.

    Raises:
        DataError: one does not fit it.
    """
    true_label = true_label_of(trained)
    for number, (row, label) in enumerate(examples, 1):
        try:
            if true_label is not None:
                true_label.check_row(trained.data, row, true_label.check(label))
            trained.data.encode(row, trained.fields)
        except ValueError as error:
            raise DataError(
                f"The collected example {number} does not fit the {title}: {error} Correct its label, or delete it, on "
                "the Monitor page."
            ) from None


def errors_of(true_label: TrueLabel, rows: Sequence[LoggedRow]) -> np.ndarray:
    """Return the errors (n,) of labeled rows; infinity for a prediction that is not finite numbers."""
    return np.array([true_label.error(row.prediction, row.label) for row in rows])


def labeled_report(trained: TrainedRun, rows: Sequence[LoggedRow]) -> LabeledReport | None:
    """Compare labeled rows, the oldest first, with the test rows; None without labels."""
    true_label = true_label_of(trained)
    rows = [row for row in rows if row.prediction is not None]
    if true_label is None or not rows:
        return None
    errors, tested = errors_of(true_label, rows), _tested(trained, true_label)
    test = _errors(true_label, tested)
    is_finite = np.isfinite(errors)
    broken = int((~is_finite).sum())
    notes = [f"Labeled predictions that are not finite numbers: {broken:,} of {len(rows):,}."] if broken else []
    rows, errors = [row for row, is_usable in zip(rows, is_finite, strict=True) if is_usable], errors[is_finite]
    if not rows:
        return None
    difference, is_worse = compare_errors(true_label, errors, test)
    return LabeledReport(
        true_label.title,
        len(rows),
        _written(true_label, errors),
        float(errors.mean()),
        len(test),
        _written(true_label, test) if len(test) else "",
        float(test.mean()) if len(test) else None,
        difference,
        is_worse and len(rows) >= MIN_LABELS,
        (*notes, *(changes_of(true_label, rows, errors, test) if len(rows) >= MIN_LABELS else ())),
        _column_errors(true_label, [(row.prediction, row.label) for row in rows], tested),
    )


def _tested(trained: TrainedRun, true_label: TrueLabel) -> Pairs:
    """Return predictions for test rows, decided as in use, with their labels; [] without test rows."""
    data = trained.data
    positions = data.split["test"].numpy()[:MAX_TEST_ROWS]
    if not len(positions):
        return []
    answered = answers(trained, take(data, trained.fields, positions), trained.output)
    labels = true_label.of_rows(data, positions)
    return [(answer["prediction"], label) for answer, label in zip(answered, labels, strict=True)]


def _errors(true_label: TrueLabel, pairs: Pairs) -> np.ndarray:
    """Return the finite errors (n,) of predictions with their labels."""
    errors: np.ndarray = np.array([true_label.error(*pair) for pair in pairs])
    finite: np.ndarray = errors[np.isfinite(errors)]
    return finite


def _column_errors(true_label: TrueLabel, labeled: Pairs, tested: Pairs) -> tuple[ColumnErrors, ...]:
    """Return the errors of each column, from predictions with their labels."""
    means = [_column_means(true_label, pairs) for pairs in (labeled, tested)]
    nothing = [(None, None)] * len(true_label.columns)
    return tuple(
        ColumnErrors(name, *errors, *test_errors)
        for name, errors, test_errors in zip(true_label.columns, means[0], means[1] or nothing, strict=True)
    )


def _column_means(true_label: TrueLabel, pairs: Pairs) -> list[tuple[float, float]]:
    """Return the mean absolute error and the root mean squared error of each column; [] without rows."""
    each = [true_label.differences(*pair) for pair in pairs] if true_label.columns else []
    known = [differences for differences in each if differences is not None]
    if not known:
        return []
    values = np.stack(known)  # (n, columns, steps)
    absolute, squared = np.abs(values).mean((0, 2)), np.sqrt((values**2).mean((0, 2)))
    return list(zip(absolute.tolist(), squared.tolist(), strict=True))


def _interval(true_label: TrueLabel, errors: np.ndarray) -> tuple[float, float] | None:
    if true_label.is_share:
        return share_interval(int(errors.sum()), len(errors))
    return mean_interval(errors, (0.0, 1.0 if true_label.is_fraction else math.inf))


def _written(true_label: TrueLabel, errors: np.ndarray) -> str:
    value, interval = true_label.written(float(errors.mean())), _interval(true_label, errors)
    if interval is None:
        return value
    low, high = sorted(interval, reverse=true_label.is_share)
    return f"{value} (95% CI {true_label.written(low)} to {true_label.written(max(high, 0.0))})"


def compare_errors(true_label: TrueLabel, errors: np.ndarray, test: np.ndarray) -> tuple[str, bool]:
    """Return the difference of the mean errors in words, and whether the labeled ones are worse.

    Shares are compared by Newcombe's interval, and distances by Welch's.
    """
    if len(test) < 2 or len(errors) < 2:
        return "", False
    if true_label.is_share:
        value = difference_of_shares((int(test.sum()), len(test)), (int(errors.sum()), len(errors)))
        if value["difference"] is None or value["interval"] is None:
            return "", False
        low, high = value["interval"]
        words = f"{true_label.title} − test: {-value['difference']:+.1%} (95% CI {-high:+.1%} to {-low:+.1%})"
        return words, low > 0
    from scipy.stats import ttest_ind

    form = "{:+.1%}".format if true_label.is_fraction else "{:+.4g}".format
    words = f"{true_label.title} − test: {form(float(errors.mean() - test.mean()))}"
    if (errors == errors[0]).all() and (test == test[0]).all():
        return words, False  # without variance, there is no interval
    interval = ttest_ind(errors, test, equal_var=False).confidence_interval(0.95)
    low, high = float(interval.low), float(interval.high)
    return f"{words} (95% CI {form(low)} to {form(high)})", low > 0


def changes_of(true_label: TrueLabel, rows: Sequence[LoggedRow], errors: np.ndarray, test: np.ndarray) -> list[str]:
    """Return where the detectors found that the errors increased."""
    reference = test if len(test) > 1 else errors
    if true_label.is_share:
        # Laplace's estimate: without a mistake on the test rows, the first one must not be infinitely far away
        share = (float(reference.sum()) + 1) / (len(reference) + 2)
        deviation, shares = (share * (1 - share)) ** 0.5, errors
    else:
        deviation = float(reference.std()) or 1.0
        shares = np.minimum(errors / (_LARGE * (float(reference.mean()) or 1.0)), 1.0)
    centered = (errors - float(reference.mean())) / deviation
    page_hinkley, adwin = PageHinkley(THRESHOLD, TOLERANCE), Adwin()
    change_times: dict[str, str] = {}
    for row, value, scaled in zip(rows, centered, shares, strict=True):
        before = adwin.mean
        if page_hinkley.update(float(value)):
            change_times.setdefault("Page–Hinkley", row.at)
        if adwin.update(float(scaled)) and adwin.mean > before:
            change_times.setdefault("ADWIN", row.at)
    return [f"{name}: the errors increased by {at[:16].replace('T', ' ')} UTC." for name, at in change_times.items()]

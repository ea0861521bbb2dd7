"""The gate between two runs: whether a new one is not worse than an old one, on the same held-out rows and on mistakes
that people collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import UsageError
from netloom.monitoring.labeled import true_label_of
from netloom.runs import predict
from netloom.training.uncertainty import mean_interval

if TYPE_CHECKING:
    from netloom.runs import TrainedRun
    from netloom.tasks.true_label import TrueLabel

MAX_ROWS = 5_000
# How much worse the new run may seem on held-out rows: a point of accuracy, or a hundredth of the mean error
TOLERANCE = 0.01
Labeled = Sequence[tuple[Mapping[str, Any], Any]]


@dataclass(frozen=True)
class Comparison:
    """The mean errors of both runs on the same rows, and the 95% interval of new − old, by pairs of rows."""

    title: str
    rows: int
    old: float
    new: float
    low: float
    high: float
    words: str


@dataclass(frozen=True)
class Gate:
    """The comparison of two runs.

    Attributes:
        held_out: on test rows of the old run that the new one was not trained on; `left_out` are the others.
        mistakes: on collected examples; None without any. `trained_on` of them are training rows of the new run.
    """

    held_out: Comparison
    left_out: int
    mistakes: Comparison | None
    trained_on: int
    reason: str

    @property
    def passes(self) -> bool:
        return not self.reason

    @property
    def sentence(self) -> str:
        """The decision in words."""
        return self.reason or f"The new run is not worse: {self.held_out.words}"

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"passes": self.passes, "sentence": self.sentence}


def compare_for_promotion(new: TrainedRun, old: TrainedRun, collected: Labeled) -> Gate:
    """Compare a new run with the old one that it would replace.

    Raises:
        UsageError: the runs predict different things, or there are no held-out rows to compare them on.
    """
    true_label = true_label_of(old)
    other = true_label_of(new)
    if true_label is None or other is None:
        raise UsageError("The predictions of these runs cannot be compared with one label per row.")
    if type(true_label) is not type(other) or _names(true_label) != _names(other):
        raise UsageError("The runs predict different classes or kinds of values; compare runs of the same data.")
    places = old.data.split["test"].numpy()[:MAX_ROWS]
    trained_on = _training_rows(new)
    labels = true_label.of_rows(old.data, places)
    rows = [(old.data.row(int(place)), label) for place, label in zip(places, labels, strict=True)]
    held_out = [pair for pair in rows if _key(pair[0]) not in trained_on]
    if len(held_out) < 2:
        raise UsageError("The old run has no test rows that the new run was not trained on.")
    _check_examples(old, true_label, collected)
    compared = _compare("Held-out rows", true_label, new, old, held_out)
    mistakes = _compare("Collected examples", true_label, new, old, collected) if collected else None
    known = sum(_key(row) in trained_on for row, _ in collected)
    return Gate(compared, len(rows) - len(held_out), mistakes, known, _reason(true_label, compared, mistakes))


def _check_examples(old: TrainedRun, true_label: TrueLabel, collected: Labeled) -> None:
    """Check that the old run can read and predict all collected examples.

    Raises:
        UsageError: one does not fit it.
    """
    for number, (row, label) in enumerate(collected, 1):
        try:
            true_label.check_row(old.data, row, true_label.check(label))
            old.data.encode(row, old.fields)
        except ValueError as error:
            raise UsageError(
                f"The collected example {number} does not fit the old run: {error} Delete it on the Monitor page."
            ) from None


def _compare(title: str, true_label: TrueLabel, new: TrainedRun, old: TrainedRun, rows: Labeled) -> Comparison:
    errors = [
        np.array(
            [
                true_label.error(answer["prediction"], label)
                for answer, (_, label) in zip(predict(trained, [row for row, _ in rows]), rows, strict=True)
            ]
        )
        for trained in (old, new)
    ]
    before, after = errors
    difference = after - before
    low, high = mean_interval(difference) or (-np.inf, np.inf)
    form = "{:+.1%}".format if true_label.is_share else "{:+.4g}".format
    sign = -1 if true_label.is_share else 1
    interval = sorted((sign * low, sign * high))
    words = (
        f"{true_label.title.lower()} {true_label.written(float(after.mean()))}, before "
        f"{true_label.written(float(before.mean()))}, on {len(rows):,} rows "
        f"(difference {form(sign * float(difference.mean()))}, 95% CI {form(interval[0])} to {form(interval[1])})."
    )
    return Comparison(title, len(rows), float(before.mean()), float(after.mean()), float(low), float(high), words)


def _reason(true_label: TrueLabel, held_out: Comparison, mistakes: Comparison | None) -> str:
    """Return why the new run is worse, or ""."""
    allowed = TOLERANCE if true_label.is_share else TOLERANCE * held_out.old
    if held_out.low > 0 or held_out.new - held_out.old > allowed:
        return f"The new run is worse on held-out rows: {held_out.words}"
    if mistakes is not None and mistakes.new > mistakes.old:
        return f"The new run is worse on collected examples: {mistakes.words}"
    return ""


def _names(true_label: TrueLabel) -> set[str]:
    """Return the classes, labels, tags or series; none for a number, a text, or the steps of one series."""
    schema = true_label.schema
    return set(schema.get("enum", schema.get("properties", schema.get("items", {}).get("enum", ()))))


def _training_rows(trained: TrainedRun) -> set[bytes]:
    return {_key(trained.data.row(int(place))) for place in trained.data.split["train"]}


def _key(row: Mapping[str, Any]) -> bytes:
    """Return a digest that is equal for equal rows, however their numbers are stored."""
    digest = blake2b(digest_size=16)
    for name, value in sorted(row.items()):
        array = np.asarray(value) if value is not None else None
        if array is not None and array.dtype.kind in "biuf":
            digest.update(f"{name!r} {array.shape}".encode())
            digest.update(array.astype(np.float64).tobytes())
        else:
            digest.update(f"{name!r} {value!s}".encode())
    return digest.digest()

"""The gate between two runs: whether a new one is not worse than an old one, on the same held-out rows and on mistakes
that people collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError, UsageError
from netloom.core.plain_json import JsonObject
from netloom.core.text import counted, number
from netloom.data.raw.texts import TaggedTexts
from netloom.data.sequence_pairs import DECODER_INPUT, Pairs
from netloom.modalities.encoding.cells import row_digest
from netloom.monitoring.labeled import check_examples
from netloom.runs import predict
from netloom.training.uncertainty import blocks_of, mean_interval, mean_interval_by_blocks

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.runs import TrainedRun
    from netloom.tasks.true_labels import TrueLabel

MAX_ROWS = 5_000
# How much worse the new run may seem on held-out rows: a point of accuracy, or a hundredth of the mean error
TOLERANCE = 0.01
Labeled = Sequence[tuple[Mapping[str, Any], Any]]


@dataclass(frozen=True)
class Comparison:
    """The mean errors of both runs on the same rows, and the 95% interval of new − old, by pairs of rows, or by blocks
    of rows that depend on each other.

    Attributes:
        measure: what `old_value`, `new_value` and `difference` show of the errors, such as accuracy.
    """

    title: str
    rows: int
    old: float
    new: float
    low: float
    high: float
    measure: str
    old_value: str
    new_value: str
    difference: str
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

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons that were made, that on held-out rows first."""
        return (self.held_out,) if self.mistakes is None else (self.held_out, self.mistakes)

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each restriction of the comparison."""
        left_out = (
            f"{counted(self.left_out, 'test row is', 'test rows are')} left out, because the new run was trained on "
            f"{'it' if self.left_out == 1 else 'them'}."
        )
        trained_on = f"The new run was trained on {self.trained_on:,} of the collected examples."
        return ((left_out,) if self.left_out else ()) + ((trained_on,) if self.trained_on else ())

    def as_json(self) -> JsonObject:
        """Return plain JSON values."""
        return asdict(self) | {"passes": self.passes, "sentence": self.sentence}


def compare_for_promotion(new: TrainedRun, old: TrainedRun, collected: Labeled) -> Gate:
    """Compare a new run with the old one that it would replace.

    Raises:
        UsageError: the runs predict different things, or there are no held-out rows to compare them on, or a collected
            example does not fit the old one.
    """
    true_label, new_label = (trained.objective.task.true_label(trained.data.schema) for trained in (old, new))
    if true_label is None or new_label is None:
        raise UsageError("The predictions of these runs cannot be compared with one label per row.")
    if not true_label.is_comparable(new_label):
        raise UsageError("The runs predict different classes or kinds of values; compare runs of the same data.")
    true_label = true_label.measured_with(old.data)
    positions = old.data.split["test"].numpy()[:MAX_ROWS]
    trained_on = _training_rows(new)
    labels = true_label.of_rows(old.data, positions)
    rows = [(old.data.row(int(row_index)), label) for row_index, label in zip(positions, labels, strict=True)]
    is_held_out = np.array([_key(new.data, row) not in trained_on for row, _ in rows], dtype=bool)
    held_out = [pair for pair, is_left in zip(rows, is_held_out, strict=True) if is_left]
    if len(held_out) < 2:
        raise UsageError("The old run has no test rows that the new run was not trained on.")
    try:
        check_examples(old, collected, "old run")
    except DataError as error:
        raise UsageError(str(error)) from None
    blocks = blocks_of(old.data, positions[is_held_out]) if old.data.raw.has_dependent_rows else None
    compared = _compare("Held-out rows", true_label, new, old, held_out, blocks)
    mistakes = _compare("Collected examples", true_label, new, old, collected) if collected else None
    known = sum(_key(new.data, row) in trained_on for row, _ in collected)
    return Gate(compared, len(rows) - len(held_out), mistakes, known, _reason(true_label, compared, mistakes))


def _compare(
    title: str,
    true_label: TrueLabel,
    new: TrainedRun,
    old: TrainedRun,
    rows: Labeled,
    blocks: list[np.ndarray] | None = None,
) -> Comparison:
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
    with np.errstate(invalid="ignore"):  # both errors can be infinite
        difference = after - before
    interval_of_mean = None
    if np.isfinite(difference).all():
        interval_of_mean = mean_interval(difference) if blocks is None else mean_interval_by_blocks(difference, blocks)
    low, high = interval_of_mean or (-np.inf, np.inf)
    form = "{:+.1%}".format if true_label.is_share or true_label.is_fraction else partial(number, signed=True)
    sign = -1 if true_label.is_share else 1
    # Adding 0.0 makes 0.0 of -0.0
    interval = sorted((sign * low + 0.0, sign * high + 0.0))
    old_error, new_error = float(before.mean()), float(after.mean())
    old_value, new_value = true_label.written(old_error), true_label.written(new_error)
    change = form(sign * float(difference.mean()) + 0.0)
    if interval_of_mean is not None:
        change += f", 95% CI {form(interval[0])} to {form(interval[1])}"
    words = f"{true_label.title.lower()} {new_value}, before {old_value}, on {len(rows):,} rows (difference {change})."
    return Comparison(
        title,
        len(rows),
        old_error,
        new_error,
        float(low),
        float(high),
        measure=true_label.title,
        old_value=old_value,
        new_value=new_value,
        difference=change,
        words=words,
    )


def _reason(true_label: TrueLabel, held_out: Comparison, mistakes: Comparison | None) -> str:
    """Return why the new run is worse, or ""."""
    allowed = TOLERANCE if true_label.is_share or true_label.is_fraction else TOLERANCE * held_out.old
    if held_out.low > 0 or not np.isfinite(held_out.new) or held_out.new - held_out.old > allowed:
        return f"The new run is worse on held-out rows: {held_out.words}"
    if mistakes is not None and mistakes.new > mistakes.old:
        return f"The new run is worse on collected examples: {mistakes.words}"
    return ""


def _training_rows(trained: TrainedRun) -> set[bytes]:
    return {_key(trained.data, trained.data.row(int(row))) for row in trained.data.split["train"]}


def _as_read(data: Prepared, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a network reads of a raw row: the words of a tagged text, which a version has as a list, and a text
    without its answer."""
    if isinstance(data.raw, TaggedTexts):
        fields = (data.token_field(field.name) for field in data.fields)
        return {field.name: field.tokens(field.raw_text(dict(row))) for field in fields}
    return {name: value for name, value in row.items() if not (isinstance(data.raw, Pairs) and name == DECODER_INPUT)}


def _key(data: Prepared, row: Mapping[str, Any]) -> bytes:
    """Return a digest that is equal for rows that a network reads alike."""
    return row_digest(_as_read(data, row))

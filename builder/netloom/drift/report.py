"""The drift of rows from the held-out rows of a run, quantity by quantity and as a whole.

The reference are the validation and test rows, not the training rows: a network is more confident on rows that it was
trained on, and a vocabulary knows all their words, so that new rows would seem to drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.text import number, plain
from netloom.drift.monitored import Quantity, columns, hidden_keys, predictions, summaries
from netloom.drift.multivariate import Separation, domain_classifier, mmd
from netloom.drift.two_sample import Comparison, compare_categories, compare_numbers, holm
from netloom.runs.trained_run import answers
from netloom.training.streaming import take

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

ALPHA = 0.05
# Fewer rows give no evidence, and more are sampled.
MIN_ROWS, MAX_ROWS = 30, 5_000
# Rows whose predictions are compared; a text is generated for each of them
MAX_PREDICTED = 1_000
DEPENDENT = (
    "Rows of this data depend on each other, as neighbors in time or members of a group do, so that alarms without "
    "drift are more frequent than 5%."
)
# One-hot columns of a category in the domain classifier
MAX_CATEGORIES = 20


@dataclass(frozen=True)
class Drift:
    """The drift of one quantity: what it was, what it is, and the evidence.

    `p` is the p-value of `comparison` corrected by Holm's method for the number of tests.
    """

    name: str
    before: str
    now: str
    rows: int
    comparison: Comparison
    p: float

    @property
    def is_drift(self) -> bool:
        return self.p < ALPHA


@dataclass(frozen=True)
class DriftReport:
    """The drift of `rows` current rows from `reference` held-out rows of the data of the run.

    `separations` are tests of whole rows, with p-values that are corrected like those of the quantities. `note` says
    that the p-values are too small, if rows depend on each other.
    """

    reference: int
    rows: int
    quantities: tuple[Drift, ...]
    separations: tuple[Separation, ...]
    note: str = ""

    @property
    def is_drift(self) -> bool:
        """Whether anything drifted. Without drift, the chance of that is at most `ALPHA`."""
        return any(drift.is_drift for drift in self.quantities) or any(part.p < ALPHA for part in self.separations)

    @property
    def sentence(self) -> str:
        """The result in words."""
        drifted = [drift for drift in self.quantities if drift.is_drift]
        count = len(self.quantities)
        if drifted:
            worst = min(drifted, key=lambda drift: (drift.p, -drift.comparison.js))
            change = f"{worst.name}: {worst.before}, now {worst.now}"
            return f"{len(drifted)} of {count} quantities drifted, most of all {change}."
        if self.is_drift:
            return "No single quantity drifted, but whole rows differ from the held-out rows."
        return f"No drift found in {count} quantities of {self.rows:,} rows."

    def as_json(self) -> JsonObject:
        """Return plain JSON values, with the verdicts."""
        value = asdict(self)
        for entry, drift in zip(value["quantities"], self.quantities, strict=True):
            entry["is_drift"] = drift.is_drift
        return value | {"is_drift": self.is_drift, "sentence": self.sentence}


def compare(
    trained: TrainedRun,
    rows: Sequence[Mapping[str, Any]],
    seed: int = 0,
    *,
    answered: Sequence[Mapping[str, Any]] | None = None,
    hidden: Collection[str] = (),
) -> DriftReport:
    """Compare raw rows with the held-out rows of a run; with its training rows if it has too few of them.

    Args:
        answered: the answers that the rows got in use; by default, the network predicts them.
        hidden: the keys of rows whose values are not known. They need `answered`.

    Raises:
        DataError: there are too few rows, a row cannot be encoded, or the inputs of the network are random numbers.
    """
    data = trained.data
    if trained.objective.task.generates_input:
        raise DataError("This network generates examples from random numbers, so its inputs cannot drift.")
    if len(rows) < MIN_ROWS:
        raise DataError(f"Drift needs at least {MIN_ROWS} rows, received {len(rows)}; collect more.")
    random = np.random.default_rng(seed)
    held_out = np.concatenate([data.split[name].numpy() for name in ("validation", "test")])
    training = _sample(data.split["train"].numpy(), random)
    places = _sample(np.sort(held_out), random) if len(held_out) >= MIN_ROWS else training
    chosen = _sample(np.arange(len(rows)), random)
    rows = [rows[int(index)] for index in chosen]
    before = [data.row(int(index)) for index in places]
    known = [field.name for field in data.fields if field.name in trained.fields and not hidden_keys(field, hidden)]
    reference, inputs = take(data, trained.fields, places), _encoded(trained, rows, known)
    few = []
    for arrays, count in ((reference, len(before)), (inputs, len(rows))):
        part = _sample(np.arange(count), random, MAX_PREDICTED)  # rows can be in the order of their classes
        few.append({name: values[part] for name, values in arrays.items()})
    current = (
        answers(trained, few[1], trained.output) if answered is None else [answered[int(index)] for index in chosen]
    )
    quantities = [
        *columns(trained, before, rows, hidden),
        *summaries(trained, take(data, trained.fields, training), reference, inputs),
        *predictions(answers(trained, few[0], trained.output), current),
    ]
    comparisons = [_compare(quantity) for quantity in quantities]
    separations = [domain_classifier(*_matrix(quantities, len(before), len(rows)), seed)]
    if len(known) == len(trained.fields):  # otherwise, the network cannot compute its outputs
        outputs, current_outputs = (trained.output(arrays).flatten(1).numpy() for arrays in (reference, inputs))
        separations.append(mmd(outputs, current_outputs, seed))
    corrected = holm([*(comparison.p for comparison in comparisons), *(part.p for part in separations)])
    drifts = [
        Drift(quantity.name, _describe(quantity.reference), _describe(quantity.current), len(rows), comparison, p)
        for quantity, comparison, p in zip(quantities, comparisons, corrected, strict=False)
    ]
    drifts.sort(key=lambda drift: (drift.p, -drift.comparison.js))
    whole = tuple(
        Separation(part.test, part.statistic, p)
        for part, p in zip(separations, corrected[len(quantities) :], strict=True)
    )
    return DriftReport(len(before), len(rows), tuple(drifts), whole, DEPENDENT if _is_dependent(trained) else "")


def _is_dependent(trained: TrainedRun) -> bool:
    """Return whether rows depend on each other, as neighbors in time, members of a group or steps of an episode do."""
    raw = trained.data.raw
    return raw.groups is not None or raw.times is not None or raw.contiguous or bool(trained.objective.task.environment)


def _encoded(trained: TrainedRun, rows: Sequence[Mapping[str, Any]], fields: Collection[str]) -> dict[str, Any]:
    import torch

    encoded = [trained.data.encode(row, fields) for row in rows]
    return {name: torch.cat([row[name] for row in encoded]) for name in fields}


def _sample(places: np.ndarray, random: np.random.Generator, most: int = MAX_ROWS) -> np.ndarray:
    if len(places) <= most:
        return places
    return np.sort(random.choice(places, most, replace=False))


def _compare(quantity: Quantity) -> Comparison:
    compare_values = compare_numbers if quantity.is_number else compare_categories
    return compare_values(quantity.reference, quantity.current)


def _matrix(quantities: Sequence[Quantity], reference: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the quantities that every row has, as numbers and one-hot categories: (R, d) and (N, d)."""
    parts: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros(reference), np.zeros(rows))]  # never without a column
    for quantity in quantities:
        if (len(quantity.reference), len(quantity.current)) != (reference, rows):
            continue  # rows without a value were left out
        if quantity.is_number:
            parts.append((quantity.reference, quantity.current))
            continue
        common = [name for name, _ in Counter(quantity.reference.tolist()).most_common(MAX_CATEGORIES)]
        parts += [(quantity.reference == name, quantity.current == name) for name in common]
    first, second = zip(*parts, strict=True)
    return np.stack(first, axis=1).astype(float), np.stack(second, axis=1).astype(float)


def _describe(values: np.ndarray) -> str:
    """Return the mean and standard deviation of numbers, or the most frequent categories."""
    if not len(values):
        return "no values"
    if values.dtype.kind == "f":
        return f"mean {number(float(values.mean()), 3)}, std {number(float(values.std()), 3)}"
    common = Counter(values.tolist()).most_common(3)
    return ", ".join(f"{plain(str(name))[:40]} {count / len(values):.0%}" for name, count in common)

"""The drift of rows from the held-out rows of a run, quantity by quantity and as a whole.

The reference are the validation and test rows, not the training rows: a network is more confident on rows that it was
trained on, and a vocabulary knows all their words, so that new rows would seem to drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.text import counted, number, plain
from netloom.drift.monitored import Quantity, columns, hidden_keys, predictions, summaries
from netloom.drift.multivariate import MAX_PERMUTATIONS, PERMUTATIONS, Separation, domain_classifier, mmd
from netloom.drift.two_sample import ALPHA, Comparison, compare_categories, compare_numbers, holm
from netloom.runs.prediction.embeddings import features, last_linear
from netloom.runs.prediction.trained_run import answers
from netloom.training.streaming import take

if TYPE_CHECKING:
    import torch

    from netloom.runs import TrainedRun

# Fewer rows give no evidence, and more are sampled.
MIN_ROWS, MAX_ROWS = 30, 5_000
# Rows whose predictions are compared; a text is generated for each of them
MAX_PREDICTED = 1_000
DEPENDENT = (
    "Rows of this data depend on each other, as neighbors in time or members of a group do, so that alarms without "
    "drift are more frequent than 5%."
)
# What the tests of whole rows compare
WHOLE_ROWS, OUTPUTS, EMBEDDINGS = "whole rows", "outputs of the network", "embeddings of the network"
CLASSIFIED, COMPARED = (WHOLE_ROWS, EMBEDDINGS), (OUTPUTS, EMBEDDINGS)  # by the domain classifier, and by MMD
# One-hot columns of a category in the domain classifier
MAX_CATEGORIES = 20

# The reference (R, d) and current (N, d) rows, by what they hold
_Matrices = dict[str, tuple[np.ndarray, np.ndarray]]


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

    `separations` are tests of whole rows, of the outputs of the network and of its embeddings, the features that its
    last layer receives, with p-values that are corrected like those of the quantities. `note` says that the p-values
    are too small, if rows depend on each other, and why there are no embeddings.
    """

    reference: int
    rows: int
    quantities: tuple[Drift, ...]
    separations: tuple[Separation, ...]
    note: str = ""

    @property
    def is_drift(self) -> bool:
        """Whether anything drifted. Without drift, the chance of that is at most `ALPHA`."""
        return any(drift.is_drift for drift in self.quantities) or any(part.is_drift for part in self.separations)

    @property
    def sentence(self) -> str:
        """The result in words."""
        drifted = [drift for drift in self.quantities if drift.is_drift]
        separated = [part for part in self.separations if part.is_drift]
        quantities = counted(len(self.quantities), "quantity", "quantities")
        tests = counted(len(self.separations), "multivariate test")
        counted_tests = f"{len(separated)} of {tests} detected drift"
        if drifted:
            worst = min(drifted, key=lambda drift: (drift.p, -drift.comparison.js))
            change = f"{worst.name} ({worst.before}, now {worst.now})"
            return f"{len(drifted)} of {quantities} drifted, most of all {change}, and {counted_tests}."
        if differing := dict.fromkeys(part.subject for part in separated):
            subjects = " and ".join(name if name == WHOLE_ROWS else f"the {name}" for name in differing)
            others = "the held-out rows" if WHOLE_ROWS in differing else "those of the held-out rows"
            return f"No single quantity drifted, but {subjects} differ from {others}: {counted_tests}."
        return f"No drift found in {self.rows:,} rows by tests of {quantities} and {tests}."

    def as_json(self) -> JsonObject:
        """Return plain JSON values, with the verdicts."""
        value = asdict(self)
        verdicts = {
            "quantities": [drift.is_drift for drift in self.quantities],
            "separations": [part.is_drift for part in self.separations],
        }
        for key, values in verdicts.items():
            for entry, is_drift in zip(value[key], values, strict=True):
                entry["is_drift"] = is_drift
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
        hidden: the keys of rows whose values are not known. Predictions are compared only with `answered` then.

    Raises:
        DataError: there are too few rows, a row cannot be encoded, or the inputs of the network are random numbers.
    """
    if trained.objective.task.generates_input:
        raise DataError("This network generates examples from random numbers, so its inputs cannot drift.")
    if len(rows) < MIN_ROWS:
        raise DataError(f"Drift needs at least {MIN_ROWS} rows, received {len(rows)}; collect more.")
    sample = _draw(trained, rows, answered, hidden, np.random.default_rng(seed))
    quantities = [
        *columns(trained, sample.before, sample.rows, hidden),
        *summaries(trained, sample.training, sample.reference, sample.current),
        *(
            predictions(trained, answers(trained, sample.predicted[0], trained.output), sample.answers)
            if sample.answers
            else ()
        ),
    ]
    comparisons = [_compare(quantity) for quantity in quantities]
    matrices, notes = _matrices(trained, sample, quantities)
    separations = _separations(matrices, len(quantities), seed)
    corrected = holm([*(comparison.p for comparison in comparisons), *(part.p for part in separations)])
    drifts = [
        Drift(q.name, _describe(q.reference), _describe(q.current), len(sample.rows), comparison, p)
        for q, comparison, p in zip(quantities, comparisons, corrected, strict=False)
    ]
    drifts.sort(key=lambda drift: (drift.p, -drift.comparison.js))
    whole = tuple(replace(part, p=p) for part, p in zip(separations, corrected[len(quantities) :], strict=True))
    return DriftReport(len(sample.before), len(sample.rows), tuple(drifts), whole, " ".join(notes))


@dataclass(frozen=True)
class _Sample:
    """The sampled rows of both sides.

    `before` and `rows` are the raw reference and current rows, `reference` and `current` are encoded, and `predicted`
    has at most `MAX_PREDICTED` encoded rows of each. `training` has encoded training rows, and `answers` what the
    network predicts or predicted for the current rows, if that is known.
    """

    before: list[Mapping[str, Any]]
    rows: list[Mapping[str, Any]]
    training: dict[str, Any]
    reference: dict[str, Any]
    current: dict[str, Any]
    predicted: tuple[dict[str, Any], dict[str, Any]]
    answers: Sequence[Mapping[str, Any]]


def _draw(
    trained: TrainedRun,
    rows: Sequence[Mapping[str, Any]],
    answered: Sequence[Mapping[str, Any]] | None,
    hidden: Collection[str],
    random: np.random.Generator,
) -> _Sample:
    data = trained.data
    held_out = np.concatenate([data.split[name].numpy() for name in ("validation", "test")])
    training = _choose(data.split["train"].numpy(), random)
    positions = _choose(np.sort(held_out), random) if len(held_out) >= MIN_ROWS else training
    chosen = _choose(np.arange(len(rows)), random)
    rows = [rows[int(index)] for index in chosen]
    known = [field.name for field in data.fields if field.name in trained.fields and not hidden_keys(field, hidden)]
    reference, current = take(data, trained.fields, positions), _encoded(trained, rows, known)
    # Rows can be in the order of their classes, so those to predict are random as well.
    first, second = (
        {name: values[part] for name, values in arrays.items()}
        for arrays, part in (
            (reference, _choose(np.arange(len(positions)), random, MAX_PREDICTED)),
            (current, _choose(np.arange(len(rows)), random, MAX_PREDICTED)),
        )
    )
    current_answers: Sequence[Mapping[str, Any]]
    if answered is None:
        current_answers = answers(trained, second, trained.output) if len(known) == len(trained.fields) else []
    else:
        current_answers = [answered[int(index)] for index in chosen]
    return _Sample(
        before=[data.row(int(index)) for index in positions],
        rows=list(rows),
        training=take(data, trained.fields, training),
        reference=reference,
        current=current,
        predicted=(first, second),
        answers=current_answers,
    )


def _matrices(trained: TrainedRun, sample: _Sample, quantities: Sequence[Quantity]) -> tuple[_Matrices, list[str]]:
    """Return what is compared as a whole, and notes on what cannot be."""
    matrices: _Matrices = {WHOLE_ROWS: _matrix(quantities, len(sample.before), len(sample.rows))}
    notes = [DEPENDENT] if _is_dependent(trained) else []
    if len(sample.current) < len(trained.fields):
        notes.append("The network cannot compute embeddings of rows without the fields that were left out.")
        return matrices, notes
    reference, current = (trained.output(arrays).flatten(1).numpy() for arrays in sample.predicted)
    if np.isfinite(reference).all() and np.isfinite(current).all():
        matrices[OUTPUTS] = reference, current
    else:
        notes.append("Some outputs of the network are not finite numbers, so they are not compared.")
    embeddings = _embeddings(trained, sample.predicted)
    if isinstance(embeddings, str):
        notes.append(embeddings)
    else:
        matrices[EMBEDDINGS] = embeddings
    return matrices, notes


def _separations(matrices: _Matrices, other_tests: int, seed: int) -> list[Separation]:
    """Return the tests of matrices by what they hold, with p-values that are not corrected yet."""
    classified, compared = ([name for name in names if name in matrices] for names in (CLASSIFIED, COMPARED))
    # So many that the smallest p-value, corrected for the number of tests, is at most half of α
    permutations = round(2 / ALPHA * (other_tests + len(classified) + len(compared)))
    permutations = min(MAX_PERMUTATIONS, max(PERMUTATIONS, permutations))
    return [
        *(replace(domain_classifier(*matrices[name], seed, permutations), subject=name) for name in classified),
        *(replace(mmd(*matrices[name], seed, permutations), subject=name) for name in compared),
    ]


def _embeddings(
    trained: TrainedRun, samples: Sequence[Mapping[str, torch.Tensor]]
) -> tuple[np.ndarray, np.ndarray] | str:
    """Return the embeddings (R, d) and (N, d) of encoded reference and current rows, or why there are none."""
    layer = last_linear(trained, samples[0])
    if layer is None:
        return "The network does not end in a Linear layer, so there are no embeddings to compare."
    reference, current = (features(trained, layer, sample) for sample in samples)
    if not (np.isfinite(reference).all() and np.isfinite(current).all()):
        return "Some embeddings are not finite numbers, so they are not compared."
    return reference, current


def _is_dependent(trained: TrainedRun) -> bool:
    """Return whether rows depend on each other, as neighbors in time, members of a group or steps of an episode do."""
    raw = trained.data.raw
    return raw.has_dependent_rows or bool(trained.objective.task.environment)


def _encoded(trained: TrainedRun, rows: Sequence[Mapping[str, Any]], fields: Collection[str]) -> dict[str, Any]:
    import torch

    encoded = [trained.data.encode(row, fields) for row in rows]
    return {name: torch.cat([row[name] for row in encoded]) for name in fields}


def _choose(places: np.ndarray, random: np.random.Generator, most: int = MAX_ROWS) -> np.ndarray:
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

"""Splits into training, validation and test: random, stratified, by group, by time, in folds, or as given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.given_splits import NAMES, NO_PART, TEST, VALIDATION
from netloom.data.targets import target_of

if TYPE_CHECKING:
    from netloom.document import DataChoice

Split = dict[str, np.ndarray]
Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # training, validation, test
MIN_ROWS = 10


def split(raw: RawDataset, choice: DataChoice) -> Split:
    """Return the row numbers of each part, which are disjoint.

    The validation part is empty if its share is 0 and the data does not give one.

    Raises:
        DataError: A part would be empty, or the data lacks what the method needs, such as groups.
    """
    refuse_few(len(raw))
    method = method_of(raw, choice)
    # A given test set is in no fold, unless the document names a method
    if choice.folds is not None and choice.split == "auto" and raw.given is not None and (raw.given == TEST).any():
        parts = _folds_of_training(raw, choice)
    elif choice.folds is not None:
        parts = _fold(raw, choice, method)
    elif method == "given":
        parts = _given_split(raw, choice)
    elif method == "time":
        parts = _by_time(raw, choice)
    elif method == "group":
        parts = _by_group(_groups(raw), validation_of_rows(choice), choice.test, choice.seed)
    elif method == "stratified":
        parts = _stratified(_strata_of(raw), validation_of_rows(choice), choice.test, choice.seed)
    else:
        order = np.random.default_rng(choice.seed).permutation(len(raw))
        parts = _slice_order(order, validation_of_rows(choice), choice.test)
    if raw.contiguous and raw.gap and method in ("random", "stratified"):
        raw.warnings.append(
            f"The {method} split mixes rows that overlap in time, so that training sees values of the test; split by "
            "time, as auto does."
        )
    for name, rows in zip(NAMES, parts, strict=True):
        if not len(rows) and (name != NAMES[VALIDATION] or choice.validation):
            raise DataError(f"The {name} split would be empty with {len(raw)} rows; add rows or change its share.")
    return dict(zip(NAMES, parts, strict=True))


def refuse_few(rows: int) -> None:
    """Refuse data with too few rows.

    Raises:
        DataError: There are fewer than `MIN_ROWS`.
    """
    if rows < MIN_ROWS:
        raise DataError(
            f"This data has {rows} usable row{'s' * (rows != 1)}; at least {MIN_ROWS} are needed to train and test, so "
            "add more."
        )


def method_of(raw: RawDataset, choice: DataChoice) -> str:
    """Return the method of the split; `auto` depends on the data.

    Folds never use a given split, but are made from the rows that are not the given test.
    """
    if choice.split != "auto":
        return choice.split
    if raw.given is not None and choice.folds is None:
        return "given"
    if raw.contiguous or raw.times is not None:
        return "time"
    if raw.groups is not None:
        return "group"
    return "stratified" if raw.target_type.is_class else "random"


def validation_of_rows(choice: DataChoice) -> float:
    """Return the share of validation of all rows, unless the split is given or one of folds."""
    return choice.validation * (1 - choice.test) if choice.validation_of == "training" else choice.validation


def _slice_order(order: np.ndarray, validation: float, test: float) -> Parts:
    # The test comes first, so it does not depend on the share of validation
    tested = round(len(order) * test)
    validated = round(len(order) * validation)
    return order[tested + validated :], order[tested : tested + validated], order[:tested]


def _strata_of(raw: RawDataset) -> np.ndarray:
    """Strata (R,) with equal shares in each part: classes, or intervals of the number to predict."""
    return target_of(raw.target_kind).strata(raw)


def _groups(raw: RawDataset) -> np.ndarray:
    if raw.groups is None:
        raise DataError(
            "This data has no groups to split by; give a column the role group, name it with the option group, or "
            "choose another split."
        )
    return raw.groups


def _stratified(target: np.ndarray, validation: float, test: float, seed: int) -> Parts:
    """Return a stratified split: each class has the same share in all parts, to within two rows.

    Training has all classes. Rows are ordered so that each class is spread evenly; any slice of the order then has
    each class by its share.
    """
    random = np.random.default_rng(seed)
    position = np.empty(len(target))
    for label in np.unique(target):
        of_class = random.permutation(np.flatnonzero(target == label))
        # Systematic sampling; without the random offset, every class would start in the test, however rare it is
        position[of_class] = (np.arange(len(of_class)) + random.random()) / len(of_class)
        position[of_class[-1]] = 1.0  # the end of the order is training, which needs the only row of a class most
    order = np.argsort(position, kind="stable")
    del position  # there may be very many rows
    train, validated, tested = _slice_order(order, validation, test)
    return random.permutation(train), random.permutation(validated), random.permutation(tested)


def _by_group(groups: np.ndarray, validation: float, test: float, seed: int) -> Parts:
    """Return a split of groups: no group is in two parts, and each part has its share of the groups, at least one."""
    random = np.random.default_rng(seed)
    order = random.permutation(np.unique(groups))
    min_share = 1 / max(1, len(order))
    # A share of 0 stays 0, as folds take no test from the remaining groups
    group_parts = _slice_order(order, *(max(share, min_share) if share else share for share in (validation, test)))
    train, validated, tested = (random.permutation(np.flatnonzero(np.isin(groups, part))) for part in group_parts)
    return train, validated, tested


def _by_time(raw: RawDataset, choice: DataChoice) -> Parts:
    """Return a split by time: training, validation, test. Rows of equal times stay together."""
    rows, gap = len(raw), max(raw.gap - raw.reach_back, choice.gap)
    first, second = round(rows * (1 - validation_of_rows(choice) - choice.test)), round(rows * (1 - choice.test))
    order = np.arange(rows)
    if raw.times is not None:
        order = np.argsort(raw.times, kind="stable")
        times = raw.times[order]
        # Each boundary moves to the first row of its time, so that rows of equal times stay together
        first, second = (int(np.searchsorted(times, times[min(boundary, rows - 1)])) for boundary in (first, second))
    elif not raw.contiguous:
        raise DataError("This data has no times to split by; give a column the role time, or choose another split.")
    return order[: max(0, first - gap)], order[first : max(first, second - gap)], order[second:]


def _given_split(raw: RawDataset, choice: DataChoice) -> Parts:
    """Return the given split. A part that is not given takes its share from training.

    The share of the test, and that of validation in documents that count it from all rows, is one of all rows if they
    are independent, as in a random split; one of the remaining training rows if they are ordered; and one of the groups
    in training if they are grouped.
    """
    if raw.given is None:
        raise DataError("This data has no given split; give a column the role split, or choose another split.")
    # Rows of `NO_PART` are in no part
    train, validated, tested = (np.flatnonzero(raw.given == number) for number in range(3))
    if not len(train):
        raise DataError("The given split has no training rows; add some, or choose another split.")
    if raw.contiguous or raw.times is not None:
        return _end_of_training(raw, choice, train, validated, tested)
    if raw.groups is not None:
        return _groups_of_training(raw, choice, train, validated, tested)
    random = np.random.default_rng(choice.seed)
    train = random.permutation(train)
    if choice.validation_of == "training" and not len(tested):
        count = round(len(raw) * choice.test)
        train, tested = train[count:], train[:count]
    if not len(validated):
        count = round((len(train) if choice.validation_of == "training" else len(raw)) * choice.validation)
        train, validated = train[count:], train[:count]
    if not len(tested):
        count = round(len(raw) * choice.test)
        train, tested = train[count:], train[:count]
    return train, validated, tested


def _end_of_training(
    raw: RawDataset, choice: DataChoice, train: np.ndarray, validated: np.ndarray, tested: np.ndarray
) -> Parts:
    """Return the given split of ordered rows; missing parts are the end of training.

    A gap separates them, as neighbors are similar.
    """
    gap = max(raw.gap - raw.reach_back, choice.gap)
    if raw.times is not None:
        train = train[np.argsort(raw.times[train], kind="stable")]
    row_count = len(train)
    if not len(tested):
        count = round(row_count * choice.test)
        train, tested = train[: max(0, row_count - count - gap)], train[row_count - count :]
    if not len(validated) and choice.validation:
        remaining_count = len(train)
        count = round((remaining_count if choice.validation_of == "training" else row_count) * choice.validation)
        train, validated = train[: max(0, remaining_count - count - gap)], train[max(0, remaining_count - count) :]
    return train, validated, tested


def _groups_of_training(
    raw: RawDataset, choice: DataChoice, train: np.ndarray, validated: np.ndarray, tested: np.ndarray
) -> Parts:
    """Return the given split of grouped rows: missing parts are groups of training."""
    test = 0.0 if len(tested) else choice.test
    counted = choice.model_copy(update={"test": test})
    validation = 0.0 if len(validated) else validation_of_rows(counted)
    train_positions, validation_positions, test_positions = _by_group(
        _groups(raw)[train], validation, test, choice.seed
    )
    return (
        train[train_positions],
        validated if len(validated) else train[validation_positions],
        tested if len(tested) else train[test_positions],
    )


def _fold(raw: RawDataset, choice: DataChoice, method: str) -> Parts:
    """Return one fold as the test, and some of the other rows as validation.

    The folds of ordered rows are slices, with a gap on either side, as neighbors are similar.
    """
    if method == "given":
        raise DataError("A given split has no folds; choose another split, or no folds.")
    if method == "time":
        if choice.split == "time":
            raise DataError(
                "Folds would test on times before training; split by time without folds, or choose another split."
            )
        return _slice_fold(raw, choice)
    random, folds = np.random.default_rng(choice.seed), choice.folds or 2
    if method == "group":
        unit = np.unique(_groups(raw), return_inverse=True)[1].ravel()
        number = _balanced_group_folds(unit, folds, random)[unit]
    else:
        strata = _strata_of(raw) if method == "stratified" else np.zeros(len(raw), dtype=np.int64)
        unit, number = np.arange(len(raw)), _spread_strata(strata, folds, random)
    remaining = np.flatnonzero(number != choice.fold)
    # Validation has its share of all rows, or of those of the other folds; it is taken from these by the same method.
    share = choice.validation
    if choice.validation_of == "rows":
        share = min(0.5, choice.validation * len(raw) / max(1, len(remaining)))
    # Each fold draws its own validation, which is the same in every run
    seed = choice.seed + 1 + choice.fold
    if method == "group":
        train, validated, _ = _by_group(unit[remaining], share, 0.0, seed)
    elif method == "stratified":
        train, validated, _ = _stratified(_strata_of(raw)[remaining], share, 0.0, seed)
    else:
        train, validated, _ = _slice_order(np.random.default_rng(seed).permutation(len(remaining)), share, 0.0)
    return remaining[train], remaining[validated], random.permutation(np.flatnonzero(number == choice.fold))


def _folds_of_training(raw: RawDataset, choice: DataChoice) -> Parts:
    """Return a fold of the rows that are not in the given test set, which is in no fold."""
    if raw.given is None:
        raise DataError("This data has no given split, so there are no given test rows to leave out of folds.")
    rows = np.flatnonzero((raw.given != TEST) & (raw.given != NO_PART))
    refuse_few(len(rows))
    groups, times = (None if values is None else values[rows] for values in (raw.groups, raw.times))
    # Only what decides on the split is reduced to these rows; the inputs are not read
    remaining = replace(raw, target=raw.target[rows], groups=groups, times=times, given=None)
    train, validated, tested = (rows[part] for part in _fold(remaining, choice, method_of(remaining, choice)))
    raw.warnings.append(
        f"The folds use the {len(rows):,} rows that are not the given test; the "
        f"{int((raw.given == TEST).sum()):,} test rows are in no fold."
    )
    return train, validated, tested


def _spread_strata(strata: np.ndarray, folds: int, random: np.random.Generator) -> np.ndarray:
    """Return the fold of each row (R,): folds have equal sizes and equal shares of each stratum, to within one row."""
    shuffled = random.permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    number = np.empty(len(strata), dtype=np.int64)
    # Rows sorted by stratum are dealt to the folds in turn; the shuffle decides within a stratum
    number[order] = np.arange(len(strata)) % folds
    return number


def _balanced_group_folds(unit: np.ndarray, folds: int, random: np.random.Generator) -> np.ndarray:
    """Return the fold of each group: the largest group first, each into the fold with the fewest rows so far.

    The method of scikit-learn's `GroupKFold`, with random order among groups of equal size.
    """
    sizes = np.bincount(unit)
    if len(sizes) < folds:
        raise DataError(f"There are {len(sizes)} groups, too few for {folds} folds; choose fewer folds.")
    shuffled = random.permutation(len(sizes))
    filled, number = np.zeros(folds, dtype=np.int64), np.empty(len(sizes), dtype=np.int64)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        number[group] = filled.argmin()
        filled[number[group]] += sizes[group]
    return number


def _slice_fold(raw: RawDataset, choice: DataChoice) -> Parts:
    """Return a slice of the rows as the test, and the next (at the end, the previous) as validation, with gaps.

    The gaps are whole, because training rows after the test would read its values.
    """
    rows, gap, folds = len(raw), max(raw.gap, choice.gap), choice.folds or 2
    bounds = np.linspace(0, rows, folds + 1).round().astype(np.int64)
    start, end = int(bounds[choice.fold]), int(bounds[choice.fold + 1])
    every = np.arange(rows)
    count = round((rows - (end - start) if choice.validation_of == "training" else rows) * choice.validation)
    # The last folds have no room after them
    after = end + gap + count <= rows
    first = end + gap if after else max(0, start - gap - count)
    last = first + count if after else max(0, start - gap)
    apart = (every < first - gap) | (every >= last + gap) if count else np.full(rows, True)
    train = every[apart & ((every < start - gap) | (every >= end + gap))]
    return train, every[first:last], every[start:end]

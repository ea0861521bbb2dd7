"""Training, validation and test: by chance, by class, by group, by time, in folds, or as the data says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.given_splits import NAMES, NO_PART, TEST
from netloom.data.targets import target_of

if TYPE_CHECKING:
    from netloom.document import DataChoice

Split = dict[str, np.ndarray]
Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # training, validation, test
MIN_ROWS = 10


def split(raw: RawDataset, choice: DataChoice) -> Split:
    """Row numbers of each part; no row is in two of them.

    Raises:
        DataError: a part would be empty, or the data lacks what this way of splitting goes by.
    """
    refuse_few(len(raw))
    method = method_of(raw, choice)
    if choice.folds is not None and choice.split == "auto" and raw.given is not None and (raw.given == TEST).any():
        parts = _folds_of_training(raw, choice)
    elif choice.folds is not None:
        parts = _fold(raw, choice, method)
    elif method == "given":
        parts = _as_given(raw, choice)
    elif method == "time":
        parts = _by_time(raw, choice)
    elif method == "group":
        parts = _by_group(_groups(raw), choice.validation, choice.test, choice.seed)
    elif method == "stratified":
        parts = _stratified(_strata(raw), choice.validation, choice.test, choice.seed)
    else:
        parts = _cut(np.random.default_rng(choice.seed).permutation(len(raw)), choice.validation, choice.test)
    for name, rows in zip(NAMES, parts, strict=True):
        if not len(rows):
            raise DataError(f"The {name} split would be empty with {len(raw)} rows; add rows or change its share.")
    return dict(zip(NAMES, parts, strict=True))


def refuse_few(rows: int) -> None:
    """Raises:
    DataError: there are too few rows to learn anything from them.
    """
    if rows < MIN_ROWS:
        raise DataError(
            f"This data has {rows} usable row{'s' * (rows != 1)}; at least {MIN_ROWS} are needed to train and test, so "
            "add more."
        )


def method_of(raw: RawDataset, choice: DataChoice) -> str:
    """How rows are parted where that is left to the data. Folds are never as the data gives them: they are made of the
    rows that it does not give as the test."""
    if choice.split != "auto":
        return choice.split
    if raw.given is not None and choice.folds is None:
        return "given"
    if raw.contiguous or raw.times is not None:
        return "time"
    if raw.groups is not None:
        return "group"
    return "stratified" if raw.target_type.is_class else "random"


def _cut(order: np.ndarray, validation: float, test: float) -> Parts:
    tested = round(len(order) * test)
    validated = round(len(order) * validation)
    return order[tested + validated :], order[tested : tested + validated], order[:tested]


def _strata(raw: RawDataset) -> np.ndarray:
    """What every part is to hold in the same shares: the classes, or stretches of the number to predict."""
    return target_of(raw.target_kind).strata(raw)


def _groups(raw: RawDataset) -> np.ndarray:
    if raw.groups is None:
        raise DataError(
            "This data names no groups to split by; give a column the role group, or choose another way to split."
        )
    return raw.groups


def _stratified(target: np.ndarray, validation: float, test: float, seed: int) -> Parts:
    """Every class has the same shares in all parts, to within two rows, and no class is missing from training."""
    random = np.random.default_rng(seed)
    # Rows in an order in which each class is spread evenly: then any stretch of it holds every class by its share.
    place = np.empty(len(target))
    for number in np.unique(target):
        mine = random.permutation(np.flatnonzero(target == number))
        place[mine] = (np.arange(len(mine)) + random.random()) / len(mine)
        place[mine[-1]] = 1.0  # the far end is training: a class of one row is of no use anywhere else
    order = np.argsort(place, kind="stable")
    del place  # there may be very many rows
    train, validated, tested = _cut(order, validation, test)
    return random.permutation(train), random.permutation(validated), random.permutation(tested)


def _by_group(groups: np.ndarray, validation: float, test: float, seed: int) -> Parts:
    """No group is in two parts, and each part has its share of the groups; of few groups, one at least."""
    random = np.random.default_rng(seed)
    order = random.permutation(np.unique(groups))
    least = 1 / max(1, len(order))
    chosen = _cut(order, *(max(share, least) if share else share for share in (validation, test)))
    train, validated, tested = (random.permutation(np.flatnonzero(np.isin(groups, part))) for part in chosen)
    return train, validated, tested


def _by_time(raw: RawDataset, choice: DataChoice) -> Parts:
    """Training comes before validation, and validation before the test. Rows of one moment stay together."""
    rows, gap = len(raw), max(raw.gap, choice.gap)
    first, second = round(rows * (1 - choice.validation - choice.test)), round(rows * (1 - choice.test))
    order = np.arange(rows)
    if raw.times is not None:
        order = np.argsort(raw.times, kind="stable")
        times = raw.times[order]
        first, second = (int(np.searchsorted(times, times[min(place, rows - 1)])) for place in (first, second))
    elif not raw.contiguous:
        raise DataError(
            "This data has no moments to split by; give a column the role time, or choose another way to split."
        )
    return order[: max(0, first - gap)], order[first : max(first, second - gap)], order[second:]


def _as_given(raw: RawDataset, choice: DataChoice) -> Parts:
    """The parts that the data names. Where it names no validation or no test, training gives their share."""
    if raw.given is None:
        raise DataError(
            "This data does not say how it is split; give a column the role split, or choose another way to split."
        )
    train, validated, tested = (np.flatnonzero(raw.given == number) for number in range(3))
    if not len(train):
        raise DataError("The split that this data gives has no training rows; name some, or split otherwise.")
    if raw.contiguous or raw.times is not None:
        return _end_of_training(raw, choice, train, validated, tested)
    if raw.groups is not None:
        return _groups_of_training(raw, choice, train, validated, tested)
    random = np.random.default_rng(choice.seed)
    train = random.permutation(train)
    if not len(validated):
        count = round(len(raw) * choice.validation)
        train, validated = train[count:], train[:count]
    if not len(tested):
        count = round(len(raw) * choice.test)
        train, tested = train[count:], train[:count]
    return train, validated, tested


def _end_of_training(
    raw: RawDataset, choice: DataChoice, train: np.ndarray, validated: np.ndarray, tested: np.ndarray
) -> Parts:
    """What the data does not name is the end of training: its neighbours resemble each other, so a gap is left."""
    gap = max(raw.gap, choice.gap)
    if raw.times is not None:
        train = train[np.argsort(raw.times[train], kind="stable")]
    whole = len(train)
    if not len(tested):
        count = round(whole * choice.test)
        train, tested = train[: max(0, whole - count - gap)], train[whole - count :]
    if not len(validated):
        left, count = len(train), round(whole * choice.validation)
        train, validated = train[: max(0, left - count - gap)], train[max(0, left - count) :]
    return train, validated, tested


def _groups_of_training(
    raw: RawDataset, choice: DataChoice, train: np.ndarray, validated: np.ndarray, tested: np.ndarray
) -> Parts:
    """What the data does not name are some groups of training; rows of one group stay together."""
    validation, test = 0.0 if len(validated) else choice.validation, 0.0 if len(tested) else choice.test
    kept, drawn, held = _by_group(_groups(raw)[train], validation, test, choice.seed)
    return train[kept], validated if len(validated) else train[drawn], tested if len(tested) else train[held]


def _fold(raw: RawDataset, choice: DataChoice, method: str) -> Parts:
    """The rows of one fold as the test, and of the others some as validation.

    Folds of data whose neighbours resemble each other are stretches of it, with a gap on either side.
    """
    if method == "given":
        raise DataError("A split that the data gives has no folds; choose another way to split, or no folds.")
    if method == "time":
        if choice.split == "time":
            raise DataError("Folds would test on times before training; split by time without folds, or otherwise.")
        return _stretch(raw, choice)
    random, folds = np.random.default_rng(choice.seed), choice.folds or 2
    if method == "group":
        unit = np.unique(_groups(raw), return_inverse=True)[1].ravel()
        number = _even_folds(unit, folds, random)[unit]
    else:
        strata = _strata(raw) if method == "stratified" else np.zeros(len(raw), dtype=np.int64)
        unit, number = np.arange(len(raw)), _spread(strata, folds, random)
    rest = np.flatnonzero(number != choice.fold)
    # Of the share of all rows that validation takes, the rest gives it, in whole groups or class by class as well.
    share = min(0.5, choice.validation * len(raw) / max(1, len(rest)))
    seed = choice.seed + 1 + choice.fold
    if method == "group":
        train, validated, _ = _by_group(unit[rest], share, 0.0, seed)
    elif method == "stratified":
        train, validated, _ = _stratified(_strata(raw)[rest], share, 0.0, seed)
    else:
        train, validated, _ = _cut(np.random.default_rng(seed).permutation(len(rest)), share, 0.0)
    return rest[train], rest[validated], random.permutation(np.flatnonzero(number == choice.fold))


def _folds_of_training(raw: RawDataset, choice: DataChoice) -> Parts:
    """Folds of the rows that the data does not give as the test, which no fold ever sees."""
    if raw.given is None:
        raise DataError("This data does not say how it is split, so it has no given test rows to leave out of folds.")
    rows = np.flatnonzero((raw.given != TEST) & (raw.given != NO_PART))
    refuse_few(len(rows))
    groups, times = (None if values is None else values[rows] for values in (raw.groups, raw.times))
    rest = replace(raw, target=raw.target[rows], groups=groups, times=times, given=None)
    train, validated, tested = (rows[part] for part in _fold(rest, choice, method_of(rest, choice)))
    raw.warnings.append(
        f"The folds are cut out of the {len(rows):,} rows that are not given as the test; the "
        f"{int((raw.given == TEST).sum()):,} test rows are in none of them."
    )
    return train, validated, tested


def _spread(strata: np.ndarray, folds: int, random: np.random.Generator) -> np.ndarray:
    """A fold for each row: all are equally large, and hold every stratum equally, to within one row."""
    shuffled = random.permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    number = np.empty(len(strata), dtype=np.int64)
    number[order] = np.arange(len(strata)) % folds
    return number


def _even_folds(unit: np.ndarray, folds: int, random: np.random.Generator) -> np.ndarray:
    """A fold for each group: the largest first, each into the fold that has the fewest rows so far."""
    sizes = np.bincount(unit)
    if len(sizes) < folds:
        raise DataError(f"There are {len(sizes)} groups, too few for {folds} folds; choose fewer folds.")
    shuffled = random.permutation(len(sizes))
    filled, number = np.zeros(folds, dtype=np.int64), np.empty(len(sizes), dtype=np.int64)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        number[group] = filled.argmin()
        filled[number[group]] += sizes[group]
    return number


def _stretch(raw: RawDataset, choice: DataChoice) -> Parts:
    """A stretch of the rows as the test, the one after it (or before it, at the end) as validation, gaps between."""
    rows, gap, folds = len(raw), max(raw.gap, choice.gap), choice.folds or 2
    bounds = np.linspace(0, rows, folds + 1).round().astype(np.int64)
    start, end = int(bounds[choice.fold]), int(bounds[choice.fold + 1])
    every, count = np.arange(rows), round(rows * choice.validation)
    after = end + gap + count <= rows
    first = end + gap if after else max(0, start - gap - count)
    last = first + count if after else max(0, start - gap)
    apart = (every < first - gap) | (every >= last + gap)
    train = every[apart & ((every < start - gap) | (every >= end + gap))]
    return train, every[first:last], every[start:end]

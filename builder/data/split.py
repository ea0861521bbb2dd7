"""Training, validation and test: seeded, stratified by class, and in order where neighbours resemble each other."""

from __future__ import annotations

import numpy as np

from builder.data.raw import Raw
from builder.data.schema import DataError

Split = dict[str, np.ndarray]
MIN_ROWS = 10


def split(raw: Raw, validation: float, test: float, seed: int) -> Split:
    """Row numbers of each part; no row is in two of them.

    Raises:
        DataError: a part would be empty.
    """
    refuse_few(len(raw))
    if raw.contiguous:
        parts = _in_order(len(raw), validation, test, raw.gap)
    elif raw.groups is not None:
        parts = _by_group(raw.groups, validation, test, seed)
    elif raw.target_kind == "class":
        parts = _stratified(raw.target, validation, test, seed)
    else:
        parts = _cut(np.random.default_rng(seed).permutation(len(raw)), validation, test)
    names = ("train", "validation", "test")
    for name, rows in zip(names, parts, strict=True):
        if not len(rows):
            raise DataError(f"The {name} split would be empty with {len(raw)} rows; add rows or change its share.")
    return dict(zip(names, parts, strict=True))


def refuse_few(rows: int) -> None:
    """Raises:
    DataError: there are too few rows to learn anything from them.
    """
    if rows < MIN_ROWS:
        raise DataError(
            f"This data has {rows} usable rows; at least {MIN_ROWS} are needed to train and test, so add more."
        )


def _cut(order: np.ndarray, validation: float, test: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tested = round(len(order) * test)
    validated = round(len(order) * validation)
    return order[tested + validated :], order[tested : tested + validated], order[:tested]


def _stratified(
    target: np.ndarray, validation: float, test: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every class has the same shares in all parts, to within two rows, and no class is missing from training."""
    random = np.random.default_rng(seed)
    # Rows in an order in which each class is spread evenly: then any stretch of it holds every class by its share.
    place = np.empty(len(target))
    for number in np.unique(target):
        mine = random.permutation(np.flatnonzero(target == number))
        place[mine] = (np.arange(len(mine)) + random.random()) / len(mine)
        place[mine[-1]] = 1.0  # the far end is training: a class of one row is of no use anywhere else
    order = np.argsort(place, kind="stable")
    train, validated, tested = _cut(order, validation, test)
    return random.permutation(train), random.permutation(validated), random.permutation(tested)


def _by_group(
    groups: np.ndarray, validation: float, test: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """No group is in two parts, and each part has its share of the groups."""
    random = np.random.default_rng(seed)
    chosen = _cut(random.permutation(np.unique(groups)), validation, test)
    train, validated, tested = (random.permutation(np.flatnonzero(np.isin(groups, part))) for part in chosen)
    return train, validated, tested


def _in_order(rows: int, validation: float, test: float, gap: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second = round(rows * (1 - validation - test)), round(rows * (1 - test))
    every = np.arange(rows)
    return every[: max(0, first - gap)], every[first : max(first, second - gap)], every[second:]

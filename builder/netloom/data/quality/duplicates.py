"""Rows that stand in the data more than once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.finding import SHOWN, Finding, are
from netloom.data.quality.quality_view import NAMES, Look

CHANCE = 3.0  # times as many pairs as chance alone would make are remarkable


class Repeated:
    """Rows that are equal altogether, and rows that differ in their target alone."""

    title = "Rows that stand there more than once"
    heavy = False
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        groups = repeats(look)
        if not groups or look.overlapping:
            return
        target = look.target
        same: list[np.ndarray] = []
        other: list[np.ndarray] = []
        for group in groups:
            values = group if target is None else target[group]
            (other if target is not None and (values != values[0]).any() else same).append(group)
        if target is None or not look.data.schema.target.type.is_class:
            same, other = groups, []
        if same:
            extra = sum(len(group) - 1 for group in same)
            yield Finding(
                "duplicate_rows",
                "warning",
                f"{are(extra, 'row')} of {len(look):,} {'repeats' if extra == 1 else 'repeat'} another row exactly.",
                "Rows that are there by mistake count twice in training; keep one of each.",
                pairs=_pairs(look, same),
                count=extra,
                fix=fixes.drop_repeats(look),
            )
        if other:
            rows = sum(len(group) for group in other)
            yield Finding(
                "conflicting_labels",
                "warning",
                f"{are(rows, 'row')} hold the same as another row, but stand for another class.",
                "No network can tell both; look at them, and correct the labels or add what tells them apart.",
                pairs=_pairs(look, other),
                notes=_labels(look, other),
                count=rows,
            )


class Leakage:
    """Rows that are measured on and stand in training just the same."""

    title = "Test rows that training sees as well"
    heavy = False
    severe = True

    def check(self, look: Look) -> Iterator[Finding]:
        if look.overlapping:
            return
        found = _in_training(look)
        if found is None:
            found, measured = _in_sample(look), int((look.part > 0).sum())
        else:
            measured = sum(len(look.data.split[part]) for part in ("validation", "test"))
        if not found:
            return
        held = len(found)
        yield Finding(
            "leakage",
            "error",
            f"{are(held, 'row')} of the {measured:,} validation and test rows "
            f"{'is an exact copy' if held == 1 else 'are exact copies'} of training rows.",
            "What is measured on them is remembered, not learned, so the result looks better than it is; keep one of "
            "each, or split by the group that they belong to.",
            pairs=tuple(found[:SHOWN]),
            count=held,
            fix=fixes.drop_repeats(look),
            exact=look.hashes is not None,
        )


def _in_training(look: Look) -> list[tuple[int, int]] | None:
    """Each validation or test row that training has just the same, with the first such row, of all rows; None where not
    all can be looked at. None are found where so many rows are alike by chance."""
    hashes = look.hashes
    if hashes is None:
        return None
    _, place, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    pairs = float((counts * (counts - 1) / 2).sum())
    if not pairs or pairs <= CHANCE * look.by_chance * (len(hashes) / max(1, len(look))) ** 2:
        return []
    part = np.full(len(look.data.target), -1)
    for number, name in enumerate(NAMES):
        part[look.data.split[name].numpy()] = number
    trained = part[look.used] == 0
    first = np.full(len(counts), -1)
    first[place[trained][::-1]] = look.used[trained][::-1]
    held = np.flatnonzero(~trained & (first[place] >= 0))
    return list(zip(look.used[held].tolist(), first[place[held]].tolist(), strict=True))


def _in_sample(look: Look) -> list[tuple[int, int]]:
    """The same among the rows that are looked at."""
    pairs = list[tuple[int, int]]()
    for group in repeats(look):
        parts = look.part[group]
        first = group[parts == 0]
        for place in group[parts > 0] if len(first) else ():
            pairs.append((int(look.rows[place]), int(look.rows[first[0]])))
    return pairs


def repeats(look: Look) -> list[np.ndarray]:
    """Places of rows that hold the same, a group at a time; none where so many are alike by chance."""
    counts = np.bincount(look.contents)
    pairs = float((counts * (counts - 1) / 2).sum())
    if not pairs or pairs <= CHANCE * look.by_chance:
        return []
    order = np.argsort(look.contents, kind="stable")
    groups = np.split(order, np.cumsum(counts)[:-1])
    return [group for group in groups if len(group) > 1]


def _pairs(look: Look, groups: list[np.ndarray]) -> tuple[tuple[int, int], ...]:
    return tuple((int(look.rows[group[0]]), int(look.rows[group[1]])) for group in groups[:SHOWN])


def _labels(look: Look, groups: list[np.ndarray]) -> tuple[str, ...]:
    numbers = look.labels
    if numbers is None:
        return ()
    return tuple(f"{look.classes[numbers[group[0]]]} / {_another(look, numbers, group)}" for group in groups[:SHOWN])


def _another(look: Look, numbers: np.ndarray, group: np.ndarray) -> str:
    other = next(int(number) for number in numbers[group] if number != numbers[group[0]])
    return look.classes[other]

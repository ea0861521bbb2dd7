"""Columns that say nothing, that say the same twice, or that say what is to be predicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.finding import Finding, Plot, named
from netloom.data.quality.quality_view import Look

LEAK = 0.99  # of the target's variance
SAME = 0.9999  # of another column's variance
ROWS_PER_CLASS = 10
MOST = 2_000  # columns between which correlations are taken


class Constant:
    """Columns with one value."""

    title = "Columns with the same value in every row"
    heavy = False
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        for name in constant(look):
            yield Finding(
                "constant_column",
                "hint",
                f"{name!r} has the same value in every row, so it says nothing.",
                "Leave it out: it costs weights and helps with nothing.",
                columns=(name,),
                fix=fixes.ignore(look, [name]),
            )


class Identical:
    """Columns of which one can be worked out from another."""

    title = "Columns that say the same as another"
    heavy = False
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        dull = set(constant(look))
        for first, other in (*_linear(look, dull), *_renamed(look, dull)):
            yield Finding(
                "identical_columns",
                "hint",
                f"{other!r} says the same as {first!r}: one follows from the other.",
                "Leave one of them out; two make the weights between them arbitrary, and explanations share between "
                "both what belongs to one.",
                columns=(first, other),
                fix=fixes.ignore(look, [other]),
            )


class GivesAway:
    """A column that tells the target all by itself."""

    title = "A column that gives the target away"
    heavy = False
    severe = True

    def check(self, look: Look) -> Iterator[Finding]:
        if look.target is None:
            return
        shares: dict[str, float] = {}
        classes = len(look.classes)
        for name, values in look.numbers.items():
            known = ~np.isnan(values)
            if len(values[known]) and values[known].min() != values[known].max():
                shares[name] = told(values[known], look.target[known], classes)
                if shares[name] <= LEAK:
                    shares[name] = max(shares[name], by_order(values[known], look.target[known], classes))
        for name, texts in look.categories.items():
            if classes and len(set(texts)) > 1:
                shares[name] = purity(texts.tolist(), look.target.astype(int).tolist())
            elif len(set(texts)) > 1:
                codes = look.coded[name]
                shares[name] = told(look.target, codes, int(codes.max()) + 1)
        for name, share in shares.items():
            if share > LEAK:
                yield self._finding(look, name, shares)

    def _finding(self, look: Look, name: str, shares: dict[str, float]) -> Finding:
        most = sorted(shares, key=lambda other: -shares[other])[:15]
        return Finding(
            "gives_away",
            "error",
            f"{name!r} all but gives the target away; make sure that it is known when predicting.",
            "A column that is filled in after the fact, such as a code of the result, makes the test look perfect and "
            "fails in use. Leave it out unless it is known beforehand.",
            columns=(name,),
            plot=Plot("bars", tuple(most), {"told": [shares[other] for other in most]}, axis="Share of the target"),
            fix=fixes.ignore(look, [name]),
        )


def constant(look: Look) -> list[str]:
    """The columns with one value, or with none."""
    found = [name for name, values in look.numbers.items() if len(np.unique(values[~np.isnan(values)])) < 2]
    return found + [name for name, values in look.coded.items() if values.max() == 0]


def _linear(look: Look, dull: set[str]) -> Iterator[tuple[str, str]]:
    """Pairs of columns of numbers that lie on a line, and whose gaps are the same."""
    names = [name for name in look.numbers if name not in dull][:MOST]
    if len(names) < 2:
        return
    values = np.column_stack([look.numbers[name] for name in names])
    gaps = np.isnan(values)
    filled = np.where(gaps, np.nanmean(values, axis=0), values)
    centred = filled - filled.mean(0)
    centred /= np.maximum(np.sqrt((centred**2).sum(0)), 1e-300)
    alike = np.triu(np.abs(centred.T @ centred) > SAME, 1)
    taken: set[int] = set()
    for one, two in zip(*np.nonzero(alike), strict=True):
        if two not in taken and (gaps[:, one] == gaps[:, two]).all():
            taken.add(int(two))
            yield names[one], names[two]


def _renamed(look: Look, dull: set[str]) -> Iterator[tuple[str, str]]:
    """Pairs of columns of categories each of whose values stands for one of the other's."""
    seen: dict[bytes, str] = {}
    for name, numbers in look.coded.items():
        if name in dull:
            continue
        # Numbered by when they first appear, equal columns of other words become equal.
        _, first, place = np.unique(numbers, return_index=True, return_inverse=True)
        key = first[place.ravel()].tobytes()
        if key in seen:
            yield seen[key], name
        seen.setdefault(key, name)


def told(values: np.ndarray, target: np.ndarray, classes: int) -> float:
    """The share of variance that a number and the target have in common: R², or between classes the squared
    correlation ratio (https://en.wikipedia.org/wiki/Correlation_ratio)."""
    spread = values - values.mean()
    total = float(spread @ spread)
    if not total or len(values) < ROWS_PER_CLASS * max(classes, 1):
        return 0.0
    if classes:
        groups = [spread[target == number] for number in np.unique(target)]
        return sum(len(group) * float(group.mean()) ** 2 for group in groups) / total
    other = target - target.mean()
    return float(spread @ other) ** 2 / (total * float(other @ other) or 1.0)


def by_order(values: np.ndarray, target: np.ndarray, classes: int) -> float:
    """How much the order of a number tells of the target: the squared rank correlation (Spearman) of numbers; of
    classes 1 where each takes a few stretches of the number by itself, else 0."""
    if not classes:
        from scipy.stats import rankdata

        return told(rankdata(values), rankdata(target), 0)
    order = np.lexsort((target, values))
    ranked, labels = values[order], target[order]
    changes = np.flatnonzero(labels[1:] != labels[:-1])
    # A value that stands for two classes tells neither.
    few = len(changes) < 2 * classes and len(changes) * ROWS_PER_CLASS < len(values)
    return 1.0 if len(changes) and few and bool((ranked[changes] != ranked[changes + 1]).all()) else 0.0


def purity(texts: list[str], target: list[int]) -> float:
    """How often each category's most frequent class is right; 0 where there are too few rows of each to tell."""
    right = Counter[str]()
    for (text, _), count in Counter(zip(texts, target, strict=True)).items():
        right[text] = max(right[text], count)
    if len(right) * ROWS_PER_CLASS > len(texts) or len(set(target)) < 2:
        return 0.0
    # Where one class is nearly all there is, every column is right as often.
    usual = max(Counter(target).values()) / len(target)
    share = right.total() / len(texts)
    return (share - usual) / (1 - usual)


__all__ = ["Constant", "GivesAway", "Identical", "by_order", "constant", "named", "purity", "told"]

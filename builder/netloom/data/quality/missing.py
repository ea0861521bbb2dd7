"""Values that are missing, and which of them are missing together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.finding import SHOWN, Finding, Plot, are, named
from netloom.data.quality.quality_view import Look

MOSTLY = 0.5
TOGETHER = 0.9
P = 1e-4
SHOWN_COLUMNS = 40


class Missing:
    """How much is missing, which columns are missing in the same rows, and whether the target depends on it."""

    title = "Missing values"
    heavy = False
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        gaps = missing(look)
        if not gaps:
            return
        shares = {name: float(gap.mean()) for name, gap in gaps.items()}
        mostly = [name for name, share in shares.items() if share > MOSTLY]
        rows = np.logical_or.reduce(list(gaps.values()))
        one = next(iter(gaps))
        where = f"in {one!r}" if len(gaps) == 1 else f"in {len(gaps):,} columns"
        yield Finding(
            "missing_values",
            "warning" if mostly else "hint",
            f"Values are missing {where}, in {are(int(rows.sum()), 'row')} of {len(look):,}"
            + (f"; {named(mostly)} {'is' if len(mostly) == 1 else 'are'} mostly empty." if mostly else "."),
            "Missing numbers are replaced by what the training rows say, the median where nothing else is chosen. "
            + ("Where they were missing is marked." if _marked(look, gaps) else "A number beside each can mark where."),
            columns=tuple(gaps),
            rows=look.named(np.flatnonzero(rows)[:SHOWN]),
            count=int(rows.sum()),
            plot=_bars(shares),
            fix=fixes.ignore(look, mostly) if mostly else fixes.mark_missing(look, tuple(gaps)),
        )
        yield from self._together(look, gaps)
        yield from self._telling(look, gaps)

    def _together(self, look: Look, gaps: dict[str, np.ndarray]) -> Iterator[Finding]:
        some = {name: gap for name, gap in gaps.items() if 1 < gap.sum() < len(gap) - 1}
        if len(some) < 2:
            return
        names = list(some)
        matrix = np.abs(np.corrcoef(np.stack(list(some.values())).astype(np.float64)))
        groups = _groups(matrix > TOGETHER)
        together = [names[place] for group in groups for place in group]
        if not groups or _marked(look, together):
            return
        shown = names[:SHOWN_COLUMNS]
        several = "; ".join(named([names[place] for place in group]) for group in groups[:3])
        yield Finding(
            "missing_together",
            "hint",
            f"Columns that are missing in the same rows: {several}.",
            "They probably come from one source that was not there for these rows; that they are missing may say "
            "something by itself, so let a column tell of it.",
            columns=tuple(together),
            count=len(groups),
            fix=fixes.mark_missing(look, together),
            plot=Plot("matrix", tuple(shown), {"together": matrix[: len(shown), : len(shown)].round(3).tolist()}),
        )

    def _telling(self, look: Look, gaps: dict[str, np.ndarray]) -> Iterator[Finding]:
        if look.labels is None:
            return
        from scipy.stats import chi2_contingency

        for name, gap in gaps.items():
            if min(gap.sum(), (~gap).sum()) < 10 or _marked(look, [name]):
                continue
            table = np.stack([np.bincount(look.labels[part], minlength=len(look.classes)) for part in (gap, ~gap)])
            table = table[:, table.sum(0) > 0]
            if table.shape[1] > 1 and chi2_contingency(table).pvalue * len(gaps) < P:
                yield Finding(
                    "missing_tells",
                    "hint",
                    f"Whether {name!r} is missing depends on the class.",
                    "Let a column tell that it is missing, if it will be missing in use for the same reason; or leave "
                    "it out, if it is missing because of how the data was collected.",
                    columns=(name,),
                    count=int(gap.sum()),
                    fix=fixes.mark_missing(look, [name]),
                    method=f"A chi-squared test, p below {P:g} after Bonferroni's correction.",
                )


def missing(look: Look) -> dict[str, np.ndarray]:
    """Which rows lack a value, by column, for the columns in which any is missing."""
    found = {name: np.isnan(values) for name, values in look.numbers.items()}
    found |= {name: values == "" for name, values in look.categories.items()}
    return {name: gap for name, gap in found.items() if gap.any()}


def _marked(look: Look, names: Iterable[str]) -> bool:
    """Whether each of these columns, of those that are numbers, has one beside it that says where it was missing."""
    numbers = [name for name in names if name in look.numbers]
    return bool(numbers) and all(look.said(name).get("indicator") for name in numbers)


def _bars(shares: dict[str, float]) -> Plot:
    most = sorted(shares, key=lambda name: -shares[name])[:SHOWN_COLUMNS]
    return Plot("bars", tuple(most), {"missing": [shares[name] for name in most]}, axis="Share missing")


def _groups(near: np.ndarray) -> list[list[int]]:
    """Places that are near each other, directly or by others between them; those that are near none are left out."""
    from scipy.sparse.csgraph import connected_components

    count, member = connected_components(near, directed=False)
    groups = [np.flatnonzero(member == number).tolist() for number in range(count)]
    return [group for group in groups if len(group) > 1]

"""Missing values, and which of them are missing together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from netloom.core.text import counted
from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import MAX_EXAMPLES, Finding, Plot, quoted
from netloom.data.quality.quality_view import QualityView

MOSTLY = 0.5  # share of rows
MIN_CORRELATION = 0.9  # of two indicators of missing values
P_VALUE = 1e-4
MIN_ROWS = 10  # with and without a value, for the test of independence
MAX_PLOTTED_COLUMNS = 40


class MissingValues(QualityCheck):
    """Missing values: their share, columns that miss values in the same rows, and dependence on the class."""

    title = "Missing values"
    order = 70
    is_in_overview = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        is_missing = missing_values(view)
        if not is_missing:
            return
        shares = {name: float(missing.mean()) for name, missing in is_missing.items()}
        mostly = [name for name, share in shares.items() if share > MOSTLY]
        rows = np.logical_or.reduce(list(is_missing.values()))
        first = next(iter(is_missing))
        where = f"in {first!r}" if len(is_missing) == 1 else f"in {len(is_missing):,} columns"
        yield Finding(
            "missing_values",
            "warning" if mostly else "hint",
            f"Values are missing {where}, in {counted(int(rows.sum()), 'row')} of {len(view):,}"
            + (f"; {quoted(mostly)} {'is' if len(mostly) == 1 else 'are'} mostly empty." if mostly else "."),
            "Missing numbers are imputed from the training rows, with the median by default. "
            + (
                "Missing indicators are on."
                if _have_indicators(view, is_missing)
                else "A missing indicator tells the network where."
            ),
            columns=tuple(is_missing),
            rows=view.row_numbers(np.flatnonzero(rows)[:MAX_EXAMPLES]),
            count=int(rows.sum()),
            plot=_bars(shares),
            fix=fixes.ignore(view, mostly) if mostly else fixes.add_missing_indicators(view, tuple(is_missing)),
        )
        yield from self._missing_together(view, is_missing)
        yield from self._class_dependent(view, is_missing)

    def _missing_together(self, view: QualityView, is_missing: dict[str, np.ndarray]) -> Iterator[Finding]:
        # With one row that has or lacks a value, any two columns may correlate by chance.
        candidates = {name: missing for name, missing in is_missing.items() if 1 < missing.sum() < len(missing) - 1}
        if len(candidates) < 2:
            return
        names = list(candidates)
        correlations = np.abs(np.corrcoef(np.stack(list(candidates.values())).astype(np.float64)))
        groups = _connected_groups(correlations > MIN_CORRELATION)
        together = [names[index] for group in groups for index in group]
        if not groups or _have_indicators(view, together):
            return
        plotted = names[:MAX_PLOTTED_COLUMNS]
        listed = "; ".join(quoted([names[index] for index in group]) for group in groups[:3])
        matrix = correlations[: len(plotted), : len(plotted)].round(3).tolist()
        yield Finding(
            "missing_together",
            "hint",
            f"Columns that are missing in the same rows: {listed}.",
            "They probably come from one source that these rows lack; that they are missing may be informative, so add "
            "missing indicators.",
            columns=tuple(together),
            count=len(groups),
            fix=fixes.add_missing_indicators(view, together),
            plot=Plot("matrix", tuple(plotted), {"together": matrix}),
        )

    def _class_dependent(self, view: QualityView, is_missing: dict[str, np.ndarray]) -> Iterator[Finding]:
        if view.labels is None:
            return
        from scipy.stats import chi2_contingency

        for name, missing in is_missing.items():
            if min(missing.sum(), (~missing).sum()) < MIN_ROWS or _have_indicators(view, [name]):
                continue
            counts = [np.bincount(view.labels[part], minlength=len(view.classes)) for part in (missing, ~missing)]
            table = np.stack(counts)
            table = table[:, table.sum(0) > 0]
            if table.shape[1] > 1 and chi2_contingency(table).pvalue * len(is_missing) < P_VALUE:
                yield Finding(
                    "missing_tells",
                    "hint",
                    f"Whether {name!r} is missing depends on the class.",
                    "Add a missing indicator if the column will be missing in use for the same reason; leave the "
                    "column out if it is missing because of how the data was collected.",
                    columns=(name,),
                    count=int(missing.sum()),
                    fix=fixes.add_missing_indicators(view, [name]),
                    method=f"A chi-squared test, p below {P_VALUE:g} after Bonferroni correction.",
                )


def missing_values(view: QualityView) -> dict[str, np.ndarray]:
    """Return masks (n,) of missing values for the columns that have any; an empty set is not a missing value."""
    is_missing = {name: np.isnan(values) for name, values in view.numbers.items()}
    is_missing |= {name: values == "" for name, values in view.single_valued.items()}
    return {name: missing for name, missing in is_missing.items() if missing.any()}


def _have_indicators(view: QualityView, names: Iterable[str]) -> bool:
    """Return whether these include numeric columns, and all of them have missing indicators."""
    numbers = [name for name in names if name in view.numbers]
    return bool(numbers) and all(view.column_settings(name).get("indicator") for name in numbers)


def _bars(shares: dict[str, float]) -> Plot:
    most = sorted(shares, key=lambda name: -shares[name])[:MAX_PLOTTED_COLUMNS]
    return Plot("bars", tuple(most), {"missing": [shares[name] for name in most]}, axis="Share missing")


def _connected_groups(is_near: np.ndarray) -> list[list[int]]:
    """Indices that are connected, directly or through others, in groups of at least two."""
    from scipy.sparse.csgraph import connected_components

    count, component = connected_components(is_near, directed=False)
    groups = [np.flatnonzero(component == index).tolist() for index in range(count)]
    return [group for group in groups if len(group) > 1]

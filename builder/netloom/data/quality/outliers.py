"""Values and examples that are far from all others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.finding import SHOWN, Finding, Plot, are
from netloom.data.quality.quality_view import Look

EVEN = ("quantile", "normal")  # ways of scaling to which only the order of values matters
FAR = 10.0  # robust deviations from the median
UNUSUAL = 0.72  # score of an isolation forest; about 0.5 is usual
TREES = 60


class FarValues:
    """Numbers of a column that lie very far out, as the sizes of examples that are no tables."""

    title = "Values far from all others"
    heavy = False
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        for name, values in look.numbers.items():
            far = far_out(values)
            if far.any() and look.said(name).get("scale") not in EVEN:
                known = values[~np.isnan(values)]
                worst = values[far][np.argmax(np.abs(values[far] - np.median(known)))]
                yield Finding(
                    "outliers",
                    "warning",
                    f"{name!r} has {are(int(far.sum()), 'value')} very far from the others, such as {worst:.4g}; half "
                    f"of all lie from {np.quantile(known, 0.25):.4g} to {np.quantile(known, 0.75):.4g}.",
                    "A wrong unit or a mark for a missing value, such as 9999, upsets the scaling of the whole column; "
                    "correct it, leave the column out, or scale it by quantiles.",
                    columns=(name,),
                    rows=look.named(np.flatnonzero(far)[:SHOWN]),
                    notes=tuple(f"{value:.4g}" for value in values[far][:SHOWN]),
                    count=int(far.sum()),
                    plot=_histogram(values[~far & ~np.isnan(values)], values[far], name),
                    fix=fixes.scale_by_quantiles(look, name),
                    method=f"More than {FAR:g} robust deviations (1.48 × the median distance to the median) from the "
                    "median, on the plain and, for numbers above 0, on the logarithmic scale.",
                )


class OddExamples:
    """Pictures of one colour, series that are flat or far too strong, texts that are empty."""

    title = "Examples with nothing in them"
    heavy = False
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        empty = [place for place, text in enumerate(look.texts) if not text.strip()]
        if empty:
            yield self._finding(look, empty, "text", "with no word in it")
        for name, values in look.dense("image"):
            # A field may be empty by nature, as noise is flat; what is odd is to be flat among others that are not.
            spread = values.reshape(len(values), -1).std(1)
            blank = np.flatnonzero(spread < 1e-6)
            if 0 < len(blank) < len(values) / 2:
                yield self._finding(look, blank.tolist(), "picture", f"of one colour in the field {name!r}")
        for name, values in look.dense("sequence"):
            spread = values.reshape(len(values), -1).std(1)
            flat = np.flatnonzero(spread < 1e-6)
            if 0 < len(flat) < len(values) / 2:
                yield self._finding(look, flat.tolist(), "series", f"that never changes in the field {name!r}")

    def _finding(self, look: Look, places: list[int], what: str, how: str) -> Finding:
        many = what if what.endswith("s") else f"{what}s"
        return Finding(
            "empty_examples",
            "warning",
            f"There {'is' if len(places) == 1 else 'are'} {are(len(places), what, many)} {how}.",
            "Nothing can be learned from them; remove them from the file.",
            rows=look.named(places[:SHOWN]),
            count=len(places),
        )


class UnusualRows:
    """Rows that are unusual as a whole, though each of their values may be usual."""

    title = "Rows that are unusual as a whole"
    heavy = True
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        from sklearn.ensemble import IsolationForest

        columns = [np.where(np.isnan(values), np.nanmedian(values), values) for values in look.numbers.values()
                   if not np.isnan(values).all()]  # fmt: skip
        if len(columns) < 2 or len(look) < 100:
            return
        table = np.column_stack(columns)
        forest = IsolationForest(n_estimators=TREES, random_state=0).fit(table)
        scores = -forest.score_samples(table)
        unusual = np.flatnonzero(scores > UNUSUAL)
        if not len(unusual):
            return
        worst = unusual[np.argsort(-scores[unusual])]
        yield Finding(
            "unusual_rows",
            "hint",
            f"{are(len(unusual), 'row')} {'is' if len(unusual) == 1 else 'are'} unlike all others as a whole.",
            "Look at them: they may be errors, or the most interesting rows there are.",
            rows=look.named(worst[:SHOWN]),
            notes=tuple(f"{scores[place]:.2f}" for place in worst[:SHOWN]),
            count=len(unusual),
            plot=_histogram(scores, np.array([]), "Score"),
            method=f"An isolation forest of {TREES} trees (scikit-learn) over the columns of numbers; a score above "
            f"{UNUSUAL} is remarked, about 0.5 is usual.",
        )


def far_out(values: np.ndarray) -> np.ndarray:
    """Which numbers lie more than `FAR` robust deviations from the median, also by their logarithms where all are
    above 0: what is merely skewed is not far out."""
    known = values[~np.isnan(values)]
    if len(known) < 20:
        return np.zeros(len(values), dtype=bool)
    far = _beyond(values, known)
    if far.any() and known.min() > 0:
        far &= _beyond(np.log(values), np.log(known))
    return far


def _beyond(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    from scipy.stats import median_abs_deviation

    middle = np.median(known)
    deviation = median_abs_deviation(known, scale="normal")
    if not deviation:  # half of all are one number: what is usual is told by the rest of them, or not at all
        low, high = np.quantile(known, [0.05, 0.95])
        deviation = (high - low) / 3.29
    if not deviation:
        return np.zeros(len(values), dtype=bool)
    return np.asarray(np.nan_to_num(np.abs(values - middle)) > FAR * deviation)


def _histogram(usual: np.ndarray, far: np.ndarray, axis: str) -> Plot:
    every = np.concatenate([usual, far])
    counts, edges = np.histogram(every, bins=40)
    others = np.histogram(far, bins=edges)[0]
    series = {"usual": (counts - others).tolist()}
    if len(far):
        series["far out"] = others.tolist()
    return Plot("histogram", series=series, edges=tuple(edges.tolist()), axis=axis)

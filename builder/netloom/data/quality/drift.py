"""Columns whose values differ between training and test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.finding import Finding, Plot
from netloom.data.quality.quality_view import Look

P = 1e-3
FEW = 20


class SplitDrift:
    """Training and test rows that were not drawn alike."""

    title = "Training and test rows that differ"
    heavy = False
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        if look.data.schema.target.type.is_action:
            return  # moments of one game follow from each other, so they are no separate draws
        train, test = look.part == 0, look.part == 2
        if look.overlapping:
            # Pieces that overlap are no separate draws; every so many of them are.
            apart = look.rows % max(1, look.data.raw.gap + 1) == 0
            train, test = train & apart, test & apart
        if min(train.sum(), test.sum()) < FEW:
            return
        numbers = {**look.numbers, **summaries(look)}
        groups = {name: look.coded[name] for name in look.single_valued}
        if look.labels is not None:
            groups[look.data.schema.target.name] = look.labels
        elif look.target is not None:
            numbers[look.data.schema.target.name] = look.target
        level = P / max(1, len(numbers) + len(groups))
        for name, values in numbers.items():
            one, two = (values[part][~np.isnan(values[part])] for part in (train, test))
            if min(len(one), len(two)) >= FEW and ks(one, two) < level:
                how = f"its median is {np.median(one):.4g} against {np.median(two):.4g}"
                yield self._finding(look, name, how, _histograms(one, two, name))
        for name, places in groups.items():
            counts = np.stack([np.bincount(places[part], minlength=places.max() + 1) for part in (train, test)])
            if chi_squared(counts) < level:
                yield self._finding(look, name, "its values come in other shares", self._bars(look, name, counts))

    def _finding(self, look: Look, name: str, how: str, plot: Plot) -> Finding:
        split = look.choice.split if look.choice is not None else "auto"
        in_time = split == "time" or (split == "auto" and (look.overlapping or look.data.raw.times is not None))
        return Finding(
            "split_drift",
            "warning",
            f"{name!r} is not the same in training and test: {how}.",
            "The test comes later in time, so this is what use will be like; newer training rows may help."
            if in_time
            else "The test measures something else than what was trained on; split at random, or look where the rows "
            "come from.",
            columns=(name,),
            plot=plot,
            fix=None if in_time else fixes.split_by(look, "random", "Split at random"),
            method=f"Kolmogorov–Smirnov for numbers, chi-squared for categories; p below {P:g} after Bonferroni's "
            "correction for all columns.",
        )

    def _bars(self, look: Look, name: str, counts: np.ndarray) -> Plot:
        names = look.classes if name not in look.categories else tuple(np.unique(look.categories[name].astype(str)))
        shares = counts / counts.sum(1, keepdims=True)
        most = np.argsort(-shares.max(0))[:20]
        series = {part: shares[row, most].tolist() for row, part in enumerate(("training", "test"))}
        return Plot("bars", tuple(names[place] for place in most), series, axis="Share of the rows")


def summaries(look: Look) -> dict[str, np.ndarray]:
    """A number or two of each example that is no table."""
    found: dict[str, np.ndarray] = {}
    if look.texts:
        found["length of the text"] = np.array([len(text) for text in look.texts], dtype=np.float64)
    for kind, mean, spread in (("image", "brightness", "contrast"), ("sequence", "mean", "spread")):
        for name, values in look.dense(kind):
            flat = values.reshape(len(values), -1)
            found[f"{mean} of {name}"] = flat.mean(1).astype(np.float64)
            found[f"{spread} of {name}"] = flat.std(1).astype(np.float64)
    return found


def ks(one: np.ndarray, two: np.ndarray) -> float:
    """The p value of two samples coming from one distribution (Kolmogorov and Smirnov, asymptotic)."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(one, two, method="asymp").pvalue)


def chi_squared(counts: np.ndarray) -> float:
    """The p value of two rows of counts having the same shares; rare values are counted as one."""
    from scipy.stats import chi2_contingency

    expected_test = counts.sum(0) * counts[1].sum() / counts.sum()
    rare = expected_test < 5
    counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(1)]) if rare.any() else counts
    counts = counts[:, counts.sum(0) > 0]
    if counts.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(counts, correction=False).pvalue)


def _histograms(one: np.ndarray, two: np.ndarray, axis: str) -> Plot:
    edges = np.histogram_bin_edges(np.concatenate([one, two]), bins=30)
    series = {
        name: (np.histogram(values, bins=edges)[0] / len(values)).tolist()
        for name, values in (("training", one), ("test", two))
    }
    return Plot("histogram", series=series, edges=tuple(edges.tolist()), axis=axis)

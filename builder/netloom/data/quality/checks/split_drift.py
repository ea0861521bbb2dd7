"""Columns whose values differ between training and test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import Finding, Plot
from netloom.data.quality.quality_view import QualityView
from netloom.data.splits.registry import follows_time
from netloom.document import DataChoice

P_VALUE = 1e-3  # for all columns together
# The largest difference of cumulative frequencies, or the total variation of categories, from which a difference
# matters; many rows make smaller ones significant, too.
MIN_DIFFERENCE = 0.1
MIN_ROWS = 20
MIN_EXPECTED = 5  # rows of a category in the test; the chi-squared approximation fails below


class SplitDrift(QualityCheck):
    """Training and test rows that come from different distributions."""

    title = "Training and test rows that differ"
    order = 140

    def check(self, view: QualityView) -> Iterator[Finding]:
        if view.data.schema.target.type.is_action:
            return  # consecutive steps of a game are not independent samples
        train, test = view.split_index == 0, view.split_index == 2
        if view.has_overlapping_rows:
            # Overlapping windows are not independent samples; those that are `gap` rows apart do not overlap.
            is_separate = view.rows % max(1, view.data.raw.gap + 1) == 0
            train, test = train & is_separate, test & is_separate
        if min(train.sum(), test.sum()) < MIN_ROWS:
            return
        numbers = {**view.numbers, **example_statistics(view)}
        categories = {name: view.category_codes[name] for name in view.single_valued}
        if view.labels is not None:
            categories[view.data.schema.target.name] = view.labels
        elif view.target is not None:
            numbers[view.data.schema.target.name] = view.target
        level = P_VALUE / max(1, len(numbers) + len(categories))
        for name, values in numbers.items():
            train_values, test_values = (values[part][~np.isnan(values[part])] for part in (train, test))
            enough = min(len(train_values), len(test_values)) >= MIN_ROWS
            if not enough:
                continue
            distance, p_value = kolmogorov_smirnov(train_values, test_values)
            if p_value < level and distance >= MIN_DIFFERENCE:
                difference = f"its median is {np.median(train_values):.4g} against {np.median(test_values):.4g}"
                yield self._finding(view, name, difference, _histograms(train_values, test_values, name))
        for name, codes in categories.items():
            counts = np.stack([np.bincount(codes[part], minlength=codes.max() + 1) for part in (train, test)])
            if chi_squared(counts) < level and total_variation(counts) >= MIN_DIFFERENCE:
                yield self._finding(view, name, "its values have other frequencies", _bars(view, name, counts))

    def _finding(self, view: QualityView, name: str, difference: str, plot: Plot) -> Finding:
        is_temporal = follows_time(view.data.raw, view.choice or DataChoice())
        return Finding(
            "split_drift",
            "warning",
            f"{name!r} differs between training and test: {difference}.",
            "The test rows are later in time, so the network will meet such a difference in use; more recent training "
            "rows may help."
            if is_temporal
            else "The test rows do not represent what the network is trained on; split at random, or check where the "
            "rows come from.",
            columns=(name,),
            plot=plot,
            fix=None if is_temporal else fixes.split_by(view, "random", "Split at random"),
            method=f"Kolmogorov–Smirnov test for numbers, chi-squared test for categories; p below {P_VALUE:g} after "
            f"Bonferroni correction for all columns, and shares that differ by at least {MIN_DIFFERENCE:.0%}.",
        )


def example_statistics(view: QualityView) -> dict[str, np.ndarray]:
    """Return one or two numbers (n,) per text, image and series, which have no columns to compare."""
    statistics: dict[str, np.ndarray] = {}
    if view.texts:
        statistics["length of the text"] = np.array([len(text) for text in view.texts], dtype=np.float64)
    for kind, mean, spread in (("image", "brightness", "contrast"), ("sequence", "mean", "spread")):
        for name, values in view.fields_of_kind(kind):
            flat = values.reshape(len(values), -1)
            statistics[f"{mean} of {name}"] = flat.mean(1).astype(np.float64)
            statistics[f"{spread} of {name}"] = flat.std(1).astype(np.float64)
    return statistics


def kolmogorov_smirnov(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the largest difference of the cumulative frequencies of two samples, and the asymptotic p-value of the
    hypothesis that they come from one distribution."""
    from scipy.stats import ks_2samp

    result = ks_2samp(first, second, method="asymp")
    return float(result.statistic), float(result.pvalue)


def total_variation(counts: np.ndarray) -> float:
    """Return half the sum of the differences of the shares in two rows of counts (2, categories), from 0 to 1."""
    first, second = counts / counts.sum(1, keepdims=True)
    return float(np.abs(first - second).sum() / 2)


def chi_squared(counts: np.ndarray) -> float:
    """Return the p-value of equal frequencies in two rows of counts (2, categories); rare categories are merged."""
    from scipy.stats import chi2_contingency

    expected_test = counts.sum(0) * counts[1].sum() / counts.sum()
    is_rare = expected_test < MIN_EXPECTED
    counts = np.column_stack([counts[:, ~is_rare], counts[:, is_rare].sum(1)]) if is_rare.any() else counts
    counts = counts[:, counts.sum(0) > 0]
    if counts.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(counts, correction=False).pvalue)


def _histograms(train: np.ndarray, test: np.ndarray, axis: str) -> Plot:
    edges = np.histogram_bin_edges(np.concatenate([train, test]), bins=30)
    series = {
        name: (np.histogram(values, bins=edges)[0] / len(values)).tolist()
        for name, values in (("training", train), ("test", test))
    }
    return Plot("histogram", series=series, edges=tuple(edges.tolist()), axis=axis)


def _bars(view: QualityView, name: str, counts: np.ndarray) -> Plot:
    names = view.classes if name not in view.categories else tuple(np.unique(view.categories[name].astype(str)))
    shares = counts / counts.sum(1, keepdims=True)
    most = np.argsort(-shares.max(0))[:20]
    series = {part: shares[row, most].tolist() for row, part in enumerate(("training", "test"))}
    return Plot("bars", tuple(names[index] for index in most), series, axis="Share of the rows")

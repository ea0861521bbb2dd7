"""The variation between repeated results: mean, standard deviation, and a confidence interval of the mean."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netloom.core.text import counted
from netloom.runs.history.comparison import metrics
from netloom.store import Store, Sweep
from netloom.tasks import metric
from netloom.training.uncertainty import CONFIDENCE


@dataclass(frozen=True)
class Spread:
    """A metric over `count` runs. `low` and `high` are the 95% confidence interval of the mean, by Student's t; for a
    proportion, limited to 0 and 1. They are NaN for one run, and if all runs are equal, which does not make the mean
    certain."""

    name: str
    count: int
    mean: float
    deviation: float
    low: float
    high: float

    def sentence(self) -> str:
        if math.isnan(self.low):
            return f"{self.name}: {self.mean:.4g} over {counted(self.count, 'run')}"
        return (
            f"{self.name}: {self.mean:.4g} ± {self.deviation:.2g} over {self.count} runs "
            f"(mean within {self.low:.4g} to {self.high:.4g}, 95% confidence)"
        )


def spread(name: str, values: Sequence[float]) -> Spread:
    """Return the spread of two or more values. A single value gives no estimate of the variation."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Spread(name, count, mean, math.nan, math.nan, math.nan)
    from scipy.stats import t

    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    if min(values) == max(values):
        return Spread(name, count, mean, 0.0, math.nan, math.nan)
    reach = float(t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * deviation / math.sqrt(count)
    least, most = metric(name.partition(" ")[2]).bounds  # `name` is "validation loss", "test accuracy (color)" …
    return Spread(name, count, mean, deviation, max(least, mean - reach), min(most, mean + reach))


def spreads(measures: Sequence[Mapping[str, float]]) -> list[Spread]:
    """Return the spread of each metric over the runs in which it is defined."""
    values = defaultdict[str, list[float]](list)
    for metrics_of_run in measures:
        for name, value in metrics_of_run.items():
            if not math.isnan(value):
                values[name].append(value)
    return [spread(name, values_of_metric) for name, values_of_metric in values.items()]


def of_sweep(store: Store, sweep: Sweep) -> list[Spread]:
    """Return the spread of the metrics of the finished trials of a sweep, such as the folds of a cross-validation.

    The folds share most of their training rows, so their interval is narrower than that of independent data would be
    (https://www.jmlr.org/papers/v5/grandvalet04a.html).
    """
    ids = [trial.run_id for trial in store.trials(sweep.id) if trial.state == "complete" and trial.run_id]
    return spreads([metrics(store.run(run_id)) for run_id in ids])

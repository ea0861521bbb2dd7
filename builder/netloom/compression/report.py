"""The measurements of variants, and which of them is worth using."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from netloom.core.plain_json import JsonObject
from netloom.core.text import in_sentence
from netloom.tasks import metric

Verdict = Literal["original", "recommended", "good", "no gain", "size only", "slower", "worse"]
# A gain below these ratios is not worth another file, and a loss below them is not mentioned.
MIN_SPEEDUP, MIN_SHRINKAGE = 1.1, 1.3

# Classes that lose recall and are named in a sentence; `--json` has all of them
SHOWN_CLASSES = 3
# What a chart can show the metric against, by the attribute of a measurement
AXES = {
    "p50_ms": "Median time of a row in ms",
    "p95_ms": "95th percentile of the time of a row in ms",
    "batch_p50_ms": "Median time of a batch in ms",
    "size": "Size in bytes",
    "memory": "Memory in bytes",
    "energy_j": "Energy of 1,000 rows in joules, estimated from processor time",
}


@dataclass(frozen=True)
class Measured:
    """A network as measured: `size` in bytes; the median and the 95th percentile of the time for one row and for a
    batch, in ms; the metric `score` on test rows; and how far its outputs differ from the original.

    `agreement` is the share of rows, words, pixels or outputs with the decision of the original; None if predictions
    are numbers.
    `difference` is the root mean square difference of the outputs, in standard deviations of those of the original.
    `lost_classes` are the classes that lose recall, and how much it is, the largest loss first. `run` is the id of a
    smaller run; "" for a file. `energy_j` are joules for 1,000 single rows, estimated from processor time. `memory` is
    what loading the network and predicting a batch add to the peak memory of the process, in bytes; None if the system
    does not measure it. `left_early` is the share of the test rows that an early exit answers; None without one.
    `output_scores` are the metrics of several outputs by name, without that of `score`. `saves_size_only` is whether
    the variant has as many operations as the original, and `size` is that of a compressed file, so that neither its
    times nor its size can be compared with those of the others.
    """

    method: str
    title: str
    size: int
    p50_ms: float
    p95_ms: float
    score: float
    agreement: float | None
    difference: float
    verdict: Verdict
    note: str
    lost_classes: tuple[tuple[str, float], ...] = ()
    run: str = ""
    batch_p50_ms: float = 0.0
    batch_p95_ms: float = 0.0
    energy_j: float = 0.0
    memory: int | None = None
    left_early: float | None = None
    output_scores: tuple[tuple[str, float], ...] = ()
    saves_size_only: bool = False

    @property
    def losses(self) -> str:
        """The classes that lose most recall as a sentence; "" if none does."""
        if not self.lost_classes:
            return ""
        shown = ", ".join(f"{name} −{loss:.1%}" for name, loss in self.lost_classes[:SHOWN_CLASSES])
        more = len(self.lost_classes) - SHOWN_CLASSES
        return f"Recall lost: {shown}{f' and {more} more' * (more > 0)}."


def _size(item: Measured) -> int:
    return item.size


def _compared(name: str, title: str, before: float, after: float) -> str:
    """Return a metric of a variant beside that of the original, in words."""
    old, new = (metric(name).written(value) for value in (before, after))
    return f"{in_sentence(title)} {f'{new} as before' if new == old else f'{new} instead of {old}'}"


@dataclass(frozen=True)
class Report:
    """Measurements of the original, which comes first, and of its variants, alternating on the same rows.

    `failures` are the methods that do not fit, with the reason. `batch` is the number of rows in a batch, `watts` the
    power of a busy core that the energy assumes. `agreement_unit` is what the agreement counts, such as words.
    """

    metric: str
    metric_title: str
    higher_is_better: bool
    rows: int
    threads: int
    measured: tuple[Measured, ...]
    failures: tuple[tuple[str, str], ...] = ()
    batch: int = 1
    watts: float = 0.0
    agreement_unit: str = "rows"

    @property
    def agreement_note(self) -> str:
        """What the agreement counts, in words; "" if none was measured."""
        if self.measured[0].agreement is None:
            return ""
        return f"Agreement is the share of {self.agreement_unit} with the prediction of the original."

    @property
    def class_losses(self) -> list[tuple[str, list[float]]]:
        """The classes that lose recall in any variant, with the loss in each of `measured`, the largest loss first."""
        by_variant = [dict(item.lost_classes) for item in self.measured]
        names = {name for losses in by_variant for name in losses}
        rows = [(name, [losses.get(name, 0.0) for losses in by_variant]) for name in names]
        return sorted(rows, key=lambda row: (-max(row[1]), row[0]))

    @property
    def recommended(self) -> Measured | None:
        """The recommended variant; None if the original is the best choice."""
        return next((item for item in self.measured if item.verdict == "recommended"), None)

    @property
    def pareto(self) -> tuple[Measured, ...]:
        """Those that no other one beats in size, time and metric at once, among those that can be compared."""
        comparable = [item for item in self.measured if not item.saves_size_only]
        return tuple(item for item in comparable if not any(self._beats(rival, item) for rival in comparable))

    @property
    def sentence(self) -> str:
        """The result in words."""
        original, best = self.measured[0], self.recommended
        if best is None:
            smallest = min((item for item in self.measured if item.verdict == "slower"), key=_size, default=None)
            if smallest is None:
                return "Keep the original: no variant is clearly faster or smaller with predictions that are as good."
            return (
                f"Keep the original, unless size matters more than time: {smallest.title} has "
                f"{smallest.size / original.size:.0%} of the size with predictions that are as good, but takes "
                f"{smallest.p50_ms / original.p50_ms:.1f}× the time."
            )
        speed, growth = original.p50_ms / best.p50_ms, best.size / original.size
        of_size = f"{growth:.0%} of the size" if growth < 1 else f"{growth:.1f}× the size"
        scores = [_compared(self.metric, self.metric_title, original.score, best.score)]
        for (name, before), (_, after) in zip(original.output_scores, best.output_scores, strict=True):
            scores.append(_compared(name, metric(name).title, before, after))
        return f"{best.title}: {speed:.1f}× as fast and {of_size}, with {' and '.join(scores)}."

    def verdict_of(self, item: Measured) -> str:
        """The verdict in words, with what is clearly better or worse than the original: one that is better may still be
        beaten by another variant."""
        if item.verdict == "original":
            return "original"
        if item.verdict == "worse":
            return "worse predictions"
        if item.saves_size_only:
            return "smaller when compressed, not faster" if item.verdict == "size only" else "no gain"
        if item.verdict == "good" and item not in self.pareto:
            return "beaten by another variant"
        return f"recommended: {self._change(item)}" if item.verdict == "recommended" else self._change(item)

    def _change(self, item: Measured) -> str:
        """What is clearly better than the original, and what is clearly worse."""
        original = self.measured[0]
        ratios = (
            ("smaller", original.size / item.size, MIN_SHRINKAGE),
            ("larger", item.size / original.size, MIN_SHRINKAGE),
            ("faster", original.p50_ms / item.p50_ms, MIN_SPEEDUP),
            ("slower", item.p50_ms / original.p50_ms, MIN_SPEEDUP),
        )
        words = [word for word, ratio, least in ratios if ratio >= least]
        gains = [word for word in words if word in ("smaller", "faster")]
        losses = [word for word in words if word not in gains]
        return ", but ".join(" and ".join(part) for part in (gains, losses) if part) or "no gain"

    @property
    def costs(self) -> str:
        """How energy and memory were obtained, in words."""
        return (
            f"Joules for 1,000 single rows are estimated from processor time, at {self.watts:g} W for each busy core. "
            "Memory is what the network and a batch add to the peak memory of the process."
        )

    def as_json(self) -> JsonObject:
        pareto = {item.method for item in self.pareto}
        measured = [asdict(item) | {"is_pareto": item.method in pareto} for item in self.measured]
        return asdict(self) | {"measured": measured, "sentence": self.sentence}

    def _beats(self, first: Measured, second: Measured) -> bool:
        sign = 1 if self.higher_is_better else -1
        pairs = (
            (-first.size, -second.size),
            (-first.p50_ms, -second.p50_ms),
            (sign * first.score, sign * second.score),
            *(
                (value, other) if metric(name).higher_is_better else (-value, -other)
                for (name, value), (_, other) in zip(first.output_scores, second.output_scores, strict=True)
            ),
        )
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

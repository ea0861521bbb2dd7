"""The measurements of variants, and which of them is worth using."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["original", "recommended", "good", "no gain", "slower", "worse"]
# A gain below these ratios is not worth another file.
MIN_SPEEDUP, MIN_SHRINKAGE = 1.1, 1.3
TITLES: dict[Verdict, str] = {
    "original": "original",
    "recommended": "recommended",
    "good": "also better",
    "no gain": "no gain",
    "slower": "smaller, but slower",
    "worse": "worse predictions",
}


@dataclass(frozen=True)
class Measured:
    """A network as measured: `size` in bytes; the median and the 95th percentile of the time for one row, in ms; the
    metric `score` on test rows; and how far its outputs differ from the original.

    `agreement` is the share of rows with the prediction of the original; None if predictions are not classes.
    `difference` is the root mean square difference of the outputs, in standard deviations of those of the original.
    `lost_classes` are the classes with the largest loss of recall, and how much it is. `run` is the id of a smaller
    run; "" for a file.
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


@dataclass(frozen=True)
class Report:
    """Measurements of the original, which comes first, and of its variants, on the same rows in turns.

    `failures` are the methods that do not fit, with the reason.
    """

    metric: str
    metric_title: str
    higher_is_better: bool
    rows: int
    threads: int
    measured: tuple[Measured, ...]
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def recommended(self) -> Measured | None:
        """The recommended variant; None if the original is the best choice."""
        return next((item for item in self.measured if item.verdict == "recommended"), None)

    @property
    def pareto(self) -> tuple[Measured, ...]:
        """Those that no other one beats in size, time and metric at once."""
        return tuple(item for item in self.measured if not any(self._beats(other, item) for other in self.measured))

    @property
    def sentence(self) -> str:
        """The result in words."""
        original, best = self.measured[0], self.recommended
        if best is None:
            return "Keep the original: no variant is clearly faster or smaller with predictions that are as good."
        speed, growth = original.p50_ms / best.p50_ms, best.size / original.size
        of_size = f"{growth:.0%} of the size" if growth < 1 else f"{growth:.1f}× the size"
        return (
            f"{best.title}: {speed:.1f}× as fast and {of_size}, with {self.metric_title} "
            f"{best.score:.4g} instead of {original.score:.4g}."
        )

    def as_json(self) -> dict[str, Any]:
        pareto = {item.method for item in self.pareto}
        measured = [asdict(item) | {"is_pareto": item.method in pareto} for item in self.measured]
        return asdict(self) | {"measured": measured, "sentence": self.sentence}

    def _beats(self, first: Measured, second: Measured) -> bool:
        sign = 1 if self.higher_is_better else -1
        pairs = (
            (-first.size, -second.size),
            (-first.p50_ms, -second.p50_ms),
            (sign * first.score, sign * second.score),
        )
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

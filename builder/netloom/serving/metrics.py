"""Counters and histograms in the text format of Prometheus.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """Counts of values by upper bound, for each set of labels."""

    def __init__(self, name: str, help: str, bounds: Sequence[float]) -> None:
        self.name, self.help, self.bounds = name, help, tuple(bounds)
        self._counts: dict[tuple[tuple[str, str], ...], list[int]] = {}
        self._sums: Counter[tuple[tuple[str, str], ...]] = Counter()

    def observe(self, value: float, labels: tuple[tuple[str, str], ...]) -> None:
        """Count a value."""
        counts = self._counts.setdefault(labels, [0] * (len(self.bounds) + 1))
        counts[bisect_left(self.bounds, value)] += 1
        self._sums[labels] += value  # type: ignore[assignment]  # a Counter also adds real numbers

    def lines(self) -> list[str]:
        """Return the histogram as text."""
        lines = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} histogram"]
        for labels, counts in self._counts.items():
            total = 0
            for bound, count in zip((*map(str, self.bounds), "+Inf"), counts, strict=True):
                total += count
                lines.append(f"{self.name}_bucket{_braces((*labels, ('le', bound)))} {total}")
            lines += [f"{self.name}_sum{_braces(labels)} {self._sums[labels]}"]
            lines += [f"{self.name}_count{_braces(labels)} {total}"]
        return lines


class Metrics:
    """The measurements of a server. Labels have few values: names of routes and models, and status codes."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[tuple[str, str], ...]] = Counter()
        self.rows: Counter[tuple[tuple[str, str], ...]] = Counter()
        self.turns: Counter[tuple[tuple[str, str], ...]] = Counter()
        self.cached = 0
        self._latencies = Histogram("netloom_request_seconds", "Time from request to answer.", LATENCIES_S)
        self._batches = Histogram("netloom_batch_rows", "Rows that were computed together.", BATCH_ROWS)

    def observe_request(self, route: str, status: int, seconds: float, version: str, rows: int) -> None:
        """Count an answered request; `version` is the model and version that answered, or ""."""
        self.requests[(("route", route), ("status", str(status)))] += 1
        self._latencies.observe(seconds, (("route", route),))
        if version and status == 200:
            self.rows[(("model", version),)] += rows

    def observe_batch(self, model: str, rows: int) -> None:
        """Count a batch."""
        self._batches.observe(rows, (("model", model),))

    def observe_turn(self, model: str, event: str) -> None:
        """Count an answer in a dialogue."""
        self.turns[(("model", model), ("event", event))] += 1

    def text(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> str:
        """Return all measurements. `gauges` are current values, each with its description."""
        lines = _counter_lines("netloom_requests_total", "Answered requests.", self.requests)
        lines += _counter_lines("netloom_rows_total", "Predicted rows by model and version.", self.rows)
        lines += _counter_lines("netloom_chat_turns_total", "Answers in dialogues by what the bot did.", self.turns)
        lines += _counter_lines("netloom_cached_total", "Requests answered from the cache.", Counter({(): self.cached}))
        for name, (description, value) in gauges.items():
            lines += [f"# HELP {name} {description}", f"# TYPE {name} gauge", f"{name} {value()}"]
        return "\n".join([*lines, *self._latencies.lines(), *self._batches.lines()]) + "\n"


def _counter_lines(name: str, description: str, counts: Counter[tuple[tuple[str, str], ...]]) -> list[str]:
    values = [f"{name}{_braces(labels)} {count}" for labels, count in counts.items()]
    return [f"# HELP {name} {description}", f"# TYPE {name} counter", *values]


def _braces(labels: Sequence[tuple[str, str]]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""The thresholds of decisions. An objective chooses them after training, on the validation rows."""

from __future__ import annotations

from collections.abc import Mapping

# What an objective chose, by name; names of one of several outputs begin with its number, such as "0:threshold".
Chosen = Mapping[str, float]

HALF = 0.5  # the threshold of a probability where none was chosen


def threshold_of(chosen: Chosen) -> float:
    """Return the threshold of a probability or of the score of an object."""
    return chosen.get("threshold", HALF)


def label_thresholds(chosen: Chosen, count: int) -> list[float]:
    """Return the threshold of each of `count` labels."""
    return [chosen.get(str(label), HALF) for label in range(count)]


def output_settings(chosen: Chosen, output_index: int) -> dict[str, float]:
    """Return what was chosen for one of several outputs."""
    return {name.partition(":")[2]: value for name, value in chosen.items() if name.startswith(f"{output_index}:")}

"""Layer statistics on disk: records of fixed length, which can be appended, truncated and read in one go.

A header describes a record. A record has the step, the Unix time in seconds, and the measures of each layer; NaN marks
a measure that a layer does not have.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netloom.document import write_bytes
from netloom.store import RunArtifacts
from netloom.training.diagnostics.node_modules import LayerModule

# `gradient` and `weight` are L2 norms over all weights of a layer, `update` is the norm of a step divided by that of
# the weights. `mean` and `std` describe the output of a layer, `zeros` is the share of its elements that are 0, and
# `dead` the share of units of a ReLU-like layer that are 0 for every row of a batch.
MEASURES = ("gradient", "weight", "update", "mean", "std", "zeros", "dead")
# At `MOST` records, every second one is removed and the interval doubles, so the file of a run of weeks stays small.
MOST = 2_000


@dataclass(frozen=True)
class History:
    """`values` (records, layers, measures) at `steps` and times `at`; `sizes` are the numbers of weights of the
    layers."""

    places: list[LayerModule]
    sizes: list[int]
    steps: np.ndarray
    at: np.ndarray
    values: np.ndarray

    def of(self, measure: str) -> np.ndarray:
        """Return a measure, (records, layers)."""
        values: np.ndarray = self.values[:, :, MEASURES.index(measure)]
        return values


class Writer:
    """Appends to the history of a run; first removes records after `step` and records of another network."""

    def __init__(self, artifacts: RunArtifacts, places: list[LayerModule], sizes: list[int], step: int) -> None:
        self._path = artifacts.layer_statistics
        self._type = _record(len(places))
        about = {"measures": MEASURES, "places": [asdict(layer) for layer in places], "sizes": sizes}
        text = json.dumps(about).encode()
        # The header must be equal byte for byte, as it determines the length of a record.
        is_same_network = artifacts.layer_statistics_header() == text
        old = _read(self._path, self._type) if is_same_network else np.empty(0, self._type)
        records = old[old["step"] <= step]
        write_bytes(self._path, records.tobytes())
        artifacts.save_layer_statistics_header(text)
        self._count = len(records)
        self.every = 1.0  # factor of the interval between records

    def append(self, step: int, at: float, values: np.ndarray) -> None:
        """Append a record; `values` is (layers, measures)."""
        record = np.empty(1, self._type)
        record["step"], record["at"], record["values"] = step, at, values
        with self._path.open("ab") as file:
            file.write(record.tobytes())
        self._count += 1
        if self._count >= MOST:
            records = _read(self._path, self._type)[::2]
            write_bytes(self._path, records.tobytes())
            self._count, self.every = len(records), self.every * 2


def read_history(artifacts: RunArtifacts) -> History | None:
    """Return the history of a run, or None if there is none yet."""
    header = artifacts.layer_statistics_header()
    if header is None:
        return None
    about = json.loads(header)
    modules = [LayerModule(**{**layer, "nodes": tuple(layer["nodes"])}) for layer in about["places"]]
    records = _read(artifacts.layer_statistics, _record(len(modules)))
    if tuple(about["measures"]) != MEASURES:
        return None
    return History(modules, about["sizes"], records["step"], records["at"], records["values"])


def stamp(artifacts: RunArtifacts) -> tuple[int, int]:
    """Return a value that changes with the history: modification time in nanoseconds and size in bytes."""
    try:
        status = artifacts.layer_statistics.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def _record(count: int) -> np.dtype[Any]:
    return np.dtype([("step", "<i8"), ("at", "<f8"), ("values", "<f4", (count, len(MEASURES)))])


def _read(path: Path, kind: np.dtype[Any]) -> np.ndarray:
    """Return all complete records; ignores a truncated last one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return np.empty(0, kind)
    return np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)

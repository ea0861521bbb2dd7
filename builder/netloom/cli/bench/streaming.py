"""Training on data ten times larger than the memory it may take, against the same data in memory."""

from __future__ import annotations

import gc
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.cli.bench.ratio import Ratio, ratio

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.document import Project
    from netloom.training.trainer import Trainer

TIMES = 10  # as large as the memory that it may take
COLUMNS = 64
PROMISED = 0.7
_UNITS = 128
_BATCH = 256


@dataclass(frozen=True)
class Streamed:
    """How fast data is trained on from files, of the same in memory: by the clock, the files no longer in the system's
    cache when each epoch begins, and by what the processor does."""

    rows: int
    data_bytes: int
    memory_bytes: int
    speed: Ratio
    processor: Ratio


def measure_streaming(repeats: int, memory_bytes: int = 0) -> Streamed:
    """Train an epoch each way, `repeats` times, in turns. What it may take is one buffer, if nothing else is said.

    Raises:
        ValueError: the data is not streamed.
    """
    from netloom.training.streaming import BUFFER_BYTES

    memory = memory_bytes or BUFFER_BYTES
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        rows = TIMES * memory // (COLUMNS * 4)
        _write(home / "large.parquet", rows)
        streamed = _prepared(home, memory / 2**20)
        (home / "large.parquet").unlink()
        if not streamed.files:
            raise ValueError("The data is too small to be streamed; it is kept in memory.")
        # So many rows are always read from files, so for the other way they are brought into memory here.
        held = {name: tensor.clone() for name, tensor in streamed.inputs.items()}
        ways = {"memory": replace(streamed, inputs=held, files={}), "files": streamed}
        clock: dict[str, list[float]] = {name: [] for name in ways}
        processor: dict[str, list[float]] = {name: [] for name in ways}
        order = random.Random(0)
        for place_of in range(repeats + 1):
            for name in order.sample(list(ways), len(ways)):
                wall_s, busy_s = _epoch(ways[name])
                if place_of:  # the first time is for torch to set up
                    clock[name].append(wall_s)
                    processor[name].append(busy_s)
    return Streamed(
        rows=rows,
        data_bytes=rows * COLUMNS * 4,
        memory_bytes=memory,
        speed=ratio(clock["memory"], clock["files"]),
        processor=ratio(processor["memory"], processor["files"]),
    )


def _write(path: Path, rows: int) -> None:
    """A table of numbers and two classes."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    generator, at_once = np.random.default_rng(0), 100_000
    names = [f"x{place}" for place in range(COLUMNS)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("label", pa.string())])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=["label"]) as writer:
        for start in range(0, rows, at_once):
            values = generator.standard_normal((min(at_once, rows - start), COLUMNS), dtype=np.float32)
            label = np.where(values[:, :8].sum(1) > 0, "yes", "no")
            writer.write_table(pa.table([*(pa.array(one) for one in values.T.copy()), pa.array(label)], schema=schema))


def _prepared(home: Path, memory_mb: float) -> Prepared:
    from netloom.data import add_file, prepare
    from netloom.document import DataChoice

    with _limited(memory_mb):
        return prepare(DataChoice(dataset=add_file(home / "large.parquet", "large", home, target="label").name), home)


@contextmanager
def _limited(memory_mb: float) -> Iterator[None]:
    from netloom.core.settings import variable

    before = dict(os.environ)
    os.environ[variable("data_memory_mb")] = str(memory_mb)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _project() -> Project:
    from netloom.document import Edge, Network, Node, Project, Training

    layers: list[tuple[str, str, dict[str, Any]]] = [
        ("x", "Input", {"field": "features", "kind": "vector", "shape": [COLUMNS]}),
        ("hidden", "Linear", {"units": _UNITS}),
        ("active", "ReLU", {}),
        ("answer", "Linear", {"units": 2}),
        ("out", "Output", {}),
    ]
    nodes = {name: Node(id=name, type=kind, params=params) for name, kind, params in layers}
    edges = tuple(Edge(source=one[0], target=other[0]) for one, other in pairwise(layers))
    training = Training(epochs=1, batch_size=_BATCH, compile="off", device="cpu")
    return Project(name="Large", networks={"main": Network(nodes=nodes, edges=edges)}, training=training)


def _epoch(data: Prepared) -> tuple[float, float]:
    """The seconds of an epoch, by the clock and of this process."""
    from netloom.compile import source
    from netloom.training.trainers.registry import build_trainer

    project = _project()
    trainer: Trainer = build_trainer(project, source(project), data)
    for file in data.files.values():
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    gc.collect()
    wall, busy = time.perf_counter(), time.process_time()
    trainer.fit()
    return time.perf_counter() - wall, time.process_time() - busy

"""Training on data ten times larger than its memory budget, against the same data in memory."""

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

TIMES = 10  # the size of the data relative to the memory budget
COLUMNS = 64
PROMISED = 0.7
_UNITS = 128
_BATCH = 256


@dataclass(frozen=True)
class Streamed:
    """The speed of training from files relative to memory, in wall-clock time and in CPU time.

    The files are dropped from the page cache before each epoch.
    """

    rows: int
    data_bytes: int
    memory_bytes: int
    speed: Ratio
    processor: Ratio


def measure_streaming(repeats: int, memory_bytes: int = 0, device: str = "cpu") -> Streamed:
    """Train an epoch from files and from memory, `repeats` times, in turns, on a device. The default budget is one
    buffer.

    Raises:
        ValueError: the data is not streamed.
    """
    from netloom.training.streaming import BUFFER_BYTES

    memory_budget = memory_bytes or BUFFER_BYTES
    with tempfile.TemporaryDirectory() as temporary_folder:
        home = Path(temporary_folder)
        rows = TIMES * memory_budget // (COLUMNS * 4)
        _write_parquet(home / "large.parquet", rows)
        streamed = _prepare_streamed(home, memory_budget / 2**20)
        (home / "large.parquet").unlink()
        if not streamed.files:
            raise ValueError("The data is too small to be streamed; it is kept in memory.")
        # Data of this size is always streamed, so the tensors are copied into memory here.
        tensors = {name: tensor.clone() for name, tensor in streamed.inputs.items()}
        data_by_storage = {"memory": replace(streamed, inputs=tensors, files={}), "files": streamed}
        clock: dict[str, list[float]] = {name: [] for name in data_by_storage}
        processor: dict[str, list[float]] = {name: [] for name in data_by_storage}
        order = random.Random(0)
        for repeat in range(repeats + 1):
            for name in order.sample(list(data_by_storage), len(data_by_storage)):
                wall_s, cpu_s = _time_epoch(data_by_storage[name], device)
                if repeat:  # the first repeat is a warm-up of torch
                    clock[name].append(wall_s)
                    processor[name].append(cpu_s)
    return Streamed(
        rows=rows,
        data_bytes=rows * COLUMNS * 4,
        memory_bytes=memory_budget,
        speed=ratio(clock["memory"], clock["files"]),
        processor=ratio(processor["memory"], processor["files"]),
    )


def _write_parquet(path: Path, rows: int) -> None:
    """Write a Parquet file with numeric columns and two classes."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    generator, chunk_rows = np.random.default_rng(0), 100_000
    names = [f"x{index}" for index in range(COLUMNS)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("label", pa.string())])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=["label"]) as writer:
        for start in range(0, rows, chunk_rows):
            values = generator.standard_normal((min(chunk_rows, rows - start), COLUMNS), dtype=np.float32)
            label = np.where(values[:, :8].sum(1) > 0, "yes", "no")
            writer.write_table(
                pa.table([*(pa.array(column) for column in values.T.copy()), pa.array(label)], schema=schema)
            )


def _prepare_streamed(home: Path, memory_mb: float) -> Prepared:
    from netloom.data import add_file, prepare
    from netloom.document import DataChoice

    with _memory_limit(memory_mb):
        return prepare(DataChoice(dataset=add_file(home / "large.parquet", "large", home, target="label").name), home)


@contextmanager
def _memory_limit(memory_mb: float) -> Iterator[None]:
    from netloom.core.settings import variable

    environment = dict(os.environ)
    os.environ[variable("data_memory_mb")] = str(memory_mb)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)


def _project(device: str) -> Project:
    from netloom.document import Edge, Network, Node, Project, Training

    layers: list[tuple[str, str, dict[str, Any]]] = [
        ("x", "Input", {"field": "features", "kind": "vector", "shape": [COLUMNS]}),
        ("hidden", "Linear", {"units": _UNITS}),
        ("active", "ReLU", {}),
        ("answer", "Linear", {"units": 2}),
        ("out", "Output", {}),
    ]
    nodes = {name: Node(id=name, type=kind, params=params) for name, kind, params in layers}
    edges = tuple(Edge(source=source[0], target=target[0]) for source, target in pairwise(layers))
    training = Training.model_validate({"epochs": 1, "batch_size": _BATCH, "device": device})
    return Project(name="Large", networks={"main": Network(nodes=nodes, edges=edges)}, training=training)


def _time_epoch(data: Prepared, device: str) -> tuple[float, float]:
    """Return the wall-clock and CPU seconds of an epoch."""
    from netloom.compile import source
    from netloom.training.trainers.registry import build_trainer

    project = _project(device)
    trainer: Trainer = build_trainer(project, source(project), data)
    for file in data.files.values():
        if hasattr(os, "posix_fadvise"):
            # Otherwise the epoch would read the file from the page cache, that is, from memory.
            os.posix_fadvise(file.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    gc.collect()
    wall_start, cpu_start = time.perf_counter(), time.process_time()
    trainer.fit()
    return time.perf_counter() - wall_start, time.process_time() - cpu_start

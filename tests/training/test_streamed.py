"""Training on data that is streamed from files: the same weights, in bounded memory, resumable at any step."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from netloom.compile import source
from netloom.data import Prepared, add_file, prepare
from netloom.document import DataChoice, Project, Training
from netloom.runs.prediction.trained_run import TrainedRun, evaluate
from netloom.store import RunArtifacts
from netloom.training import streaming
from netloom.training.loop import SupervisedTrainer
from netloom.training.streaming import Stream, evaluation_rows, take
from netloom.training.trainer import Trainer
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights.checkpoints import load, save
from tests.networks import chain
from tests.runs.examples import Recorder

ROWS, WIDTH = 2_000, 6


def add_table(
    home: Path, monkeypatch: pytest.MonkeyPatch, mib: float, extra_columns: Mapping[str, Any] | None = None
) -> str:
    """Add a table of numbers with two classes, in memory or in files."""
    random = np.random.default_rng(0)
    values = random.standard_normal((ROWS, WIDTH))
    table = pd.DataFrame(values, columns=list("abcdef"))
    table["label"] = np.where(values.sum(1) + random.standard_normal(ROWS) > 0, "yes", "no")
    file = io.BytesIO()
    table.assign(**(extra_columns or {})).to_parquet(file)
    monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", str(mib))
    return add_file(file.getvalue(), "a.parquet", home, target="label").name


def project(name: str, options: Mapping[str, Any] | None = None, **training: Any) -> Project:
    """A small network with dropout."""
    return chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [WIDTH]}),
        ("Linear", {"units": 8}),
        ("ReLU", {}),
        ("Dropout", {}),
        ("Linear", {"units": 2}),
        data=DataChoice(dataset=name, options=dict(options or {})),
        training=Training(**{"epochs": 3, "batch_size": 64, "compile": "off", **training}),
    )


def new_trainer(document: Project, home: Path) -> SupervisedTrainer:
    trainer = build_trainer(document, source(document), prepare(document.data, home))
    assert isinstance(trainer, SupervisedTrainer)
    return trainer


def weights_of(loop: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in loop.model.state_dict().items()}


def equal_weights(one: Trainer, other: Trainer) -> bool:
    first, second = weights_of(one), weights_of(other)
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def small_buffers(monkeypatch: pytest.MonkeyPatch, rows: int = 300, block: int = 16) -> None:
    monkeypatch.setattr(streaming, "BUFFER_BYTES", rows * WIDTH * 4)
    monkeypatch.setattr(streaming, "BLOCK_BYTES", block * WIDTH * 4)
    monkeypatch.setattr(streaming, "GAP_BYTES", 3 * WIDTH * 4)
    monkeypatch.setattr(streaming, "READ_BYTES", 40 * WIDTH * 4)


def epoch_values(stream: Stream, size: int = 64, begin_at: int = 0) -> torch.Tensor:
    """The values of the first field in an epoch, from a position on."""
    count = len(stream.rows)
    parts = [stream.batch(start, min(start + size, count))[0][0] for start in range(begin_at, count, size)]
    return torch.cat(parts)


@pytest.mark.parametrize("weighted", [False, True])
def test_streamed_training_equals_in_memory_training(
    home: Path, monkeypatch: pytest.MonkeyPatch, weighted: bool
) -> None:
    columns = {"counts": np.random.default_rng(1).random(ROWS) + 0.5} if weighted else {}
    options = {"columns": {"counts": {"role": "weight"}}} if weighted else {}
    loops, curves = [], []
    for mib in (1_000.0, 0.01):
        loop, recorder = new_trainer(project(add_table(home, monkeypatch, mib, columns), options), home), Recorder()
        assert loop.fit(recorder)
        loops.append(loop)
        curves.append([recorder.curve(split, "loss") for split in ("train", "validation")])
    assert not loops[0].data.files
    assert loops[1].data.files
    assert (loops[0].loader.weights is not None) is weighted
    assert curves[0] == curves[1]
    assert len(curves[0][1]) == 3
    assert equal_weights(*loops)
    metrics = [evaluate(TrainedRun(project("x"), "", loop.best_model(), loop.data)).metrics for loop in loops]
    assert metrics[0] == metrics[1]


@pytest.fixture
def streamed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose data is streamed from files in buffers that hold part of it."""
    small_buffers(monkeypatch)
    return project(add_table(home, monkeypatch, 0.01))


def test_stream_yields_each_row_once_in_seeded_order(
    streamed: Project, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(streamed.data, home)
    rows = data.split["train"]
    stream = Stream(data, ["features"], rows, data.target, None, "cpu")
    stream.start_epoch(7)
    read_sizes: list[int] = []

    def counting_take(data: Prepared, fields: list[str], rows: np.ndarray) -> dict[str, torch.Tensor]:
        read_sizes.append(len(rows))
        return take(data, fields, rows)

    with monkeypatch.context() as patch:
        patch.setattr(streaming, "take", counting_take)
        first = epoch_values(stream)
    assert len(read_sizes) > 3
    assert max(read_sizes) <= 300
    assert sum(read_sizes) == len(rows)
    assert torch.equal(_sorted(first), _sorted(data.inputs["features"][rows]))
    stream.start_epoch(7)
    assert torch.equal(epoch_values(stream, size=50), first)  # independent of the batch size
    assert torch.equal(epoch_values(stream, begin_at=640), first[640:])  # and of the start position
    stream.start_epoch(8)
    assert not torch.equal(epoch_values(stream), first)


def test_stream_shuffles_blocks_across_the_file(streamed: Project, home: Path) -> None:
    data = prepare(streamed.data, home)
    rows = torch.arange(len(data.target))
    stream = Stream(data, ["features"], rows, rows, None, "cpu")
    stream.start_epoch(1)
    first = stream.batch(0, 288)[1].double()  # type: ignore[union-attr]
    # Eighteen random blocks: their rows are spread over the file, and neighboring rows are not consecutive.
    assert abs(first.mean() - len(rows) / 2) < 3 * len(rows) / (12 * 18) ** 0.5
    assert first.std() > len(rows) / 6
    assert (first.diff().abs() == 1).double().mean() < 0.05


def test_take_gathers_rows_in_any_order(streamed: Project, home: Path) -> None:
    data = prepare(streamed.data, home)
    random = np.random.default_rng(0)
    for rows in (
        random.permutation(len(data.target)),
        random.integers(0, len(data.target), 500),
        np.array([1_999, 0, 1_999]),
        np.zeros(0, dtype=np.int64),
    ):
        assert torch.equal(take(data, ["features"], rows)["features"], data.inputs["features"][torch.from_numpy(rows)])


def test_streamed_run_resumes_within_a_buffer(streamed: Project, home: Path, tmp_path: Path) -> None:
    whole = new_trainer(streamed, home)
    assert whole.fit(Recorder())
    broken = new_trainer(streamed, home)
    assert not broken.fit(Recorder(stop_at=broken.steps_per_epoch + 9))
    save(RunArtifacts.in_directory(tmp_path), broken.step, broken.checkpoint())
    saved = load(RunArtifacts.in_directory(tmp_path))
    resumed = new_trainer(streamed, home)
    assert saved is not None
    resumed.resume(saved[1], dict(broken.best.weights))
    assert resumed.fit(Recorder())
    assert equal_weights(whole, resumed)
    assert torch.equal(_sorted(whole.loader.validation[0][0]), _sorted(resumed.loader.validation[0][0]))


def test_evaluation_rows_are_limited_to_the_buffer(
    streamed: Project, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(streamed.data, home)
    monkeypatch.setattr(streaming, "BUFFER_BYTES", 100 * WIDTH * 4)
    assert len(data.split["validation"]) == 300
    assert len(evaluation_rows(data, "validation")) == 100
    assert torch.equal(evaluation_rows(data, "validation"), data.split["validation"][::3])
    loop = new_trainer(streamed, home)
    events: list[str] = []
    monkeypatch.setattr(Recorder, "log_event", lambda self, kind, sentence: events.append(sentence))
    assert not loop.fit(Recorder(stop_at=2))
    assert events == [
        "The data is larger than memory: rows are read from files and shuffled in a buffer of 100 rows. Validation "
        "uses 100 of 300 rows."
    ]


def test_streamed_reconstruction_target_is_the_input(streamed: Project, home: Path) -> None:
    data = prepare(streamed.data, home)
    stream = Stream(data, ["features"], data.split["train"], data.inputs["features"], None, "cpu")
    stream.start_epoch(0)
    inputs, target = stream.batch(250, 350)
    assert isinstance(target, torch.Tensor)
    assert torch.equal(inputs[0], target)


def test_memory_mapped_data_is_not_counted_as_resident(tmp_path: Path) -> None:
    size = 64 * 2**20
    (tmp_path / "large").write_bytes(bytes(size))
    # In a separate process, where nothing else allocates memory.
    script = """
import sys
import numpy as np, psutil
from netloom.runs.resources.limits import resident
process = psutil.Process()
look = lambda: (resident(process), process.memory_info().rss)
print(*look())
mapped = np.memmap(sys.argv[1], np.uint8, "r")
mapped[::512].sum()
print(*look())
held = np.ones(len(mapped), dtype=np.uint8)
print(*look())
"""
    process = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "large")], capture_output=True, text=True, check=True
    )
    before, mapped, held = (tuple(map(int, line.split())) for line in process.stdout.splitlines())
    assert mapped[1] - before[1] > size / 2
    assert mapped[0] - before[0] < size / 4
    assert held[0] - mapped[0] > size / 2


def _sorted(rows: torch.Tensor) -> torch.Tensor:
    return rows[np.lexsort(rows.cpu().numpy().T)]

"""Exports for trackers: event files are parsed with protobuf, the MLflow folder with a YAML reader."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from netloom.document import write
from netloom.export.trackers import crc32c, write_mlflow, write_tensorboard, zipped
from netloom.store import Run, Store, open_store
from tests.runs.examples import moons
from tests.store.states import put

POINTS = [
    (10, 0, "train", "loss", 0.75, 1_700_000_000.25),
    (10, 0, "validation", "loss", 0.5, 1_700_000_000.5),
    (2**40, 1, "validation", "accuracy", 0.1, 1_700_000_001.0),
]


@pytest.fixture
def run(home: Path) -> tuple[Store, Run]:
    store = open_store(home)
    created = store.create_run(store.create_project(moons()), moons(), 'Moons "two"\n', tags=("paper",))
    store.artifacts(created.id).local_directory().mkdir(parents=True)
    write(store.artifacts(created.id).local_directory() / "project.json", moons())
    store.add_points(created.id, POINTS)
    put(store, created.id, "finished", summary={"best": {"loss": 0.4}, "test": {"accuracy": 0.9}})
    return store, store.run(created.id)


def event_type() -> Any:
    """TensorBoard's event message, reduced to the fields of scalars."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="event.proto", package="t", syntax="proto3")
    value = file.message_type.add(name="Value")
    value.field.add(name="tag", number=1, type=kinds.TYPE_STRING, label=1)
    value.field.add(name="simple_value", number=2, type=kinds.TYPE_FLOAT, label=1)
    summary = file.message_type.add(name="Summary")
    summary.field.add(name="value", number=1, type=kinds.TYPE_MESSAGE, label=3, type_name=".t.Value")
    event = file.message_type.add(name="Event")
    event.field.add(name="wall_time", number=1, type=kinds.TYPE_DOUBLE, label=1)
    event.field.add(name="step", number=2, type=kinds.TYPE_INT64, label=1)
    event.field.add(name="file_version", number=3, type=kinds.TYPE_STRING, label=1)
    event.field.add(name="summary", number=5, type=kinds.TYPE_MESSAGE, label=1, type_name=".t.Summary")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Event"))


def tfrecord_bodies(data: bytes) -> list[bytes]:
    bodies = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        (of_length,) = struct.unpack("<I", data[8:12])
        body, (of_body,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        for part, masked_crc in ((data[:8], of_length), (body, of_body)):
            crc = crc32c(part)
            assert masked_crc == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32
        bodies.append(body)
        data = data[16 + length :]
    return bodies


def test_checksum_is_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert crc32c(bytes(32)) == 0x8A9136AA  # https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4


def test_tensorboard_events_parse_with_protobuf(run: tuple[Store, Run], tmp_path: Path) -> None:
    path = write_tensorboard(*run, tmp_path / "logs")
    assert path.name.startswith("events.out.tfevents.1700000000.")
    kind = event_type()
    first, *events = [kind.FromString(record) for record in tfrecord_bodies(path.read_bytes())]
    assert first.file_version == "brain.Event:2"
    assert [(event.step, event.wall_time, event.summary.value[0].tag) for event in events] == [
        (10, 1_700_000_000.25, "loss/train"),
        (10, 1_700_000_000.5, "loss/validation"),
        (2**40, 1_700_000_001.0, "accuracy/validation"),
    ]
    assert [event.summary.value[0].simple_value for event in events] == pytest.approx([0.75, 0.5, 0.1])


def test_mlflow_folder_layout(run: tuple[Store, Run], tmp_path: Path) -> None:
    folder = write_mlflow(*run, tmp_path)
    meta = yaml.safe_load((folder / "meta.yaml").read_text())
    assert (meta["run_id"], meta["status"], meta["run_name"]) == (folder.name, 3, 'Moons "two"')
    assert meta["experiment_id"] == folder.parent.name
    assert yaml.safe_load((folder.parent / "meta.yaml").read_text())["lifecycle_stage"] == "active"
    assert (folder / "metrics" / "validation_loss").read_text() == "1700000000500 0.5 10\n"
    assert (folder / "metrics" / "best_validation_loss").read_text().split()[1] == "0.4"
    assert (folder / "metrics" / "test_accuracy").read_text().split()[1] == "0.9"
    assert (folder / "params" / "training.learning_rate").read_text() == "0.01"
    assert (folder / "params" / "main.linear_1.units").read_text() == "16"
    assert (folder / "tags" / "netloom.tags").read_text() == "paper"


def test_several_runs_are_zipped_together(run: tuple[Store, Run], tmp_path: Path) -> None:
    store, stored_run = run
    with zipfile.ZipFile(io.BytesIO(zipped(store, [stored_run, stored_run], "tensorboard"))) as file:
        events = [name for name in file.namelist() if not name.endswith("/")]
        written = {file.read(name) for name in events}
    assert {name.rpartition("/")[0] for name in events} == {
        f"runs/01 Moons _two_ {stored_run.id[:8]}",
        f"runs/02 Moons _two_ {stored_run.id[:8]}",
    }
    assert written == {write_tensorboard(store, stored_run, tmp_path).read_bytes()}
    with zipfile.ZipFile(io.BytesIO(zipped(store, [stored_run], "mlflow"))) as file:
        (about,) = [name for name in file.namelist() if name.count("/") == 3 and name.endswith("meta.yaml")]
        artifact_uri = yaml.safe_load(file.read(about))["artifact_uri"]
        assert artifact_uri + "/" in file.namelist(), "where it lies in the archive, and not where it was made"
        assert file.read(about.replace("meta.yaml", "metrics/validation_loss")) == b"1700000000500 0.5 10\n"

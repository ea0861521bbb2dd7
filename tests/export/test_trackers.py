"""What other programs would read: event files by protobuf's own reader, MLflow's folder by a YAML reader."""

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
    found = store.create_run(store.create_project(moons()), moons(), 'Moons "two"\n', tags=("paper",))
    store.artifacts(found.id).local_directory().mkdir(parents=True)
    write(store.artifacts(found.id).local_directory() / "project.json", moons())
    store.add_points(found.id, POINTS)
    put(store, found.id, "finished", summary={"best": {"loss": 0.4}, "test": {"accuracy": 0.9}})
    return store, store.run(found.id)


def event_type() -> Any:
    """The message as TensorBoard declares it, as far as scalars go."""
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


def records(data: bytes) -> list[bytes]:
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        (of_length,) = struct.unpack("<I", data[8:12])
        body, (of_body,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        for part, told in ((data[:8], of_length), (body, of_body)):
            crc = crc32c(part)
            assert told == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32
        found.append(body)
        data = data[16 + length :]
    return found


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert crc32c(bytes(32)) == 0x8A9136AA  # https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4


def test_events_are_read_by_protobuf(run: tuple[Store, Run], tmp_path: Path) -> None:
    path = write_tensorboard(*run, tmp_path / "logs")
    assert path.name.startswith("events.out.tfevents.1700000000.")
    kind = event_type()
    first, *rest = [kind.FromString(record) for record in records(path.read_bytes())]
    assert first.file_version == "brain.Event:2"
    assert [(event.step, event.wall_time, event.summary.value[0].tag) for event in rest] == [
        (10, 1_700_000_000.25, "loss/train"),
        (10, 1_700_000_000.5, "loss/validation"),
        (2**40, 1_700_000_001.0, "accuracy/validation"),
    ]
    assert [event.summary.value[0].simple_value for event in rest] == pytest.approx([0.75, 0.5, 0.1])


def test_a_folder_as_mlflow_keeps_it(run: tuple[Store, Run], tmp_path: Path) -> None:
    place = write_mlflow(*run, tmp_path)
    about = yaml.safe_load((place / "meta.yaml").read_text())
    assert (about["run_id"], about["status"], about["run_name"]) == (place.name, 3, 'Moons "two"')
    assert about["experiment_id"] == place.parent.name
    assert yaml.safe_load((place.parent / "meta.yaml").read_text())["lifecycle_stage"] == "active"
    assert (place / "metrics" / "validation_loss").read_text() == "1700000000500 0.5 10\n"
    assert (place / "metrics" / "best_validation_loss").read_text().split()[1] == "0.4"
    assert (place / "metrics" / "test_accuracy").read_text().split()[1] == "0.9"
    assert (place / "params" / "training.learning_rate").read_text() == "0.01"
    assert (place / "params" / "main.linear_1.units").read_text() == "16"
    assert (place / "tags" / "netloom.tags").read_text() == "paper"


def test_several_runs_in_one_archive(run: tuple[Store, Run], tmp_path: Path) -> None:
    store, found = run
    with zipfile.ZipFile(io.BytesIO(zipped(store, [found, found], "tensorboard"))) as file:
        events = [name for name in file.namelist() if not name.endswith("/")]
        written = {file.read(name) for name in events}
    assert {name.rpartition("/")[0] for name in events} == {
        f"runs/01 Moons _two_ {found.id[:8]}",
        f"runs/02 Moons _two_ {found.id[:8]}",
    }
    assert written == {write_tensorboard(store, found, tmp_path).read_bytes()}
    with zipfile.ZipFile(io.BytesIO(zipped(store, [found], "mlflow"))) as file:
        (about,) = [name for name in file.namelist() if name.count("/") == 3 and name.endswith("meta.yaml")]
        place = yaml.safe_load(file.read(about))["artifact_uri"]
        assert place + "/" in file.namelist(), "where it lies in the archive, and not where it was made"
        assert file.read(about.replace("meta.yaml", "metrics/validation_loss")) == b"1700000000500 0.5 10\n"

"""The curves of runs as event files of TensorBoard, or in the folder layout of MLflow, without these packages."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from netloom.core.text import plain
from netloom.document import write_bytes
from netloom.runs.history.comparison import document, metrics, settings
from netloom.store import Run, Store

FORMATS = ("tensorboard", "mlflow")
# The reversed polynomial of CRC-32C, and the constant that TFRecord adds to a rotated checksum
_CASTAGNOLI = 0x82F63B78
_MASK = 0xA282EAD8
# The numbers of MLflow's `RunStatus`
_STATUS = {"running": 1, "finished": 3, "failed": 4, "stopped": 5}


def write_tensorboard(store: Store, run: Run, folder: Path) -> Path:
    """Write the curves of a run as an event file into `folder`, and return its path.

    Records are framed as in https://www.tensorflow.org/tutorials/load_data/tfrecord; messages follow
    https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto.
    """
    points = store.points(run.id)
    start = min(points.at, default=run.created_at.timestamp())
    # TensorBoard expects the version in the first event: wall_time = 1, file_version = 3.
    records = [_record(_double(1, start) + _bytes(3, b"brain.Event:2"))]
    for index in range(len(points.step)):
        # Summary.Value: tag = 1, simple_value = 2; Event: wall_time = 1, step = 2, summary = 5
        tag = f"{points.name[index]}/{points.split[index]}".encode()
        value = _bytes(1, tag) + _float(2, points.value[index])
        event = _double(1, points.at[index]) + _varint(2, points.step[index]) + _bytes(5, _bytes(1, value))
        records.append(_record(event))
    path = folder / f"events.out.tfevents.{int(start)}.netloom.{run.id}"
    _write(path, b"".join(records))
    return path


def zipped(store: Store, runs: Sequence[Run], kind: str) -> bytes:
    """Return an archive of runs for TensorBoard or MLflow, according to `kind`.

    Its only folder is the argument of the program: `tensorboard --logdir runs`, or
    `MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri mlruns`.
    """
    with TemporaryDirectory(prefix="netloom-") as directory:
        folder = Path(directory) / ("runs" if kind == "tensorboard" else "mlruns")
        for number, run in enumerate(runs, 1):
            if kind == "tensorboard":
                write_tensorboard(store, run, folder / f"{number:02d} {_safe(run.title)} {run.id[:8]}")
            else:
                write_mlflow(store, run, folder, address=folder.name)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(folder.rglob("*")):
                file.write(path, path.relative_to(directory))
        return archive.getvalue()


def _safe(title: str) -> str:
    """Return a title as a part of a file name that is valid on all systems."""
    return re.sub(r"[^\w .-]+", "_", plain(title)).strip(" .")[:60] or "run"


def write_mlflow(store: Store, run: Run, folder: Path, *, address: str = "") -> Path:
    """Write a run into `folder` in the layout of MLflow's file store, and return the folder of the run.

    `mlflow ui --backend-store-uri folder` reads it; newer versions require MLFLOW_ALLOW_FILE_STORE=true. Values of YAML
    are written as JSON, which is a subset of YAML. `address` is the later location of `folder`, if it will be moved.
    """
    address = address or folder.absolute().as_uri()
    run_folder = mlflow_folder(run, folder)
    home, experiment, run_id = run_folder.parent, run_folder.parent.name, run_folder.name
    _yaml(
        home / "meta.yaml",
        artifact_location=f"{address}/{experiment}",
        creation_time=_ms(run.created_at.timestamp()),
        experiment_id=experiment,
        last_update_time=_ms(run.created_at.timestamp()),
        lifecycle_stage="active",
        name=f"Netloom {run.project_id[:8]}",
    )
    _yaml(
        run_folder / "meta.yaml",
        artifact_uri=f"{address}/{experiment}/{run_id}/artifacts",
        end_time=_ms(run.ended_at.timestamp()) if run.ended_at else None,
        entry_point_name="",
        experiment_id=experiment,
        lifecycle_stage="active",
        run_id=run_id,
        run_name=plain(run.title),
        run_uuid=run_id,
        source_name="netloom",
        source_type=4,  # LOCAL
        source_version="",
        start_time=_ms((run.started_at or run.created_at).timestamp()),
        status=_STATUS.get(run.state, 1),
        tags=[],
        user_id=run.owner or "netloom",
    )
    (run_folder / "artifacts").mkdir(parents=True, exist_ok=True)
    _write_measures(store, run, run_folder)
    run_document = document(store, run.id)
    for path, value in (settings(run_document) if run_document else {}).items():
        _text(run_folder / "params" / path, value if isinstance(value, str) else json.dumps(value))
    tags = {"mlflow.runName": plain(run.title), "mlflow.note.content": run.notes, "netloom.tags": ", ".join(run.tags)}
    for name, value in tags.items():
        _text(run_folder / "tags" / name, value)
    return run_folder


def mlflow_folder(run: Run, folder: Path) -> Path:
    """Return the folder into which `write_mlflow` writes a run: `folder`/experiment/run."""
    # The ids of experiments are numbers; 15 hexadecimal digits fit into 64 bits.
    return folder / str(int(run.project_id.replace("-", "")[:15], 16)) / run.id.replace("-", "")


def _write_measures(store: Store, run: Run, run_folder: Path) -> None:
    points = store.points(run.id)
    lines: dict[str, list[str]] = {}
    for at, value, step, split, name in zip(
        points.at, points.value, points.step, points.split, points.name, strict=True
    ):
        # MLflow's format of a point: the time in ms, the value and the step
        lines.setdefault(f"{split}_{name}", []).append(f"{_ms(at)} {value!r} {step}\n")
    end = run.ended_at.timestamp() if run.ended_at else max(points.at, default=0.0)
    for name, value in metrics(run).items():
        # The best on validation rows is not a point of their curve.
        title = name.replace("validation ", "best_validation_").replace(" ", "_")
        lines.setdefault(title, []).append(f"{_ms(end)} {value!r} {run.step}\n")
    for name, points_ in lines.items():
        _write(run_folder / "metrics" / name, "".join(points_).encode())


def _yaml(path: Path, **values: object) -> None:
    _write(path, "".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items()).encode())


def _text(path: Path, text: str) -> None:
    _write(path, text.encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def _masked(data: bytes) -> int:
    crc = crc32c(data)
    # Rotated by 15 bits: a checksum over data that contains plain checksums would be weak.
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Return the CRC-32C checksum (Castagnoli), which zlib does not have.

    https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4
    """
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> list[int]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (_CASTAGNOLI if number & 1 else 0)
        table.append(number)
    return table


def _key(field: int, wire: int) -> bytes:
    # Wire types of protobuf: 0 is a varint, 1 has 64 bits, 2 is delimited by its length, 5 has 32 bits.
    return _plain_varint(field << 3 | wire)


def _varint(field: int, value: int) -> bytes:
    return _key(field, 0) + _plain_varint(value)


def _double(field: int, value: float) -> bytes:
    return _key(field, 1) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    return _key(field, 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, 2) + _plain_varint(len(value)) + value


def _plain_varint(value: int) -> bytes:
    # Seven bits per byte, the lowest first; the highest bit of a byte says that more follow.
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])

"""Files that need too many resources are refused with a message, and only affect the process that reads them."""

from __future__ import annotations

import io
import os
import signal
import socket
import struct
import subprocess
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import psutil
import pyarrow as pa
import pytest
from pyarrow import parquet

from netloom.data import DataError, datasets, schema
from netloom.data.uploads import open_source
from netloom.document import DataChoice
from netloom.sandbox import FileInspection, inspection, process
from netloom.sandbox.process import EndedError, FaultError, Process

ROWS = "".join(f"{number},{number * 2},{'yes' if number % 3 else 'no'}\n" for number in range(60))
TABLE = f"a,b,y\n{ROWS}".encode()


def parquet_table(**columns: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, compression="zstd")
    return file.getvalue()


def long_texts(*, dictionary: bool) -> bytes:
    """A small file that becomes large once every cell is materialized."""
    places = pa.array(np.zeros(8_000, np.int32))
    texts = pa.DictionaryArray.from_arrays(places, pa.array(["x" * 5_400]))
    return parquet_table(a=texts if dictionary else texts.dictionary_decode(), y=places)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", os.urandom(5_000)) + chunk(b"IEND", b"")


def zip_file(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy_header(shape: str) -> bytes:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


def spreadsheet(texts: int) -> bytes:
    """An Excel file with this many shared strings that no cell uses."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in (["a", "b"], [1, 2], [3, 4]):
        book.active.append(row)
    book.save(file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = b'<?xml version="1.0"?><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    members["xl/sharedStrings.xml"] = schema + b"<si><t>a</t></si>" * texts + b"</sst>"
    return zip_file(members)


GREEDY = {
    "dictionary.parquet": lambda: long_texts(dictionary=True),
    "texts.parquet": lambda: long_texts(dictionary=False),
    "zeros.parquet": lambda: parquet_table(**{f"c{place}": np.zeros(100_000) for place in range(80)}),
    "line.csv": lambda: b"a,b\n" + b"1," * 12_000_000,
    "wide.csv": lambda: b"a,b\n" + b"1," * 300_000,
    "quote.csv": lambda: b'a,b\n1,"' + b"x" * 24_000_000,
    "nested.json": lambda: b"[" * 3_000_000,
    "pictures.zip": lambda: zip_file(
        {f"{kind}/1.png": png_of_size(50_000, 50_000) for kind in "ab"}, zipfile.ZIP_STORED
    ),
    "bomb.zip": lambda: zip_file({"a.csv": bytes(30_000_000)}),
    "array.npy": lambda: npy_header("(1000000, 1000000)"),
    "arrays.npz": lambda: zip_file({"x.npy": npy_header("(1000000, 1000000)"), "y.npy": npy_header("(1000000,)")}),
    "book.xlsx": lambda: spreadsheet(2_000_000),
}


# Files that are refused by their decoded size before they are decoded.
COUNTED = ("dictionary.parquet", "texts.parquet", "zeros.parquet", "line.csv", "quote.csv", "bomb.zip", "book.xlsx")


@pytest.mark.parametrize("name", GREEDY)
def test_decompression_bombs_are_refused_with_a_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", "16")
    content = GREEDY[name]()
    before = psutil.Process().memory_info().rss

    def add_to_home() -> None:
        with closing(FileInspection({name: content}, name)) as file_inspection:
            file_inspection.add(tmp_path)

    with pytest.raises(DataError, match=r"[a-z].*\.$") as refused:
        add_to_home()
    assert name not in COUNTED or "MiB" in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert psutil.Process().memory_info().rss - before < 2**27
    assert not list((tmp_path / "data").glob("*"))


def test_exceeding_the_memory_limit_raises_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_UPLOAD_MEMORY_GB", "0.3")
    assert FileInspection({"a.csv": TABLE}, "a.csv").kinds()
    rows = b"a,b,y\n" + b"".join(b"%d,%d,text %d\n" % (number, number, number) for number in range(900_000))
    with pytest.raises(DataError, match="memory"):
        FileInspection({"a.csv": rows}, "a.csv").kinds()


def test_exceeding_the_time_limit_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    file_inspection = FileInspection({"a.csv": TABLE}, "a.csv")
    running = file_inspection.process
    assert running is not None
    running.seconds = 0.3
    os.kill(running.pid, signal.SIGSTOP)  # simulates a process that hangs
    with pytest.raises(DataError, match="seconds"):
        file_inspection.kinds()
    end = time.monotonic() + 20
    while psutil.pid_exists(running.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not psutil.pid_exists(running.pid)
    with pytest.raises(DataError, match="seconds"):  # the process is not restarted
        file_inspection.kinds()


def test_crash_raises_a_data_error(tmp_path: Path) -> None:
    file_inspection = FileInspection({"a.csv": TABLE}, "a.csv")
    assert file_inspection.process is not None
    os.kill(file_inspection.process.pid, signal.SIGSEGV)
    with pytest.raises(DataError, match="crashed"):
        file_inspection.add(tmp_path)
    assert not list((tmp_path / "data").glob("*"))


def test_sandboxed_file_matches_in_process_reading(tmp_path: Path) -> None:
    file_inspection = FileInspection({"a.csv": TABLE}, "a.csv")
    source = open_source({"a.csv": TABLE}, "a.csv")
    reader = file_inspection.reader()
    described = file_inspection.described(reader, {"target": "y"})
    assert described.answers == reader.answered(source, {"target": "y"})
    assert described.questions == reader.questions(source, described.answers)
    assert described.learned == reader.learned(source, described.answers)
    shown, expected = described.preview(), reader.preview(source, described.answers)
    assert shown.to_dict("list") == expected.to_dict("list")
    shares: list[float] = []
    info = file_inspection.add(tmp_path, target="y", progress=lambda share, what: shares.append(share))
    assert shares[-1] == 1.0
    assert [dataset for dataset in datasets(tmp_path) if not dataset.builtin] == [info]
    assert file_inspection.add(tmp_path, target="y").title == "a (2)"
    assert (dataset_schema := schema(DataChoice(dataset=info.name), tmp_path)) is not None
    assert dataset_schema.rows == 60
    assert not list((tmp_path / "data").glob(".*"))
    file_inspection.close()


def test_small_file_is_inspected_within_two_seconds() -> None:
    process.warm()
    FileInspection({"a.csv": TABLE}, "a.csv").close()  # starts the server process
    began = time.monotonic()
    file_inspection = FileInspection({"a.csv": TABLE}, "a.csv")
    file_inspection.described(file_inspection.kinds()[0], {})
    took = time.monotonic() - began
    file_inspection.close()
    assert took < 2.0, "it takes 0.3 s on an idle machine"


def test_processes_end_with_their_inspection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "OPEN_AT_ONCE", 2)
    inspections = [FileInspection({"a.csv": TABLE}, "a.csv") for _ in range(4)]
    pids = [file_inspection.process.pid for file_inspection in inspections if file_inspection.process]
    for file_inspection in inspections:
        file_inspection.kinds()

    def running() -> list[int]:
        return [pid for pid in pids if psutil.pid_exists(pid)]

    def reaches(wanted: list[int]) -> bool:
        end = time.monotonic() + 20
        while running() != wanted and time.monotonic() < end:
            time.sleep(0.02)
        return running() == wanted

    assert reaches(pids[2:])
    assert inspections[0].reader().name == "table"  # restarts its process
    assert reaches(pids[3:])
    del inspections, file_inspection
    assert reaches([])


@pytest.fixture(scope="module")
def probe_command() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETLOOM_DATABASE_URL", "postgresql://me:hunter2@localhost/a")
        patch.setenv("HF_TOKEN", "hunter2")
        patch.setattr(process, "COMMAND", (*process.COMMAND[:2], "-c", PROBE))
        yield


@pytest.fixture
def probe_process(probe_command: None) -> Iterator[Process]:
    """A confined process that evaluates any Python expression it receives."""
    confined_process = Process(0)
    yield confined_process
    confined_process.close()


PROBE = """
import sys
from netloom.sandbox import child
child.RequestHandler.answer_probe = lambda self, request, blobs: eval(request["code"])
sys.exit(child.main(sys.argv[1:]))
"""


def test_compromised_reader_has_no_network_or_processes(probe_process: Process) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        address = listening.getsockname()
        for code in (
            f"__import__('socket').create_connection({address!r}, timeout=2)",
            "__import__('socket').getaddrinfo('localhost', 80)",
            "__import__('subprocess').run(['true'])",
            "__import__('os').system('true')",
            "__import__('os').fork()",
            "__import__('os').kill(1, 0)",
            "__import__('netloom.runs.forkserver', fromlist=['a']).sibling()",
        ):
            with pytest.raises((process.RefusedError, FaultError)):
                probe_process.ask({"do": "probe", "code": code})
        with pytest.raises(TimeoutError):
            listening.accept()
    with pytest.raises((process.RefusedError, EndedError, FaultError)):
        probe_process.ask({"do": "probe", "code": "len(bytearray(64 * 2**30))"})


def test_sandbox_has_its_own_network_namespace(probe_process: Process) -> None:
    allowed = [subprocess.run(["unshare", how, "true"], check=False, capture_output=True) for how in ("-n", "-Un")]
    if all(done.returncode for done in allowed):
        pytest.skip("this system lets nobody make a network")
    network = probe_process.ask({"do": "probe", "code": "__import__('os').readlink('/proc/self/ns/net')"})
    assert network != os.readlink("/proc/self/ns/net")


def test_sandbox_environment_has_no_secrets(probe_process: Process) -> None:
    assert "hunter2" not in probe_process.ask({"do": "probe", "code": "str(dict(__import__('os').environ))"})


def test_oversized_sandbox_answer_ends_the_process(probe_process: Process) -> None:
    with pytest.raises(EndedError):
        probe_process.ask({"do": "probe", "code": "'x' * (80 * 2**20)"})
    assert not psutil.pid_exists(probe_process.pid)

"""Files that ask for too much are refused by a sentence, and cost nobody but the process that reads them."""

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


def table(**columns: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, compression="zstd")
    return file.getvalue()


def long_texts(*, dictionary: bool) -> bytes:
    """A few bytes that are many once each cell has a value of its own."""
    places = pa.array(np.zeros(8_000, np.int32))
    texts = pa.DictionaryArray.from_arrays(places, pa.array(["x" * 5_400]))
    return table(a=texts if dictionary else texts.dictionary_decode(), y=places)


def picture(width: int, height: int) -> bytes:
    """A PNG that says to be of this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", os.urandom(5_000)) + chunk(b"IEND", b"")


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def array(shape: str) -> bytes:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


def spreadsheet(texts: int) -> bytes:
    """An Excel file with so many texts that no cell uses."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in (["a", "b"], [1, 2], [3, 4]):
        book.active.append(row)
    book.save(file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = b'<?xml version="1.0"?><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    members["xl/sharedStrings.xml"] = schema + b"<si><t>a</t></si>" * texts + b"</sst>"
    return zipped(members)


GREEDY = {
    "dictionary.parquet": lambda: long_texts(dictionary=True),
    "texts.parquet": lambda: long_texts(dictionary=False),
    "zeros.parquet": lambda: table(**{f"c{place}": np.zeros(100_000) for place in range(80)}),
    "line.csv": lambda: b"a,b\n" + b"1," * 12_000_000,
    "wide.csv": lambda: b"a,b\n" + b"1," * 300_000,
    "quote.csv": lambda: b'a,b\n1,"' + b"x" * 24_000_000,
    "nested.json": lambda: b"[" * 3_000_000,
    "pictures.zip": lambda: zipped({f"{kind}/1.png": picture(50_000, 50_000) for kind in "ab"}, zipfile.ZIP_STORED),
    "bomb.zip": lambda: zipped({"a.csv": bytes(30_000_000)}),
    "array.npy": lambda: array("(1000000, 1000000)"),
    "arrays.npz": lambda: zipped({"x.npy": array("(1000000, 1000000)"), "y.npy": array("(1000000,)")}),
    "book.xlsx": lambda: spreadsheet(2_000_000),
}


# What is refused because of what it would be once it is decoded, before it is.
COUNTED = ("dictionary.parquet", "texts.parquet", "zeros.parquet", "line.csv", "quote.csv", "bomb.zip", "book.xlsx")


@pytest.mark.parametrize("name", GREEDY)
def test_what_would_be_gigabytes_is_refused_in_words(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", "16")
    content = GREEDY[name]()
    before = psutil.Process().memory_info().rss

    def added() -> None:
        with closing(FileInspection({name: content}, name)) as found:
            found.add(tmp_path)

    with pytest.raises(DataError, match=r"[a-z].*\.$") as refused:
        added()
    assert name not in COUNTED or "MiB" in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert psutil.Process().memory_info().rss - before < 2**27
    assert not list((tmp_path / "data").glob("*"))


def test_memory_beyond_the_limit_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_UPLOAD_MEMORY_GB", "0.3")
    assert FileInspection({"a.csv": TABLE}, "a.csv").kinds()
    rows = b"a,b,y\n" + b"".join(b"%d,%d,text %d\n" % (number, number, number) for number in range(900_000))
    with pytest.raises(DataError, match="memory"):
        FileInspection({"a.csv": rows}, "a.csv").kinds()


def test_time_beyond_the_limit_is_a_sentence_and_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    found = FileInspection({"a.csv": TABLE}, "a.csv")
    running = found.process
    assert running is not None
    running.seconds = 0.3
    os.kill(running.pid, signal.SIGSTOP)  # as one that is busy for ever
    with pytest.raises(DataError, match="seconds"):
        found.kinds()
    end = time.monotonic() + 20
    while psutil.pid_exists(running.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not psutil.pid_exists(running.pid)
    with pytest.raises(DataError, match="seconds"):  # and is not tried again
        found.kinds()


def test_a_crash_is_a_sentence(tmp_path: Path) -> None:
    found = FileInspection({"a.csv": TABLE}, "a.csv")
    assert found.process is not None
    os.kill(found.process.pid, signal.SIGSEGV)
    with pytest.raises(DataError, match="crashed"):
        found.add(tmp_path)
    assert not list((tmp_path / "data").glob("*"))


def test_a_file_is_the_same_here_and_there(tmp_path: Path) -> None:
    found = FileInspection({"a.csv": TABLE}, "a.csv")
    source = open_source({"a.csv": TABLE}, "a.csv")
    reader = found.reader()
    described = found.described(reader, {"target": "y"})
    assert described.answers == reader.answered(source, {"target": "y"})
    assert described.questions == reader.questions(source, described.answers)
    assert described.learned == reader.learned(source, described.answers)
    shown, expected = described.preview(), reader.preview(source, described.answers)
    assert shown.to_dict("list") == expected.to_dict("list")
    heard: list[float] = []
    info = found.add(tmp_path, target="y", progress=lambda share, what: heard.append(share))
    assert heard[-1] == 1.0
    assert [known for known in datasets(tmp_path) if not known.builtin] == [info]
    assert found.add(tmp_path, target="y").title == "a (2)"
    assert (known := schema(DataChoice(dataset=info.name), tmp_path)) is not None
    assert known.rows == 60
    assert not list((tmp_path / "data").glob(".*"))
    found.close()


def test_a_small_file_is_looked_at_within_some_hundredths_of_a_second() -> None:
    process.warm()
    FileInspection({"a.csv": TABLE}, "a.csv").close()  # from now on there is a server
    began = time.monotonic()
    found = FileInspection({"a.csv": TABLE}, "a.csv")
    found.described(found.kinds()[0], {})
    took = time.monotonic() - began
    found.close()
    assert took < 2.0, "it takes 0.3 s on a machine that is idle"


def test_processes_end_with_whoever_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "OPEN_AT_ONCE", 2)
    found = [FileInspection({"a.csv": TABLE}, "a.csv") for _ in range(4)]
    pids = [one.process.pid for one in found if one.process]
    for one in found:
        one.kinds()

    def running() -> list[int]:
        return [pid for pid in pids if psutil.pid_exists(pid)]

    def settled(wanted: list[int]) -> bool:
        end = time.monotonic() + 20
        while running() != wanted and time.monotonic() < end:
            time.sleep(0.02)
        return running() == wanted

    assert settled(pids[2:])
    assert found[0].reader().name == "table"  # which starts it again
    assert settled(pids[3:])
    del found, one
    assert settled([])


@pytest.fixture(scope="module")
def evaluating() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETLOOM_DATABASE_URL", "postgresql://me:hunter2@localhost/a")
        patch.setenv("HF_TOKEN", "hunter2")
        patch.setattr(process, "COMMAND", (*process.COMMAND[:2], "-c", PROBE))
        patch.setattr(process, "_servers", {})
        yield


@pytest.fixture
def taken_over(evaluating: None) -> Iterator[Process]:
    """A confined process that runs any Python that it is sent."""
    found = Process(0)
    yield found
    found.close()


PROBE = """
import sys
from netloom.sandbox import child
child.RequestHandler.answer_probe = lambda self, request, blobs: eval(request["code"])
sys.exit(child.main(sys.argv[1:]))
"""


def test_a_reader_that_was_taken_over_reaches_nothing(taken_over: Process) -> None:
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
                taken_over.ask({"do": "probe", "code": code})
        with pytest.raises(TimeoutError):
            listening.accept()
    with pytest.raises((process.RefusedError, EndedError, FaultError)):
        taken_over.ask({"do": "probe", "code": "len(bytearray(64 * 2**30))"})


def test_it_has_a_network_of_its_own_where_the_system_allows_it(taken_over: Process) -> None:
    allowed = [subprocess.run(["unshare", how, "true"], check=False, capture_output=True) for how in ("-n", "-Un")]
    if all(done.returncode for done in allowed):
        pytest.skip("this system lets nobody make a network")
    network = taken_over.ask({"do": "probe", "code": "__import__('os').readlink('/proc/self/ns/net')"})
    assert network != os.readlink("/proc/self/ns/net")


def test_it_knows_no_secrets(taken_over: Process) -> None:
    assert "hunter2" not in taken_over.ask({"do": "probe", "code": "str(dict(__import__('os').environ))"})


def test_what_it_answers_is_bounded_and_never_unpickled(taken_over: Process) -> None:
    with pytest.raises(EndedError):
        taken_over.ask({"do": "probe", "code": "'x' * (80 * 2**20)"})

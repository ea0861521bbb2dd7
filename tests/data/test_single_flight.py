"""Computations shared by concurrent callers and released afterwards: prepared data with its mapped files."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from netloom.data import DataError, add_file, prepare, remove, schema
from netloom.data import prepare as prepare_function
from netloom.data.caching.single_flight import once
from netloom.document import DataChoice

ROWS = b"a,b,y\n" + b"".join(b"%d,%d,%s\n" % (row, row % 7, b"yes" if row % 3 else b"no") for row in range(3_000))


def test_concurrent_calls_share_one_computation() -> None:
    calls: list[int] = []
    barrier, release = threading.Barrier(8), threading.Event()

    @once(2)
    def slow(number: int) -> object:
        calls.append(number)
        release.wait(10)
        if number < 0:
            raise DataError("No.")
        return object()

    def ask(number: int) -> Any:
        barrier.wait(10)
        try:
            return slow(number)
        except DataError as error:
            return str(error)

    for number in (1, -1):
        release.clear()
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(ask, number) for _ in range(8)]
            threading.Timer(0.1, release.set).start()
            results = {answer.result(10) for answer in answers}
        assert len(results) == 1
    assert calls.count(1) == 1
    with pytest.raises(DataError):  # failures are not cached
        slow(-1)
    first = slow(1)
    assert slow(2) is slow(2)
    assert slow(1) is first
    slow(3)
    assert slow(1) is first
    slow(2)
    assert calls.count(2) == 2  # the least recently used of three was evicted


def test_result_forgotten_during_computation_is_not_cached() -> None:
    started, release = threading.Event(), threading.Event()

    @once(4)
    def slow(number: int) -> object:
        started.set()
        release.wait(10)
        return object()

    with ThreadPoolExecutor(1) as pool:
        first_call = pool.submit(slow, 1)
        assert started.wait(10)
        slow.forget(lambda number: number == 1)
        release.set()
        assert slow(1) is not first_call.result(10)
    assert slow(1) is slow(1)


def test_forgotten_failure_does_not_evict_the_newer_result() -> None:
    started, fail, release = threading.Event(), threading.Event(), threading.Event()
    calls: list[int] = []

    @once(4)
    def slow(number: int) -> object:
        calls.append(number)
        started.set()
        if len(calls) == 1:
            fail.wait(10)
            raise DataError("No.")
        release.wait(10)
        return object()

    with ThreadPoolExecutor(3) as pool:
        first_call = pool.submit(slow, 1)
        assert started.wait(10)
        slow.forget(lambda number: True)
        started.clear()
        second_call = pool.submit(slow, 1)
        assert started.wait(10)
        fail.set()
        with pytest.raises(DataError):
            first_call.result(10)
        waiting = pool.submit(slow, 1)
        release.set()
        assert waiting.result(10) is second_call.result(10)
    assert len(calls) == 2


def test_concurrent_requests_read_data_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = DataChoice(dataset=add_file(ROWS, "a.csv", home).name)
    module = prepare_function.__globals__
    reads, original_read, together = [], module["read"], threading.Barrier(6)

    def counted(*args: Any) -> Any:
        reads.append(args)
        return original_read(*args)

    monkeypatch.setitem(module, "read", counted)

    def ask(place: int) -> Any:
        together.wait(10)
        return schema(choice, home) if place % 2 else prepare(choice, home).schema

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(ask, range(6)))
    assert len(reads) == 1
    assert all(result is results[0] for result in results)


def mapped(folder: Path) -> list[str]:
    """The files of a folder that this process has open or mapped, including deleted ones."""
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line]
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue
        lines += [target] if str(folder) in target else []
    return lines


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_deleted_dataset_releases_its_files(home: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool) -> None:
    monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", "0.001")
    info = add_file(ROWS, "a.csv", home)
    folder = home / "data" / info.name
    prepared = prepare(DataChoice(dataset=info.name), home)
    assert prepared.files
    assert mapped(folder)
    del prepared
    if elsewhere:  # by another process; this one notices at its next request
        from netloom.data import uploads

        uploads.remove(info.name, home)
        prepare(DataChoice(dataset="moons"), home)
    else:
        remove(info.name, home)
    gc.collect()
    assert not mapped(folder)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_least_recently_used_dataset_releases_its_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", "0.001")
    info = add_file(ROWS, "a.csv", home)
    prepare(DataChoice(dataset=info.name), home)
    for seed in range(4):
        prepare(DataChoice(dataset="moons", seed=seed), home)
    gc.collect()
    assert not mapped(home / "data" / info.name)

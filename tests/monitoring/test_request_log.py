"""The request log: what a line has, how much there is, and what cannot get into it."""

from __future__ import annotations

import errno
import json
import os
import resource
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.core.errors import UsageError
from netloom.monitoring import LogSettings, RequestLog, log_of, logged_models
from netloom.monitoring.log_files import log_folder
from netloom.monitoring.log_reader import LogContent, read_log, recent_run
from netloom.monitoring.redaction import Redaction, parse_redaction
from netloom.monitoring.request_log import DAY_S

ANSWER = {"prediction": "yes", "probabilities": {"yes": 0.75, "no": 0.25}}


def opened(home: Path, **settings: Any) -> RequestLog:
    return RequestLog(home, "model", LogSettings(**settings))


def put(log: RequestLog, name: str, *rows: dict[str, Any], run: str = "run") -> None:
    fields = {key for row in rows for key in row if key != "api_key"}
    log.write(name, run, "model/1", 2.5, log.encode(fields, rows, [ANSWER] * len(rows)))


def read(home: Path, last: int = 1_000, run: str = "run") -> LogContent:
    return read_log(home, "model", run, last)


def text(home: Path) -> str:
    return "".join(path.read_text() for path in sorted(log_folder(home, "model").glob("*.jsonl")))


def test_rows_come_back_with_their_labels_over_a_restart(tmp_path: Path) -> None:
    log = opened(tmp_path)
    put(log, "a", {"x": 1.5, "image": np.ones((2, 2)), "nothing": float("nan")}, {"x": 2})
    assert log.add_label("a", 2, "no")
    log.close()
    again = opened(tmp_path)
    assert again.rows_of("a") == 2
    assert again.rows_of("b") == 0
    assert again.add_label("a", 2, "yes")
    put(again, "b", {"x": 3}, run="other")
    again.close()
    content = read(tmp_path)
    first, second = content.rows
    assert first.input == {"x": 1.5, "image": [[1, 1], [1, 1]], "nothing": None}
    assert (first.id, first.row, first.ms, first.confidence, first.prediction) == ("a", 1, 2.5, 0.75, "yes")
    assert (first.label, second.label) == (None, "yes"), "the last label counts"
    assert content.labeled == [second]
    assert content.other_rows == 1
    assert [info.runs for info in logged_models(tmp_path)] == [("run", "other")]


def test_labels_of_older_rows_are_read_beside_the_recent_rows(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for number in range(50):
        put(log, f"r{number}", {"x": number})
    for number in (3, 7):
        log.add_label(f"r{number}", 1, "no")
    log.close()
    content = read(tmp_path, last=5)
    assert [row.id for row in content.rows] == ["r45", "r46", "r47", "r48", "r49"]
    assert [row.id for row in content.labeled] == ["r3", "r7"]


def test_labels_that_come_at_once_are_read_beside_later_rows(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for number in range(40):
        put(log, f"r{number}", {"x": number})
        assert log.add_label(f"r{number}", 1, "yes")
    for number in range(40, 60):
        put(log, f"r{number}", {"x": number})
    content = read(tmp_path, last=20)
    assert len(content.rows) == len(content.labeled) == 20
    assert {row.label for row in content.labeled} == {"yes"}


def test_recent_run_is_the_one_that_gives_the_answers(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for number, run in enumerate("a" * 5 + "b" * 150 + "a" * 120):
        put(log, f"r{number}", {"x": number}, run=run)
    assert recent_run(tmp_path, "model") == "a"


def test_a_request_cannot_forge_a_line_or_bring_other_keys(tmp_path: Path) -> None:
    log = opened(tmp_path)
    forged = '"}\n{"kind":"row","at":"x","id":"forged","row":1,"of":1,"run":"run"}\r\n\u2028'
    put(log, "a", {"x": forged, "api_key": "secret-key"})
    log.add_label("a", 1, forged)
    log.close()
    assert "secret-key" not in text(tmp_path)
    assert text(tmp_path).count("\n") == 2
    [row] = read(tmp_path).rows
    assert row.input == {"x": forged}
    assert row.label == forged
    again = opened(tmp_path)
    assert again.rows_of("forged") == 0
    again.close()


def test_the_log_stays_within_its_size_and_keeps_the_newest_rows(tmp_path: Path) -> None:
    log = opened(tmp_path, max_bytes=40_000)
    for number in range(400):
        put(log, f"r{number}", {"x": "y" * 300})
        folder = log_folder(tmp_path, "model")
        assert sum(path.stat().st_size for path in folder.glob("*.jsonl")) <= 40_000
    log.close()
    rows = read(tmp_path).rows
    assert [row.id for row in rows] == [f"r{number}" for number in range(400 - len(rows), 400)]
    assert len(rows) > 40_000 * 6 / 8 / 550, "only the oldest part is deleted"


def test_lines_are_deleted_after_their_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, start = opened(tmp_path, days=3), time.time()
    for day in range(6):
        monkeypatch.setattr(time, "time", lambda day=day: start + day * (DAY_S + 1) + 60)
        put(log, f"day{day}", {"x": day})
    kept = [row.id for row in read(tmp_path).rows]
    assert kept == ["day3", "day4", "day5"]
    monkeypatch.setattr(time, "time", lambda: start + 20 * DAY_S)
    log.expire()  # also without a new request
    assert read(tmp_path).rows == []
    log.close()


def test_only_one_server_writes_a_log(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with pytest.raises(UsageError, match="Another server logs"):
        opened(tmp_path)
    log.close()
    opened(tmp_path).close()
    for name in ("..", "a/b", ""):
        assert log_of(tmp_path, name) is None
        with pytest.raises(UsageError):
            log_folder(tmp_path, name)


def test_a_full_disk_costs_rows_but_leaves_no_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = opened(tmp_path), os.write
    put(log, "a", {"x": 1})
    calls: list[int] = []

    def full(file: int, content: Any) -> int:
        calls.append(len(content))
        if len(calls) == 1:
            return write(file, bytes(content)[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        put(log, "b", {"x": 2})
    assert len(calls) == 2
    assert log.lost == 1
    put(log, "c", {"x": 3})
    log.close()
    assert [row.id for row in read(tmp_path).rows] == ["a", "c"]
    assert "No space left" in (tmp_path / "errors.jsonl").read_text()


def test_rows_never_reach_a_file_that_takes_the_place_of_a_closed_one(tmp_path: Path) -> None:
    """Without a free descriptor, no new segment can be opened; a connection may get the next one that is free."""
    log = opened(tmp_path, max_bytes=8_000)
    put(log, "a", {"x": "y" * 1_000})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        put(log, "b", {"x": "y" * 1_000})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert log.lost == 1
    with (tmp_path / "connection").open("wb", buffering=0) as other:
        put(log, "c", {"x": 3})
        log.close()
        assert log.lost == 1
        put(log, "d", {"x": 4})
        assert log.lost == 2, "it is closed"
        assert os.fstat(other.fileno()).st_size == 0
    assert [row.id for row in read(tmp_path).rows] == ["a", "c"]


def test_redacted_fields_are_left_out_or_hashed_with_a_secret_key(tmp_path: Path) -> None:
    redaction = parse_redaction(["name", "city=hash"])
    logs = [RequestLog(tmp_path, model, LogSettings(redaction=redaction)) for model in ("model", "other")]
    for log in logs:
        for number, city in enumerate(("Bern", "Bern", "Genf")):
            put(log, f"r{number}", {"name": "Ada", "city": city, "x": number})
        log.close()
    assert "Ada" not in text(tmp_path)
    assert "Bern" not in text(tmp_path)
    content = read(tmp_path)
    first, second, third = (row.input["city"] for row in content.rows)
    assert first == second != third
    assert first.startswith("hash:")
    assert read_log(tmp_path, "other", "run", 9).rows[0].input["city"] != first
    assert content.hidden == {"name", "city"}
    assert [row.input["x"] for row in content.rows] == [0, 1, 2]


def test_redaction_of_unknown_fields_and_in_other_forms_is_refused() -> None:
    with pytest.raises(UsageError, match="the fields are age, city"):
        parse_redaction(["town"]).check({"age", "city"})
    for text in ("city=drop", "=hash"):
        with pytest.raises(UsageError, match="FIELD=hash"):
            parse_redaction([text])
    assert parse_redaction(["a=b=hash"]) == Redaction(hashed=frozenset({"a=b"}))


def test_other_names_of_a_redacted_value_are_redacted() -> None:
    groups = [{"text", "note"}, {"day", "day (days)", "day (month)"}, {"x"}]
    redaction = parse_redaction(["note=hash", "day (month)"]).widened(groups)
    assert redaction == Redaction(frozenset(groups[1]), frozenset(groups[0]))
    assert parse_redaction([]).widened(groups) == Redaction()


def test_labels_of_a_request_are_limited(tmp_path: Path) -> None:
    log = opened(tmp_path)
    put(log, "a", {"x": 1})
    assert [log.add_label("a", 1, "no") for _ in range(12)] == [True] * 10 + [False] * 2
    log.close()


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    log = opened(tmp_path, max_bytes=4_000_000)

    def write(name: int) -> None:
        for number in range(100):
            put(log, f"t{name}n{number}", {"x": "z" * 2_000})

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len({json.loads(line)["id"] for line in text(tmp_path).splitlines()}) == 400

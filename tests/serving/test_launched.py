"""Servers that are started without a terminal; `tests/ui/test_deploy.py` starts and asks one."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from netloom.core.errors import UsageError
from netloom.serving.launched import MAX_SERVERS, LaunchedServer, LaunchOptions, free_port, launch, launched


def record(home: Path, port: int, pid: int) -> None:
    folder = home / "serving" / "launched"
    folder.mkdir(parents=True, exist_ok=True)
    values = {"run_id": "1a2b", "port": port, "pid": pid, "started": "2026-01-01T00:00:00+00:00"}
    (folder / f"{port}.json").write_text(json.dumps(values))


def test_a_server_that_fails_says_why(tmp_path: Path) -> None:
    server = launch(tmp_path, "no such run", "model", free_port(tmp_path))
    end = time.monotonic() + 60
    while server.is_running:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert server.has_failed
    assert not server.is_ready
    assert "There are no runs yet" in server.output()
    assert launched(tmp_path, "no such run") == [server]
    assert launched(tmp_path, "another") == []


def test_a_server_that_is_stopped_while_it_starts_has_not_failed(tmp_path: Path) -> None:
    server = launch(tmp_path, "1a2b", "model", free_port(tmp_path))
    server.stop()
    end = time.monotonic() + 60
    while server.is_running:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert not server.has_failed


def test_file_of_a_variant_replaces_the_backend() -> None:
    assert LaunchOptions().arguments == []
    assert LaunchOptions("auto", logs_requests=True).arguments == ["--backend", "auto", "--log-requests", "1"]
    assert LaunchOptions("auto", model="/a b/int8.onnx").arguments == ["--model", "/a b/int8.onnx"]


def test_another_process_with_the_id_is_not_the_server(tmp_path: Path) -> None:
    record(tmp_path, 8801, os.getpid())
    [server] = launched(tmp_path)
    assert not server.is_running
    server.stop()  # would end this test
    (server.folder / "8802.json").write_text("{")
    assert launched(tmp_path) == [server]


def test_servers_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for port in range(9_001, 9_001 + MAX_SERVERS):
        record(tmp_path, port, 1)
    monkeypatch.setattr(LaunchedServer, "is_running", True)
    with pytest.raises(UsageError, match="stop one of them first"):
        launch(tmp_path, "1a2b", "model", free_port(tmp_path))

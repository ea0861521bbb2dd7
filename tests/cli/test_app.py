"""`netloom` without a subcommand starts the app, from any directory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest

from netloom.cli.commands.app import ADDRESS, OPTIONS, script, server_command
from netloom.runs.processes import COMMAND
from tests.cli.command import environment, words
from tests.cli.conftest import Console

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def test_options_match_the_streamlit_configuration() -> None:
    def flat(table: dict[str, object], prefix: str = "") -> dict[str, object]:
        options: dict[str, object] = {}
        for key, value in table.items():
            options |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return options

    assert flat(tomllib.loads((ROOT / ".streamlit/config.toml").read_text())) == OPTIONS


def test_server_command_contains_the_options() -> None:
    assert script().name == "app.py"
    command = server_command(9000, headless=True)
    assert command[0] == sys.executable
    assert {"--server.port=9000", "--server.headless=true", "--server.address=127.0.0.1"} <= set(command)
    assert "--server.headless=true" not in server_command(9000, headless=False)
    assert "--server.address=0.0.0.0" in server_command(9000, headless=True, host="0.0.0.0")


def test_foreign_host_address_is_a_usage_error(console: Console) -> None:
    answer = console("app", "--headless", "--port", free_port(), "--host", "192.0.2.1")
    assert answer.code == 2
    assert "--host" in answer.err


def test_occupied_port_is_an_error(console: Console) -> None:
    with socket.socket() as listener:
        listener.bind((ADDRESS, 0))
        listener.listen()
        answer = console("app", "--headless", "--port", listener.getsockname()[1])
    assert answer.code == 1
    assert "--port" in answer.err


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_app_serves_opens_the_browser_and_stops_on_sigint(tmp_path: Path) -> None:
    port, opened, browser = free_port(), tmp_path / "seen", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)
    process = subprocess.Popen(
        words("--home", tmp_path / "home", "--port", port),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), "PYTHONPATH": str(ROOT), "BROWSER": f"{browser} %s", "DISPLAY": ":0"},
    )
    try:
        assert _healthy(process, port)
        end = time.monotonic() + 30
        while not opened.exists() and time.monotonic() < end:
            time.sleep(0.1)
        assert opened.read_text().strip() == f"http://127.0.0.1:{port}/"
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert f"http://127.0.0.1:{port}" in out
    assert "Traceback" not in out


@pytest.mark.parametrize("command", [server_command(8501, headless=True), [*COMMAND]], ids=["app", "worker"])
def test_files_in_the_working_directory_shadow_no_module(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "html.py").write_text("raise SystemExit('a file of somebody else')")
    start = command[: command.index("-m")]
    result = subprocess.run([*start, "-c", "import html"], cwd=tmp_path, env=environment(), check=False)
    assert result.returncode == 0


def _healthy(process: subprocess.Popen[str], port: int) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{ADDRESS}:{port}/_stcore/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.2)
    return False

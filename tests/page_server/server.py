"""The server of the pages as users start it, watched from inside."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from netloom.cli.bench.server import Server
from tests.page_server.sitecustomize import STRETCHES


class WatchedServer(Server):
    """A server whose log has a traceback if it imports what only workers need.

    With `stretches`, it also writes the calls that take long to this file, one in each line.
    """

    def __init__(self, home: Path, stretches: Path | None = None) -> None:
        self.stretches = stretches
        super().__init__(home)

    def start(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
            if self.stretches is not None:
                patch.setenv(STRETCHES, str(self.stretches))
            super().start()

    def stop(self) -> None:
        """Stop the server and its workers, which would otherwise first finish their imports, for seconds."""
        with suppress(psutil.NoSuchProcess):
            workers = psutil.Process(self.process.pid).children(recursive=True)
            super().stop()
            for worker in workers:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()


def long_calls(stretches: Path) -> list[str]:
    """The calls that a watched server has written to its file, as lines: processor time, thread and call, and the
    functions of Netloom that led to it."""
    lines = []
    for line in stretches.read_text().splitlines():
        call = json.loads(line)
        if not call["script"]:
            callers = [name for name in call["stack"] if "/netloom/" in name][:3]
            lines.append(f"{call['ms']} ms in {call['thread']}: {' < '.join([call['call'], *callers])}")
    return lines

"""Python processes that have imported the heavy libraries before they start: forked, as the workers of runs are, from
one process of each test worker. Each is a process of its own that can be killed, but costs hundredths of a second
instead of seconds."""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

from netloom.layers import registry
from netloom.runs.forkserver import Forked, ForkServer, GoneError, disown, serve

REPOSITORY = Path(__file__).parents[1]


class PreloadedProcess:
    """A forked process, with the used part of the interface of subprocess.Popen."""

    def __init__(self, forked: Forked) -> None:
        self._forked = forked
        self.pid, self.stdin = forked.pid, forked.stdin

    def poll(self) -> int | None:
        code = self._forked.poll()
        if code is not None:
            self.stdin.close()
        return code

    def wait(self, timeout: float = 60) -> int:
        code = self._forked.wait(timeout)
        self.stdin.close()
        return code

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start_python(
    option: str,
    program: str,
    *arguments: object,
    output: Path | None = None,
    errors: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> PreloadedProcess:
    """Start `python -m program …` or `python -c program …` in the repository, which appends to the files `output` and
    `errors`."""
    process = PreloadedProcess(_forked())
    message = {
        "option": option,
        "arguments": [program, *map(str, arguments)],
        "files": [str(path or os.devnull) for path in (output, errors)],
        "environment": dict(os.environ if environment is None else environment),
    }
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    return process


def _forked() -> Forked:
    """Fork a process; from a new origin if the last one has ended or does not answer."""
    try:
        return _origin().fork()
    except GoneError:
        _origin.cache_clear()
        return _origin().fork()


@cache
def _origin() -> ForkServer:
    path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
    server = ForkServer([sys.executable, "-m", "tests.preloaded"], {**os.environ, "PYTHONPATH": path})
    assert server.ready(120)
    return server


def _work() -> int:
    import numpy as np

    with open(0, "rb", buffering=0, closefd=False) as stdin:  # does not read beyond the line
        line = stdin.readline()
    if not line:
        return 0
    message = json.loads(line)
    os.environ.clear()
    os.environ.update(message["environment"])
    os.chdir(REPOSITORY)
    for number, path in enumerate(message["files"], 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    np.random.seed()  # otherwise all processes would share a seed
    disown()  # it starts a fork server of its own, as any other process
    sys.argv = message["arguments"]
    if message["option"] == "-m":
        runpy.run_module(sys.argv[0], run_name="__main__")
    else:
        exec(sys.argv[0], {"__name__": "__main__"})
    return 0


def _import_heavy() -> None:
    import torch

    for module in ("netloom.runs", "netloom.runs.supervisor", "netloom.serving.server"):
        import_module(module)
    registry()
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # imports the compiler of PyTorch


if __name__ == "__main__":
    _import_heavy()
    sys.exit(serve(_work))

"""The process that computes jobs: `python -m netloom.jobs.workers.worker`, a server from which workers are forked; with
`--alone`, it is a worker itself, for systems without fork.

A worker reads requests from the socket on its standard input, one after the other, and writes its results to it. It
ends with the process at the other end, which closes the socket.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netloom.core.torch_internals import COMPILER
from netloom.explain.core.serialization import loads
from netloom.jobs.handover import Handover
from netloom.jobs.loaded_runs import forget
from netloom.jobs.request import Context, Request, kinds
from netloom.jobs.workers.processes import WorkerSettings
from netloom.runs.forkserver import disown, serve
from netloom.runs.resources.limits import confine, loosen, no_memory
from netloom.sandbox import messages

TELL_EVERY_S = 0.05
# Modules for the first explanation, besides those of all jobs. Captum imports Matplotlib. torch loads the last two, and
# with them SymPy, when it first infers the shape of a convolution.
HEAVY = (
    "captum.attr",
    "networkx",
    "pandas",
    "safetensors.torch",
    "scipy.stats",
    "torch.utils.flop_counter",
    "torch.fx.experimental.symbolic_shapes",
    COMPILER,
    "netloom.explain.evidence.faithfulness",
    "netloom.explain.influence.per_sample_gradients",
)


class CancelledError(BaseException):
    """The job was cancelled. Not an Exception, so that methods do not handle it as a failure of their own."""


class _Inbox:
    """Received requests. A thread reads them, so that a job can be cancelled during its computation."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self.requests: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
        self.cancelled: set[int] = set()
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                message, blobs = messages.receive(self._channel, most=None)
            except messages.ClosedError:
                os._exit(0)  # the requesting process has ended, possibly during a computation
            if "cancel" in message:  # takes effect when the computation next reports its progress
                self.cancelled.add(int(message["cancel"]))
            else:
                self.requests.put((message, blobs[0] if blobs else b""))


class _Reply:
    """Sends the progress and the result of a job."""

    def __init__(self, channel: socket.socket, inbox: _Inbox, number: int) -> None:
        self._channel, self._inbox, self._number, self._last = channel, inbox, number, 0.0

    def send(self, message: Mapping[str, Any], *blobs: bytes) -> None:
        messages.send(self._channel, {"job": self._number, **message}, blobs)

    def send_answer(self, message: Mapping[str, Any], answer: Handover) -> None:
        try:
            self.send({**message, "sizes": answer.sizes}, answer.content)
            if answer.file is not None:
                messages.send_file(self._channel, answer.file)
        finally:
            answer.close()

    def progress(self, share: float) -> None:
        if self._number in self._inbox.cancelled:
            raise CancelledError
        time_s = time.monotonic()
        if time_s - self._last >= TELL_EVERY_S:
            self._last = time_s
            self.send({"progress": share})


def main(settings: WorkerSettings, channel: socket.socket) -> int:
    """Compute jobs until the channel closes. Returns the exit code."""
    import torch

    from netloom.runs.resources.limits import RunLimits

    if hasattr(os, "nice"):
        os.nice(max(0, settings.niceness - os.nice(0)))  # relative to the inherited value
    torch.set_num_threads(settings.threads)
    limits = RunLimits(memory_bytes=settings.memory_bytes, wall_s=0, processes=0, disk_bytes=0)
    confine(limits, gpu=torch.cuda.is_available())
    inbox = _Inbox(channel)
    while True:
        message, content = inbox.requests.get()
        if "forget" in message:
            forget()
            continue
        reply = _Reply(channel, inbox, int(message["job"]))
        try:
            _compute(message, content, reply)
        except messages.ClosedError:
            return 0


def _compute(message: Mapping[str, Any], content: bytes, reply: _Reply) -> None:
    os.environ.update(message["environment"])  # settings can change while a worker lives
    try:
        request: Request[Any] = loads(kinds()[message["kind"]], content)
        context = Context(
            Path(message["home"]),
            reply.progress,
            lambda value: reply.send_answer({"preview": True}, request.write_answer(value)),
        )
        reply.send_answer({"done": True}, request.write_answer(request.compute(context)))
    except CancelledError:
        reply.send({"cancelled": True})
    except messages.ClosedError:
        raise
    except Exception as error:
        loosen()  # the message about a lack of memory needs memory
        reply.send(_failure(error))


def _failure(error: Exception) -> dict[str, Any]:
    """Return an error as a message. Errors of Netloom are sentences for users; of others, the details are for the
    log."""
    kind = type(error)
    if no_memory(error):
        return {"failed": "memory"}
    if kind.__module__.partition(".")[0] == "netloom" or isinstance(error, OSError):
        return {"failed": "refused", "class": [kind.__module__, kind.__qualname__], "sentence": str(error)}
    return {"failed": "fault", "class": [kind.__module__, kind.__qualname__], "details": traceback.format_exc()}


def _work() -> int:
    """Run a worker whose channel is its standard input, and whose first message are its settings."""
    import numpy as np

    disown()
    np.random.seed()  # otherwise all forked workers would share a seed
    channel = socket.socket(fileno=os.dup(0))
    try:
        message, _ = messages.receive(channel)
    except messages.ClosedError:
        return 0
    return main(WorkerSettings(**message), channel)


def _import_heavy() -> None:
    """Import everything that each job needs, in advance."""
    from importlib import import_module

    import torch

    from netloom import explain, layers
    from netloom.data.builtin_registry import builtin

    for name in HEAVY:
        import_module(name)
    kinds()
    layers.registry()
    explain.registry()
    builtin()
    weight = torch.nn.Parameter(torch.zeros(1))
    # The first call imports further parts of torch.
    weight.sum().backward()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    _import_heavy()
    sys.exit(_work() if "--alone" in sys.argv else serve(_work))

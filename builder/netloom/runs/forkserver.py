"""A process that has imported everything a run needs, and from which workers are forked. A forked worker starts within
some hundredths of a second and shares the memory of the imports; a new interpreter takes seconds and memory of its own.

Like the fork server of multiprocessing, it stays single-threaded, passes file descriptors to children by SCM_RIGHTS,
and reports their exit code. Unlike there, children outlive both the server and the process that requested them, inherit
nothing from that process, and can request further processes.
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods

The server ends when the process that started it ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NamedTuple

from netloom.core.processes import start_detached

# The time for a ready server to fork. After it, the caller does without the server, which may be suspended or swapped
# out.
ANSWER_S = 5.0
_NUMBER = struct.Struct("=i")
# In a child: the channel on which it requests further processes.
_asking: socket.socket | None = None


class GoneError(OSError):
    """The server has ended or does not answer."""


def possible() -> bool:
    """Return whether a process can be forked after importing torch. On systems other than Linux, libraries break in
    forked processes."""
    return sys.platform == "linux"


class Forked:
    """A process that the server forked, with the used part of the interface of subprocess.Popen. Only the server can
    read its exit code; if the server has ended, the code is unknown.

    Attributes: `pid`; `stdin`, a pipe that the process reads; `returncode` as in subprocess, None while it is unknown.
    """

    def __init__(self, pid: int, stdin: IO[bytes], status: int) -> None:
        self.pid, self.stdin, self._status = pid, stdin, status
        self._close = weakref.finalize(self, os.close, status)
        self.returncode: int | None = None
        self._looking = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs.

        Raises:
            ChildProcessError: the server has ended, so the exit code is unknown.
        """
        return self._look(0)

    def wait(self, timeout: float) -> int:
        """Wait for the exit code and return it.

        Raises:
            ChildProcessError: the server has ended, so the exit code is unknown.
            subprocess.TimeoutExpired: the process still runs after `timeout` seconds.
        """
        exit_code = self._look(timeout)
        if exit_code is None:
            raise subprocess.TimeoutExpired("a forked process", timeout)
        return exit_code

    def _look(self, timeout: float) -> int | None:
        with self._looking:
            if self._close.alive and _readable(self._status, timeout):
                self.returncode = _heard(self._status)
                self._close()
            if self.returncode is None and not self._close.alive:
                raise ChildProcessError(f"Nobody is left who could know how process {self.pid} ends.")
            return self.returncode


class ForkServer:
    """The server as seen by the process that starts it, with `command` and in `environment`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        # SEQPACKET keeps messages apart, and tells the server when this process ends.
        self._asking, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with server_end:
            process = start_detached(command, server_end.fileno(), environment)
        self.pid, self._process, self._ready = process.pid, process, False
        self._listening = threading.Lock()
        weakref.finalize(self, _end, self._asking, process, os.getpid())

    def alive(self) -> bool:
        return self._process.poll() is None

    def ready(self, timeout: float = 0) -> bool:
        """Return whether it has imported everything, or does so within `timeout` seconds."""
        with self._listening:  # it is sent once, so a thread that receives it sets the state for all
            if not self._ready and _readable(self._asking, timeout):
                self._ready = self._asking.recv(1) == b"r"
        return self._ready and self.alive()

    def fork(self, channel: socket.socket | None = None) -> Forked:
        """Fork a process that waits for a line on its standard input, which is `channel` if given.

        Raises:
            GoneError: the server has ended or does not answer.
        """
        return _ask(self._asking, channel)


def sibling() -> Forked:
    """Fork a process like this one, from the server that forked this one.

    Raises:
        GoneError: the server has ended, or this process was not forked.
    """
    if _asking is None:
        raise GoneError("This process was not forked.")
    return _ask(_asking)


def disown() -> None:
    """Remove the ability of this process to request others: they would not have its resource limits."""
    global _asking
    if _asking is not None:
        _asking.close()
        _asking = None


class _Child(NamedTuple):
    pid: int
    status: int


def serve(work: Callable[[], int]) -> int:
    """Fork on request until the process at the other end of the standard input ends. Returns the exit code: that of
    `work` in a child, and 0 in the server itself."""
    global _asking
    parent_channel = socket.socket(fileno=os.dup(0))
    # Datagrams, because all children share the sending end; the server keeps it open, too, for those to come.
    child_channel, for_children = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    # A signal writes a byte to this pipe, so that `select` returns when a child ends. That needs a handler in Python,
    # although it has nothing to do.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    listening: list[int | socket.socket] = [parent_channel, child_channel, woken]
    children: list[_Child] = []
    gc.collect()
    gc.freeze()  # excludes imported objects from collection in children, which would copy their memory pages
    parent_channel.send(b"r")
    while True:
        ready, _, _ = select.select(listening, [], [])
        if woken in ready:
            os.read(woken, 1024)
            children = [child for child in children if not _over(child)]
        for channel in (parent_channel, child_channel):
            if channel not in ready:
                continue
            message, passed, _, _ = socket.recv_fds(channel, 1, 2)
            if not message:  # the process that started the server has ended
                return 0
            stdin, status = passed
            pid = os.fork()
            if pid == 0:
                # Close everything of the server: a copy of a pipe here would hide its end from its reader.
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.dup2(stdin, 0)
                for listening_channel in (parent_channel, child_channel):
                    listening_channel.close()
                for number in (woken, wake, stdin, status, *(child.status for child in children)):
                    os.close(number)
                os.setsid()  # a process group of its own, which `end_group` can kill
                _asking = for_children
                return work()
            os.close(stdin)
            _tell(status, pid)  # first the id of the process, and later its exit code
            children.append(_Child(pid, status))


def _over(child: _Child) -> bool:
    """Return whether a child has ended; if so, send its exit code to the process that requested it."""
    pid, how = os.waitpid(child.pid, os.WNOHANG)
    if pid == 0:
        return False
    _tell(child.status, os.waitstatus_to_exitcode(how))
    os.close(child.status)
    return True


def _end(asking: socket.socket, process: subprocess.Popen[bytes], starter: int) -> None:
    """End the server together with the process that started it; forked children continue."""
    if os.getpid() == starter:  # a fork of that process inherits this finalizer, and must not end the server
        process.kill()
        process.wait()
    asking.close()


def _ask(asking: socket.socket, channel: socket.socket | None = None) -> Forked:
    """Request a process from the server.

    Raises:
        GoneError: the server has ended or does not answer.
    """
    (read, write), (status, status_writer) = os.pipe(), os.pipe()
    try:
        try:
            socket.send_fds(asking, [b"f"], [read if channel is None else channel.fileno(), status_writer])
        finally:
            os.close(read)
            os.close(status_writer)
        pid = _heard(status) if _readable(status, ANSWER_S) else None
        if pid is None:
            raise GoneError("The server does not answer.")
    except OSError as error:
        os.close(write)
        os.close(status)
        raise GoneError(str(error)) from error
    return Forked(pid, os.fdopen(write, "wb"), status)


def _tell(status: int, number: int) -> None:
    with contextlib.suppress(OSError):  # the requesting process has ended
        os.write(status, _NUMBER.pack(number))


def _heard(status: int) -> int | None:
    """Return the next number from the server; None if it has ended."""
    data = os.read(status, _NUMBER.size)
    return int(_NUMBER.unpack(data)[0]) if data else None


def _readable(stream: int | socket.socket, timeout: float) -> bool:
    waiting = select.poll()  # `select` fails for file descriptors from 1024 on, which a web server can reach
    waiting.register(stream, select.POLLIN)
    return bool(waiting.poll(1000 * timeout))

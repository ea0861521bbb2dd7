"""A process that has imported what every run needs, and of which workers are forked: each begins within some hundredths
of a second and shares what is imported, where a new interpreter takes seconds and memory of its own.

As multiprocessing's server of this name it stays single-threaded, hands each child what was sent along by SCM_RIGHTS,
and tells its exit code; unlike there, children outlive both it and who asked for them, start with nothing of the
asking program, and may ask for the next one. https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods

It ends when the process that started it does.
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

# How long a server that has said that it is ready may take to fork; one that is stopped or swapped out is done without.
ANSWER_S = 5.0
_NUMBER = struct.Struct("=i")
# In a child: where it asks for the next one.
_asking: socket.socket | None = None


class GoneError(OSError):
    """The server is gone, or does not answer."""


def possible() -> bool:
    """Whether a process may be forked once torch is imported. Other systems than Linux have libraries that break."""
    return sys.platform == "linux"


class Forked:
    """A process forked by the server, with what is used here of subprocess.Popen. Only the server learns its exit code;
    where that one is gone, nobody does.

    Attributes: `pid`; `stdin`, a pipe that the process reads; `returncode` as subprocess has it, None while none is
    known.
    """

    def __init__(self, pid: int, stdin: IO[bytes], status: int) -> None:
        self.pid, self.stdin, self._status = pid, stdin, status
        self._close = weakref.finalize(self, os.close, status)
        self.returncode: int | None = None
        self._looking = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, None while it goes on.

        Raises:
            ChildProcessError: the server is gone, so there is nobody to tell it.
        """
        return self._look(0)

    def wait(self, timeout: float) -> int:
        """The exit code, as soon as there is one.

        Raises:
            ChildProcessError: as above.
            subprocess.TimeoutExpired: it still goes on after so many seconds.
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
    """The server as the process sees it that starts it, with `command` and in `environment`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._asking, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with server_end:
            process = subprocess.Popen(
                [*command],
                stdin=server_end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        self.pid, self._process, self._ready = process.pid, process, False
        self._listening = threading.Lock()
        weakref.finalize(self, _end, self._asking, process, os.getpid())

    def alive(self) -> bool:
        return self._process.poll() is None

    def ready(self, timeout: float = 0) -> bool:
        """Whether it has imported everything, or does so within some seconds."""
        with self._listening:  # it is said once, so of several threads that wait one hears it for all
            if not self._ready and _readable(self._asking, timeout):
                self._ready = self._asking.recv(1) == b"r"
        return self._ready and self.alive()

    def fork(self, channel: socket.socket | None = None) -> Forked:
        """A process that waits for a line on its standard input. Where a channel is given, that is its standard input.

        Raises:
            GoneError: the server is.
        """
        return _ask(self._asking, channel)


def sibling() -> Forked:
    """A process like this one, forked by the server that this one was forked by.

    Raises:
        GoneError: it is, or there never was one.
    """
    if _asking is None:
        raise GoneError("This process was not forked.")
    return _ask(_asking)


def disown() -> None:
    """Take from this process what it could ask for others like it by: those would not be confined as it is."""
    global _asking
    if _asking is not None:
        _asking.close()
        _asking = None


class _Child(NamedTuple):
    pid: int
    status: int


def serve(work: Callable[[], int]) -> int:
    """Fork whenever somebody asks for it, until the process on the other end of the standard input is gone. Returns the
    exit code: that of `work` in a child, and 0 in the server itself."""
    global _asking
    parent_channel = socket.socket(fileno=os.dup(0))
    child_channel, for_children = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    listening: list[int | socket.socket] = [parent_channel, child_channel, woken]
    children: list[_Child] = []
    gc.collect()
    gc.freeze()  # children neither look through what is imported nor copy it by doing so
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
            if not message:
                return 0
            stdin, status = passed
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.dup2(stdin, 0)
                for listening_channel in (parent_channel, child_channel):
                    listening_channel.close()
                for number in (woken, wake, stdin, status, *(child.status for child in children)):
                    os.close(number)
                os.setsid()
                _asking = for_children
                return work()
            os.close(stdin)
            _tell(status, pid)
            children.append(_Child(pid, status))


def _over(child: _Child) -> bool:
    """Whether a child has ended; its exit code is then told to whoever asked for it."""
    pid, how = os.waitpid(child.pid, os.WNOHANG)
    if pid == 0:
        return False
    _tell(child.status, os.waitstatus_to_exitcode(how))
    os.close(child.status)
    return True


def _end(asking: socket.socket, process: subprocess.Popen[bytes], starter: int) -> None:
    """With the process that started it, the server ends; what it has forked goes on."""
    if os.getpid() == starter:
        process.kill()
        process.wait()
    asking.close()


def _ask(asking: socket.socket, channel: socket.socket | None = None) -> Forked:
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
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(status, _NUMBER.pack(number))


def _heard(status: int) -> int | None:
    """The next number that was told; None where nobody is left who could."""
    data = os.read(status, _NUMBER.size)
    return int(_NUMBER.unpack(data)[0]) if data else None


def _readable(stream: int | socket.socket, timeout: float) -> bool:
    waiting = select.poll()  # select would not take the thousandth file of a web server
    waiting.register(stream, select.POLLIN)
    return bool(waiting.poll(1000 * timeout))

"""Workers that are forked from a process which has imported all that they need, as that takes each of them two seconds.

They are processes like any other: children of the tests, each with a group of its own, that are told their run, killed
and waited for. What the tests look at by other programs, such as the command, the app and Ray, starts them anew, and so
does each test that gives them another command.
"""

from __future__ import annotations

import ctypes
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
from typing import Any

WORKER = "builder.train.worker"
MESSAGE_BYTES = 1 << 17
_SUBREAPER = 36


class Forked(subprocess.Popen[bytes]):
    """A process that another has started for us."""

    def __init__(self, pid: int, command: list[str], stdin: int) -> None:
        self.pid, self.args, self.returncode = pid, command, None
        self.stdin, self.stdout, self.stderr = os.fdopen(stdin, "wb"), None, None
        self.__dict__ |= {"_child_created": True, "_waitpid_lock": threading.Lock(), "_communication_started": False}


class Forks:
    """Stands for the module `subprocess` where workers are started."""

    def __init__(self) -> None:
        self._parent: subprocess.Popen[bytes] | None = None
        self._ours: socket.socket | None = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, command: list[str], **given: Any) -> subprocess.Popen[bytes]:  # noqa: N802
        if sys.platform != "linux" or command[:3] != [sys.executable, "-m", WORKER]:
            return subprocess.Popen(command, **given)
        with self._lock:
            channel = self._ours or self._begin(given["env"])
            ours, theirs = os.pipe()
            told = json.dumps({"arguments": command[3:], "environment": given["env"], "folder": os.getcwd()})
            reaper = ctypes.CDLL(None).prctl
            reaper(_SUBREAPER, 1, 0, 0, 0)  # so that who loses its parent becomes our child
            try:
                socket.send_fds(channel, [told.encode()], [ours])
                pid = int(channel.recv(64))
            finally:
                reaper(_SUBREAPER, 0, 0, 0, 0)
                os.close(ours)
        return Forked(pid, command, theirs)

    def _begin(self, environment: dict[str, str]) -> socket.socket:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A worker is known by what it was called with.
        command = [sys.executable, "-m", "tests.forks", WORKER, str(theirs.fileno())]
        self._parent = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=environment, pass_fds=[theirs.fileno()], start_new_session=True
        )
        theirs.close()
        return self._ours

    def close(self) -> None:
        """End the one that forks; its workers go on."""
        if self._parent is not None and self._ours is not None:
            self._ours.close()
            self._parent.wait(60)


def serve(channel: socket.socket) -> None:
    """Import everything, and then be forked for each message until there is nobody to send one."""
    from builder.train import worker

    worker._import_heavy()
    del sys.modules[WORKER]  # which a worker runs as its main program
    while True:
        message, given, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 1)
        if not message:
            return
        ours, theirs = os.pipe()
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid == 0:
                channel.close()
                work(json.loads(message), given[0])
                return
            os.write(theirs, str(pid).encode())
            os._exit(0)
        os.waitpid(between, 0)  # now the other has lost its parent
        channel.send(os.read(ours, 64))
        for number in (ours, theirs, given[0]):
            os.close(number)


def work(told: dict[str, Any], stdin: int) -> None:
    """Be a worker to its end."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, one in enumerate((stdin, nothing, nothing)):
        os.dup2(one, number)
    os.closerange(3, 64)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ |= told["environment"]
    sys.argv = [WORKER, *told["arguments"]]
    runpy.run_module(WORKER, run_name="__main__")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[2])))

"""Isolation of a process before it reads a file from outside: limited memory, no network, no other programs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Any

from netloom.runs.resources.limits import RunLimits, confine

# https://man7.org/linux/man-pages/man2/unshare.2.html, https://man7.org/linux/man-pages/man2/PR_SET_NO_NEW_PRIVS.2const.html
_NEW_USERS, _NEW_NETWORK, _NO_NEW_PRIVILEGES = 0x10000000, 0x40000000, 38
# https://docs.python.org/3/library/audit_events.html
_REFUSED = (
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "subprocess.Popen",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.kill",
)


class ForbiddenError(PermissionError):
    """A confined process asked for the network or for another program."""


def isolate(memory_bytes: int) -> None:
    """Confine this process for good. It must have a single thread."""
    confine(RunLimits(memory_bytes, wall_s=0, processes=1, disk_bytes=0), gpu=False)
    if sys.platform == "linux":
        _leave_network()
    sys.addaudithook(_refuse)  # also where the system takes no network away


def _leave_network() -> None:
    """Move into a network of this process alone, which has no way out; without rights, into users of its own first."""
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    user, group = os.getuid(), os.getgid()
    if system.unshare(_NEW_NETWORK) == 0 or system.unshare(_NEW_USERS | _NEW_NETWORK) != 0:
        return
    with contextlib.suppress(OSError):  # who it is among those users matters for the names in listings alone
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED:
        raise ForbiddenError(f"A sandboxed process attempted {event}, which is not allowed.")

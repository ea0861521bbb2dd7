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
    """A confined process tried to use the network or to start a program."""


def isolate(memory_bytes: int) -> None:
    """Confine this process permanently. It must have a single thread, as Linux requires for a new user namespace."""
    confine(RunLimits(memory_bytes, wall_s=0, processes=1, disk_bytes=0), gpu=False)
    if sys.platform == "linux":
        _leave_network()
    # Also on systems without namespaces. An audit hook cannot be removed, but native code does not pass through it.
    sys.addaudithook(_refuse)


def _leave_network() -> None:
    """Move this process into a network namespace without interfaces.

    Without the privilege to create one, create it together with a user namespace, in which every process has it.
    """
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    user, group = os.getuid(), os.getgid()  # before `unshare`: in a new namespace, they are unmapped
    if system.unshare(_NEW_NETWORK) == 0 or system.unshare(_NEW_USERS | _NEW_NETWORK) != 0:
        return
    with contextlib.suppress(OSError):  # the mapping only affects the displayed owner of files
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def _refuse(event: str, _arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED:
        raise ForbiddenError(f"A sandboxed process attempted {event}, which is not allowed.")

"""Which machine this is, so that of several on one database each looks after its own processes alone."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

from netloom.core.settings import settings

MOST = 128
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def here() -> str:
    """NETLOOM_HOST, or the machine's name and a word that changes when it is started anew: a process's number means
    nothing after that."""
    return (settings.host or "")[:MOST] or _found()


@cache
def _found() -> str:
    try:
        boot = _BOOT.read_text().strip()[:8]
    except OSError:
        boot = ""
    return f"{socket.gethostname()[: MOST - 9]}/{boot}"


def named(host: str) -> str:
    """A machine's name, as people know it."""
    return host.partition("/")[0]

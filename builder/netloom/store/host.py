"""The identity of this machine, so that several machines on one database each manage only their own processes."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

from netloom.core.settings import settings

MOST = 128
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def current_host() -> str:
    """Return NETLOOM_HOST, or the name of the machine with a suffix that changes at each boot, because process ids are
    invalid after it."""
    return (settings.host or "")[:MOST] or _detected_host()


@cache
def _detected_host() -> str:
    try:
        boot = _BOOT.read_text().strip()[:8]
    except OSError:
        boot = ""
    # 9 for the slash and 8 characters of the boot id
    return f"{socket.gethostname()[: MOST - 9]}/{boot}"


def named(host: str) -> str:
    """Return the name of a machine for display."""
    return host.partition("/")[0]

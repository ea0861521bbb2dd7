"""The owner of runs that are started from a terminal."""

from __future__ import annotations

import getpass
import hashlib
import os

_MAX = 64


def terminal_owner() -> str:
    """Return the user of this process at this machine."""
    from netloom.store.host import current_host, named

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container can lack a name for its user
        user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    name = f"{user}@{named(current_host())}"
    return name if len(name) <= _MAX else f"{name[:47]} {hashlib.sha256(name.encode()).hexdigest()[:16]}"

"""Whose turn in the queue a terminal takes."""

from __future__ import annotations

import getpass
import hashlib
import os

_MAX = 64


def terminal_owner() -> str:
    """The user of this process at this machine."""
    from netloom.store.host import here, named

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    found = f"{user}@{named(here())}"
    return found if len(found) <= _MAX else f"{found[:47]} {hashlib.sha256(found.encode()).hexdigest()[:16]}"

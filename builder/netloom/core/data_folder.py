"""Where Netloom keeps its files."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The data folder: NETLOOM_HOME, or the user's own data folder."""
    chosen = os.environ.get("NETLOOM_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("netloom", appauthor=False))

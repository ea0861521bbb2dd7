"""Where Netloom keeps its files, and which database it uses."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL


def home() -> Path:
    """The data folder: NETLOOM_HOME, or the user's own data folder."""
    chosen = os.environ.get("NETLOOM_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("netloom", appauthor=False))


def database_url(folder: Path) -> str | URL:
    """NETLOOM_DATABASE_URL, or a SQLite file in the data folder."""
    # Not a string: the folder's name may hold a ? or a %, which mean something in a URL.
    return os.environ.get("NETLOOM_DATABASE_URL") or URL.create("sqlite", database=str(folder / "netloom.db"))

"""The location of the data folder."""

from __future__ import annotations

from pathlib import Path

from netloom.core.settings import settings


def home() -> Path:
    """Return the data folder: NETLOOM_HOME, or the data folder of the user."""
    if settings.home:
        return settings.home
    import platformdirs

    return Path(platformdirs.user_data_dir("netloom", appauthor=False))

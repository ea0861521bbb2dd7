"""Where Netloom keeps its files."""

from __future__ import annotations

from pathlib import Path

from netloom.core.settings import settings


def home() -> Path:
    """The data folder: NETLOOM_HOME, or the user's own data folder."""
    if settings.home:
        return settings.home
    import platformdirs

    return Path(platformdirs.user_data_dir("netloom", appauthor=False))

"""The data folder of a call."""

from __future__ import annotations

from pathlib import Path

from netloom.core.data_folder import home as default_home


def data_folder(home: str | Path | None) -> Path:
    """The data folder `home` as an absolute path; None is `NETLOOM_HOME`, or the default of the system."""
    return default_home() if home is None else Path(home).expanduser().absolute()

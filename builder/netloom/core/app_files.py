"""The location of the script and the pages of the app."""

from __future__ import annotations

from pathlib import Path


def app_folder() -> Path:
    """The folder of `app.py` and `pages/`: the package itself in a wheel, the top of the repository in a clone."""
    package = Path(__file__).parents[1]
    return package if (package / "app.py").exists() else package.parents[1]

"""The trained digits of the tests of the command line."""

from __future__ import annotations

import pytest

from netloom.api import load_run
from netloom.runs import TrainedRun
from tests.cli.conftest import Trained, _training_here, console, trained

__all__ = ["_training_here", "console", "trained"]


@pytest.fixture(scope="package")
def digits(trained: Trained) -> TrainedRun:
    return load_run(home=trained.home)

"""Runs the real command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 240


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """Standard output as JSON, which it has to be as a whole."""
        return json.loads(self.out)


def environment() -> dict[str, str]:
    """The tests' own, without a data folder of somebody else."""
    return {key: value for key, value in os.environ.items() if not key.startswith("NETLOOM_")}


def words(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "netloom.cli", *map(str, arguments)]


def netloom(*arguments: object) -> Answer:
    """Run `netloom` with these arguments to its end."""
    done = subprocess.run(
        words(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)

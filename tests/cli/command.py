"""Runs the real command in a separate process."""

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
    """The output of a command and its exit code."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """The whole standard output, parsed as JSON."""
        return json.loads(self.out)


def environment() -> dict[str, str]:
    """The environment of the tests without Netloom settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith("NETLOOM_")}


def words(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "netloom.cli", *map(str, arguments)]


def netloom(*arguments: object) -> Answer:
    """Run `netloom` with these arguments until it exits."""
    result = subprocess.run(
        words(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return Answer(result.returncode, result.stdout, result.stderr)

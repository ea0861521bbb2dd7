"""What a command is, and what it is given: the data folder, and a way to answer people and scripts alike."""

from __future__ import annotations

import json
import math
import sys
from abc import ABC, abstractmethod
from argparse import Action, ArgumentParser, ArgumentTypeError, HelpFormatter, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

FAILED = 1
USAGE = 2
INTERRUPTED = 130
UNLIMITED = 2**31 - 1  # from here on, an upper limit is not worth showing


class Failure(Exception):  # noqa: N818  (it is what people did or have that fails, not the program)
    """What was asked for cannot be done; the message is one sentence. `issues` lists what is wrong with a document."""

    def __init__(self, message: str, *, code: int = FAILED, issues: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.issues = issues or []


class Context:
    """One call: `folder` is the data folder that was asked for, `json` whether the answer is for a script."""

    def __init__(self, folder: Path | None, as_json: bool) -> None:
        self.json = as_json
        self._folder = folder

    @property
    def home(self) -> Path:
        """The data folder."""
        from netloom.core.data_folder import home

        return self._folder or home()

    def answer(self, value: Any, text: str) -> None:
        """Write the result to standard output: `value` as JSON for scripts, or else `text`."""
        print(as_json(value) if self.json else text, flush=True)

    def note(self, text: str) -> None:
        """Write a remark to standard error, where it does not mix with the result."""
        print(text, file=sys.stderr, flush=True)


class Command(ABC):
    """One command. A new file in `commands/` registers itself by its classes."""

    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""

    @abstractmethod
    def run(self, arguments: Namespace, context: Context) -> int:
        """Do it. Returns the exit code."""


def as_json(value: Any) -> str:
    """`value` as JSON that every parser reads: numbers that are not finite become null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False, default=str)


@dataclass(frozen=True)
class _Whole:
    low: int
    high: int

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = self.low - 1
        if not self.low <= value <= self.high:
            raise ArgumentTypeError(
                f"must be a whole number from {self.low:,} to {self.high:,}; received {text[:40]!r}"
            )
        return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number from `low` to `high`."""
    return _Whole(low, high)


class RangeFormatter(HelpFormatter):
    """Shows the range of a whole number behind its help."""

    def _get_help_string(self, action: Action) -> str | None:
        bounds, text = action.type, super()._get_help_string(action)
        if not isinstance(bounds, _Whole) or bounds.high >= UNLIMITED or not text:
            return text
        return f"{text} [{bounds.low}–{bounds.high}]"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value

"""The base class of commands, and the context in which they run: the data folder, and output as text or as JSON."""

from __future__ import annotations

import json
import math
import sys
from abc import ABC, abstractmethod
from argparse import SUPPRESS, Action, ArgumentParser, ArgumentTypeError, HelpFormatter, Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from netloom.core.plain_json import JsonObject

FAILED = 1
USAGE = 2
INTERRUPTED = 130
UNLIMITED = 2**31 - 1  # from here on, an upper limit is technical, and the help does not show it


class Failure(Exception):  # noqa: N818  (the document or the run failed, not the program)
    """A command cannot do what it should; the message is one sentence. `issues` lists the errors of a document."""

    def __init__(self, message: str, *, code: int = FAILED, issues: list[JsonObject] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.issues = issues or []


class Context:
    """One call of a command: `folder` is the data folder of `--home`, `json` is true if a script reads the answer."""

    def __init__(self, folder: Path | None, as_json: bool) -> None:
        self.json = as_json
        self._folder = folder

    @property
    def home(self) -> Path:
        """The data folder: that of `--home`, otherwise `NETLOOM_HOME` or the default of the system."""
        from netloom.core.data_folder import home

        return self._folder or home()

    def answer(self, value: Any, text: str) -> None:
        """Write the result to standard output: `value` as JSON for scripts, `text` for people."""
        print(as_json(value) if self.json else text, flush=True)

    def note(self, text: str) -> None:
        """Write a remark to standard error, so that it does not mix with the result."""
        print(text, file=sys.stderr, flush=True)


class Command(ABC):
    """A command. Every subclass in `commands/` registers itself."""

    name: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""

    @abstractmethod
    def run(self, arguments: Namespace, context: Context) -> int:
        """Run the command. Returns the exit code."""


def as_json(value: Any) -> str:
    """Return `value` as JSON that every parser reads: NaN and infinity, which JSON lacks, become null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False, default=str)


@dataclass(frozen=True)
class _IntegerRange:
    low: int
    high: int

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = self.low - 1  # out of range, so that the error below is raised
        if not self.low <= value <= self.high:
            raise ArgumentTypeError(
                f"must be a whole number from {self.low:,} to {self.high:,}; received {text[:40]!r}"
            )
        return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return the argparse type of a whole number from `low` to `high`."""
    return _IntegerRange(low, high)


def real(text: str) -> float:
    """Convert an argument to a number; an argparse type."""
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a number; received {text[:40]!r}") from None


@dataclass(frozen=True)
class OneOf:
    """The argparse type of a name whose choices the help lists. The command itself refuses other names.

    Unlike `choices`, it imports the declarations of the choices only when the help is shown.
    """

    names: Callable[[], Iterable[str]]

    def __call__(self, text: str) -> str:
        return text


class CommandHelpFormatter(HelpFormatter):
    """Appends the range of a whole number or the choices of a name to its help, and keeps the lines of an epilog."""

    def _get_help_string(self, action: Action) -> str | None:
        text = super()._get_help_string(action)
        if isinstance(action.type, _IntegerRange) and action.type.high < UNLIMITED and text:
            return f"{text} [{action.type.low}–{action.type.high}]"
        if isinstance(action.type, OneOf) and text:
            return f"{text}; choices: {', '.join(action.type.names())}"
        return text

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n".join(fill(line, width, indent + line[: -len(line.lstrip())]) for line in text.splitlines())


def add_action(actions: Any, name: str, summary: str) -> ArgumentParser:
    """Add the parser of a subcommand, such as `list` of `netloom data`.

    `--home` and `--json` work after it, too. They are suppressed in its help, because that of the command has them.
    """
    parser: ArgumentParser = actions.add_parser(name, help=summary, description=sentence(summary), allow_abbrev=False)
    parser.add_argument("--home", metavar="FOLDER", default=SUPPRESS, help=SUPPRESS)
    parser.add_argument("--json", action="store_true", default=SUPPRESS, help=SUPPRESS)
    return parser


def sentence(summary: str) -> str:
    """Return the summary of a command as the first sentence of its help."""
    return f"{summary[0].upper()}{summary[1:]}."


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value

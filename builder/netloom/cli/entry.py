"""Parses the command line, runs the command, and turns exceptions into sentences and exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from argparse import SUPPRESS, Action, ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from netloom.cli.command import (
    FAILED,
    INTERRUPTED,
    USAGE,
    Command,
    CommandHelpFormatter,
    Context,
    Failure,
    as_json,
    sentence,
)
from netloom.cli.commands import registry
from netloom.cli.text import issue_line
from netloom.core import log
from netloom.core.errors import UsageError
from netloom.core.text import plain

DEFAULT = "app"
EPILOG = """Without a command, netloom starts the app. `netloom COMMAND --help` shows the options of a command.

An example, from a template to an exported network:
  netloom templates --write digits_cnn project.json
  netloom check project.json
  netloom train project.json --epochs 5
  netloom explain last --to why.html
  netloom export last --to digits.zip"""
_OPTIONS_WITH_VALUE = ("--home",)
_OPTIONS_WITHOUT_VALUE = ("--json", "-h", "--help", "--version")
# Errors of the system about a path in the command; others, such as a full disk, are not the fault of the command.
_WRONG_PATH = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


class _Version(Action):
    """Looks up the version only for `--version`."""

    def __call__(self, parser: ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"netloom {version('netloom')}")
        parser.exit()


class _Parser(ArgumentParser):
    """Raises `UsageError` where argparse would exit, because with `--json` an error is JSON."""

    def __init__(self, *names: Any, **settings: Any) -> None:
        super().__init__(*names, **{"formatter_class": CommandHelpFormatter, **settings})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Refuse unknown arguments here, where the options of the command are known, and suggest the closest one."""
        arguments, unknown = super().parse_known_args(args, namespace)
        if unknown:
            from netloom.core.field_errors import nearest_name  # imports pydantic, which delays the start

            options = (option for action in self._actions for option in action.option_strings)
            nearest = nearest_name(unknown[0].partition("=")[0], options)
            hint = f"; did you mean {nearest}?" if nearest else f"; `{self.prog} --help` lists the options"
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return arguments, unknown

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(f"{self.prog}: error: {message}")


def entry(argv: Sequence[str]) -> int:
    """Run the command that `argv` names. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode must not end a command
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    words = _with_default_command(argv)
    try:
        _refuse_unknown_command(words)
        arguments = parser(words).parse_args(words)
    except SystemExit as end:
        return int(end.code or 0)
    except UsageError as error:
        return _report_failure(Failure(str(error), code=USAGE), Context(None, "--json" in argv))
    home = Path(arguments.home).expanduser().absolute() if arguments.home else None
    return _run(registry()[arguments.command], arguments, Context(home, arguments.json))


def parser(words: Sequence[str] = ()) -> ArgumentParser:
    """Return the parser of all commands; `--home` and `--json` work before and after the command.

    With `words`, which it will parse, only the commands among them have their options: those of all commands take
    longer than a short command itself.
    """
    main = _Parser(
        "netloom",
        description="Build, train, explain and export neural networks.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    main.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    _add_general_options(main, home=None, json=False)
    commands = main.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in registry().values():
        part = commands.add_parser(
            command.name, help=command.summary, description=sentence(command.summary), allow_abbrev=False
        )
        # argparse copies all values of a subparser over those of the main parser, so a default here would overwrite
        # a --home or --json before the command.
        _add_general_options(part, home=SUPPRESS, json=SUPPRESS)
        if not words or command.name in words:
            command.add_arguments(part)
    return main


def _add_general_options(part: ArgumentParser, *, home: str | None, json: str | bool) -> None:
    part.add_argument(
        "--home",
        metavar="FOLDER",
        default=home,
        help="data folder (default: the variable NETLOOM_HOME, otherwise that of the app)",
    )
    part.add_argument("--json", action="store_true", default=json, help="print JSON for scripts")


def _with_default_command(argv: Sequence[str]) -> list[str]:
    """Return `argv`, with the default command if it names none."""
    position = _command_position(argv)
    if {"-h", "--help", "--version"} & set(argv[:position]):
        return list(argv)
    named = position < len(argv) and not argv[position].startswith("-")
    return list(argv) if named else [*argv[:position], DEFAULT, *argv[position:]]


def _run(command: Command, arguments: Namespace, context: Context) -> int:
    try:
        return command.run(arguments, context)
    except KeyboardInterrupt:
        context.note("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. Python flushes at exit and would report the same error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _report_failure(_failure_of(error, context, arguments.command), context)


def _report_failure(failure: Failure, context: Context) -> int:
    sentence = plain(str(failure))
    if context.json:
        with contextlib.suppress(OSError):
            print(as_json({"error": sentence, "issues": failure.issues}), flush=True)
    context.note(sentence)
    for issue in failure.issues:
        context.note(issue_line(issue))
    return failure.code


def _failure_of(error: Exception, context: Context, command: str) -> Failure:
    """Return the exception as a sentence. The messages of Netloom's own exceptions are sentences already."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, OSError) and error.strerror:
        code = USAGE if isinstance(error, _WRONG_PATH) else FAILED
        return Failure(f"{error.filename or 'A file'}: {error.strerror}.", code=code)
    if isinstance(error, UsageError):
        return Failure(f"{error}{_template_hint(error)}", code=USAGE)
    issues = getattr(error, "issues", None)
    if issues:
        count = f"{len(issues)} error{'s' if len(issues) > 1 else ''}"
        return Failure(f"The network has {count}:", issues=[issue.as_json() for issue in issues])
    if type(error).__module__.partition(".")[0] == "netloom":
        return Failure(str(error))
    return Failure(f"Netloom itself failed ({type(error).__name__}: {str(error)[:200]}).{_log_error(context, command)}")


def _template_hint(error: UsageError) -> str:
    """Return how to write a template whose name was given instead of the path of a document."""
    from netloom.document.files import DocumentPathError

    if not isinstance(error, DocumentPathError):
        return ""
    from netloom.templates import architectures, templates

    name = str(error.path)
    if name not in templates() and name not in architectures():
        return ""
    return (
        f" It is a template: write it to a file with netloom templates --write {name} {name}.json, and name the file."
    )


def _log_error(context: Context, command: str) -> str:
    """Write the traceback of an unexpected error to the log. Returns a sentence that says where."""
    try:
        context.home.mkdir(parents=True, exist_ok=True)
        path = context.home / log.ERRORS
        log.write(path, "error", command=command, traceback=traceback.format_exc())
    except OSError:
        return ""
    return f" The details are in {path}."


def _command_position(argv: Sequence[str]) -> int:
    """Return the position behind the general options, where the command is if there is one."""
    position = 0
    while position < len(argv):
        word = argv[position]
        if word in _OPTIONS_WITH_VALUE:
            position += 2
        elif word in _OPTIONS_WITHOUT_VALUE or word.partition("=")[0] in _OPTIONS_WITH_VALUE:
            position += 1
        else:
            break
    return position


def _refuse_unknown_command(words: Sequence[str]) -> None:
    """Refuse a misspelled command with the closest one; argparse reports others with a list of all.

    Raises:
        UsageError: There is no such command, but a similar one.
    """
    word = next(iter(words[_command_position(words) :]), DEFAULT)
    if word.startswith("-") or word in registry():
        return
    from netloom.core.field_errors import nearest_name  # imports pydantic, which delays the start

    if (nearest := nearest_name(word, registry())) is not None:
        raise UsageError(f"netloom: error: there is no command {word[:60]!r}; did you mean {nearest!r}?")

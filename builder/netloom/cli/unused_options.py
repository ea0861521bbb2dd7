"""Options that would have no effect, which a command refuses instead of ignoring them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Collection

from netloom.cli.command import Command
from netloom.core.errors import UsageError


def refuse_unused(
    command: Command, arguments: Namespace, names: Collection[str], *, without: str = "", beside: str = ""
) -> None:
    """Refuse options that differ from their defaults but have no effect.

    Args:
        names: the names of the options in `arguments`, such as "log_days".
        without: the missing option that they belong to, such as "--log-requests"; or else
        beside: the option with which they do nothing, such as "--reset".

    Raises:
        UsageError: one of them is given.
    """
    parser = ArgumentParser(add_help=False)
    command.add_arguments(parser)
    for name in names:
        if getattr(arguments, name) == parser.get_default(name):
            continue
        option = f"--{name.replace('_', '-')}"
        if without:
            raise UsageError(f"{option} has no effect without {without}; add {without}, or leave out {option}.")
        raise UsageError(f"{option} has no effect with {beside}; leave out one of them.")


def option_names(arguments: Namespace, *used: str) -> list[str]:
    """Return the names of all options of a command but those that it uses."""
    general = ("command", "home", "json")
    return [name for name in vars(arguments) if name not in (*used, *general)]

"""The command line, `netloom`: all that the pages do, for scripts and servers. Commands live in `commands/`."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; without one, start the app.

    Returns the exit code: 0; 1 where the document or the data has errors or a run failed; 2 where the command is
    written wrongly or names something that does not exist (`UsageError`); 130, as a shell expects, where it was
    interrupted.
    """
    import sys

    from netloom.cli.entry import entry

    return entry(sys.argv[1:] if argv is None else argv)

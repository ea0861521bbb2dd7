"""The command line, `netloom`: everything that the pages do, for scripts and servers. `commands/` has the commands."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; without a command, start the app.

    Returns:
        The exit code: 0 for success; 1 if the document or the data has errors, or a run failed; 2 if the command is
        wrong or names something that does not exist (`UsageError`); 130 after Ctrl-C, as shells expect.
    """
    import sys

    from netloom.cli.entry import entry

    return entry(sys.argv[1:] if argv is None else argv)

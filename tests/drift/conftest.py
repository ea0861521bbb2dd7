"""The command line and its trained digits, for tests of drift."""

from tests.cli.conftest import console, trained

digits = trained
__all__ = ["console", "digits"]

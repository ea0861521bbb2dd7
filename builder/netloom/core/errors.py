"""Base classes of errors that all packages share."""

from __future__ import annotations


class UsageError(ValueError):
    """A request names something that does not exist or cannot be used, such as an unknown run, output or file.

    The document and the data may be fine; the request has to change. The message is a sentence for the user. The
    command line answers with exit code 2.
    """


class JobError(RuntimeError):
    """A job in another process failed. The message is a sentence for the user; the same request can succeed again."""


class DataError(ValueError):
    """Data that cannot be read or used; the message is one sentence that says what, where and how to fix it."""


class DamagedFileError(DataError):
    """A file is damaged or not of the type that its name says; files beside it can be read."""

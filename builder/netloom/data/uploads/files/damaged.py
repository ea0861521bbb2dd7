"""Damaged files among many of an upload, which are left out if they are few."""

from __future__ import annotations

from netloom.core.errors import DamagedFileError, DataError
from netloom.core.text import counted
from netloom.data.uploads.files.source import Source

MAX_DAMAGED = 0.05  # the share of damaged files that are left out


class DamagedFiles:
    """Collects the damaged files among `count` images, masks or sounds (`noun`) of a source."""

    def __init__(self, source: Source, count: int, noun: str) -> None:
        self._source, self._count, self._noun = source, count, noun
        self._errors: dict[str, DamagedFileError] = {}

    def add(self, name: str, error: DamagedFileError) -> None:
        """Leave out a file that cannot be read."""
        self._errors[name] = error
        self._source.noted.add(name)

    def notes(self) -> list[str]:
        """Return a note on the files that are left out.

        Raises:
            DataError: There are too many.
        """
        if not self._errors:
            return []
        name, error = next(iter(self._errors.items()))
        if len(self._errors) > MAX_DAMAGED * self._count:
            if len(self._errors) == 1:
                raise error
            raise DataError(
                f"{len(self._errors):,} of {counted(self._count, self._noun)} cannot be read; up to {MAX_DAMAGED:.0%} "
                f"would be left out. The first: {error}"
            )
        verb = "is" if len(self._errors) == 1 else "are"
        return [
            f"Left out {counted(len(self._errors), self._noun)} that {verb} damaged or of another format, such as "
            f"{name[-80:]!r}."
        ]

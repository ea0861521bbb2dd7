"""What is removed from the rows of a request before they are logged."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.core.errors import UsageError

HASH = "hash"
_DIGITS = 16


@dataclass(frozen=True)
class Redaction:
    """The fields of a row that are left out, and those whose values are replaced by a keyed hash.

    A hash tells whether two values are equal. It depends on a secret key, because the hash of a name without one is
    found by hashing all names.
    """

    dropped: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """All fields whose values the log does not have."""
        return self.dropped | self.hashed

    def check(self, fields: Collection[str]) -> None:
        """Check that a model has the fields.

        Raises:
            UsageError: it lacks one, so that a misspelled name would leave its values in the log.
        """
        unknown = sorted(self.names - set(fields))
        if unknown:
            raise UsageError(f"--redact names {unknown[0][:60]!r}; the fields are {', '.join(sorted(fields))[:500]}.")

    def widened(self, groups: Iterable[Collection[str]]) -> Redaction:
        """Return the redaction with all fields of each group of which it has one: other names of the same value, such
        as a date and its parts."""
        dropped, hashed = set(self.dropped), set(self.hashed)
        for group in groups:
            if self.dropped & set(group):
                dropped |= set(group)
            elif self.hashed & set(group):
                hashed |= set(group)
        return Redaction(frozenset(dropped), frozenset(hashed - dropped))

    def apply(self, row: Mapping[str, Any], key: bytes, write: Callable[[Any], bytes]) -> dict[str, Any]:
        """Return a row without the values. `write` writes a value as JSON."""
        if not self.names:
            return dict(row)
        redacted = {name: value for name, value in row.items() if name not in self.dropped}
        for name in self.hashed & redacted.keys():
            redacted[name] = f"{HASH}:{hmac.new(key, write(redacted[name]), hashlib.sha256).hexdigest()[:_DIGITS]}"
        return redacted


def parse_redaction(texts: Sequence[str]) -> Redaction:
    """Return the redaction of texts such as "name" and "city=hash".

    Raises:
        UsageError: a text has another form.
    """
    dropped, hashed = set(), set()
    for text in texts:
        name, equals, how = text.rpartition("=")
        if not equals:
            dropped.add(text)
        elif name and how == HASH:
            hashed.add(name)
        else:
            raise UsageError(f"--redact takes FIELD or FIELD=hash; received {text[:60]!r}.")
    return Redaction(frozenset(dropped), frozenset(hashed - dropped))

"""A sentence with a tag for each word."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.data.splits.given_splits import NO_PART


@dataclass(frozen=True)
class Sentence:
    """The words of a sentence with their tags; `intent` is its class, "" if the data has none."""

    words: list[str]
    tags: list[str]
    intent: str = ""
    part: int = NO_PART

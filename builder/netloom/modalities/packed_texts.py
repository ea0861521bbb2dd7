"""Many texts in two arrays, which another process can map instead of creating each text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

_AT_ONCE = 4_096
# A text can have a surrogate alone, as JSON files do, which UTF-8 does not allow.
_ERRORS = "surrogatepass"


class PackedTexts(Sequence[str]):
    """A sequence of R texts that are decoded on access.

    Attributes:
        content: The texts in UTF-8 one after the other, uint8 (bytes,).
        ends: The end of each text in `content`, int64 (R,).
    """

    def __init__(self, content: np.ndarray, ends: np.ndarray) -> None:
        self.content, self.ends = content, ends

    @classmethod
    def of(cls, texts: Sequence[str]) -> PackedTexts:
        encoded = [text.encode("utf-8", _ERRORS) for text in texts]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        positions = range(len(self))[index]  # raises IndexError, by which loops over a sequence end
        return (
            [self._text(position) for position in positions] if isinstance(positions, range) else self._text(positions)
        )

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def _text(self, place: int) -> str:
        start = int(self.ends[place - 1]) if place else 0
        return self.content[start : int(self.ends[place])].tobytes().decode("utf-8", _ERRORS)

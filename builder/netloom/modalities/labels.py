"""Dictionary-encoded text columns: each distinct text once, and an index per row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 65_536


class Labels(Sequence[str]):
    """A sequence of R texts: the distinct `names`, and their indices `codes`, int32 (R,), which can be memory-mapped.

    Not `pandas.Categorical`, which copies mapped codes into memory and takes 20 times as long for one row and twice for
    all; nor pyarrow's `DictionaryArray`, which takes 9 and 30 times as long.
    """

    def __init__(self, codes: np.ndarray, names: Sequence[str]) -> None:
        self.codes, self.names = codes.astype(np.int32, copy=False), tuple(names)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Labels:
        """Return texts as labels; labels are returned unchanged."""
        if isinstance(texts, Labels):
            return texts
        positions: dict[str, int] = {}
        codes = [positions.setdefault(text, len(positions)) for text in texts]
        return cls(np.array(codes, dtype=np.int32), tuple(positions))

    @classmethod
    def of_column(cls, values: pd.Series, *, numeric: bool = False) -> Labels:
        """Return a table column as labels, "" for missing cells. With `numeric`, equal numbers have equal names."""
        import pandas as pd

        from netloom.modalities.encoding.cells import numeral

        codes, distinct = pd.factorize(values)
        texts = [numeral(str(value)) if numeric else str(value) for value in pd.Index(distinct).tolist()]
        # `factorize` codes missing cells as -1
        return cls.of([*texts, ""]).at(codes)

    def at(self, places: np.ndarray) -> Labels:
        """Return the labels of these rows; -1 is the last row."""
        return Labels(self.codes[places], self.names)

    def counts(self, rows: np.ndarray) -> list[tuple[str, int]]:
        """Return the names in these rows with their counts, the most frequent first, then by first occurrence."""
        codes = self.codes[rows]
        counted = np.bincount(codes, minlength=len(self.names))
        first = np.zeros(len(self.names), dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]  # reversed, as NumPy keeps the last of repeated writes
        order = np.lexsort((first, -counted))
        return [(self.names[index], int(counted[index])) for index in order if counted[index]]

    def written(self) -> bytes:
        """Return the bytes of `repr` of the texts as a list, without creating that list."""
        shown = [repr(name) for name in self.names]
        starts = range(0, len(self), _CHUNK)
        parts = (", ".join(map(shown.__getitem__, self.codes[at : at + _CHUNK].tolist())) for at in starts)
        return b"[" + b", ".join(part.encode() for part in parts) + b"]"

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Labels: ...
    def __getitem__(self, index: int | slice) -> str | Labels:
        if isinstance(index, slice):
            return Labels(self.codes[index], self.names)
        return self.names[int(self.codes[index])]

    def __iter__(self) -> Iterator[str]:
        return map(self.names.__getitem__, self.codes.tolist())

"""Long columns of texts that come again and again, kept as numbers into a list of names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 65_536


class Labels(Sequence[str]):
    """R texts: `names`, each once, and the place of each row's text in them, `codes` (R,), which may be memory-mapped.

    Not `pandas.Categorical`, which copies mapped codes into memory and takes 20 times as long for one row and twice for
    all; nor pyarrow's `DictionaryArray`, which takes 9 and 30 times as long.
    """

    def __init__(self, codes: np.ndarray, names: Sequence[str]) -> None:
        self.codes, self.names = codes.astype(np.int32, copy=False), tuple(names)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Labels:
        """Texts as labels; those that are labels already, as they are."""
        if isinstance(texts, Labels):
            return texts
        places: dict[str, int] = {}
        codes = [places.setdefault(text, len(places)) for text in texts]
        return cls(np.array(codes, dtype=np.int32), tuple(places))

    @classmethod
    def of_column(cls, values: pd.Series, *, numeric: bool = False) -> Labels:
        """The cells of a table's column as texts, "" where one is missing; `numeric` writes each number in one way."""
        import pandas as pd

        from netloom.modalities.encoding.cells import numeral

        codes, found = pd.factorize(values)
        texts = [numeral(str(value)) if numeric else str(value) for value in pd.Index(found).tolist()]
        return cls.of([*texts, ""]).at(codes)

    def at(self, places: np.ndarray) -> Labels:
        """The labels at these places; -1 stands for the last."""
        return Labels(self.codes[places], self.names)

    def counts(self, rows: np.ndarray) -> list[tuple[str, int]]:
        """How often each name stands in these rows, the commonest first, then the one that comes first in them."""
        codes = self.codes[rows]
        counted = np.bincount(codes, minlength=len(self.names))
        first = np.zeros(len(self.names), dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]  # of several that are written to one place, the last remains
        order = np.lexsort((first, -counted))
        return [(self.names[place], int(counted[place])) for place in order if counted[place]]

    def written(self) -> bytes:
        """What `repr` makes of the texts as a list."""
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

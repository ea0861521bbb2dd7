"""Data as checks see it: a sample where it is large, with what several checks need worked out once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data.multi_field import Categories, Several
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.raw_dataset import Characters, Images, RawDataset, Series, Table, Texts
from netloom.modalities.columns.registry import column_kind
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    from netloom.document import DataChoice

SAMPLE = 10_000
PIXELS = 4_000_000  # of pictures and series, how many numbers are looked at altogether
HASHED_BYTES = 2**29  # of data, up to which all of its rows are compared
LARGEST_TABLE = 200 * 2**20  # bytes of an upload that is read once more
NAMES = ("train", "validation", "test")


class Look:
    """`rows` are the numbers of the rows that are looked at, in order; everything else is by their places in it."""

    def __init__(
        self, data: Prepared, choice: DataChoice | None = None, home: Path | None = None, sample: int = SAMPLE
    ) -> None:
        self.data, self.choice, self.home = data, choice, home
        size = sum(int(np.prod(values.shape[1:])) for values in data.inputs.values())
        most = max(1_000, min(sample, PIXELS // max(size, 1)))
        # Rows that are in no part, such as dropped duplicates, are nobody's business.
        self.used = np.sort(np.concatenate([data.split[name].numpy() for name in NAMES]))
        self.rows = self.used
        if len(self.used) > most:
            self.rows = np.sort(np.random.default_rng(0).choice(self.used, most, replace=False))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def raws(self) -> tuple[RawDataset, ...]:
        """The fields as they were read."""
        raw = self.data.raw
        return raw.parts if isinstance(raw, Several) else (raw,)

    @cached_property
    def part(self) -> np.ndarray:
        """The part of the split that each row is in, as its place in `NAMES`; -1 for those that were left out."""
        found = np.full(len(self.data.target), -1)
        for place, name in enumerate(NAMES):
            found[self.data.split[name].numpy()] = place
        return np.asarray(found[self.rows])

    @cached_property
    def numbers(self) -> dict[str, np.ndarray]:
        """The columns of numbers; not a number where one is missing."""
        return {
            name: np.asarray(values[self.rows], dtype=np.float64)
            for raw in self.raws
            if isinstance(raw, Table) and raw.name != "noise"
            for name, values in raw.numbers.items()
        }

    @cached_property
    def categories(self) -> dict[str, np.ndarray]:
        """The columns of categories, as objects; empty where one is missing."""
        found: dict[str, np.ndarray] = {}
        for raw in self.raws:
            columns = raw.categories if isinstance(raw, Table) else raw.columns if isinstance(raw, Categories) else {}
            for name, values in columns.items():
                found[name] = np.array(list(Labels.of(values).at(self.rows)), dtype=object)
        return found

    @cached_property
    def single_valued(self) -> dict[str, np.ndarray]:
        """The columns of categories whose cells hold one value each."""
        several = {
            name
            for raw in self.raws
            if isinstance(raw, Table)
            for name in raw.categories
            if not column_kind(raw.kind_of(name)).has_one_value
        }
        return {name: values for name, values in self.categories.items() if name not in several}

    @cached_property
    def coded(self) -> dict[str, np.ndarray]:
        """The columns of categories as whole numbers, the same for the same text."""
        return {name: np.unique(values.astype(str), return_inverse=True)[1] for name, values in self.categories.items()}

    @cached_property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.numbers) + len(self.categories)

    @cached_property
    def removable(self) -> frozenset[str]:
        """The columns that a document can leave out: those of tables, by their own names."""
        if self.choice is None:
            return frozenset()
        tables = [raw for raw in self.raws if isinstance(raw, Table)]
        dated = {name for raw in tables for name in getattr(raw, "dates", {})}
        return frozenset(name for raw in tables for name in (*raw.numbers, *raw.categories) if name not in dated)

    def said(self, name: str) -> dict[str, Any]:
        """What the document says of a column."""
        known = self.choice.options.get("columns") if self.choice is not None else None
        one = known.get(name) if isinstance(known, dict) else None
        return dict(one) if isinstance(one, dict) else {}

    @cached_property
    def texts(self) -> list[str]:
        """The texts, where there are any."""
        for raw in self.raws:
            if isinstance(raw, Texts):
                return [str(raw.texts[row]) for row in self.rows.tolist()]
        return []

    @cached_property
    def labels(self) -> np.ndarray | None:
        """The class of each row, where classes are to be told."""
        if self.data.schema.target.type.is_class:
            return np.asarray(self.data.target[self.rows].numpy())
        return None

    @cached_property
    def target(self) -> np.ndarray | None:
        """The class or the number of each row, where one is to be told."""
        if self.data.schema.target.type.is_single_value:
            values = self.data.target[self.rows].numpy().reshape(len(self.rows), -1)
            return np.asarray(values[:, 0], dtype=np.float64)
        return None

    @cached_property
    def classes(self) -> tuple[str, ...]:
        return self.data.schema.target.classes

    @cached_property
    def left_out(self) -> dict[str, np.ndarray]:
        """Columns of text that stand in an upload's table and are not read, as objects; empty where one is missing. Its
        rows are all of the table's, which may be more than are used."""
        from netloom.data.builtin_registry import builtin
        from netloom.data.uploads import find_upload

        if self.home is None or self.choice is None or self.choice.dataset in builtin():
            return {}
        # Of a table larger than memory, columns that are not read stay unread.
        path = find_upload(self.choice.dataset, self.home) / "table.parquet"
        if not path.is_file() or path.stat().st_size > LARGEST_TABLE:
            return {}
        import pandas as pd

        table = pd.read_parquet(path)
        dropped = {name for name in table.columns if self.said(str(name)).get("role") == "ignore"}
        read = {*self.numbers, *self.categories, *dropped, self.data.schema.target.name}
        return {
            str(name): values.astype("string").fillna("").to_numpy(dtype=object)
            for name, values in table.items()
            if str(name) not in read and pd.api.types.is_string_dtype(values)
        }

    @cached_property
    def complete(self) -> np.ndarray:
        """Which rows lack no number."""
        found = np.ones(len(self), dtype=bool)
        for values in self.numbers.values():
            found &= ~np.isnan(values)
        return found

    def dense(self, kind: str) -> Iterator[tuple[str, np.ndarray]]:
        """The fields of a kind as the network gets them, (n, …)."""
        for field in self.data.schema.inputs:
            if field.kind == kind:
                yield field.name, self.data.inputs[field.name][self.rows].numpy()

    @property
    def overlapping(self) -> bool:
        """Whether rows are pieces of one text or series, so that some are alike by nature."""
        return isinstance(self.data.raw, Characters) or bool(self.data.raw.contiguous)

    @cached_property
    def contents(self) -> np.ndarray:
        """What each row holds besides its target, as a number that is the same for the same content, (n,)."""
        parts: list[np.ndarray] = []
        for raw in self.raws:
            if isinstance(raw, Texts):
                texts = [str(raw.texts[row]) for row in self.rows.tolist()]
                parts.append(np.unique(np.array(texts, dtype=object).astype(str), return_inverse=True)[1])
            elif isinstance(raw, (Images, Series)):
                parts.append(alike(np.ascontiguousarray(_values(raw)[self.rows])))
            elif not isinstance(raw, (Table, Categories)):
                parts += [alike(self.data.inputs[raw.name][self.rows].numpy())] if raw.name in self.data.inputs else []
        parts += [alike(values[:, None]) for values in self.numbers.values()]
        parts += list(self.coded.values())
        return alike(np.column_stack(parts)) if parts else np.arange(len(self))

    @property
    def sampled(self) -> bool:
        """Whether some of the rows that are used are not looked at."""
        return len(self.rows) < len(self.used)

    @cached_property
    def hashes(self) -> np.ndarray | None:
        """What each of the rows that are `used` holds besides its target, as 64 bits that are the same for the same
        content; None where it would take too long to read all of it."""
        import pandas as pd

        size = sum(values.element_size() * int(np.prod(values.shape[1:])) for values in self.data.inputs.values())
        if self.data.raw.large or size * len(self.used) > HASHED_BYTES:
            return None
        found = np.zeros(len(self.used), dtype=np.uint64)
        for values in self._whole():
            hashed = pd.util.hash_array(values, categorize=False) if values.ndim == 1 else _hashed(values)
            found = found * np.uint64(1_000_003) + hashed
        return found

    def _whole(self) -> Iterator[np.ndarray]:
        """All that rows hold besides their targets, of all that are used: (used,) or (used, …)."""
        for raw in self.raws:
            if isinstance(raw, Texts):
                yield np.array([str(raw.texts[row]) for row in self.used.tolist()], dtype=object)
            elif isinstance(raw, (Images, Series)):
                yield _values(raw)[self.used]
            elif isinstance(raw, (Table, Categories)):
                for values in (raw.numbers if isinstance(raw, Table) else {}).values():
                    yield _plain(np.asarray(values, dtype=np.float64)[self.used])
                for labels in (raw.categories if isinstance(raw, Table) else raw.columns).values():
                    yield Labels.of(labels).at(self.used).codes.astype(np.int64)
            elif raw.name in self.data.inputs:
                yield self.data.inputs[raw.name][self.used].numpy()

    @cached_property
    def by_chance(self) -> float:
        """How many pairs of rows would hold the same if columns had nothing to do with each other: the product over
        columns of how likely two cells are the same. None are expected of texts, pictures and series."""
        if any(not isinstance(raw, (Table, Categories)) for raw in self.raws):
            return 0.0
        same = 1.0
        for values in (*(alike(one[:, None]) for one in self.numbers.values()), *self.coded.values()):
            counts = np.bincount(values).astype(np.float64)  # no row makes a pair with itself
            same *= float((counts * (counts - 1)).sum() / max(1, len(values) * (len(values) - 1)))
        return same * len(self) * (len(self) - 1) / 2

    def named(self, places: Any) -> tuple[int, ...]:
        """The numbers of the rows at some places."""
        return tuple(int(row) for row in self.rows[np.asarray(places, dtype=np.int64)])


def _values(raw: Images | Series) -> np.ndarray:
    return raw.pixels if isinstance(raw, Images) else raw.windows


def _plain(values: np.ndarray) -> np.ndarray:
    """Numbers, all that are missing written in one way, and 0 as -0."""
    return np.where(np.isnan(values), np.nan, values + 0.0)


def _hashed(values: np.ndarray) -> np.ndarray:
    """64 bits for each row of (n, …)."""
    if values.dtype.kind == "f":
        values = _plain(values).astype(values.dtype)
    rows = (np.ascontiguousarray(one).tobytes() for one in values)
    return np.array([int.from_bytes(blake2b(one, digest_size=8).digest(), "little") for one in rows], dtype=np.uint64)


def alike(values: np.ndarray) -> np.ndarray:
    """A number for each row of (n, …), the same for rows that are: missing numbers are alike, and so are 0 and -0."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), values.dtype.type(np.nan), values + values.dtype.type(0))
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    whole = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).ravel()
    return np.unique(whole, return_inverse=True)[1].ravel()

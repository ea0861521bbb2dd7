"""The built-in datasets: one class each; a new file in `builtin/` registers its classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from netloom.core.registry import discover
from netloom.data.raw_dataset import RawDataset

_KINDS = ("image", "table", "text", "series", "audio", "graph", "environment")
_FIRST = ("shapes", "shape_masks")  # the first datasets of their kind in lists, as most users start with them
Rows = Annotated[int, Field(ge=60, le=20_000)]


class Dataset(BaseModel, ABC):
    """A built-in dataset; its fields are the options of a document."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[str]
    task: ClassVar[str]
    summary: ClassVar[str]
    # The name under which others know the data, such as in scikit-learn or at UCI.
    known_as: ClassVar[str] = ""
    # The number of rows with the default options, so that a list need not read the data.
    example_count: ClassVar[int]

    @abstractmethod
    def read(self) -> RawDataset:
        """Return the data; equal options give equal data."""


@cache
def builtin() -> dict[str, type[Dataset]]:
    """Return the built-in datasets by name, in display order."""
    return discover(
        Dataset,
        "netloom.data.builtin",
        order=lambda dataset: (_KINDS.index(dataset.kind), dataset.name not in _FIRST),
    )

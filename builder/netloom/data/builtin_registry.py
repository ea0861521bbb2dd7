"""The datasets that come with Netloom: one class each; a new file in `builtin/` registers itself by its classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from netloom.core.registry import discover
from netloom.data.raw_dataset import RawDataset

_KINDS = ("image", "table", "text", "series", "audio", "graph", "environment")
_FIRST = ("shapes", "shape_masks")  # of their kind: what most people begin with
Rows = Annotated[int, Field(ge=60, le=20_000)]


class Dataset(BaseModel, ABC):
    """A built-in dataset; its fields are the options that a document may set."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[str]
    task: ClassVar[str]
    summary: ClassVar[str]

    @abstractmethod
    def read(self) -> RawDataset:
        """The data itself; the same for the same options."""


@cache
def builtin() -> dict[str, type[Dataset]]:
    """The built-in datasets by name, in the order in which they are shown."""
    return discover(
        Dataset,
        "netloom.data.builtin",
        order=lambda dataset: (_KINDS.index(dataset.kind), dataset.name not in _FIRST),
    )

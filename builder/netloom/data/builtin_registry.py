"""The datasets that come with Netloom: one class each; a new file in `catalogue/` registers itself by its classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from inspect import isabstract
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from netloom.data.raw_dataset import Raw

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
    def read(self) -> Raw:
        """The data itself; the same for the same options."""


@cache
def builtin() -> dict[str, type[Dataset]]:
    """The built-in datasets by name, in the order in which they are shown."""
    import netloom.data.builtin  # noqa: F401

    order = ("image", "table", "text", "series", "audio", "graph", "environment")
    found = sorted(_below(Dataset), key=lambda dataset: order.index(dataset.kind))
    return {dataset.name: dataset for dataset in found}


def _below(kind: type[Any]) -> list[type[Dataset]]:
    """All classes below one, each before those that are made from it, without those that are unfinished."""
    found: list[type[Dataset]] = []
    for child in kind.__subclasses__():
        found += [*([] if isabstract(child) else [child]), *_below(child)]
    return found

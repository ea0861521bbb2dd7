"""All split methods; a new file in `methods` registers its class."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from netloom.core.registry import discover
from netloom.data.splits.method import SplitMethod

if TYPE_CHECKING:
    from netloom.data.raw_dataset import RawDataset
    from netloom.document import DataChoice

AUTO = "auto"


@cache
def split_methods() -> dict[str, SplitMethod]:
    """Return the methods by name, in the order in which `auto` tries them."""
    methods = discover(SplitMethod, "netloom.data.splits.methods", order=lambda method: method.order)
    return {name: method() for name, method in methods.items()}


def method_of(raw: RawDataset, choice: DataChoice) -> SplitMethod:
    """Return the method of a split; `auto` depends on the data."""
    if choice.split != AUTO:
        return split_methods()[choice.split]
    return next(method for method in split_methods().values() if method.suits(raw, choice))


def follows_time(raw: RawDataset, choice: DataChoice) -> bool:
    """Return whether test rows are later in time than training rows, also in a given split of ordered rows."""
    method, is_ordered = method_of(raw, choice), raw.contiguous or raw.times is not None
    return method.is_temporal or (method.uses_given and is_ordered)

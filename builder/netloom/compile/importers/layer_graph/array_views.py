"""Recognition of arrays that are views of a tensor in the file: the tensor to which they belong, and their part of it.

Views are recognized by their memory addresses, so that operators that only move values must return views, not copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MemoryKey = tuple[int, tuple[tuple[int, int], ...]]


def memory_key(array: Array) -> MemoryKey:
    """A key that is equal for arrays with the same memory: the address, and the length and stride of each axis."""
    steps = zip(array.shape, array.strides, strict=True)
    return _address(array), tuple((size, step) for size, step in steps if size > 1)


def slice_of(base: Array, part: Array) -> list[tuple[int, int]] | None:
    """The start and length of `part` along each axis of `base`; None if `part` is not a proper slice of it."""
    if part.size >= base.size or not part.size or not base.flags.c_contiguous or part.dtype != base.dtype:
        return None
    # The offset in elements, which the steps of `base` split into a start along each axis
    offset, remainder = divmod(_address(part) - _address(base), base.itemsize)
    if remainder or not 0 <= offset < base.size:
        return None
    axes = [(size, step // base.itemsize) for size, step in zip(part.shape, part.strides, strict=True) if size > 1]
    ranges = []
    for size, step in zip(base.shape, (step // base.itemsize for step in base.strides), strict=True):
        start, offset = (0, offset) if size == 1 else divmod(offset, step)
        count = axes.pop(0)[0] if size > 1 and axes and axes[0][1] == step else 1
        if start + count > size:
            return None
        ranges.append((start, count))
    return None if axes or offset else ranges


def contiguous_rows(table: Array, indices: Array, axis: int = 0) -> Array | None:
    """The entries of a table at some indices along an axis, as a view; None if the indices are not consecutive."""
    positions = indices.reshape(-1)
    if positions.size < 1 or positions[0] < 0 or positions[-1] >= table.shape[axis] or np.any(np.diff(positions) != 1):
        return None
    selected = table[(slice(None),) * axis + (slice(int(positions[0]), int(positions[-1]) + 1),)]
    try:
        return selected.reshape((*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :]), copy=False)
    except ValueError:  # it would be a copy
        return None


def owner(tables: Mapping[str, Array], array: Array) -> str:
    """The name of the table whose memory contains an array, or ""."""
    if array.dtype != np.float32 or array.size < 2:
        return ""
    begin = _address(array)
    for name, table in tables.items():
        # The first address suffices: a view lies completely within its table.
        if _address(table) <= begin < _address(table) + table.nbytes:
            return name
    return ""


def as_transposed_views(tables: Mapping[str, Array]) -> dict[str, Array]:
    """The tables, with transposed copies of others replaced by views of them: exporters write tied weights twice."""
    views = dict(tables)
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for name, table in tables.items():
        if table.ndim != 2 or table.dtype != np.float32 or min(table.shape) < 2:
            continue
        for other_name in by_shape.get(table.shape[::-1], ()):
            original = tables[other_name]
            if (
                # A single row rules out most pairs before all values are compared.
                np.array_equal(original[0], table[:, 0])
                and np.array_equal(original.T, table)
                and not _is_ambiguous(table)
            ):
                views[name] = views[other_name].T
                break
        else:
            by_shape.setdefault(table.shape, []).append(name)
    return views


def _is_ambiguous(table: Array) -> bool:
    """Whether equality with a transposed matrix proves nothing: all values are equal, or the matrix is symmetric."""
    return bool((table == table.flat[0]).all()) or (table.shape[0] == table.shape[1] and np.array_equal(table, table.T))


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address

"""Attributes that are tensors when they are read, and arrays before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
_REQUIRED = object()


class LazyTensors(Generic[T]):
    """A field of a dataclass: a tensor, or a dictionary of them, which can be given as arrays.

    Arrays become tensors with the same memory when the field is first read.

    Args:
        default: The default of the field; without it, the field is required.
    """

    def __init__(self, default: Any = _REQUIRED) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, data: None, owner: type) -> T: ...
    @overload
    def __get__(self, data: object, owner: type) -> T: ...
    def __get__(self, data: object | None, owner: type) -> T:
        if data is None:  # how dataclasses ask for the default
            if self._default is _REQUIRED:
                raise AttributeError(self._name)
            default: T = self._default
            return default
        value = data.__dict__[self._name]
        if _has_arrays(value):
            value = data.__dict__[self._name] = _tensors(value)
        read: T = value
        return read

    def __set__(self, data: object, value: Any) -> None:
        data.__dict__[self._name] = value


def as_arrays(data: object, name: str) -> Any:
    """Return a field with arrays instead of tensors, which share their memory; other values are returned unchanged."""
    value = data.__dict__[name]
    if isinstance(value, dict):
        return {key: _array(item) for key, item in value.items()}
    return _array(value)


def _array(value: Any) -> Any:
    # Not `isinstance(value, torch.Tensor)`, which would import PyTorch.
    return value.numpy() if type(value).__module__ == "torch" and hasattr(value, "numpy") else value


def _has_arrays(value: Any) -> bool:
    values = value.values() if isinstance(value, dict) else [value]
    return any(isinstance(item, np.ndarray) for item in values)


def _tensors(value: Any) -> Any:
    return {key: _tensor(item) for key, item in value.items()} if isinstance(value, dict) else _tensor(value)


def _tensor(value: Any) -> torch.Tensor:
    import warnings

    import torch

    # PyTorch has no read-only tensors, so it warns that writing to one is undefined behavior; nothing writes to it.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

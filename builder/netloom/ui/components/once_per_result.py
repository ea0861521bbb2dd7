"""Values that a page derives from a result at each of its runs, such as figures, computed once for each result."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

MAX_VALUES = 256

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")
_values: OrderedDict[tuple[Any, ...], tuple[weakref.ref[Any], Any]] = OrderedDict()
_lock = threading.Lock()


def once_per_result(derive: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Let a function return the value of an earlier call with the same object and equal further arguments.

    The pool of jobs returns the same object for equal requests, so it identifies a result; results with arrays cannot
    be compared. The cache keeps the last `MAX_VALUES` values of all functions, but not the results themselves. The
    value is shared by all pages, so nothing may change it.
    """

    @wraps(derive)
    def derived(result: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (derive, id(result), args, tuple(kwargs.items()))
        with _lock:
            reference, value = _values.get(key, (lambda: None, None))
            if reference() is result:  # and not a later object at the same place
                _values.move_to_end(key)
                return cast("T", value)
        computed = derive(result, *args, **kwargs)
        with _lock:
            _values[key] = (weakref.ref(result), computed)
            while len(_values) > MAX_VALUES:
                _values.popitem(last=False)
        return computed

    return derived

"""A cache whose results are computed once, also if several threads request them at the same time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Once(Generic[P, T]):
    """A function of positional arguments whose `size` most recently used results are cached.

    Unlike with functools.lru_cache, a thread that requests a result during its computation waits for it, instead of
    computing it again. An exception reaches all waiting threads, and is not cached.
    """

    def __init__(self, function: Callable[P, T], size: int) -> None:
        self._function, self._size = function, size
        self._results: OrderedDict[tuple[Any, ...], T] = OrderedDict()
        self._making: dict[tuple[Any, ...], Future[T]] = {}
        self._lock = threading.Lock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs:
            raise TypeError("Arguments are given by their places.")
        # A hit, a wait or a new computation is decided atomically, so that each result is computed once
        with self._lock:
            if args in self._results:
                self._results.move_to_end(args)
                return self._results[args]
            waited_for = self._making.get(args)
            if waited_for is None:
                mine = self._making[args] = Future()
        if waited_for is not None:
            return waited_for.result()
        try:
            # Without the lock, so that other results can be computed and returned meanwhile
            result = self._function(*args, **kwargs)
        except BaseException as error:
            with self._lock:
                # After `forget`, another thread may have started a newer computation under these arguments
                if self._making.get(args) is mine:
                    del self._making[args]
            # Also for KeyboardInterrupt, because the waiting threads would never return otherwise
            mine.set_exception(error)
            raise
        with self._lock:
            # If it was removed from the cache meanwhile, only the threads that already wait get it.
            if self._making.get(args) is mine:
                del self._making[args]
                self._results[args] = result
                while len(self._results) > self._size:
                    self._results.popitem(last=False)
        mine.set_result(result)
        return result

    def forget(self, matches: Callable[..., bool]) -> None:
        """Remove the results whose arguments match."""
        with self._lock:
            for calls in (self._results, self._making):
                for args in [args for args in calls if matches(*args)]:
                    del calls[args]

    def cache_clear(self) -> None:
        """Remove all results."""
        self.forget(lambda *args: True)


def once(size: int) -> Callable[[Callable[P, T]], Once[P, T]]:
    """Return a decorator that caches the results of a function as `Once`."""
    return lambda function: Once(function, size)

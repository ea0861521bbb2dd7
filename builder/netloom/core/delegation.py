"""Functions that a process can leave to another one: a web server lets its workers compute them."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Delegable(Generic[P, R]):
    """A function, as a decorator. After `delegate`, calls in this process return the result of another function, which
    requests it from a worker. The worker, where nothing is delegated, calls the function of the same name."""

    def __init__(self, function: Callable[P, R]) -> None:
        self._here = function
        self._elsewhere: Callable[P, R] | None = None
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return (self._elsewhere or self._here)(*args, **kwargs)

    @property
    def is_delegated(self) -> bool:
        return self._elsewhere is not None

    def delegate(self, elsewhere: Callable[P, R] | None) -> None:
        """Let `elsewhere` compute from now on; None: this process computes again."""
        self._elsewhere = elsewhere

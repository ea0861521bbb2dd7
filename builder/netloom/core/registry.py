"""Discovery of declarations: a class registers itself because its module lies in a package that is searched.

Packages are named by text, so that the module which asks does not import what it searches. Nothing is imported before
the first call; the callers keep the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


def discover(
    base: type[T],
    *packages: str,
    declared_by: str = "name",
    name: Callable[[type[T]], str] | None = None,
    order: Callable[[type[T]], Any] | None = None,
    is_recursive: bool = False,
) -> dict[str, type[T]]:
    """The concrete subclasses of `base` that are written in the modules of the packages, by name.

    A class is declared where it sets the attribute `declared_by` itself; one that does not is what several share. Its
    name is that attribute, or what `name` returns. Classes are sorted by `order`; equal ones stay in the order of
    packages, modules and lines, whichever was imported first.

    Raises:
        ImportError: a module cannot be imported, or two classes have the same name.
    """
    declared = [
        member
        for module in modules(*packages, is_recursive=is_recursive)
        for member in members(module)
        if isinstance(member, type)
        and issubclass(member, base)
        and declared_by in vars(member)
        and not isabstract(member)
    ]
    name_of: Callable[[type[T]], str] = name or (lambda kind: str(getattr(kind, declared_by)))
    return unique(declared if order is None else sorted(declared, key=order), name_of)


def unique(declarations: list[T], name: Callable[[T], str]) -> dict[str, T]:
    """The declarations by name.

    Raises:
        ImportError: two have the same name.
    """
    by_name: dict[str, T] = {}
    for declaration in declarations:
        first = by_name.setdefault(name(declaration), declaration)
        if first is not declaration:
            raise ImportError(
                f"{_place(first)} and {_place(declaration)} have the same name {name(declaration)!r}; rename one."
            )
    return by_name


def modules(*packages: str, is_recursive: bool = False) -> Iterator[ModuleType]:
    """Every module that lies directly in the packages, imported, in alphabetical order within each package. If
    `is_recursive`, those of the packages in them follow each where it stands."""
    for package in packages:
        # While a package imports itself, its own `__init__` may call this.
        path = (sys.modules.get(package) or import_module(package)).__path__
        for file in sorted(iter_modules(path), key=lambda file: file.name):
            name = f"{package}.{file.name}"
            yield import_module(name)
            if is_recursive and file.ispkg:
                yield from modules(name, is_recursive=True)


def members(module: ModuleType) -> list[Any]:
    """The public classes and functions that are written in a module, in the order of its lines."""
    return [
        value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]


def _place(declaration: Any) -> str:
    return f"{declaration.__module__}.{declaration.__qualname__}"

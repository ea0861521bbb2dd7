"""Discovery of declarations: every class in the modules of a package is registered, without a central list.

Packages are given by name, so that the calling module does not import them itself. Nothing is imported before the
first call; callers cache the result.
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
    """The concrete subclasses of `base` that are defined in the modules of the packages, by name.

    Only classes that set the attribute `declared_by` themselves are included; others are shared base classes. The name
    of a class is the value of that attribute, or the result of `name`. Classes are sorted by `order`; the sort is
    stable, so that ties keep the order of packages, modules and lines, independent of the order of imports.

    Raises:
        ImportError: A module cannot be imported, or two classes have the same name.
    """
    declared = [
        member
        for module in modules(*packages, is_recursive=is_recursive)
        for member in members(module)
        if isinstance(member, type)
        and issubclass(member, base)
        # vars() excludes inherited attributes, unlike hasattr().
        and declared_by in vars(member)
        and not isabstract(member)
    ]
    name_of: Callable[[type[T]], str] = name or (lambda kind: str(getattr(kind, declared_by)))
    return unique(declared if order is None else sorted(declared, key=order), name_of)


def unique(declarations: list[T], name: Callable[[T], str]) -> dict[str, T]:
    """The declarations by name.

    Raises:
        ImportError: Two declarations have the same name.
    """
    by_name: dict[str, T] = {}
    for declaration in declarations:
        first = by_name.setdefault(name(declaration), declaration)
        if first is not declaration:
            raise ImportError(
                f"{_qualified_name(first)} and {_qualified_name(declaration)} have the same name "
                f"{name(declaration)!r}; rename one."
            )
    return by_name


def modules(*packages: str, is_recursive: bool = False) -> Iterator[ModuleType]:
    """Import and yield the modules of the packages, in alphabetical order within each package.

    If `is_recursive`, each subpackage is followed by its own modules.
    """
    for package in packages:
        # The `__init__` of a package can call this while the package is being imported.
        path = (sys.modules.get(package) or import_module(package)).__path__
        for file in sorted(iter_modules(path), key=lambda file: file.name):
            name = f"{package}.{file.name}"
            yield import_module(name)
            if is_recursive and file.ispkg:
                yield from modules(name, is_recursive=True)


def members(module: ModuleType) -> list[Any]:
    """The public classes and functions that a module defines, in the order of its lines, without imported ones."""
    return [
        value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]


def _qualified_name(declaration: Any) -> str:
    return f"{declaration.__module__}.{declaration.__qualname__}"

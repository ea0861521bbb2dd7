"""The built-in datasets, by kind. All are imported in one order, whichever is asked for first, and shown in it."""

from importlib import import_module as _import
from pkgutil import iter_modules as _iter_modules

for _file in _iter_modules(__path__):
    _import(f"{__name__}.{_file.name}")

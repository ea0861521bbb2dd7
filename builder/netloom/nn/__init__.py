"""The modules that PyTorch lacks. They import torch and math alone; the compiler copies their source into its own.

A new file in this package registers itself: each public class and function that is written in one is known by its name.
"""

from importlib import import_module as _import_module
from pkgutil import iter_modules as _iter_modules
from typing import Any as _Any

_found: dict[str, _Any] = {}
for _file in _iter_modules(__path__):
    _module = _import_module(f"{__name__}.{_file.name}")
    for _name, _value in vars(_module).items():
        if getattr(_value, "__module__", "") == _module.__name__ and not _name.startswith("_"):
            if _name in _found:
                raise ImportError(f"{_name} is written in two files of {__name__}")
            _found[_name] = _value
globals().update(_found)
__all__ = sorted(_found)

"""The modules that PyTorch lacks. They import torch and math alone; the compiler copies their source into its own.

A new file in this package registers itself: each public class and function that is written in one is known by its name.
"""

from netloom.core.registry import members as _members
from netloom.core.registry import modules as _modules
from netloom.core.registry import unique as _unique

_public = _unique([member for module in _modules(__name__) for member in _members(module)], lambda one: one.__name__)
globals().update(_public)
__all__ = sorted(_public)

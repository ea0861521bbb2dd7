"""Modules that PyTorch does not have. They import only torch and math.

The compiler copies the source of each class that a network uses into the generated code, with its docstring and
comments. The files register themselves: `netloom.nn` exports every public class and function that they define.
"""

from netloom.core.registry import members as _members
from netloom.core.registry import modules as _modules
from netloom.core.registry import unique as _unique

_public = _unique([member for module in _modules(__name__) for member in _members(module)], lambda one: one.__name__)
globals().update(_public)
__all__ = sorted(_public)

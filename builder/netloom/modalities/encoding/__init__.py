"""From raw rows to arrays: one encoder per encoding of a field and per type of a table's column.

Training and prediction both use this package, and a copy of it is part of each exported network, so it needs only
numpy. Encoders register themselves when their module is imported; a new module in this package adds an encoder.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in sorted(file.name for file in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

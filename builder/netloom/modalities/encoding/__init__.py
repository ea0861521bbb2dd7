"""From raw rows to arrays: one encoder per encoding of a field and per type of a table's column.

The folder is used in training and in prediction, and travels with an exported network: it needs numpy alone. Encoders
register themselves when their module is imported, so a new file in this folder is all that a new one needs.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in sorted(file.name for file in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")

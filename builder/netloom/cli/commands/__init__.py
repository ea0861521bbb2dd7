"""The commands. A new file here registers itself by its classes; only what a command needs is imported when it runs."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from netloom.cli.command import Command

_ORDER = """
app templates check summary code formula library data train sweep runs evaluate predict explain influence concepts
robustness export import bench
""".split()


@cache
def registry() -> dict[str, Command]:
    """All commands by name, in the order in which they are listed."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    known = {name: place for place, name in enumerate(_ORDER)}
    found = sorted(Command.__subclasses__(), key=lambda kind: (known.get(kind.name, len(known)), kind.name))
    return {kind.name: kind() for kind in found}

"""The commands. A new file here registers itself by its classes; only what a command needs is imported when it runs."""

from __future__ import annotations

from functools import cache

from netloom.cli.command import Command
from netloom.core.registry import discover

_ORDER = """
app templates check summary code formula library data train sweep runs evaluate predict explain influence concepts
robustness export import bench
""".split()


@cache
def registry() -> dict[str, Command]:
    """All commands by name, in the order in which they are listed."""
    positions = {name: index for index, name in enumerate(_ORDER)}
    kinds = discover(Command, __name__, order=lambda kind: (positions.get(kind.name, len(positions)), kind.name))
    return {name: kind() for name, kind in kinds.items()}

"""The commands. Every class in a file here registers itself.

Commands import what they need inside `run`, so that `netloom --help` does not load torch or pandas.
"""

from __future__ import annotations

from functools import cache

from netloom.cli.command import Command
from netloom.core.registry import discover

_ORDER = """
app templates fit check summary code schema formula initialize library data train sweep runs evaluate calibrate
predict generate explain influence concepts embeddings robustness drift chat optimize export card serve monitor
collected promote import bench
""".split()


@cache
def registry() -> dict[str, Command]:
    """Return all commands by name, in the order of the help."""
    positions = {name: index for index, name in enumerate(_ORDER)}
    kinds = discover(Command, __name__, order=lambda kind: (positions.get(kind.name, len(positions)), kind.name))
    return {name: kind() for name, kind in kinds.items()}

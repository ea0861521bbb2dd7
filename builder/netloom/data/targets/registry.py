"""All kinds of targets; a new file in this package registers its class."""

from __future__ import annotations

from functools import cache
from typing import Any

from netloom.core.registry import discover
from netloom.data.targets.target import Target


@cache
def _targets() -> dict[str, Target[Any]]:
    targets = discover(Target, "netloom.data.targets", declared_by="kind")
    return {name: kind() for name, kind in targets.items()}


def target_of(kind: str) -> Target[Any]:
    """Return the kind of target with this name."""
    return _targets()[kind]

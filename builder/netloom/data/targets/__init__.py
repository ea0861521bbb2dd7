"""Targets: their fitting, encoding and decoding, one class per kind of target."""

from netloom.data.targets.registry import target_of
from netloom.data.targets.target import Labels, Target

__all__ = ["Labels", "Target", "target_of"]

"""Augmentation: training rows changed at random in ways that do not change what they mean."""

from builder.data.augment.augmenter import Augmenter
from builder.data.augment.base import Augmentation, Mixed
from builder.data.augment.preview import previewed
from builder.data.augment.registry import augmentations, misfit, parsed, suited

__all__ = ["Augmentation", "Augmenter", "Mixed", "augmentations", "misfit", "parsed", "previewed", "suited"]

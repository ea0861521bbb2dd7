"""Augmentation: random changes of training rows that preserve their meaning."""

from netloom.data.augmentation.augmentation import Augmentation, Mixed
from netloom.data.augmentation.augmenter import Augmenter
from netloom.data.augmentation.preview import previewed
from netloom.data.augmentation.registry import augmentations, parsed, suited, unsuitable_reason

__all__ = ["Augmentation", "Augmenter", "Mixed", "augmentations", "parsed", "previewed", "suited", "unsuitable_reason"]

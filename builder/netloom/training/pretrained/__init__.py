"""Pretrained weights from a Hugging Face folder; nothing in it is executed."""

from netloom.training.pretrained.folder import Folder, is_folder, open_folder
from netloom.training.pretrained.weight_loading import Taken, read_folder, take

__all__ = ["Folder", "Taken", "is_folder", "open_folder", "read_folder", "take"]

"""Pretrained weights from a Hugging Face folder; nothing in it is executed."""

from netloom.training.pretrained.folder import Folder, is_folder, open_folder
from netloom.training.pretrained.weight_loading import LoadedTensors, load_tensors, read_folder

__all__ = ["Folder", "LoadedTensors", "is_folder", "load_tensors", "open_folder", "read_folder"]

"""Files of other people are read in processes of their own, which may take only so much memory and time, and have no
network: what a file does to its reader, it does to that process alone."""

from netloom.sandbox.examples import read_picture, read_sound
from netloom.sandbox.inspection import Description, FileInspection
from netloom.sandbox.models import keep_folder, read_models
from netloom.sandbox.process import warm

__all__ = ["Description", "FileInspection", "keep_folder", "read_models", "read_picture", "read_sound", "warm"]

"""Files of other people are read in processes of their own, which may take only so much memory and time, and have no
network: what a file does to its reader, it does to that process alone."""

from builder.confined.examples import read_picture, read_sound
from builder.confined.look import Description, Look
from builder.confined.models import keep_folder, read_models
from builder.confined.process import warm

__all__ = ["Description", "Look", "keep_folder", "read_models", "read_picture", "read_sound", "warm"]

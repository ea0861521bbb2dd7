"""Reads files from outside in confined processes, with limited memory and time and without network access.

If a file exploits or crashes its reader, only that process is affected.
"""

from netloom.sandbox.batch_files import read_batch
from netloom.sandbox.examples import read_picture, read_sound
from netloom.sandbox.inspection import Description, FileInspection
from netloom.sandbox.models import keep_folder, read_models, read_tensors
from netloom.sandbox.process import warm

__all__ = [
    "Description",
    "FileInspection",
    "keep_folder",
    "read_batch",
    "read_models",
    "read_picture",
    "read_sound",
    "read_tensors",
    "warm",
]

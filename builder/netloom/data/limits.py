"""Limits on the memory, disk space and number of files of an upload."""

from __future__ import annotations

from netloom.core.settings import settings
from netloom.modalities.statistics import MAX_CELLS as MAX_CELLS

MAX_FILE_BYTES = 500 * 2**20
MAX_ROWS = 2**20  # as many as a spreadsheet has
MAX_COLUMNS = 2_000
MAX_AXES = 5  # of an array
MAX_SHEET_CELLS = 5_000_000  # spreadsheets are read cell by cell, a hundred times more slowly than CSV
MAX_MEMBERS = 10_000
# Files with an example each, such as images, sounds and texts: the Large Movie Review Dataset has 100,000 texts. The
# size of all images together is bounded by MAX_STORED_BYTES.
MAX_EXAMPLES = 200_000
MAX_UNPACKED_BYTES = 2 * 2**30
MAX_STORED_BYTES = 2**30
MAX_RATIO = 100
MAX_HARMLESS_BYTES = 16 * 2**20  # unpacked at any ratio
MAX_PIXELS = 50_000_000
MAX_MEMBER_BYTES = 100 * 2**20
STORED_SIDE = 128
MAX_STREAMED_BYTES = 64 * 2**30
MAX_STREAMED_ROWS = 200_000_000


def in_memory() -> int:
    """Return the bytes up to which a table is in memory (NETLOOM_DATA_MEMORY_MB); larger ones are memory-mapped."""
    return int(settings.data_memory_mb * 2**20)

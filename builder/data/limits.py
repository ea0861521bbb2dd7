"""How much an upload may ask of the machine."""

from __future__ import annotations

MAX_FILE_BYTES = 500 * 2**20
MAX_ROWS = 1_000_000
MAX_COLUMNS = 2_000
MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 2 * 2**30
MAX_RATIO = 100
MAX_PIXELS = 50_000_000
MAX_MEMBER_BYTES = 100 * 2**20
STORED_SIDE = 128

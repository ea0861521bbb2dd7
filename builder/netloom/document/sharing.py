"""A whole document as a short text that fits into an address, and back."""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from netloom.document.files import MAX_BYTES, DocumentError, loads, to_json
from netloom.document.project import Project

# Longer addresses are cut by mail programs, chats and proxies.
MAX_LETTERS = 8_000
# What a few thousand letters may unfold to at most: a hostile text would fill the memory.
MAX_UNFOLDED_BYTES = MAX_BYTES // 10
_FORM = "1"


def fold(project: Project) -> str:
    """The document as letters that need no escape in an address.

    Raises:
        DocumentError: it is too large for that.
    """
    plain = json.dumps(to_json(project), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    text = _FORM + base64.urlsafe_b64encode(zlib.compress(plain, 9)).decode().rstrip("=")
    if len(text) > MAX_LETTERS:
        raise DocumentError(
            f"This project takes {len(text):,} letters, and a link holds {MAX_LETTERS:,}; save it as a file on Home "
            "and send that instead."
        )
    return text


def unfold(text: str) -> Project:
    """The document that was folded, read as carefully as a file that someone sent.

    Raises:
        DocumentError: one sentence that says what is wrong.
    """
    text = text.strip()
    if len(text) > MAX_LETTERS:
        raise DocumentError(f"This link has {len(text):,} letters; Netloom reads at most {MAX_LETTERS:,}.")
    if not text.startswith(_FORM):
        raise DocumentError("This link was made by a newer Netloom, or is none; ask for it again, or for a file.")
    try:
        packed = base64.b64decode(text[1:] + "=" * (-len(text[1:]) % 4), altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(packed, MAX_UNFOLDED_BYTES)
    except (binascii.Error, ValueError, zlib.error):
        raise DocumentError("This link is damaged; a part of it may have been lost on its way.") from None
    if unpacking.unconsumed_tail:
        raise DocumentError(f"This link unfolds to more than {MAX_UNFOLDED_BYTES:,} bytes, too many for a link.")
    if not unpacking.eof:
        raise DocumentError("This link is damaged; a part of it may have been lost on its way.")
    return loads(plain)

"""A document as a short text that fits into a URL, and back."""

from __future__ import annotations

import base64
import binascii
import zlib

from netloom.document.files import MAX_BYTES, DocumentError, compact, loads
from netloom.document.project import Project

# Mail programs, chats and proxies truncate longer URLs.
MAX_LETTERS = 8_000
# The limit of the decompressed size, because a short text can decompress to gigabytes
MAX_UNFOLDED_BYTES = MAX_BYTES // 10
# The first character is the version of the encoding.
_FORM = "1"


def fold(project: Project) -> str:
    """The document, compressed and encoded in characters that need no escaping in a URL.

    Raises:
        DocumentError: The text has more than `MAX_LETTERS` characters.
    """
    plain = compact(project).encode()
    text = _FORM + base64.urlsafe_b64encode(zlib.compress(plain, 9)).decode().rstrip("=")
    if len(text) > MAX_LETTERS:
        raise DocumentError(
            f"A link to this project would have {len(text):,} characters, but at most {MAX_LETTERS:,} are allowed; "
            "save the project as a file on the Home page and send the file."
        )
    return text


def unfold(text: str) -> Project:
    """The document from a text of `fold`, checked like an uploaded file, because a link can come from anyone.

    Raises:
        DocumentError: The link is damaged, too large or of a newer version; the message says which.
    """
    text = text.strip()
    if len(text) > MAX_LETTERS:
        raise DocumentError(f"This link has {len(text):,} characters, but at most {MAX_LETTERS:,} are allowed.")
    if not text.startswith(_FORM):
        raise DocumentError(
            "This link is invalid or was created by a newer version of Netloom; ask for a new link or for a file."
        )
    try:
        packed = base64.b64decode(text[1:] + "=" * (-len(text[1:]) % 4), altchars=b"-_", validate=True)
        # Unlike zlib.decompress, an object can stop at a maximum size.
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(packed, MAX_UNFOLDED_BYTES)
    except (binascii.Error, ValueError, zlib.error):
        raise DocumentError("This link is damaged or incomplete; copy it again.") from None
    if unpacking.unconsumed_tail:
        raise DocumentError(
            f"The content of this link has more than {MAX_UNFOLDED_BYTES:,} bytes, the limit for a link."
        )
    # zlib reports a truncated text as an incomplete stream, not as an error.
    if not unpacking.eof:
        raise DocumentError("This link is damaged or incomplete; copy it again.")
    return loads(plain)

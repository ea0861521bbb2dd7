"""Messages between Netloom and a confined process: JSON, with bytes behind it. Nothing is unpickled on either side."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]
MAX_ANSWER_BYTES = 64 * 2**20
_HEAD = struct.Struct(">QI")  # how long the JSON is, and how many blobs are behind it
_BLOB = struct.Struct(">Q")


class ClosedError(OSError):
    """The other process closed the connection."""


def send(channel: socket.socket, message: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Raises:
    ClosedError: nobody reads it.
    """
    text = json.dumps(message).encode()
    try:
        channel.sendall(_HEAD.pack(len(text), len(blobs)) + text)
        for blob in blobs:
            channel.sendall(_BLOB.pack(len(blob)))
            channel.sendall(blob)
    except (BrokenPipeError, ConnectionError) as error:
        raise ClosedError("The receiver closed the connection.") from error


def receive(
    channel: socket.socket, until: float | None = None, most: int | None = MAX_ANSWER_BYTES
) -> tuple[Message, list[bytes]]:
    """The next message. `until` is a moment of `time.monotonic`; `most` bounds all of its bytes.

    Raises:
        ClosedError: the other side is gone, or sends what is not a message.
        TimeoutError: nothing has come until then.
    """
    length, count = _HEAD.unpack(_exactly(channel, _HEAD.size, until))
    limit = most
    if limit is not None and (length > limit or count):
        raise ClosedError("The answer exceeds the size limit.")
    try:
        message = json.loads(_exactly(channel, length, until))
    except (ValueError, RecursionError) as error:
        raise ClosedError("The answer is not JSON.") from error
    if not isinstance(message, dict):
        raise ClosedError("The answer is not an object.")
    blobs = [_exactly(channel, _BLOB.unpack(_exactly(channel, _BLOB.size, until))[0], until) for _ in range(count)]
    return message, blobs


def _exactly(channel: socket.socket, size: int, until: float | None) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        if until is not None:
            remaining_s = until - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError
            channel.settimeout(remaining_s)
        try:
            count = channel.recv_into(view)
        except TimeoutError:
            raise
        except OSError as error:
            raise ClosedError(str(error)) from error
        if not count:
            raise ClosedError("The other process closed the connection.")
        view = view[count:]
    return bytes(buffer)

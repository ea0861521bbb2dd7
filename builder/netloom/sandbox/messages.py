"""Messages between Netloom and a confined process: JSON, followed by binary blobs. Neither side unpickles anything."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]
MAX_ANSWER_BYTES = 64 * 2**20
# The length of the JSON and the number of blobs; each blob is preceded by its length.
_HEAD = struct.Struct(">QI")
_BLOB = struct.Struct(">Q")


class ClosedError(OSError):
    """The other process closed the connection."""


class InvalidError(ClosedError):
    """What arrived is not a message. The other process may still run."""


def send(channel: socket.socket, message: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Send a message, followed by `blobs`.

    Raises:
        ClosedError: the other process closed the connection.
    """
    text = json.dumps(message).encode()
    try:
        channel.sendall(_HEAD.pack(len(text), len(blobs)) + text)
        for blob in blobs:
            channel.sendall(_BLOB.pack(len(blob)))
            channel.sendall(blob)
    except (BrokenPipeError, ConnectionError) as error:
        raise ClosedError("The receiver closed the connection.") from error


def send_file(channel: socket.socket, file: int) -> None:
    """Send the descriptor of a file after a message that announces it.

    Raises:
        ClosedError: the other process closed the connection.
    """
    try:
        socket.send_fds(channel, [b"f"], [file])
    except (BrokenPipeError, ConnectionError) as error:
        raise ClosedError("The receiver closed the connection.") from error


def receive_file(channel: socket.socket, until: float) -> int:
    """Return the descriptor of a file that `send_file` sent, which the caller closes.

    Raises:
        ClosedError: the other process has ended.
        TimeoutError: nothing arrived before the deadline, by `time.monotonic`.
    """
    channel.settimeout(max(0.0, until - time.monotonic()))
    try:
        _, files, _, _ = socket.recv_fds(channel, 1, 1)
    except TimeoutError:
        raise
    except OSError as error:
        raise ClosedError(str(error)) from error
    if not files:
        raise ClosedError("The other process closed the connection.")
    return files[0]


def receive(
    channel: socket.socket, until: float | None = None, most: int | None = MAX_ANSWER_BYTES
) -> tuple[Message, list[bytes]]:
    """Return the next message and its blobs.

    Args:
        until: The deadline, by `time.monotonic`; None: wait forever.
        most: The limit of bytes for an answer of a confined process, which cannot contain blobs; None: the sender is
            trusted.

    Raises:
        ClosedError: the other process has ended.
        InvalidError: the message is too long or malformed.
        TimeoutError: no message arrived before the deadline.
    """
    length, count = _HEAD.unpack(_exactly(channel, _HEAD.size, until))
    limit = most
    # Checked before memory is allocated: a process that a file controls can announce any length.
    if limit is not None and (length > limit or count):
        raise InvalidError("The answer exceeds the size limit.")
    try:
        message = json.loads(_exactly(channel, length, until))
    except (ValueError, RecursionError) as error:
        raise InvalidError("The answer is not JSON.") from error
    if not isinstance(message, dict):
        raise InvalidError("The answer is not an object.")
    blobs = [_exactly(channel, _BLOB.unpack(_exactly(channel, _BLOB.size, until))[0], until) for _ in range(count)]
    return message, blobs


def _exactly(channel: socket.socket, size: int, until: float | None) -> bytes:
    """Return the next `size` bytes."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        if until is not None:
            remaining_s = until - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError
            channel.settimeout(remaining_s)  # again for each part: otherwise, single bytes could postpone the deadline
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

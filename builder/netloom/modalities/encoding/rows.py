"""Encodes raw rows as arrays with the state that was fitted on the training split, and decodes them.

A raw row is a dict. The key of an image is the name of its field, and its value has the shape (H, W), (H, W, C) or
(C, H, W). The key of a text or series is the name of its field or of its source column; the keys of a table are the
names of its columns. Instead of the parts of a date, a row can contain the date as ISO text, and instead of a text, a
list of its words, which are not split any further.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.field_encoder import FieldState, field_encoder

# Encoded rows: an array (N, …) by field.
EncodedRows: TypeAlias = dict[str, np.ndarray]
# The prediction for a row as plain JSON; the kind of the target decides which keys stand beside "prediction".
Answer: TypeAlias = dict[str, Any]


def encode(preprocess: Mapping[str, Any], row: RawRow) -> EncodedRows:
    """Return one raw row as arrays (1, …) by field."""
    return encode_rows(preprocess, [row])


def encode_rows(preprocess: Mapping[str, Any], rows: list[RawRow]) -> EncodedRows:
    """Return raw rows as arrays (N, …) by field: float32, or int64 for tokens.

    Raises:
        EncodeError: a row lacks a value, or has an invalid one.
    """
    return {encoder.name: encoder.encode(rows) for encoder in map(field_encoder, preprocess["fields"])}


def restore_rows(field: Mapping[str, Any] | FieldState, values: np.ndarray) -> list[Any]:
    """Return rows (N, …) of a field that a network outputs, in the units of the data: nested lists, or for a table a
    dict of values by column."""
    return field_encoder(field).restore(values)

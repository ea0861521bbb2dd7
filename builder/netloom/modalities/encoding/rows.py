"""From raw rows to arrays, with what was fitted on the training split, and back.

A raw row is a dict. An image stands under its field's name as rows of pixels, (H, W), (H, W, C) or (C, H, W); a text or
series under its field's name, or under that of the column that it came from; the columns of a table under their own
names. A column that was made from a date may also be given by that date, as ISO text, and a text as a list of its
words, which are then taken as they are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from netloom.modalities.encoding.field_encoder import FieldState, field_encoder


def encode(preprocess: Mapping[str, Any], row: dict[str, Any]) -> dict[str, np.ndarray]:
    """One raw row as arrays (1, …), by field."""
    return encode_rows(preprocess, [row])


def encode_rows(preprocess: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Raw rows as arrays (N, …), by field: float32, or int64 for tokens.

    Raises:
        EncodeError: a row lacks something, or holds what does not fit.
    """
    return {field["name"]: field_encoder(field).encode(rows) for field in preprocess["fields"]}


def restore_rows(field: Mapping[str, Any] | FieldState, values: np.ndarray) -> list[Any]:
    """Rows of a field as a network gives them back (N, …), in the units of the data: nested lists, or for a table a
    value by column."""
    return field_encoder(field).restore(values)

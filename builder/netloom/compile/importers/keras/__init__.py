"""Keras models as documents: from the JSON of `to_json()` and from `.keras` files, which are read as data only."""

from netloom.compile.importers.keras.reader import looks_like_keras, read_keras

__all__ = ["looks_like_keras", "read_keras"]

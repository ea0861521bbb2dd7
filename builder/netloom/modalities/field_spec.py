"""The description of one input field of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from netloom.core.plain_json import JsonObject

Kind = Literal["vector", "sequence", "image", "tokens"]
Quantity = Literal["pixels", "numbers"]
PIXELS: Quantity = "pixels"
NUMBERS: Quantity = "numbers"
# The quantity that the default preprocessing scales, by the kind of an Input layer; tokens and indices are not scaled.
QUANTITIES: Mapping[str, Quantity] = {
    "image": PIXELS,
    "volume": PIXELS,
    "vector": NUMBERS,
    "sequence": NUMBERS,
    "tensor": NUMBERS,
}


@dataclass(frozen=True)
class FieldSpec:
    """One input field. `shape` is without the batch dimension; `columns` names the features of a vector.

    `is_paired` tells whether one preprocessing was fitted on it and another field together, so that a network can read
    both with the same weights.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    vocabulary: int | None = None
    columns: tuple[str, ...] = ()
    is_paired: bool = False

    @property
    def is_vector(self) -> bool:
        """Whether an example is a vector of numbers (D,)."""
        return self.kind == "vector"

    @property
    def is_sequence(self) -> bool:
        """Whether an example is a series of numbers (T, D)."""
        return self.kind == "sequence"

    @property
    def is_image(self) -> bool:
        """Whether an example is an image (C, H, W)."""
        return self.kind == "image"

    @property
    def is_tokens(self) -> bool:
        """Whether an example consists of indices of a vocabulary: a text, or categories."""
        return self.kind == "tokens"

    @property
    def is_categories(self) -> bool:
        """Whether each token is a category of one of `columns`."""
        return self.is_tokens and bool(self.columns)

    @property
    def is_text(self) -> bool:
        """Whether the tokens are those of a text."""
        return self.is_tokens and not self.columns

    @property
    def quantity(self) -> Quantity | None:
        """The quantity that the default preprocessing scales in this field; None if it scales nothing."""
        return QUANTITIES.get(self.kind)

    def parameters(self) -> JsonObject:
        """Return the parameters of an Input layer for this field."""
        return {"field": self.name, "kind": self.kind, "shape": list(self.shape), "vocabulary": self.vocabulary}

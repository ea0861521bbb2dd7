"""One input of a network, as data has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["vector", "sequence", "image", "tokens"]
Quantity = Literal["pixels", "numbers"]
PIXELS: Quantity = "pixels"
NUMBERS: Quantity = "numbers"
# What an input consists of that a preparation scales, by the kind that its Input layer declares; tokens and indices are
# taken as they are.
QUANTITIES: Mapping[str, Quantity] = {
    "image": PIXELS,
    "volume": PIXELS,
    "vector": NUMBERS,
    "sequence": NUMBERS,
    "tensor": NUMBERS,
}


@dataclass(frozen=True)
class FieldSpec:
    """One input of an example. `shape` is without the batch axis; `columns` names the features of a vector."""

    name: str
    kind: Kind
    shape: tuple[int, ...]
    vocabulary: int | None = None
    columns: tuple[str, ...] = ()

    @property
    def is_vector(self) -> bool:
        """Whether an example is a row of numbers (D,)."""
        return self.kind == "vector"

    @property
    def is_sequence(self) -> bool:
        """Whether an example is numbers over time (T, D)."""
        return self.kind == "sequence"

    @property
    def is_image(self) -> bool:
        """Whether an example is an image (C, H, W)."""
        return self.kind == "image"

    @property
    def is_tokens(self) -> bool:
        """Whether an example is numbers of a vocabulary: a text, or categories."""
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
        """What a preparation scales in this field."""
        return QUANTITIES.get(self.kind)

    def parameters(self) -> dict[str, Any]:
        """The parameters of an Input that reads this field."""
        return {"field": self.name, "kind": self.kind, "shape": list(self.shape), "vocabulary": self.vocabulary}

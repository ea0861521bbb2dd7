"""The answer as far as a network has written it, which its decoder reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.modalities.columns.text import LENGTH_LIMIT
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.text_fields import DecoderInputEncoder
from netloom.modalities.fields.modality import Editor, Fitted
from netloom.modalities.fields.text import UNKNOWN_TOKENS, TokenModality

# The tokens before all letters: padding, a letter that training never had, and both ends of an answer.
MARKS = (*UNKNOWN_TOKENS, "⟨start⟩", "⟨end⟩")


class DecoderInputModality(TokenModality):
    name, order = "decoder_input", 60
    encoders = (DecoderInputEncoder,)
    editor = Editor.NONE
    has_words = False

    def fit(self, name: str, values: Sequence[str], settings: Mapping[str, Any]) -> Fitted:
        """The letters of the answers of the training rows."""
        length = min(max(map(len, values)) + 1, LENGTH_LIMIT)
        letters = sorted(set("".join(values)))
        return {
            "name": name,
            "encoding": DecoderInputEncoder.encoding,
            "vocabulary": [*MARKS, *letters],
            "length": length,
        }

    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        return "what is already written of an answer, by letters"

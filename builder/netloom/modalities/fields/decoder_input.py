"""The input of a decoder: the tokens of the answer so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.modalities.columns.text import LENGTH_LIMIT
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.text_fields import DecoderInputEncoder, TokenState
from netloom.modalities.fields.modality import Editor
from netloom.modalities.fields.text import UNKNOWN_TOKENS, TokenModality

# The first tokens: padding, unknown characters, and the start and end of an answer.
MARKS = (*UNKNOWN_TOKENS, "⟨start⟩", "⟨end⟩")


class DecoderInputModality(TokenModality):
    name, order = "decoder_input", 60
    encoders = (DecoderInputEncoder,)
    editor = Editor.NONE
    has_words = False
    file_kind = None  # the network generates it

    def fit(self, name: str, values: Sequence[str], settings: Mapping[str, Any]) -> TokenState:
        """Return the fitted state, with the characters of the answers of the training rows."""
        # One more for the start token
        length = min(max(map(len, values)) + 1, LENGTH_LIMIT)
        vocabulary = [*MARKS, *sorted(set("".join(values)))]
        return TokenState(name=name, encoding=DecoderInputEncoder.encoding, vocabulary=vocabulary, length=length)

    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        return "the characters of the answer that are already generated"

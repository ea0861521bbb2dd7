"""Blocks of one long text as characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.text_fields import CharacterEncoder, TextState
from netloom.modalities.fields.text import UNKNOWN_TOKENS, TokenModality


@dataclass(frozen=True)
class TrainingBlocks:
    """The input of `fit`: the blocks of the training rows, each of `length` characters."""

    blocks: Sequence[str]
    length: int


class CharacterModality(TokenModality):
    name, order = "characters", 50
    encoders = (CharacterEncoder,)

    def fit(self, name: str, values: TrainingBlocks, settings: Mapping[str, Any]) -> TextState:
        vocabulary = [*UNKNOWN_TOKENS, *sorted(set("".join(values.blocks)))]
        return TextState(name=name, encoding=CharacterEncoder.encoding, vocabulary=vocabulary, length=values.length)

    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        return "characters of the training vocabulary"

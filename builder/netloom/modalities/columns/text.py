"""Text columns, each of which becomes a field of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field as Bounds

from netloom.modalities.columns.category import CATEGORY_LIMIT
from netloom.modalities.columns.column_kind import ColumnKind, ColumnSource, Preprocessing, ReadColumn, TextColumn
from netloom.modalities.settings import Settings
from netloom.modalities.widgets import Field, NumberInput, Select, Toggle

if TYPE_CHECKING:
    import pandas as pd

FEW_VALUES = 20
VOCABULARY_LIMIT = 20_000
BPE_VOCABULARY = 2_000
LENGTH_LIMIT = 256
Tokens = Literal["words", "bpe", "characters"]
TOKENS: Mapping[str, Tokens] = {"Words": "words", "Byte pairs": "bpe", "Characters": "characters"}


class TextSettings(Settings):
    """Tokenization of a text: words, byte pairs learned from the training texts, or characters."""

    tokens: Tokens | None = None
    vocabulary: Annotated[int, Bounds(ge=260, le=100_000)] | None = None
    length: Annotated[int, Bounds(ge=1, le=4_096)] | None = None
    lower: bool | None = None


class Text(ColumnKind):
    name, order, priority = "text", 20, 50
    settings = TextSettings
    preprocessing = Preprocessing("tokens", TOKENS, "words")
    is_text = True
    can_be_target = False

    def matches(self, values: pd.Series) -> bool:
        return is_text(values) or is_names(values)

    def read(self, source: ColumnSource) -> Sequence[ReadColumn]:
        return [TextColumn(source.name, self.name, values=source.texts())]

    def details(self, settings: Mapping[str, Any]) -> list[Field]:
        return text_details(settings)


def text_details(settings: Mapping[str, Any]) -> list[Field]:
    """Return widgets for the tokenization and the maximum length of a text."""
    tokens = settings.get("tokens", "words")
    label = next(label for label, value in TOKENS.items() if value == tokens)
    size = settings.get("vocabulary", BPE_VOCABULARY if tokens == "bpe" else VOCABULARY_LIMIT)
    return [
        Field("tokens", "Tokenization", Select(label, list(TOKENS)), choices=tuple(TOKENS.items())),
        Field("vocabulary", "Max vocabulary", NumberInput(size, 260, 100_000, step=1)),
        Field(
            "length",
            "Max tokens",
            NumberInput(settings.get("length", 0), 0, 4_096, step=1),
            f"0: covers 98% of the texts, at most {LENGTH_LIMIT}",
            unset=0,
        ),
        Field("lower", "Lowercase", Toggle(settings.get("lower", tokens == "words"))),
    ]


def is_names(values: pd.Series) -> bool:
    """Return whether a text column has too many distinct values for categories."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values):
        return False
    distinct = values.nunique()
    if distinct > CATEGORY_LIMIT:
        return bool(distinct > len(values) // 20)
    return bool(distinct > FEW_VALUES and distinct > len(values) // 2)


def is_text(values: pd.Series) -> bool:
    """Return whether a column contains sentences rather than names of categories."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values):
        return False
    known = values.dropna().head(1_000)
    if known.empty:
        return False
    return float(np.mean([len(text.split()) for text in known.tolist()])) >= 2.5 and known.nunique() > len(known) * 0.3


def is_prose(values: pd.Series) -> bool:
    """Return whether a column contains sentences, most of whose words are not capitalized as those of names are."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values):
        return False
    cells = [text.split() for text in values.dropna().head(1_000).tolist()]
    words = [word for cell in cells for word in cell if word[0].isalpha()]
    lower = sum(not word[0].isupper() for word in words)
    return len(words) >= 4 * len(cells) > 0 and lower > 0.6 * len(words)

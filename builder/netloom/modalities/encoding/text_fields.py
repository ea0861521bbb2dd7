"""Texts as tokens: by words, by letters, by byte pairs, as blocks of characters, and as an answer that is written."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, NotRequired, TypeVar, cast

import numpy as np

from netloom.modalities.encoding.cells import as_text, text_of
from netloom.modalities.encoding.column_encoder import CellReader, CsvColumn
from netloom.modalities.encoding.field_encoder import FieldEncoder, FieldState, VerbatimReader, field_encoder
from netloom.modalities.encoding.tokenization import (
    END,
    PAD,
    START,
    byte_pair_merger,
    letters,
    token_array,
    unbyte,
    words,
)


class TextReader(CellReader):
    """Texts without the blanks around them, empty where one is missing."""

    def read(self, column: CsvColumn) -> list[Any]:
        return ["" if cell is None else cell for cell in column.cells]


class WordListReader(CellReader):
    """Texts whose words may be given one by one, as a list in JSON."""

    def read(self, column: CsvColumn) -> list[Any]:
        return ["" if cell is None else self._words(cell) for cell in column.cells]

    def _words(self, cell: str) -> str | list[str]:
        with suppress(ValueError, RecursionError):
            value = json.loads(cell) if cell[:1] == "[" else None
            if isinstance(value, list) and all(isinstance(word, str) for word in value):
                return value
        return cell


class TokenState(FieldState):
    """Tokens by their numbers, and how many of a text are read. `lower` is left out where it is as usual."""

    vocabulary: list[str]
    length: int
    lower: NotRequired[bool]


class TextState(TokenState):
    """A text from a table has the `column` that it came from; `parted` ones come as lists of words."""

    column: NotRequired[str]
    parted: NotRequired[bool]


class BytePairState(TextState):
    """Pairs that are merged, the first of them first."""

    merges: list[list[str]]


TokenStateT = TypeVar("TokenStateT", bound=TokenState)
TextStateT = TypeVar("TextStateT", bound=TextState)


class TokenEncoder(FieldEncoder[TokenStateT]):
    """A text as the numbers of its tokens (N, T)."""

    is_verbatim = False  # whether the tokens stand in the text as the vocabulary names them
    joint = ""  # what stands between two tokens of a text

    @property
    def vocabulary(self) -> list[str]:
        """Each token, by its number."""
        return self.field["vocabulary"]

    @property
    def length(self) -> int:
        """How many tokens of a text are read."""
        return self.field["length"]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def vocabulary_size(self) -> int:
        return len(self.vocabulary)

    def shown(self, row: dict[str, Any]) -> dict[str, Any]:
        value = self.raw_value(row)
        return {"text": str(as_text(value)), "tokens": tuple(self.readable(value))}

    def tokens(self, text: Any) -> list[str]:
        """The tokens of a text as the vocabulary names them."""
        return letters(text, bool(self.field.get("lower")))

    def readable(self, text: Any) -> list[str]:
        """The tokens of a text as people read them."""
        return self.tokens(text)

    def joined(self, tokens: list[str]) -> str:
        """The text that tokens of the vocabulary stand for."""
        return self.joint.join(tokens)

    def encode(self, rows: list[dict[str, Any]]) -> np.ndarray:
        return self.encode_texts([self.raw_text(row) for row in rows])

    def encode_texts(self, texts: list[Any]) -> np.ndarray:
        """The numbers of texts, cut or padded behind."""
        return token_array(self.field["vocabulary"], self.field["length"], [self.tokens(text) for text in texts])

    def raw_text(self, row: dict[str, Any]) -> Any:
        """The text of a row; words that are given one by one are joined."""
        return as_text(self.raw_value(row))


class TextEncoder(TokenEncoder[TextStateT]):
    """A text of people, read from its beginning, which may come from a column of a table."""

    @property
    def source_column(self) -> str | None:
        return cast(TextState, self.field).get("column")

    @property
    def cell_reader(self) -> CellReader:
        if self.field.get("parted"):
            return WordListReader()
        # The texts of a table were read from cells; all others are taken letter by letter.
        return VerbatimReader() if self.source_column is None else TextReader()

    def shown_encoded(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"tokens": tuple(self.readable(self.raw_value(row)))}


class WordEncoder(TextEncoder[TextState]):
    encoding, joint, is_verbatim = "words", " ", True

    def tokens(self, text: Any) -> list[str]:
        return words(text, self.field.get("lower", True))

    def raw_text(self, row: dict[str, Any]) -> Any:
        return self.raw_value(row)


class LetterEncoder(TextEncoder[TextState]):
    encoding = "letters"


class BytePairEncoder(TextEncoder[BytePairState]):
    """Byte pairs, which are written with a letter per byte."""

    encoding = "bpe"

    @cached_property
    def _merge(self) -> Callable[[str], list[str]]:
        return byte_pair_merger(self.field)

    def tokens(self, text: Any) -> list[str]:
        return self._merge(str(as_text(text)))

    def readable(self, text: Any) -> list[str]:
        return [unbyte([token]) for token in self.tokens(text)]

    def joined(self, tokens: list[str]) -> str:
        return unbyte(tokens)

    def encode_texts(self, texts: list[Any]) -> np.ndarray:
        parts = [self._merge(text_of(text)) for text in texts]
        return token_array(self.field["vocabulary"], self.field["length"], parts)


class CharacterEncoder(TokenEncoder[TextState]):
    """A block of a long text, of which the end is read: what comes next depends most on what came last."""

    encoding, is_verbatim = "characters", True

    @property
    def source_column(self) -> str | None:
        return self.field.get("column")

    @property
    def cell_reader(self) -> CellReader:
        return VerbatimReader() if self.source_column is None else TextReader()

    def encode_texts(self, texts: list[Any]) -> np.ndarray:
        length = self.field["length"]
        return token_array(self.field["vocabulary"], length, [self.tokens(text)[-length:] for text in texts])


class DecoderInputEncoder(TokenEncoder[TokenState]):
    """What is written of an answer so far, behind the mark that starts it; nothing is, where a row does not say."""

    encoding = "begun"
    is_required = False

    def shown(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"answer": str(row.get(self.name) or "")}

    def encode(self, rows: list[dict[str, Any]]) -> np.ndarray:
        texts = [list(text_of(row.get(self.name))) for row in rows]
        numbers = token_array(self.field["vocabulary"], self.field["length"] - 1, texts)
        return np.concatenate([np.full((len(rows), 1), START, dtype=np.int64), numbers], axis=1)


def token_encoder(field: Mapping[str, Any] | FieldState) -> TokenEncoder[Any]:
    """The encoder of a field of tokens."""
    encoder = field_encoder(field)
    if not isinstance(encoder, TokenEncoder):
        raise TypeError(f"The field {encoder.name!r} does not consist of tokens.")
    return encoder


def write(length: int, rows: int, scores: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The tokens (N, length) of answers, each the one that scores highest after those before it; padded after the end.

    `scores` gives (N, length, vocabulary) for what is written so far (N, length), which begins with the start mark.
    """
    decoder_input = np.full((rows, length + 1), PAD, dtype=np.int64)
    decoder_input[:, 0] = START
    ended = np.zeros(rows, dtype=bool)
    for place in range(length):
        decoder_input[:, place + 1] = np.where(ended, PAD, scores(decoder_input[:, :-1])[:, place].argmax(1))
        ended |= decoder_input[:, place + 1] == END
        if ended.all():
            break
    return decoder_input[:, 1:]


def written(field: Mapping[str, Any], tokens: list[int]) -> str:
    """The text of an answer, up to the mark that ends it."""
    tokens = tokens[: tokens.index(END)] if END in tokens else tokens
    return "".join("" if token == START else field["vocabulary"][token] for token in tokens)

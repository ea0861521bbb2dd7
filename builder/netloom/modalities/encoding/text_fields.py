"""Encodes texts as tokens: words, characters, byte pairs, blocks of characters, and the answer of a decoder."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from netloom.modalities.encoding.cells import RawRow, as_text, text_of
from netloom.modalities.encoding.column_encoder import CellReader, CsvColumn
from netloom.modalities.encoding.field_encoder import (
    FieldEncoder,
    FieldState,
    RowDisplay,
    VerbatimReader,
)
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
    """Reads texts without surrounding whitespace, empty where one is missing."""

    def read(self, column: CsvColumn) -> list[Any]:
        return ["" if cell is None else cell for cell in column.cells]


class WordListReader(CellReader):
    """Reads texts, or lists of words as JSON."""

    def read(self, column: CsvColumn) -> list[Any]:
        return ["" if cell is None else self._words(cell) for cell in column.cells]

    def _words(self, cell: str) -> str | list[str]:
        with suppress(ValueError, RecursionError):
            value = json.loads(cell) if cell[:1] == "[" else None
            if isinstance(value, list) and all(isinstance(word, str) for word in value):
                return value
        return cell


@dataclass(frozen=True, kw_only=True)
class TokenState(FieldState):
    """The vocabulary in the order of token indices, the length in tokens, and `lower` if it is not the default of the
    encoder."""

    vocabulary: Sequence[str]
    length: int
    lower: bool | None = None


@dataclass(frozen=True, kw_only=True)
class TextState(TokenState):
    """The state of a text: its table `column`, if any, and whether texts are `parted` into lists of words."""

    column: str = ""
    parted: bool = False


@dataclass(frozen=True, kw_only=True)
class BytePairState(TextState):
    """The pairs that are merged, by descending priority."""

    last_keys = ("length", "lower", "column", "parted")

    merges: Sequence[Sequence[str]]


TokenStateT = TypeVar("TokenStateT", bound=TokenState)
TextStateT = TypeVar("TextStateT", bound=TextState)


class TokenEncoder(FieldEncoder[TokenStateT]):
    """Encodes texts as token indices, int64 (N, T)."""

    joint = ""  # the separator of the tokens of a text

    @property
    def vocabulary(self) -> Sequence[str]:
        return self.state.vocabulary

    @property
    def length(self) -> int:
        """The length of encoded texts in tokens, T."""
        return self.state.length

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def vocabulary_size(self) -> int:
        return len(self.vocabulary)

    def shown(self, row: RawRow) -> RowDisplay:
        value = self.raw_value(row)
        return {"text": str(as_text(value)), "tokens": tuple(self.readable(value))}

    def tokens(self, text: Any) -> list[str]:
        """Return the tokens of a text as they are in the vocabulary."""
        return letters(text, bool(self.state.lower))

    def readable(self, text: Any) -> list[str]:
        """Return the tokens of a text for display."""
        return self.tokens(text)

    def joined(self, tokens: list[str]) -> str:
        """Return tokens of the vocabulary as text."""
        return self.joint.join(tokens)

    def encode(self, rows: list[RawRow]) -> np.ndarray:
        return self.encode_texts([self.raw_text(row) for row in rows])

    def encode_texts(self, texts: list[Any]) -> np.ndarray:
        """Return the token indices of texts, int64 (N, T), truncated or padded at the end."""
        return token_array(self.vocabulary, self.length, [self.tokens(text) for text in texts])

    def raw_text(self, row: RawRow) -> Any:
        """Return the text of a row; a list of words is joined."""
        return as_text(self.raw_value(row))


class TextEncoder(TokenEncoder[TextStateT]):
    """Encodes a natural text from its beginning. The text can come from a table column."""

    is_text = True

    @property
    def source_column(self) -> str | None:
        return self.state.column or None

    @property
    def is_word_list(self) -> bool:
        return self.state.parted

    @property
    def cell_reader(self) -> CellReader:
        if self.is_word_list:
            return WordListReader()
        # The texts of a table were imported without surrounding whitespace; others are verbatim.
        return VerbatimReader() if self.source_column is None else TextReader()

    def shown_encoded(self, row: RawRow) -> RowDisplay:
        return {"tokens": tuple(self.readable(self.raw_value(row)))}


class WordEncoder(TextEncoder[TextState]):
    encoding, joint, is_verbatim = "words", " ", True
    state_type = TextState

    def tokens(self, text: Any) -> list[str]:
        return words(text, self.state.lower is not False)

    def raw_text(self, row: RawRow) -> Any:
        return self.raw_value(row)


class LetterEncoder(TextEncoder[TextState]):
    encoding = "letters"
    state_type = TextState


class BytePairEncoder(TextEncoder[BytePairState]):
    """Encodes texts as byte pairs; the vocabulary represents each byte by a letter."""

    encoding = "bpe"
    state_type = BytePairState

    @cached_property
    def _merge(self) -> Callable[[str], list[str]]:
        return byte_pair_merger(self.state.merges, bool(self.state.lower))

    def tokens(self, text: Any) -> list[str]:
        return self._merge(str(as_text(text)))

    def readable(self, text: Any) -> list[str]:
        return [unbyte([token]) for token in self.tokens(text)]

    def joined(self, tokens: list[str]) -> str:
        return unbyte(tokens)

    def encode_texts(self, texts: list[Any]) -> np.ndarray:
        parts = [self._merge(text_of(text)) for text in texts]
        return token_array(self.vocabulary, self.length, parts)


class CharacterEncoder(TokenEncoder[TextState]):
    """Encodes blocks of a long text, truncated at the start: the next character depends most on the last ones."""

    encoding, is_verbatim = "characters", True
    state_type = TextState

    @property
    def source_column(self) -> str | None:
        return self.state.column or None

    @property
    def cell_reader(self) -> CellReader:
        return VerbatimReader() if self.source_column is None else TextReader()

    def encode_texts(self, texts: list[Any]) -> np.ndarray:
        length = self.length
        return token_array(self.vocabulary, length, [self.tokens(text)[-length:] for text in texts])


class DecoderInputEncoder(TokenEncoder[TokenState]):
    """Encodes the answer so far as characters after the start token; empty if a row does not contain one."""

    encoding = "begun"
    state_type = TokenState
    is_required = False

    def shown(self, row: RawRow) -> RowDisplay:
        return {"answer": str(row.get(self.name) or "")}

    def encode(self, rows: list[RawRow]) -> np.ndarray:
        texts = [list(text_of(row.get(self.name))) for row in rows]
        numbers = token_array(self.vocabulary, self.length - 1, texts)
        return np.concatenate([np.full((len(rows), 1), START, dtype=np.int64), numbers], axis=1)


def token_encoder(encoder: FieldEncoder[Any]) -> TokenEncoder[Any]:
    """Return the encoder as that of a field of tokens.

    Raises:
        TypeError: the field does not consist of tokens.
    """
    if not isinstance(encoder, TokenEncoder):
        raise TypeError(f"The field {encoder.name!r} does not consist of tokens.")
    return encoder


def write(length: int, rows: int, scores: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the tokens of answers by greedy decoding, int64 (N, length), padded after the end. `scores` is as in
    `write_steps`."""
    tokens = np.full((rows, length), PAD, dtype=np.int64)
    for step in write_steps(length, rows, scores, lambda each: each.argmax(1)):
        tokens = step
    return tokens


def write_steps(
    length: int,
    rows: int,
    scores: Callable[[np.ndarray], np.ndarray],
    choose: Callable[[np.ndarray], np.ndarray],
) -> Iterator[np.ndarray]:
    """Yield the tokens of answers after each step, int64 (N, length), padded after the end and where nothing is written
    yet.

    `scores` maps the tokens so far (N, length), which begin with the start token, to scores (N, length, vocabulary);
    `choose` maps the scores of one step (N, vocabulary) to tokens (N,).
    """
    # Of full length from the start, as the input of a network has a fixed length
    decoder_input = np.full((rows, length + 1), PAD, dtype=np.int64)
    decoder_input[:, 0] = START
    ended = np.zeros(rows, dtype=bool)
    for step in range(length):
        decoder_input[:, step + 1] = np.where(ended, PAD, choose(scores(decoder_input[:, :-1])[:, step]))
        ended |= decoder_input[:, step + 1] == END
        yield decoder_input[:, 1:].copy()
        if ended.all():
            break


def written(vocabulary: Sequence[str], tokens: list[int]) -> str:
    """Return the text of an answer up to its end token."""
    tokens = tokens[: tokens.index(END)] if END in tokens else tokens
    return "".join("" if token == START else vocabulary[token] for token in tokens)

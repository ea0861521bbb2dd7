"""From texts to the numbers of their tokens: words, letters, and byte pairs."""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from netloom.modalities.encoding.cells import as_text

PAD, UNKNOWN, START, END = 0, 1, 2, 3  # the last two only where an answer is written token by token
_WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
# What byte pairs are merged within: a word with the space before it, other marks, or spaces. All beyond ASCII counts as
# letters, so that every engine of regular expressions splits a text alike; 32 at most, as a piece is merged by itself.
_LETTERS = "0-9A-Za-z_\x80-\U0010ffff"
PIECE = f" ?[{_LETTERS}]{{1,32}}| ?[^ \t\n\r\f\v{_LETTERS}]{{1,32}}|[ \t\n\r\f\v]{{1,32}}"
_PIECE = re.compile(PIECE)


def words(text: str | list[str], lower: bool = True) -> list[str]:
    """The words and punctuation marks of a text, or the given words, in lower case by default."""
    if isinstance(text, list):
        return [str(word).lower() if lower else str(word) for word in text]
    return _WORD.findall((str(text).lower() if lower else str(text)).replace("’", "'"))


def letters(text: Any, lower: bool = False) -> list[str]:
    """The letters of a text."""
    plain = str(as_text(text))
    return list(plain.lower() if lower else plain)


def byte_letters() -> list[str]:
    """A letter for each of the 256 bytes: itself where it is visible, else one from beyond them."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    invisible = iter(range(256, 512))
    return [chr(byte if byte in visible else next(invisible)) for byte in range(256)]


def unbyte(tokens: list[str]) -> str:
    """The text that tokens of byte pairs stand for."""
    places = {letter: byte for byte, letter in enumerate(byte_letters())}
    return bytes(places[letter] for token in tokens for letter in token if letter in places).decode("utf-8", "replace")


def byte_pair_merger(field: Mapping[str, Any]) -> Callable[[str], list[str]]:
    """A function that splits texts into byte pairs: the first of the merges that applies is done first, from the left.

    Sennrich, Haddow and Birch, https://arxiv.org/abs/1508.07909, over bytes.
    """
    ranks = {(left, right): rank for rank, (left, right) in enumerate(field["merges"])}
    alphabet, merged_pieces = byte_letters(), dict[str, list[str]]()

    def merged(piece: str) -> list[str]:
        parts = [alphabet[byte] for byte in piece.encode("utf-8", "replace")]
        while len(parts) > 1:
            rank, place = min((ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(parts)))
            if rank == len(ranks):
                break
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        return parts

    def merge(text: str) -> list[str]:
        tokens: list[str] = []
        for piece in _PIECE.findall(text.lower() if field.get("lower") else text):
            if piece not in merged_pieces:
                merged_pieces[piece] = merged(piece)
            tokens += merged_pieces[piece]
        return tokens

    return merge


def token_array(vocabulary: list[str], length: int, texts: list[list[str]]) -> np.ndarray:
    """The numbers of tokens (N, length), cut or padded behind."""
    places = {token: place for place, token in enumerate(vocabulary)}
    numbers = np.full((len(texts), length), PAD, dtype=np.int64)
    for index, tokens in enumerate(texts):
        for place, token in enumerate(tokens[:length]):
            numbers[index, place] = places.get(token, UNKNOWN) or UNKNOWN  # a word of no letters is not padding
    return numbers


def last_places(tokens: np.ndarray) -> np.ndarray:
    """The place of each row's last token in (N, T), as texts are padded behind; 0 for an empty text."""
    places: np.ndarray = np.maximum((tokens != PAD).sum(1) - 1, 0)
    return places

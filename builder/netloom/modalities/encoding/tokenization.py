"""Tokenizes texts as words, characters and byte pairs, and maps tokens to indices."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from netloom.modalities.encoding.cells import as_text

PAD, UNKNOWN, START, END = 0, 1, 2, 3  # the last two only for answers of a decoder
_WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
# Byte pairs are merged within pieces: a word with the space before it, punctuation, or spaces. All characters beyond
# ASCII count as letters, so that all regex engines split a text equally; merging takes quadratic time, so at most 32.
_LETTERS = "0-9A-Za-z_\x80-\U0010ffff"
PIECE = f" ?[{_LETTERS}]{{1,32}}| ?[^ \t\n\r\f\v{_LETTERS}]{{1,32}}|[ \t\n\r\f\v]{{1,32}}"
_PIECE = re.compile(PIECE)


def words(text: str | list[str], lower: bool = True) -> list[str]:
    """Return the words and punctuation marks of a text, or the given words, in lower case by default."""
    if isinstance(text, list):
        return [str(word).lower() if lower else str(word) for word in text]
    plain = str(as_text(text))
    return _WORD.findall((plain.lower() if lower else plain).replace("’", "'"))


def letters(text: Any, lower: bool = False) -> list[str]:
    """Return the characters of a text."""
    plain = str(as_text(text))
    return list(plain.lower() if lower else plain)


def byte_letters() -> list[str]:
    """Return a visible letter for each of the 256 bytes, as in GPT-2: itself if it is visible, else one from 256 on."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    invisible = iter(range(256, 512))
    return [chr(byte if byte in visible else next(invisible)) for byte in range(256)]


def unbyte(tokens: list[str]) -> str:
    """Return tokens of byte pairs as text; bytes that are not UTF-8 become �."""
    positions = {letter: byte for byte, letter in enumerate(byte_letters())}
    return bytes(positions[letter] for token in tokens for letter in token if letter in positions).decode(
        "utf-8", "replace"
    )


def byte_pair_merger(merges: Sequence[Sequence[str]], lower: bool) -> Callable[[str], list[str]]:
    """Return a function that splits texts into byte pairs: the merge of the lowest rank comes first, from the left.

    Sennrich, Haddow and Birch, https://arxiv.org/abs/1508.07909, over bytes.
    """
    ranks = {(left, right): rank for rank, (left, right) in enumerate(merges)}
    alphabet, merged_pieces = byte_letters(), dict[str, list[str]]()

    def merged(piece: str) -> list[str]:
        parts = [alphabet[byte] for byte in piece.encode("utf-8", "replace")]
        while len(parts) > 1:
            rank, position = min((ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(parts)))
            if rank == len(ranks):
                break
            parts[position : position + 2] = [parts[position] + parts[position + 1]]
        return parts

    def merge(text: str) -> list[str]:
        tokens: list[str] = []
        for piece in _PIECE.findall(text.lower() if lower else text):
            if piece not in merged_pieces:
                merged_pieces[piece] = merged(piece)
            tokens += merged_pieces[piece]
        return tokens

    return merge


def token_array(vocabulary: Sequence[str], length: int, texts: list[list[str]]) -> np.ndarray:
    """Return token indices, int64 (N, length), truncated or padded at the end."""
    positions = {token: step for step, token in enumerate(vocabulary)}
    numbers = np.full((len(texts), length), PAD, dtype=np.int64)
    for index, tokens in enumerate(texts):
        for step, token in enumerate(tokens[:length]):
            numbers[index, step] = positions.get(token, UNKNOWN) or UNKNOWN  # an empty word is not padding
    return numbers


def last_places(tokens: np.ndarray) -> np.ndarray:
    """Return the index (N,) of each row's last token in (N, T), padded at the end; 0 for an empty text."""
    positions: np.ndarray = np.maximum((tokens != PAD).sum(1) - 1, 0)
    return positions

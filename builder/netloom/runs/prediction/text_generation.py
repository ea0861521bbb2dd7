"""Texts that a network generates token by token: the continuation of a text, or the answer to one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.modalities.encoding.text_fields import write_steps, written
from netloom.modalities.encoding.tokenization import END, PAD, UNKNOWN
from netloom.runs.prediction.sampling import Sampling, TokenSampler

if TYPE_CHECKING:
    from netloom.data import Schema
    from netloom.runs.prediction.trained_run import TrainedRun

MAX_TOKENS = 2_000


@dataclass(frozen=True)
class GeneratedText:
    """A text so far, its number of tokens, and whether it is complete."""

    text: str
    tokens: int
    ended: bool


def generates_text(schema: Schema) -> bool:
    """Return whether networks for such data write a text, token by token."""
    return schema.target.type.continues_text or schema.target.type.is_text


def generate(trained: TrainedRun, row: Mapping[str, Any], sampling: Sampling, length: int) -> Iterator[GeneratedText]:
    """Yield the text after each token: the continuation of the text of a raw row, or the answer to it.

    Args:
        length: The maximum number of tokens; an answer also ends with its end token.

    Raises:
        DataError: the network does not generate texts, the row lacks a value, or the length is out of range.
    """
    if not 1 <= length <= MAX_TOKENS:
        raise DataError(f"The length must be a number of tokens from 1 to {MAX_TOKENS:,}; received {length!r}.")
    if trained.data.schema.target.type.continues_text:
        return _continuation(trained, row, sampling, length)
    if trained.data.schema.target.type.is_text:
        return _answer(trained, row, sampling, length)
    raise DataError("This network does not generate texts; choose a language model or a sequence-to-sequence network.")


def _continuation(
    trained: TrainedRun, row: Mapping[str, Any], sampling: Sampling, length: int
) -> Iterator[GeneratedText]:
    """Yield the text that follows. The network reads the last tokens, as many as its input has."""
    import torch

    field = trained.data.token_field(trained.fields[0])
    positions = {token: index for index, token in enumerate(field.vocabulary)}
    context = [positions.get(token, UNKNOWN) or UNKNOWN for token in field.tokens(field.raw_text(dict(row)))]
    # Neither padding nor an unknown token has a text.
    sampler, start = TokenSampler(sampling, excluded=(PAD, UNKNOWN)), len(context)
    for count in range(1, length + 1):
        window = context[-field.length :]
        tokens = np.full((1, field.length), PAD, dtype=np.int64)
        tokens[0, : len(window)] = window
        scores = trained.output({field.name: torch.from_numpy(tokens)})[:, max(len(window) - 1, 0)].numpy()
        context.append(int(sampler.choose(scores)[0]))
        yield GeneratedText(_text(field, context[start:]), count, count == length)


def _text(field: Any, tokens: list[int]) -> str:
    """Return generated tokens as text. Words are separated by spaces as in the field."""
    return str(field.joined([field.vocabulary[token] for token in tokens]))


def _answer(trained: TrainedRun, row: Mapping[str, Any], sampling: Sampling, length: int) -> Iterator[GeneratedText]:
    """Yield the answer to a text. The decoder input is the last field."""
    import torch

    decoder = trained.data.token_field(trained.data.schema.inputs[-1].name)
    inputs = trained.data.encode({**row, decoder.name: ""}, trained.fields)

    def scores(so_far: np.ndarray) -> np.ndarray:
        return trained.output({**inputs, decoder.name: torch.from_numpy(so_far.copy())}).numpy()

    steps = write_steps(decoder.length, 1, scores, TokenSampler(sampling).choose)
    for count, tokens in enumerate(steps, 1):
        ended = END in tokens[0] or count in (length, decoder.length)
        yield GeneratedText(written(decoder.vocabulary, tokens[0, :count].tolist()), count, ended)
        if ended:
            return

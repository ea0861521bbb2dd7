"""Natural texts as words, characters or byte pairs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from netloom.modalities.columns.text import BPE_VOCABULARY, LENGTH_LIMIT, VOCABULARY_LIMIT, TextSettings
from netloom.modalities.encoding.cells import as_text
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.text_fields import (
    BytePairEncoder,
    BytePairState,
    LetterEncoder,
    TextState,
    WordEncoder,
)
from netloom.modalities.encoding.tokenization import PAD, PIECE, UNKNOWN, words
from netloom.modalities.fields.modality import Editor, Modality
from netloom.modalities.row_field import FileKind, RowField

UNKNOWN_TOKENS = ("", "�")  # padding, and tokens that training did not have


class TokenModality(Modality[Any]):
    """The base of texts: token indices have no order, and short texts are padded."""

    kind = "tokens"
    editor = Editor.TEXT
    phrase = "texts"
    usual_baseline_phrase = "a text of padding"
    has_padding = has_words = True
    is_blendable = False
    file_kind: ClassVar[FileKind | None] = FileKind.TEXT

    def row_fields(self, encoder: FieldEncoder[Any]) -> tuple[RowField, ...]:
        words = {"type": "array", "items": {"type": "string"}}
        schema = {"anyOf": [{"type": "string"}, words], "description": "A text, or a list of its words"}
        return (RowField(encoder.source_column or encoder.name, schema, is_required=encoder.is_required),)

    def usual_baseline(self, rows: np.ndarray) -> np.ndarray:
        return np.full_like(rows[:1], PAD)

    def distances(self, rows: np.ndarray, example: np.ndarray) -> np.ndarray:
        return np.asarray((rows != example).reshape(len(rows), -1).mean(1))

    def summaries(self, encoder: FieldEncoder[Any], rows: np.ndarray, training: np.ndarray) -> dict[str, np.ndarray]:
        rows = rows.reshape(len(rows), -1)
        is_token, size = rows != PAD, int(max(rows.max(), training.max())) + 1
        counts = np.bincount(training[training != PAD].ravel(), minlength=size) + 1.0
        familiarity = np.log(counts / counts.sum())
        lengths = np.maximum(is_token.sum(1), 1)
        return {
            "length": is_token.sum(1).astype(np.float64),
            "unknown tokens": (rows == UNKNOWN).sum(1) / lengths,
            "mean log frequency of its tokens in training": (familiarity[rows] * is_token).sum(1) / lengths,
        }

    def units(self, encoder: FieldEncoder[Any], example: np.ndarray) -> np.ndarray:
        is_token = example != PAD
        return np.where(is_token, np.cumsum(is_token) - 1, -1)


@dataclass(frozen=True)
class TrainingTexts:
    """The input of `fit`: the texts of the training rows.

    Attributes:
        column: The table column of the texts, if any.
        length: The default length in tokens; None to infer it from the texts.
        are_parted: Whether texts are lists of words.
    """

    texts: Iterable[str | list[str]]
    column: str = ""
    length: int | None = None
    are_parted: bool = False


class TextModality(TokenModality):
    name, order = "text", 40
    encoders = (WordEncoder, LetterEncoder, BytePairEncoder)
    settings = TextSettings

    def fit(self, name: str, values: TrainingTexts, settings: Mapping[str, Any]) -> TextState:
        length = {"length": values.length} if values.length is not None else {}
        state = fit_text(name, values.texts, {**settings, **length})
        return replace(state, column=values.column, parted=values.are_parted)

    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        return _TOKENS[encoder.encoding]


_TOKENS = {
    WordEncoder.encoding: "words of the training vocabulary, cut or padded to one length",
    LetterEncoder.encoding: "characters of the training vocabulary, cut or padded to one length",
    BytePairEncoder.encoding: "byte pairs of the training vocabulary, cut or padded to one length",
}


def fit_text(name: str, texts: Iterable[str | list[str]], settings: Mapping[str, Any]) -> TextState:
    """Return the fitted state: the vocabulary of the training texts, and the length in tokens."""
    kind = settings.get("tokens", "words")
    lower = settings.get("lower", kind == "words")
    marked = lower if lower != (kind == "words") else None
    if kind == "bpe":
        vocabulary, merges, lengths = _byte_pairs(
            map(as_text, texts), settings.get("vocabulary", BPE_VOCABULARY), lower
        )
        return BytePairState(
            name=name,
            encoding=BytePairEncoder.encoding,
            vocabulary=vocabulary,
            merges=merges,
            length=_length(lengths, settings),
            lower=marked,
        )
    counts, lengths = Counter[str](), []
    for text in texts:
        plain = as_text(text)
        tokens = words(text, lower) if kind == "words" else list(plain.lower() if lower else plain)
        counts.update(tokens)
        lengths.append(len(tokens))
    limit = settings.get("vocabulary", VOCABULARY_LIMIT) - len(UNKNOWN_TOKENS)
    # Ties by token, so that the vocabulary does not depend on the order of texts
    common = sorted(counts, key=lambda token: (-counts[token], token))[:limit]
    return TextState(
        name=name,
        encoding=(WordEncoder if kind == "words" else LetterEncoder).encoding,
        vocabulary=[*UNKNOWN_TOKENS, *common],
        length=_length(lengths, settings),
        lower=marked,
    )


def _length(lengths: list[int], settings: Mapping[str, Any]) -> int:
    """Return the length in tokens: the one of the settings, or one that most texts of these lengths fit into."""
    usual = min(int(np.quantile(lengths, 0.98)) if lengths else 1, LENGTH_LIMIT)
    return max(1, settings.get("length") or usual)


def _byte_pairs(texts: Iterable[str], vocabulary: int, lower: bool) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the vocabulary and the merges, learned by Hugging Face `tokenizers`, and the token count of each text."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    texts = [text.lower() for text in texts] if lower else list(texts)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            # The same pieces as in `byte_pair_merger`, which replaces `tokenizers` in exported networks
            pre_tokenizers.Split(Regex(PIECE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(UNKNOWN_TOKENS),
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    names = sorted(model["vocab"], key=model["vocab"].__getitem__)
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]
    return [*UNKNOWN_TOKENS, *names], [list(pair) for pair in model["merges"]], lengths

"""The texts written for Netloom: enough of them, without duplicates."""

from __future__ import annotations

import math
import re
from collections import Counter

import torch

from netloom.data import bigram_entropy, prepare
from netloom.data.raw.texts import Characters, Texts
from netloom.document import DataChoice


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def test_intents_are_plentiful_and_disjoint_across_splits() -> None:
    data = prepare(DataChoice(dataset="intents"))
    assert isinstance(data.raw, Texts)
    assert len(data.schema.target.classes) == 10
    assert min(Counter(data.target.tolist()).values()) >= 60
    parts = [{_plain(data.raw.texts[row]) for row in rows.tolist()} for rows in data.split.values()]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]
    assert not parts[0] & parts[2]


def test_intent_words_are_not_accidentally_joined() -> None:
    """No space is missing between two words."""
    data = prepare(DataChoice(dataset="intents"))
    words = [word for word in data.token_field("text").vocabulary[2:] if word.isalpha()]
    vocabulary = set(words)
    joined = [word for word in words if any(word[: len(start)] == start and word[len(start) :] in vocabulary
              for start in ("please", "youto", "you", "could", "would"))]  # fmt: skip
    assert set(joined) <= {"yours", "your"}


def test_tales_are_long_without_repetition() -> None:
    data = prepare(DataChoice(dataset="tales"))
    assert isinstance(data.raw, Characters)
    text = data.raw.text
    assert len(text) >= 60_000
    paragraphs = [line for line in text.splitlines() if line]
    assert len(set(paragraphs)) == len(paragraphs)
    words = _plain(text).split()
    runs = Counter(tuple(words[index : index + 12]) for index in range(len(words) - 12))
    assert runs.most_common(1)[0][1] == 1
    assert len(set(words)) > 1_200


def test_trigrams_beat_bigrams_on_tales() -> None:
    """Two preceding letters must predict better than one, or no network could beat the bigrams."""
    data = prepare(DataChoice(dataset="tales"))
    size = data.schema.inputs[0].vocabulary
    assert size is not None
    train, test = (data.inputs["text"][data.split[part]].flatten() for part in ("train", "test"))
    counts = torch.full((size, size, size), 0.05, dtype=torch.float64)
    counts.index_put_((train[:-2], train[1:-1], train[2:]), torch.ones((), dtype=torch.float64), accumulate=True)
    shares = counts / counts.sum(2, keepdim=True)
    trigrams = float(-shares[test[:-2], test[1:-1], test[2:]].log().mean())
    assert trigrams < bigram_entropy(data) - 0.1 < math.log(size)

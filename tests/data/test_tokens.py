"""Netloom's pure-Python tokenizer (byte pairs, characters and words), compared with Hugging Face's library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from netloom.data import DataError, prepare
from netloom.data.builtin_registry import builtin
from netloom.data.raw.texts import Texts
from netloom.document import DataChoice
from netloom.modalities.encoding.field_encoder import field_encoder
from netloom.modalities.encoding.rows import encode_rows
from netloom.modalities.encoding.text_fields import token_encoder
from netloom.modalities.encoding.tokenization import PIECE, unbyte
from netloom.modalities.fields.text import fit_text

LETTERS = [
    *"aeiou etaoin shrdlu",
    "é",
    "ß",
    "漢",
    "字",
    "🙂",
    "\u200b",
    "\u00a0",
    "\n",
    "\t",
    "'",
    "’",
    "-",
    "_",
    "7",
    "İ",
]


def sentences(count: int, seed: int) -> list[str]:
    """Texts of recurring words, with many kinds of characters among them."""
    random = np.random.default_rng(seed)
    stems = ["".join(random.choice(LETTERS, random.integers(1, 9))) for _ in range(400)]
    ranks = 1 / np.arange(1, len(stems) + 1)
    draws = (random.choice(len(stems), random.integers(0, 12), p=ranks / ranks.sum()) for _ in range(count))
    return [
        str(random.choice(["", " ", "  "])).join([" ".join(stems[index] for index in indices), "!?"])
        for indices in draws
    ]


def huggingface_tokenizer(field: dict[str, Any]) -> Tokenizer:
    """The learned merges and vocabulary as a Hugging Face tokenizer."""
    names = field["vocabulary"][2:]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [(left, right) for left, right in field["merges"]]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


@pytest.fixture(scope="module")
def field() -> dict[str, Any]:
    fitted = fit_text("text", sentences(1_000, 1), {"tokens": "bpe", "vocabulary": 700})
    stored: dict[str, Any] = json.loads(json.dumps(fitted.to_json()))
    return stored


def test_tokenizer_matches_huggingface_on_thousands_of_texts(field: dict[str, Any]) -> None:
    assert len(field["vocabulary"]) == 700
    texts = sentences(2_000, 2) + list(_builtin_texts())
    reference = huggingface_tokenizer(field).encode_batch(texts)
    encoder = token_encoder(field_encoder(field))
    for text, encoding in zip(texts, reference, strict=True):
        assert encoder.tokens(text) == encoding.tokens, text
    merged = sum(len(encoding.ids) for encoding in reference) / sum(len(text.encode()) for text in texts)
    assert merged < 0.8  # so the merges were used


# Any, half of them ASCII. The default alphabet of Hypothesis first encodes each of a million characters.
ANY_CHARACTER = st.one_of(st.integers(0, 0x7F), st.integers(0, 0x10FFFF)).map(chr)


def _builtin_texts() -> Iterator[str]:
    for name in ("reviews", "intents"):
        raw = builtin()[name]().read()
        assert isinstance(raw, Texts)
        yield from raw.texts


def test_tokenizer_matches_huggingface_and_round_trips_any_text(field: dict[str, Any]) -> None:
    encoder, reference, vocabulary = (
        token_encoder(field_encoder(field)),
        huggingface_tokenizer(field),
        field["vocabulary"],
    )

    @settings(max_examples=150, deadline=None)
    @given(st.text(ANY_CHARACTER, max_size=80))
    def check(text: str) -> None:
        tokens = encoder.tokens(text)
        if text.isprintable() or text.isascii():  # the library rejects lone surrogates, which are neither
            assert tokens == reference.encode(text).tokens
        assert unbyte(tokens) == text.encode("utf-8", "replace").decode()
        assert set(tokens) <= set(vocabulary)

    check()


def test_token_ids_are_truncated_and_right_padded(field: dict[str, Any]) -> None:
    truncated = {**field, "length": 6}
    texts = ["", "e", "the red thread of it all"]
    numbers = encode_rows({"fields": [truncated]}, [{"text": text} for text in texts])["text"]
    assert numbers.dtype == np.int64
    assert numbers[0].tolist() == [0] * 6
    places = {name: index for index, name in enumerate(field["vocabulary"])}
    assert numbers[2].tolist() == [places[token] for token in token_encoder(field_encoder(field)).tokens(texts[2])[:6]]
    assert "".join(token_encoder(field_encoder(field)).readable(texts[2])) == texts[2]


@pytest.mark.parametrize(
    ("settings_", "expected"),
    [
        ({}, ["don't", "stop", ",", "zoë", "!"]),
        ({"tokens": "words", "lower": False}, ["Don't", "stop", ",", "Zoë", "!"]),
        ({"tokens": "characters"}, [*"Don't stop, Zoë!"]),
        ({"tokens": "characters", "lower": True}, [*"don't stop, zoë!"]),
    ],
)
def test_word_and_character_tokenization(settings_: dict[str, Any], expected: list[str]) -> None:
    text = "Don't stop, Zoë!"
    field: dict[str, Any] = fit_text("text", [text], settings_).to_json()
    assert (
        token_encoder(field_encoder(field)).tokens(text)
        == token_encoder(field_encoder(field)).readable(text)
        == expected
    )
    numbers = encode_rows({"fields": [{**field, "length": 20}]}, [{"text": text}])["text"][0]
    assert [field["vocabulary"][number] for number in numbers.tolist() if number] == expected


def test_vocabulary_size_and_length_follow_settings() -> None:
    texts = sentences(300, 3)
    longer = [*texts, " ".join(f"w{n}" for n in range(999))]
    assert len(fit_text("text", longer, {"vocabulary": 260}).vocabulary) == 260
    assert len(fit_text("text", texts, {"tokens": "bpe", "vocabulary": 500}).vocabulary) == 500
    assert fit_text("text", texts, {"length": 17}).length == 17


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_dataset_tokenization_can_be_changed(kind: str) -> None:
    options: dict[str, Any] = {"fields": {"text": {"tokens": kind, "vocabulary": 300}}}
    data = prepare(DataChoice(dataset="reviews", options=options))
    example = data.example(7)
    assert "".join(example.tokens) == example.text
    encoded = data.encode({"text": example.text})["text"]
    assert encoded.tolist() == data.inputs["text"][7:8].tolist()
    assert data.schema.inputs[0].vocabulary == len(data.token_field("text").vocabulary)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("requests", {"text": {"tokens": "bpe"}}, "takes no 'tokens'; it takes none"),
        ("tales", {"text": {"length": 9}}, "takes no 'length'"),
        ("digits", {"image": {"tokens": "bpe"}}, "it takes grayscale, normalize"),
        ("digits", {"picture": {"normalize": "unit"}}, "no field 'picture'"),
        ("digits", {"image": {"normalize": "much"}}, "normalize must be 'dataset', 'channel'"),
        ("sine", {"series": {"scale": "normal"}}, "scale must be 'standard'"),
        ("reviews", {"text": {"vocabulary": 5}}, "vocabulary must be at least 260, received 5"),
        ("reviews", [], "holds settings"),
    ],
)
def test_invalid_field_settings_are_rejected_with_a_message(home: Path, name: str, fields: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        prepare(DataChoice(dataset=name, options={"fields": fields}), home)
    assert str(caught.value).endswith(".")


def test_image_and_series_scaling_follow_settings() -> None:
    def pictures(how: str) -> np.ndarray:
        data = prepare(
            DataChoice(dataset="shapes", options={"fields": {"image": {"normalize": how}}, "size": 16, "rows": 200})
        )
        row = {"image": data.row(3)["image"].tolist()}
        assert np.array_equal(data.encode(row)["image"][0].numpy(), data.inputs["image"][3].numpy())
        values: np.ndarray = data.inputs["image"][data.split["train"]].numpy()
        return values

    unit = pictures("unit")
    assert 0 <= unit.min() < unit.max() <= 1
    by_channel = pictures("channel")
    assert np.allclose(by_channel.mean((0, 2, 3)), 0, atol=1e-4)
    assert np.allclose(by_channel.std((0, 2, 3)), 1, atol=1e-4)
    series = prepare(DataChoice(dataset="sine", options={"fields": {"series": {"scale": "minmax"}}}))
    values = series.inputs["series"][series.split["train"]]
    assert (values.min().item(), values.max().item()) == (0, 1)

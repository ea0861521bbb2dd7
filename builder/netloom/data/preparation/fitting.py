"""What is fitted to the rows of the training split alone: texts, images and series, as plain JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from netloom.data.limits import MAX_CELLS
from netloom.modalities.columns.text import BPE_VOCABULARY, LENGTH_LIMIT, VOCABULARY_LIMIT
from netloom.modalities.encoding.cells import as_text
from netloom.modalities.encoding.tokenization import PIECE, words
from netloom.modalities.statistics import divisor, moments

Fitted = dict[str, Any]
Settings = Mapping[str, Any]
UNKNOWN_TOKENS = ("", "�")  # padding, and what training never had
_CHUNK = 256


def fit_text(texts: Iterable[str | list[str]], settings: Settings) -> Fitted:
    """The vocabulary of the training texts, and how many tokens of a text are read."""
    kind = settings.get("tokens", "words")
    lower = settings.get("lower", kind == "words")
    fitted: Fitted
    if kind == "bpe":
        fitted, lengths = _byte_pairs(map(as_text, texts), settings.get("vocabulary", BPE_VOCABULARY), lower)
    else:
        counts, lengths = Counter[str](), list[int]()
        for text in texts:
            plain = as_text(text)
            tokens = words(text, lower) if kind == "words" else list(plain.lower() if lower else plain)
            counts.update(tokens)
            lengths.append(len(tokens))
        limit = settings.get("vocabulary", VOCABULARY_LIMIT) - len(UNKNOWN_TOKENS)
        common = sorted(counts, key=lambda token: (-counts[token], token))[:limit]
        fitted = {"encoding": "words" if kind == "words" else "letters", "vocabulary": [*UNKNOWN_TOKENS, *common]}
    length = settings.get("length") or min(int(np.quantile(lengths, 0.98)) if lengths else 1, LENGTH_LIMIT)
    fitted["length"] = max(1, length)
    if lower != (kind == "words"):
        fitted["lower"] = lower
    return fitted


def _byte_pairs(texts: Iterable[str], vocabulary: int, lower: bool) -> tuple[Fitted, list[int]]:
    """Pairs that are merged, the commonest first, as Hugging Face's `tokenizers` learns them; and texts' lengths."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    texts = [text.lower() for text in texts] if lower else list(texts)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
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
    fitted = {"encoding": "bpe", "vocabulary": [*UNKNOWN_TOKENS, *names], "merges": [list(m) for m in model["merges"]]}
    return fitted, [len(found.ids) for found in tokenizer.encode_batch(texts)]


def fit_pixels(pixels: np.ndarray, rows: np.ndarray, top: float, settings: Settings) -> Fitted:
    """How pictures (R, C, H, W) from 0 to `top` are scaled: all alike, channel by channel, or not by the data."""
    kind = settings.get("normalise", "dataset")
    if isinstance(kind, Mapping):
        return _as_given(kind, top)
    if kind in ("unit", "none"):
        return {"scale": 1 / top if kind == "unit" else 1.0, "mean": 0.0, "std": 1.0}
    if kind == "channel":
        found = [moments(pixels[:, place : place + 1], rows) for place in range(pixels.shape[1])]
        # Shaped like a picture (C, 1, 1), so that each channel has its own wherever all of them would have one number.
        return {
            "scale": 1 / top,
            "mean": [[[mean / top]] for mean, _ in found],
            "std": [[[divisor(std / top, 1.0)]] for _, std in found],
        }
    mean, std = moments(pixels, rows)
    return {"scale": 1 / top, "mean": mean / top, "std": divisor(std / top, 1.0)}


def _as_given(moments: Settings, top: float) -> Fitted:
    """Pictures as an imported network asks: what is said of pixels from 0 to 255 holds for those from 0 to `top`."""

    def each(values: list[float]) -> float | list[list[list[float]]]:
        return values[0] if len(values) == 1 else [[[value]] for value in values]

    return {"scale": moments["rescale"] * 255 / top, "mean": each(moments["mean"]), "std": each(moments["std"])}


def fit_channels(values: np.ndarray, scale: str) -> Fitted:
    """How the channels of series (N, D) are scaled."""
    if scale == "none":
        return {"mean": [0.0] * values.shape[1], "std": [1.0] * values.shape[1]}
    if scale == "minmax":
        low, high = values.min(0), values.max(0)
        return {"mean": low.tolist(), "std": np.where(high > low, high - low, 1.0).tolist()}
    return {
        "mean": values.mean(0).tolist(),
        "std": [divisor(float(one.std()), float(abs(one).max())) for one in values.T],
    }


def fit_windows(windows: np.ndarray, rows: np.ndarray, scale: str) -> Fitted:
    """How the channels of windows (R, T, D) are scaled; a part at a time where they are more than fit into memory."""
    if len(rows) * math.prod(windows.shape[1:]) <= MAX_CELLS:
        return fit_channels(windows[rows].reshape(-1, windows.shape[2]), scale)
    if scale == "none":
        return fit_channels(windows[:0].reshape(-1, windows.shape[2]), scale)
    ordered = np.sort(rows)
    parts = [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]
    lows, highs = (np.array([found(windows[part], (0, 1)) for part in parts]) for found in (np.min, np.max))
    low, high = lows.min(0).astype(np.float64), highs.max(0).astype(np.float64)
    if scale == "minmax":
        return {"mean": low.tolist(), "std": np.where(high > low, high - low, 1.0).tolist()}
    found = [moments(windows[:, :, place], ordered) for place in range(windows.shape[2])]
    largest = np.maximum(abs(low), abs(high)).tolist()
    return {
        "mean": [mean for mean, _ in found],
        "std": [divisor(std, most) for (_, std), most in zip(found, largest, strict=True)],
    }

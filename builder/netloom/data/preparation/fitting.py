"""What is fitted to the rows of the training split alone: numbers, categories, texts and pictures, as plain JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from netloom.data.limits import MAX_CELLS
from netloom.modalities.encoding.category_column import alias
from netloom.modalities.encoding.cells import as_text
from netloom.modalities.encoding.tokenization import PIECE, words
from netloom.modalities.labels import Labels

Fitted = dict[str, Any]
Settings = Mapping[str, Any]
VOCABULARY_LIMIT = 20_000
BPE_VOCABULARY = 2_000
CATEGORY_LIMIT = 50
LENGTH_LIMIT = 256
QUANTILES = 256
BUCKETS = 32
UNKNOWN_TOKENS = ("", "�")  # padding, and what training never had
_CHUNK = 256


def fit_number(name: str, values: np.ndarray, settings: Settings) -> Fitted:
    """How a number is filled in where it is missing, and scaled."""
    known = values[~np.isnan(values)]
    fitted: Fitted = {"name": name, "type": "number"}
    if settings.get("indicator"):
        fitted["indicator"] = True
    if not len(known):
        return {**fitted, "median": 0.0, "mean": 0.0, "std": 1.0}
    impute = settings.get("impute", "median")
    stands_in = _stand_in(impute, known, settings)
    fitted["median" if impute == "median" else "fill"] = stands_in
    filled = np.where(np.isnan(values), stands_in, values)
    return {**fitted, **_scale(filled, settings.get("scale", "standard"))}


def _stand_in(impute: str, known: np.ndarray, settings: Settings) -> float:
    if impute == "constant":
        return float(settings["fill"])
    if impute == "mean":
        return float(known.mean())
    if impute == "most_frequent":
        numbers, counts = np.unique(known, return_counts=True)
        return float(numbers[counts.argmax()])
    return float(np.median(known))


def _scale(filled: np.ndarray, scale: str) -> Fitted:
    """Mean and standard deviation, or what stands in their place; and what is done to a number before."""
    before: Fitted = {}
    if scale in ("log1p", "log_standard"):
        before = {"log": True}
        filled = np.sign(filled) * np.log1p(abs(filled))
    if scale in ("quantile", "normal"):
        shares = np.linspace(0, 1, min(QUANTILES, max(2, len(filled))))
        quantiles = np.maximum.accumulate(np.quantile(filled, shares))
        return {"quantiles": quantiles.tolist(), "normal": scale == "normal", "mean": 0.0, "std": 1.0}
    if scale in ("none", "log1p"):
        return {**before, "mean": 0.0, "std": 1.0}
    if scale == "minmax":
        low, high = float(filled.min()), float(filled.max())
        return {"mean": low, "std": high - low or 1.0}
    return {
        **before,
        "mean": float(filled.mean()),
        "std": divisor(float(filled.std()), float(abs(filled).max())),
    }


def fit_category(name: str, labels: Labels, rows: np.ndarray, settings: Settings) -> Fitted:
    """The categories that training has, one place each; the commonest of them where there are too many."""
    fitted: Fitted = {"name": name, "type": "category", **category_reading(labels, rows, settings)}
    if settings.get("encode") == "hash":
        return {**fitted, "type": "hash", "buckets": settings.get("buckets", BUCKETS)}
    return {**fitted, "values": seen(labels, rows, fitted, CATEGORY_LIMIT)}


def category_reading(labels: Labels, rows: np.ndarray, settings: Settings) -> Fitted:
    """How a cell becomes the name of a category, where that is not as usual."""
    reading: Fitted = {"numeric": True} if settings.get("numeric") else {}
    if settings.get("aliases"):
        reading["aliases"] = dict(settings["aliases"])
    if set(labels.names) - {""} and set(labels.names) <= {"True", "False", ""}:
        reading["logical"] = True  # which files write as true, TRUE or True
    if settings.get("impute") == "constant":
        reading["fill"] = str(settings["fill"])
    elif settings.get("impute") == "most_frequent":
        reading["fill"] = next((name for name, _ in labels.counts(rows) if name), "")
    return reading


def seen(labels: Labels, rows: np.ndarray, reading: Fitted, limit: int) -> list[str]:
    """The commonest categories of these rows, in the order of their names."""
    counted = Counter[str]()
    for name, count in labels.counts(rows):
        counted[alias(reading, name)] += count
    common = [name for name, _ in counted.most_common()]
    if reading.get("fill"):
        common = [name for name in common if name]
        common = common if reading["fill"] in common else [reading["fill"], *common]
    return sorted(common[:limit])


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


def divisor(std: float, largest: float) -> float:
    """The standard deviation, or one where it is nothing but the rounding of equal values."""
    return std if std > 10 * np.finfo(np.float64).eps * largest else 1.0


def moments(pixels: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of some pictures, a part at a time, as all of them in float64 may not fit."""
    parts = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    count = len(rows) * int(np.prod(pixels.shape[1:]))
    mean = sum(float(pixels[part].sum(dtype=np.float64)) for part in parts) / count
    square = sum(float(((pixels[part].astype(np.float64) - mean) ** 2).sum()) for part in parts) / count
    return mean, math.sqrt(square)

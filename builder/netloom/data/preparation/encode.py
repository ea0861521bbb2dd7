"""From raw rows to arrays, with the numbers that were fitted on the training split.

This one file is used in training and in prediction, and it travels with an exported network: it needs numpy alone.

A raw row is a dict. An image stands under its field's name as rows of pixels, (H, W), (H, W, C) or (C, H, W); a text or
series under its field's name, or under that of the column that it came from; the columns of a table under their own
names. A column that was made from a date may also be given by that date, as ISO text, and a text as a list of its
words, which are then taken as they are.
"""

import math
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np

PAD, UNKNOWN, START, END = 0, 1, 2, 3  # the last two only where an answer is written token by token
TEXTS = ("words", "letters", "bpe")  # encodings that part a text into tokens, and read it from its beginning
IGNORE = -100  # a place that has no target, as cross-entropy in PyTorch leaves it out
_LARGEST = 1e30  # well within float32: a number far outside of what was seen in training must not become infinite
# What stands for a missing number, date, or yes and no, in letters of any case.
NOTHING = frozenset({"", "na", "n/a", "nan", "nat", "null", "none", "#n/a"})
_DAY = 86_400
_MONTH = re.compile(r"\d{4}-\d{2}")
_WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
_YES, _NO = {"true", "yes", "y", "t", "on", "1", "1.0"}, {"false", "no", "n", "f", "off", "0", "0.0"}
_FURTHEST = 1e-7  # how near to 0 and 1 the shares come that are turned into places of a normal distribution
# What byte pairs are merged within: a word with the space before it, other marks, or spaces. All beyond ASCII counts as
# letters, so that every engine of regular expressions parts a text alike; 32 at most, as a piece is merged by itself.
_LETTERS = "0-9A-Za-z_\x80-\U0010ffff"
PIECE = f" ?[{_LETTERS}]{{1,32}}| ?[^ \t\n\r\f\v{_LETTERS}]{{1,32}}|[ \t\n\r\f\v]{{1,32}}"
_PIECE = re.compile(PIECE)


class EncodeError(ValueError):
    """A row that does not fit; the message is one sentence."""


def words(text: str | list[str], lower: bool = True) -> list[str]:
    """The words and punctuation marks of a text, or the words that are given, in lower case where nothing else is
    said."""
    if isinstance(text, list):
        return [str(word).lower() if lower else str(word) for word in text]
    return _WORD.findall((str(text).lower() if lower else str(text)).replace("’", "'"))


def encode(preprocess: dict[str, Any], row: dict[str, Any]) -> dict[str, np.ndarray]:
    """One raw row as arrays (1, …), by field."""
    return encode_rows(preprocess, [row])


def encode_rows(preprocess: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Raw rows as arrays (N, …), by field: float32, or int64 for tokens."""
    encoders = {
        "table": _table,
        "image": _image,
        "series": _series,
        "log_mel": _log_mel,
        "words": _text,
        "letters": _text,
        "bpe": _text,
        "characters": _characters,
        "categories": _categories,
        "begun": _begun,
    }
    return {field["name"]: encoders[field["encoding"]](field, rows) for field in preprocess["fields"]}


def _table(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    return np.concatenate([_column(column, rows) for column in field["columns"]], axis=1).astype(np.float32)


def _column(column: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    if column["type"] == "number":
        return scaled(column, _numbers(column, rows))
    return hot(column, [_value(row, column["name"]) for row in rows])


def scaled(column: dict[str, Any], numbers: np.ndarray) -> np.ndarray:
    """A column's numbers (N,), not a number where one is missing, as the network takes them: (N, 1), or (N, 2) where
    the second says which were missing."""
    missing = np.isnan(numbers)
    numbers = np.where(missing, column["fill"] if "fill" in column else column["median"], numbers)
    if column.get("log"):
        numbers = np.sign(numbers) * np.log1p(abs(numbers))
    if "quantiles" in column:
        numbers = _share(np.array(column["quantiles"]), numbers)
        if column["normal"]:
            inverse = NormalDist().inv_cdf
            numbers = np.array([inverse(share) for share in numbers.clip(_FURTHEST, 1 - _FURTHEST).tolist()])
    with np.errstate(over="ignore"):
        found: np.ndarray = (numbers - column["mean"]) / column["std"]
    np.clip(found, -_LARGEST, _LARGEST, out=found)
    return np.stack([found, missing], axis=1) if column.get("indicator") else found[:, None]


def _share(quantiles: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The share of the training rows that lies below each number. Where many rows hold one number, the middle of
    theirs."""
    shares = np.linspace(0, 1, len(quantiles))
    below = np.interp(numbers, quantiles, shares)
    above = -np.interp(-numbers, -quantiles[::-1], -shares[::-1])
    found: np.ndarray = (below + above) / 2
    # Beyond what was seen there is nothing less than nothing and nothing more than all.
    return np.where(numbers <= quantiles[0], 0.0, np.where(numbers >= quantiles[-1], 1.0, found))


def hot(column: dict[str, Any], values: list[Any]) -> np.ndarray:
    """A column's categories as one place each (N, places) that is 1; the last is for all values that training had not.

    Where a column is hashed, a value's place follows from its letters, and there is none for others.
    """
    texts = [category(column, value) for value in values]
    found = np.zeros((len(texts), width(column)))
    if column["type"] == "hash":
        places = [zlib.crc32(text.encode()) % column["buckets"] for text in texts]
    else:
        known = {value: place for place, value in enumerate(column["values"])}
        places = [known.get(text, len(known)) for text in texts]
    found[np.arange(len(texts)), places] = 1.0
    return found


def width(column: dict[str, Any]) -> int:
    """How many numbers a column of a table becomes."""
    if column["type"] == "number":
        return 2 if column.get("indicator") else 1
    return int(column["buckets"]) if column["type"] == "hash" else len(column["values"]) + 1


def features(column: dict[str, Any]) -> list[str]:
    """What people read of each number that a column of a table becomes."""
    name = column["name"]
    if column["type"] == "number":
        return [name, f"{name} is missing"] if column.get("indicator") else [name]
    if column["type"] == "hash":
        return [f"{name} # {place}" for place in range(column["buckets"])]
    return [f"{name} = {value}" for value in (*column["values"], "(other)")]


def _value(row: dict[str, Any], name: str) -> Any:
    if name not in row:
        raise EncodeError(f"The row has no column {name!r}; it has {', '.join(map(repr, list(row)[:20]))}.")
    return row[name]


def _own(row: dict[str, Any], field: dict[str, Any]) -> Any:
    """What a row says of a field: under the field's name, or under that of the column that it came from."""
    name = field.get("column")
    found = row[name] if name is not None and field["name"] not in row and name in row else _value(row, field["name"])
    return found if field["encoding"] == "words" else as_text(found)


def as_text(value: Any) -> Any:
    """What a row says of a text; words that are given as a list stand with a blank between them."""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _numbers(column: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    """A column's numbers in all rows; not a number where one is missing."""
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        numbers = np.array([row[column["name"]] for row in rows], dtype=np.float64)
        if numbers.ndim == 1 and not np.isinf(numbers).any() and not column.get("boolean"):
            return numbers  # what is nothing but numbers is read many times as fast
    # Cell by cell, then, which also finds the words for what is wrong.
    return np.array([_cell(row, column) for row in rows], dtype=np.float64)


def _cell(row: dict[str, Any], column: dict[str, Any]) -> float:
    """A column's number in a row; not a number where it is missing."""
    date = column.get("date")
    if date is not None and column["name"] not in row and date in row:
        return date_part(row[date], column["part"], date)
    return _number(_value(row, column["name"]), column)


def date_part(value: Any, part: str, name: str) -> float:
    """The `days` since 1970, or `year`, `quarter`, `month`, `day`, `yearday`, `weekday` (Monday is 0), `hour` or
    `minute` of a date or time in ISO form.

    It is taken as UTC if it names no zone.
    """
    text = str(value).strip()
    if value is None or text.lower() in NOTHING:
        return math.nan
    found = iso_moment(text)
    if found is None:
        raise EncodeError(f"The column {name!r} takes dates such as 2024-05-31, received {text[:60]!r}.")
    if part in ("year", "month", "day", "hour", "minute"):
        return float(getattr(found, part))
    parts = {"weekday": found.weekday(), "quarter": (found.month + 2) // 3, "yearday": found.timetuple().tm_yday}
    return float(parts[part]) if part in parts else found.timestamp() / _DAY


def iso_moment(text: str) -> datetime | None:
    """A date or time in ISO form, taken as UTC if it names no zone; None where there is none."""
    try:
        found = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _number(value: Any, column: dict[str, Any]) -> float:
    if isinstance(value, str):
        text = value.strip().lower()
        value = None if text in NOTHING else {"true": 1.0, "false": 0.0}.get(text, value)
    if value is None:
        return math.nan
    if column.get("boolean"):
        return boolean(value, column["name"])
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise EncodeError(f"The column {column['name']!r} takes numbers, received {str(value)[:60]!r}.") from None
    if math.isinf(number):
        raise EncodeError(f"The column {column['name']!r} takes finite numbers, received {number}.")
    return number


def boolean(value: Any, name: str) -> float:
    """1 for what means yes, 0 for what means no, not a number where nothing is said."""
    text = "" if value is None else str(value).strip().lower()
    if text in NOTHING:
        return math.nan
    if text in _YES or text in _NO:
        return float(text in _YES)
    raise EncodeError(f"The column {name!r} takes yes or no, received {str(value)[:60]!r}.")


def category(column: dict[str, Any], value: Any) -> str:
    """A column's category as its name; numbers that are categories are written in one way."""
    text = _category(value)
    if column.get("numeric"):
        text = numeral(text)
    elif column.get("logical"):
        text = logical(text)
    return str(column["fill"]) if not text and "fill" in column else alias(column, text)


def alias(column: dict[str, Any], text: str) -> str:
    """The category that another way to write it stands for."""
    known = column.get("aliases", {})
    for _ in known:
        if text not in known:
            break
        text = known[text]
    return text


def logical(text: str) -> str:
    """True and False as they are written everywhere; all else as it is."""
    return {"true": "True", "false": "False"}.get(text.strip().lower(), text)


def numeral(text: str) -> str:
    """A number as the name of a category: 3 for 3, 3.0 and " 3 "."""
    if text.strip().lower() in NOTHING:
        return ""
    try:
        number = float({"true": "1", "false": "0"}.get(text.strip().lower(), text))
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else repr(number)


def _category(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _categories(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    """The number of each column's value (N, F), from 1; 0 stands for one that was not seen in training."""
    return np.stack(
        [numbered(column, [_value(row, column["name"]) for row in rows]) for column in field["columns"]], axis=1
    )


def numbered(column: dict[str, Any], values: list[Any]) -> np.ndarray:
    """The number of each value (N,), from 1; 0 stands for one that was not seen in training."""
    known = {value: number for number, value in enumerate(column["values"], 1)}
    return np.array([known.get(category(column, value), 0) for value in values], dtype=np.int64)


def _image(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    channels, height, width = field["shape"]
    pictures = []
    for row in rows:
        pixels = _array(row, field["name"], np.float32)
        if pixels.ndim == 2:
            pixels = pixels[None]
        elif pixels.ndim == 3 and pixels.shape != (channels, height, width) and pixels.shape[2] == channels:
            pixels = pixels.transpose(2, 0, 1)
        if field.get("resized"):
            pixels = sized(pixels, channels, height, width)
        if pixels.shape != (channels, height, width):
            raise EncodeError(f"An image is {height}×{width} with {channels} channels, received {pixels.shape}.")
        pictures.append(pixels)
    return (np.stack(pictures) * np.float32(field["scale"]) - np.float32(field["mean"])) / np.float32(field["std"])


def sized(pixels: np.ndarray, channels: int, height: int, width: int) -> np.ndarray:
    """A picture (C, H, W) or (H, W, C), C being 1 or 3, in another size, by cubic convolution over as many pixels as
    are brought together, and with as many channels: grey as ITU-R 601 weighs colours, colours all alike. What is no
    such picture is given back as it is.

    Keys, https://doi.org/10.1109/TASSP.1981.1163711, with a = -1/2.
    """
    if pixels.ndim == 3 and pixels.shape[0] not in (1, 3) and pixels.shape[2] in (1, 3):
        pixels = pixels.transpose(2, 0, 1)
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3) or 0 in pixels.shape:
        return pixels
    if pixels.shape[0] != channels:
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
        pixels = np.tensordot(weights, pixels, 1)[None] if channels == 1 else pixels.repeat(channels, axis=0)
    low, high = pixels.min(), pixels.max()
    for axis, size in ((2, width), (1, height)):
        if pixels.shape[axis] != size:
            shares = _shares(pixels.shape[axis], size).astype(np.float32)
            pixels = np.moveaxis(np.tensordot(shares, pixels, (1, axis)), 0, axis).clip(low, high)
    return pixels


def _shares(old: int, new: int) -> np.ndarray:
    """How much each of the old pixels of a line gives to each of the new ones, (new, old)."""
    scale = old / new
    middles = (np.arange(new) + 0.5) * scale
    far = abs(np.arange(old) + 0.5 - middles[:, None]) / max(scale, 1.0)
    near, wide = (1.5 * far - 2.5) * far**2 + 1, ((-0.5 * far + 2.5) * far - 4) * far + 2
    shares = np.where(far < 1, near, np.where(far < 2, wide, 0.0))
    found: np.ndarray = shares / shares.sum(1, keepdims=True)
    return found


def _series(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    steps, width = field["shape"]
    series = []
    for row in rows:
        values = _array(row, field["name"], np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.shape != (steps, width):
            raise EncodeError(f"A series has {steps} steps of {width} values, received {values.shape}.")
        series.append((values - field["mean"]) / field["std"])
    return np.stack(series).clip(-_LARGEST, _LARGEST).astype(np.float32)


def _log_mel(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    filters = mel_filters(field)
    found = []
    for row in rows:
        samples = _array(row, field["name"], np.float64)
        samples = samples[:, 0] if samples.ndim == 2 and samples.shape[1] == 1 else samples
        if samples.shape != (field["samples"],):
            raise EncodeError(
                f"{field['name']!r} takes {field['samples']:,} samples, {field['rate']:,} of them a second, "
                f"received {samples.shape}."
            )
        found.append((log_mel(field, samples, filters) - field["mean"]) / field["std"])
    return np.stack(found).clip(-_LARGEST, _LARGEST).astype(np.float32)


def log_mel(field: dict[str, Any], samples: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """The logarithm of the power of a sound (L,) in bands as wide as the ear hears them, (T, bands).

    It is what the layer of this name computes: each window is weighed by a Hann window, half a window is mirrored at
    both ends, and 10⁻⁶ is added before the logarithm.
    """
    window, half = field["window"], field["window"] // 2
    hann = 0.5 - 0.5 * np.cos(np.arange(window) * (2 * math.pi / window))
    padded = np.pad(samples, half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[:: field["hop"]]
    spectrum = np.fft.rfft(windows * hann)
    found: np.ndarray = np.log((spectrum.real**2 + spectrum.imag**2) @ filters + 1e-6)
    return found


def mel_edges(low: float, high: float, bands: int) -> np.ndarray:
    """Where bands begin, peak and end, in Hz (bands + 2,): each peaks where the one before it ends.

    https://en.wikipedia.org/wiki/Mel_scale
    """
    first, last = (2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (low, high))
    found: np.ndarray = 700.0 * (10.0 ** (np.linspace(first, last, bands + 2) / 2595.0) - 1.0)
    return found


def mel_filters(field: dict[str, Any]) -> np.ndarray:
    """How much each frequency of a window gives to each band, (window // 2 + 1, bands): triangles that overlap."""
    edges = mel_edges(field["low"], field["high"], field["shape"][1])
    places = (np.arange(field["window"] // 2 + 1) * (field["rate"] / field["window"]))[:, None]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    found: np.ndarray = np.minimum(rising, falling).clip(min=0.0)
    return found


def _array(row: dict[str, Any], name: str, dtype: Any) -> np.ndarray:
    """A cell that holds rows of finite numbers."""
    try:
        array = np.asarray(_value(row, name), dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, EncodeError):
            raise
        raise EncodeError(f"{name!r} takes rows of numbers that are equally long, received something else.") from None
    if not np.isfinite(array).all():
        raise EncodeError(f"{name!r} takes finite numbers, received some that are missing or infinite.")
    return array


def _text(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    return token_numbers(field, [_own(row, field) for row in rows])


def token_numbers(field: dict[str, Any], texts: list[Any]) -> np.ndarray:
    """Texts as token numbers (N, T), cut or padded behind."""
    if field["encoding"] != "bpe":
        return _tokens(field, [tokens(field, text) for text in texts])
    merge = _merger(field)
    return _tokens(field, [merge(_category(text)) for text in texts])


def tokens(field: dict[str, Any], text: Any) -> list[str]:
    """The tokens of a text as the vocabulary names them; those of byte pairs are written with a letter per byte."""
    if field["encoding"] == "words":
        return words(text, field.get("lower", True))
    plain = str(as_text(text))
    return _merger(field)(plain) if field["encoding"] == "bpe" else list(plain.lower() if field.get("lower") else plain)


def readable(field: dict[str, Any], text: Any) -> list[str]:
    """The tokens of a text as people read them."""
    found = tokens(field, text)
    return [unbyte([token]) for token in found] if field["encoding"] == "bpe" else found


def byte_letters() -> list[str]:
    """A letter for each of the 256 bytes: itself where it can be seen, else one from beyond them."""
    seen = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in seen else next(others)) for byte in range(256)]


def unbyte(found: list[str]) -> str:
    """The text that tokens of byte pairs stand for."""
    places = {letter: byte for byte, letter in enumerate(byte_letters())}
    return bytes(places[letter] for token in found for letter in token if letter in places).decode("utf-8", "replace")


def _merger(field: dict[str, Any]) -> Callable[[str], list[str]]:
    """What parts texts into byte pairs: the first of the merges that applies is done first, from the left.

    Sennrich, Haddow and Birch, https://arxiv.org/abs/1508.07909, over bytes.
    """
    ranks = {(left, right): rank for rank, (left, right) in enumerate(field["merges"])}
    letters, known = byte_letters(), dict[str, list[str]]()

    def merged(piece: str) -> list[str]:
        parts = [letters[byte] for byte in piece.encode("utf-8", "replace")]
        while len(parts) > 1:
            rank, place = min((ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(parts)))
            if rank == len(ranks):
                break
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        return parts

    def merge(text: str) -> list[str]:
        found: list[str] = []
        for piece in _PIECE.findall(text.lower() if field.get("lower") else text):
            if piece not in known:
                known[piece] = merged(piece)
            found += known[piece]
        return found

    return merge


def _characters(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    # What comes next depends most on what came last, so the end of a long text is kept.
    return _tokens(field, [list(str(_own(row, field)))[-field["length"] :] for row in rows])


def _begun(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    """What is already written of an answer, behind the mark that starts it; nothing is, where a row does not say."""
    texts = [list(_category(row.get(field["name"]))) for row in rows]
    numbers = _tokens({**field, "length": field["length"] - 1}, texts)
    return np.concatenate([np.full((len(rows), 1), START, dtype=np.int64), numbers], axis=1)


def write(length: int, rows: int, scores: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The tokens (N, length) of answers, each the one that scores highest after those before it; padded after the end.

    `scores` gives (N, length, vocabulary) for what is written so far (N, length), which begins with the start mark.
    """
    begun = np.full((rows, length + 1), PAD, dtype=np.int64)
    begun[:, 0] = START
    ended = np.zeros(rows, dtype=bool)
    for place in range(length):
        begun[:, place + 1] = np.where(ended, PAD, scores(begun[:, :-1])[:, place].argmax(1))
        ended |= begun[:, place + 1] == END
        if ended.all():
            break
    return begun[:, 1:]


def written(field: dict[str, Any], tokens: list[int]) -> str:
    """The text of an answer, up to the mark that ends it."""
    tokens = tokens[: tokens.index(END)] if END in tokens else tokens
    return "".join("" if token == START else field["vocabulary"][token] for token in tokens)


def restore_rows(field: dict[str, Any], values: np.ndarray) -> list[Any]:
    """Rows of a field as a network gives them back (N, …), in the data's own units: nested lists, or for a table a
    value by column."""
    if field["encoding"] == "table":
        return [_restore_columns(field["columns"], row) for row in values.astype(np.float64)]
    restored = values.astype(np.float64) * np.array(field["std"]) + np.array(field["mean"])
    found: list[Any] = (restored / field.get("scale", 1.0)).tolist()
    return found


def _restore_columns(columns: list[dict[str, Any]], row: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {}
    place = 0
    for column in columns:
        part = row[place : place + width(column)]
        place += len(part)
        if column["type"] == "number":
            found[column["name"]] = _restored(column, float(part[0]))
        elif column["type"] == "hash":
            found[column["name"]] = f"# {int(part.argmax())}"
        else:
            found[column["name"]] = [*column["values"], "(other)"][int(part.argmax())]
    return found


def _restored(column: dict[str, Any], value: float) -> float:
    """A number in the data's own units."""
    value = float(value * column["std"] + column["mean"])
    if "quantiles" in column:
        share = NormalDist().cdf(value) if column["normal"] else value
        value = float(np.interp(share, np.linspace(0, 1, len(column["quantiles"])), column["quantiles"]))
    if column.get("log"):
        value = math.copysign(math.expm1(min(abs(value), 700.0)), value)
    return value


def spans(tags: list[str]) -> list[tuple[int, int, str]]:
    """The entities that BIO tags mark, as (first word, last word, kind), in order.

    An I- tag that follows no tag of its kind begins an entity, as in CoNLL's own scorer.
    """
    found: list[tuple[int, int, str]] = []
    for place, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        goes_on = mark == "I" and bool(found) and found[-1][1:] == (place - 1, kind)
        if goes_on:
            found[-1] = (found[-1][0], place, kind)
        elif mark in ("B", "I"):
            found.append((place, place, kind))
    return found


def last_places(tokens: np.ndarray) -> np.ndarray:
    """Where each row's last token stands in (N, T), as texts are padded behind; 0 for an empty text."""
    places: np.ndarray = np.maximum((tokens != PAD).sum(1) - 1, 0)
    return places


def _tokens(field: dict[str, Any], texts: list[list[str]]) -> np.ndarray:
    """Token numbers (N, T), cut or padded behind to the field's length."""
    places = {token: place for place, token in enumerate(field["vocabulary"])}
    length = field["length"]
    numbers = np.full((len(texts), length), PAD, dtype=np.int64)
    for index, tokens in enumerate(texts):
        for place, token in enumerate(tokens[:length]):
            numbers[index, place] = places.get(token, UNKNOWN) or UNKNOWN  # a word of no letters is no end
    return numbers

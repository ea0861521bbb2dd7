"""Files of versions of tagged texts, of texts with answers, and of forecast series, in the forms of their uploads."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw.series import forecast_of
from netloom.data.raw.texts import TaggedTexts
from netloom.data.sequence_pairs import Pairs
from netloom.data.splits.given_splits import NAMES, NO_PART, TRAIN
from netloom.data.tables.code_columns import cell_texts
from netloom.data.tables.plain_types import plain_table
from netloom.data.uploads.series.series_windows import parts_of_windows
from netloom.modalities.encoding.cells import EncodeError, as_text
from netloom.modalities.encoding.tokenization import words

if TYPE_CHECKING:
    from netloom.data.preparation.prepared_data import Prepared
    from netloom.data.raw.forecast import Forecast

Examples = Sequence[tuple[Mapping[str, Any], Any]]


@dataclass(frozen=True)
class VersionFile:
    """What an upload is made of: the bytes of a file, or of several by name, its kind, and the answers to questions."""

    content: bytes | Mapping[str, bytes]
    filename: str
    kind: str
    target: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def free_name(name: str, used_names: Collection[str]) -> str:
    """Return a name of a column that is not taken: `name`, or with a number."""
    return next(free for free in (name, *(f"{name} {number}" for number in range(2, 99))) if free not in used_names)


# ---------------------------------------------------------------- tags


def tagged_file(data: Prepared, raw: TaggedTexts, examples: Examples) -> VersionFile:
    """Return sentences as lines of a word and its tag, with a file for each part of the split."""
    encoder = data.token_field(data.fields[0].name)
    sentences: dict[str, list[str]] = {
        part: [
            _intent_line(data, position)
            + _tagged_lines(
                raw.parted[position] if raw.parted else raw.texts[position], raw.tags[position], "A text of the data"
            )
            for position in sorted(data.split[part].tolist())
        ]
        for part in NAMES
    }
    for number, (row, label) in enumerate(examples, 1):
        title = f"Example {number}"
        intent, tags = _class_and_tags(data, label, title)
        if unknown := [tag for tag in tags if tag not in raw.tag_names]:
            raise DataError(f"The tag {str(unknown[0])[:60]!r} of example {number} is not a tag of the data.")
        sentences[NAMES[TRAIN]].append(intent + _tagged_lines(_value(encoder, row, title), tags, title))
    content = {f"{part}.txt": "\n".join(lines).encode() for part, lines in sentences.items() if lines}
    return VersionFile(content, "version", "tagged")


def _intent_line(data: Prepared, place: int) -> str:
    """Return the line with the class of a row, if rows have a class beside their tags."""
    classes = data.schema.target.classes
    return f"# intent: {classes[int(data.target[place].flatten()[0])]}\n" if data.schema.target.tags else ""


def _class_and_tags(data: Prepared, label: Any, title: str) -> tuple[str, Sequence[str]]:
    """Return the line with the class of a label, if rows have a class beside their tags, and the tags."""
    if not data.schema.target.tags:
        return "", label
    if not isinstance(label, Mapping):
        raise DataError(f"The label of {title.lower()} has no tags; add a tag for each word, or delete it.")
    if label["class"] not in data.schema.target.classes:
        raise DataError(f"The class {str(label['class'])[:60]!r} of {title.lower()} is not a class of the data.")
    return f"# intent: {label['class']}\n", label["tags"]


def _tagged_lines(text: str | list[str], tags: Sequence[str], title: str) -> str:
    parted = words(text, lower=False)
    if len(parted) != len(tags):
        raise DataError(
            f"{title} has {len(parted):,} words and punctuation marks, but {len(tags):,} tags; correct its label, or "
            "delete it."
        )
    return "".join(f"{'_'.join(word.split()) or '_'}\t{tag}\n" for word, tag in zip(parted, tags, strict=True))


# ---------------------------------------------------------------- texts with answers


def answers_file(data: Prepared, raw: Pairs, examples: Examples) -> VersionFile:
    """Return texts with their answers as a table."""
    encoder = data.token_field(data.fields[0].name)
    answer = raw.target_name
    text = free_name(raw.column or raw.name, (answer,))
    split = free_name("split", (text, answer))
    rows = [
        (raw.texts[index], raw.answers[index], part) for part in NAMES for index in sorted(data.split[part].tolist())
    ]
    for number, (row, label) in enumerate(examples, 1):
        value = _value(encoder, row, f"Example {number}")
        rows.append((str(as_text(value)), str(label), NAMES[TRAIN]))
    columns: dict[str, Sequence[str]] = dict(zip((text, answer, split), zip(*rows, strict=True), strict=True))
    _check_read_back(columns, (text, answer))
    return VersionFile(_parquet(columns), "version.parquet", "translation", answer, {"text": text, "split": split})


def _check_read_back(columns: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
    """Check that texts are the same after they are read as a table, which takes columns of numbers and dates as such.

    Raises:
        DataError: they are not.
    """
    import pandas as pd

    table = plain_table(pd.DataFrame({name: list(columns[name]) for name in names}))
    for name in names:
        for before, after in zip(columns[name], cell_texts(table[name]), strict=True):
            if before != after:
                raise DataError(
                    f"The texts of {name[:60]!r} would be read as numbers or dates, such as {before[:40]!r} as "
                    f"{after[:40]!r}, so a version would contain other texts."
                )


# ---------------------------------------------------------------- forecasts


def why_no_forecast_file(data: Prepared) -> str:
    """Return why the split of the windows cannot be derived from a split of the time steps; "" if it can."""
    forecast = forecast_of(data.raw)
    if forecast is None:
        return "The rows of this data are windows of a series without its time steps, which examples cannot continue."
    steps = _parts_of_steps(data, forecast)
    if (steps == NO_PART).any():
        return "The split of this data leaves out time steps between its parts, which a version cannot do."
    reach_back = data.raw.reach_back > 0
    stored_parts = parts_of_windows(steps, forecast.starts, forecast.window, forecast.horizon,
                             reach_back=reach_back, warnings=[])  # fmt: skip
    split = np.full(len(stored_parts), NO_PART)
    for number, part in enumerate(NAMES):
        split[data.split[part].numpy()] = number
    same = bool((stored_parts == split).all())
    return "" if same else "A dataset version cannot reproduce how this data splits its windows."


def forecast_file(data: Prepared, forecast: Forecast, examples: Examples) -> VersionFile:
    """Return the time steps of the series as a table, and each example as a series of its own of training steps: its
    window, and the values that follow."""
    counts = np.zeros(len(forecast.values), np.int64) if forecast.series_index is None else forecast.series_index
    values, series = [forecast.values], [counts]
    parts = [np.array(NAMES, dtype=object)[_parts_of_steps(data, forecast)]]
    for number, (row, label) in enumerate(examples, 1):
        steps = _example_steps(data, forecast, row, label, f"Example {number}")
        values.append(steps)
        series.append(np.full(len(steps), int(counts[-1]) + number))
        parts.append(np.full(len(steps), NAMES[TRAIN], dtype=object))
    name = free_name("series", forecast.names)
    split = free_name("split", (*forecast.names, name))
    columns: dict[str, Any] = dict(zip(forecast.names, np.concatenate(values).T, strict=True))
    # Names of equal length, so that their order is that of the series
    columns |= {name: [f"s{number:09d}" for number in np.concatenate(series)], split: np.concatenate(parts)}
    options = {
        "time": None,
        "series": name,
        "values": list(forecast.names),
        "target": [forecast.names[channel] for channel in forecast.targets],
        "window": forecast.window,
        "horizon": forecast.horizon,
        "period": forecast.period,
        "reach_back": data.raw.reach_back > 0,
        "split": split,
    }
    return VersionFile(_parquet(columns), "version.parquet", "series", options=options)


def _parts_of_steps(data: Prepared, forecast: Forecast) -> np.ndarray:
    """Return the part of each time step (T,): that of the windows that forecast it, or that read it where windows do
    not reach back. The first steps of a series, which are only read, are training steps."""
    covers = forecast.target_steps if data.raw.reach_back > 0 else forecast.steps
    parts = np.full(len(forecast.values), NO_PART)
    for number, name in enumerate(NAMES):
        parts[covers(data.split[name].numpy())] = number
    for begin, end in _stretches(forecast):
        known = np.flatnonzero(parts[begin:end] != NO_PART)
        parts[begin : begin + int(known[0]) if len(known) else end] = TRAIN
    return parts


def _stretches(forecast: Forecast) -> Iterator[tuple[int, int]]:
    """Yield the first time step of each series, and the one after its last."""
    count = len(forecast.values)
    index = np.zeros(count, np.int64) if forecast.series_index is None else forecast.series_index
    borders = [0, *(np.flatnonzero(index[1:] != index[:-1]) + 1).tolist(), count]
    yield from pairwise(borders)


def _example_steps(data: Prepared, forecast: Forecast, row: Mapping[str, Any], label: Any, title: str) -> np.ndarray:
    """Return the steps (window + horizon, D) of an example. Channels that are not forecast keep their last value, which
    no window reads."""
    try:
        window = np.asarray(_value(data.fields[0], row, title), dtype=np.float64)
        window = window.reshape(forecast.window, len(forecast.names))
        if not np.isfinite(window).all():
            raise ValueError
    except (ValueError, TypeError):
        raise DataError(
            f"{title} is not a window of {forecast.window} steps of {len(forecast.names)} series with a number for "
            "each; delete it, or collect it again."
        ) from None
    future = np.tile(window[-1], (forecast.horizon, 1))
    names = forecast.target.series
    by_series = label if isinstance(label, Mapping) else {names[0]: label}
    for channel, name in zip(forecast.targets, names, strict=True):
        steps = np.atleast_1d(np.asarray(by_series.get(name, ()), dtype=np.float64))
        if steps.shape != (forecast.horizon,):
            raise DataError(
                f"The label of {title.lower()} has {len(steps)} numbers for {name[:60]!r}, but the horizon is "
                f"{forecast.horizon}."
            )
        future[:, channel] = steps
    return np.concatenate([window, future])


# ---------------------------------------------------------------- both


def _value(encoder: Any, row: Mapping[str, Any], title: str) -> Any:
    try:
        return encoder.raw_value(dict(row))
    except EncodeError as error:
        raise DataError(f"{title} does not fit the data: {error} Delete it, or collect it again.") from None


def _parquet(columns: Mapping[str, Any]) -> bytes:
    """Return a table as Parquet, which keeps the types of cells: in CSV, a text such as 2024-05-31 would be a date."""
    import pandas as pd

    file = io.BytesIO()
    pd.DataFrame(dict(columns)).to_parquet(file)
    return file.getvalue()

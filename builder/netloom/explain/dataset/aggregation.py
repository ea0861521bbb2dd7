"""The parts of many examples taken together: the same feature, the same word, the same step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.core.axes import Axes, axes_of
from netloom.explain.core.columns import column_names
from netloom.explain.core.segments import spans_of
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.text_fields import TokenEncoder
from netloom.modalities.encoding.tokenization import PAD, UNKNOWN

if TYPE_CHECKING:
    from netloom.data import FieldSpec, Prepared

MOST_PARTS, MOST_POINTS, MOST_TOPS = 300, 400, 4
# A word that was met less often tells of its texts, not of itself.
FEWEST_TIMES = 3


@dataclass(frozen=True)
class Part:
    """A feature, word, step, span of steps or channel over the rows in which it stands.

    `mean` of the size of its attribution, `signed` of the attribution itself, `count` of how often it was met.
    `by_group`: the mean size where that answer was explained. `points` are its attributions one by one, and `levels`
    how high its value was among all rows, from 0 to 1 (nan: it has no order); of many, some evenly chosen.
    """

    field: str
    name: str
    mean: float
    signed: float
    count: int
    by_group: dict[str, float] = dataclasses.field(default_factory=dict)
    points: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))
    levels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))


def parts_of(
    data: Prepared, values: dict[str, np.ndarray], rows: Sequence[int], groups: Sequence[str]
) -> tuple[Part, ...]:
    """All parts of the fields but pictures, the one that matters most first; `values` are (N, …) by field."""
    found: list[Part] = []
    for spec, encoder in zip(data.schema.inputs, data.fields, strict=True):
        if spec.name not in values or spec.is_image:
            continue
        if spec.is_tokens and len(spec.columns) < 2:
            found += _words(data, spec, encoder, values[spec.name], rows, groups)
        else:
            found += _features(data, spec, encoder, values[spec.name], rows, groups)
    found.sort(key=lambda part: -part.mean)
    alike = _alike((part.field, part.name) for part in found)
    return tuple(
        dataclasses.replace(part, name=_of(part.name, part.field)) if part.name in alike else part
        for part in found[:MOST_PARTS]
    )


def strongest(data: Prepared, values: dict[str, np.ndarray], rows: Sequence[int]) -> list[tuple[str, ...]]:
    """Of each row, the parts that mattered most, with their signed attribution in words; nothing of pictures."""
    columns: list[tuple[str, str, np.ndarray]] = []
    spoken: list[list[tuple[str, str, float]]] = [[] for _ in rows]
    for spec, encoder in zip(data.schema.inputs, data.fields, strict=True):
        if spec.name not in values or spec.is_image:
            continue
        if spec.is_tokens and len(spec.columns) < 2:
            tokens, called = data.inputs[spec.name][list(rows)].numpy(), token_names(encoder)
            for row, place in zip(*np.nonzero(tokens != PAD), strict=True):
                spoken[row].append((spec.name, called(int(tokens[row, place])), float(values[spec.name][row, place])))
        else:
            names, flat, _ = _columns(data, spec, encoder, values[spec.name], rows)
            columns += [(spec.name, name, flat[:, place]) for place, name in enumerate(names)]
    told = []
    for row, listed in enumerate(spoken):
        listed += [(field, name, float(found[row])) for field, name, found in columns]
        alike = _alike((field, name) for field, name, _ in listed)
        listed.sort(key=lambda item: -abs(item[2]))
        top = [item for item in listed[:MOST_TOPS] if item[2]]
        told.append(tuple(f"{_of(name, at) if name in alike else name} {value:+.2g}" for at, name, value in top))
    return told


def parts_of_nodes(nodes: dict[str, np.ndarray], groups: Sequence[str]) -> tuple[Part, ...]:
    """The channels, or numbers, of a layer's output (N, …) by the path of its node, the one that matters most first."""
    found = [
        _part(path, name, flat[:, place], list(groups), np.full(len(flat), np.nan))
        for path, values in nodes.items()
        for names, flat in [_numbered(values)]
        for place, name in enumerate(names)
    ]
    found.sort(key=lambda part: -part.mean)
    return tuple(found[:MOST_PARTS])


def strongest_of_nodes(nodes: dict[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Of each row, the channels or numbers of a layer that mattered most."""
    told: list[tuple[str, ...]] = []
    for values in nodes.values():
        names, flat = _numbered(values)
        for row in flat:
            order = np.argsort(-np.abs(row), kind="stable")[:MOST_TOPS]
            told.append(tuple(f"{names[place]} {row[place]:+.2g}" for place in order if row[place]))
    return told


def maps_of_nodes(nodes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Where in a layer's maps (N, C, H, W) the channels together matter, (N, 1, H, W), by the path of its node."""
    return {path: values.sum(1, keepdims=True) for path, values in nodes.items() if values.ndim == 4}


def _numbered(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """A layer's output (N, …) as columns (N, parts): maps (N, C, H, W) by channel, steps (N, T, D) by number."""
    if values.ndim == 4:
        return [f"channel {place}" for place in range(values.shape[1])], values.sum((2, 3))
    flat = values.sum(1) if values.ndim == 3 else values.reshape(len(values), -1)
    return [f"number {place}" for place in range(flat.shape[1])], flat


def _alike(parts: Iterable[tuple[str, str]]) -> set[str]:
    """The names that parts of several fields share."""
    fields: dict[str, set[str]] = {}
    for field, name in parts:
        fields.setdefault(name, set()).add(field)
    return {name for name, those in fields.items() if len(those) > 1}


def _of(name: str, field: str) -> str:
    return f"{name} ({field})"


def _features(
    data: Prepared,
    spec: FieldSpec,
    encoder: FieldEncoder[Any],
    values: np.ndarray,
    rows: Sequence[int],
    groups: Sequence[str],
) -> list[Part]:
    names, flat, levels = _columns(data, spec, encoder, values, rows)
    return [
        _part(spec.name, name, flat[:, place], list(groups), _ordered(levels[:, place]))
        for place, name in enumerate(names)
    ]


def _columns(
    data: Prepared, spec: FieldSpec, encoder: FieldEncoder[Any], values: np.ndarray, rows: Sequence[int]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Columns of a table, those of one category together, or the channels, steps or spans of a series: their names,
    their attributions (N, parts), and their values (N, parts) or what stands for them."""
    given = data.inputs[spec.name][list(rows)].numpy()
    names = column_names(data, spec)
    if names:
        return list(names), values, np.stack([_level(encoder, name, given) for name in names], axis=1)
    if spec.is_tokens:
        return list(spec.columns), values, np.full(values.shape, np.nan)
    if values.ndim == 3 and values.shape[2] > 1:
        channels = axes_of(data).get(spec.name, Axes()).names(values.shape[2], spec.columns)
        return channels, values.sum(1), given.mean(1)
    spans = spans_of(spec, encoder)
    if spans:
        return list(spans.names), spans.summed(values), spans.levels(given)
    flat = values.reshape(len(values), -1)
    named = list(spec.columns) if len(spec.columns) == flat.shape[1] else []
    return named or [f"step {place}" for place in range(flat.shape[1])], flat, given.reshape(len(values), -1)


def _level(encoder: FieldEncoder[Any], name: str, given: np.ndarray) -> np.ndarray:
    """How high the value of a column of a table is in each row, (N,); no number where it has no order, as a category
    and the parts of a date have none. Where a second number says that it is missing, the first stands for it."""
    columns = encoder.columns
    starts = np.cumsum([0, *(column.width for column in columns)])[:-1]
    own = [
        (start + column.parts.index(name), column)
        for start, column in zip(starts, columns, strict=True)
        if name in column.parts
    ]
    if len(own) != 1 or not own[0][1].is_ordered:
        return np.full(len(given), np.nan)
    level: np.ndarray = given[:, own[0][0]]
    return level


def _words(
    data: Prepared,
    spec: FieldSpec,
    encoder: FieldEncoder[Any],
    values: np.ndarray,
    rows: Sequence[int],
    groups: Sequence[str],
) -> list[Part]:
    """Each word wherever it stands."""
    tokens = data.inputs[spec.name][list(rows)].numpy()
    called, where = token_names(encoder), dict[int, list[tuple[int, int]]]()
    for row, place in zip(*np.nonzero(tokens != PAD), strict=True):
        where.setdefault(int(tokens[row, place]), []).append((int(row), int(place)))
    fewest = FEWEST_TIMES if any(len(met) >= FEWEST_TIMES for met in where.values()) else 1
    found = []
    for token, met in where.items():
        if len(met) >= fewest:
            single = np.array([values[row, place] for row, place in met])
            found.append(
                _part(
                    spec.name,
                    called(token),
                    single,
                    [groups[row] for row, _ in met],
                    np.full(len(met), np.nan),
                )
            )
    return found


def token_names(encoder: FieldEncoder[Any]) -> Callable[[int], str]:
    """What the numbers of a field stand for: words of its vocabulary, or the values of its one column, from 1."""
    if columns := encoder.columns:
        (column,) = (one.column for one in columns)
        values = column.get("values") or ()
        named = str(column["name"])

        def value(number: int) -> str:
            said = str(values[number - 1]) if number <= len(values) else f"# {number}"
            return said if said.casefold().startswith(named.casefold()) else f"{named} = {said}"

        return value
    vocabulary = encoder.vocabulary if isinstance(encoder, TokenEncoder) else ()

    def word(token: int) -> str:
        if token == UNKNOWN:
            return "(unknown word)"
        return str(vocabulary[token]) if token < len(vocabulary) else f"token {token}"

    return word


def _part(name: str, part: str, values: np.ndarray, groups: list[str], levels: np.ndarray) -> Part:
    sizes, where = np.abs(values), np.array(groups)
    by_group = {group: float(sizes[where == group].mean()) for group in dict.fromkeys(groups)}
    some = np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).round().astype(int)
    points, heights = values[some].astype(np.float32), levels[some].astype(np.float32)
    return Part(name, part, float(sizes.mean()), float(values.mean()), len(values), by_group, points, heights)


def _ordered(levels: np.ndarray) -> np.ndarray:
    """Values by their rank, from 0 to 1; what has no order, or is the same everywhere, is no number."""
    from scipy.stats import rankdata

    if not np.isfinite(levels).all() or not np.ptp(levels) > 0:
        return np.full(len(levels), np.nan)
    found: np.ndarray = (rankdata(levels) - 1) / max(1, len(levels) - 1)
    return found

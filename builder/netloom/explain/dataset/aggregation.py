"""The parts of many examples taken together: the same feature, the same word, the same step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.core.axes import Axes, axes_of
from netloom.explain.core.columns import column_names
from netloom.explain.core.segments import segments_of
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.text_fields import TokenEncoder
from netloom.modalities.encoding.tokenization import PAD, UNKNOWN

if TYPE_CHECKING:
    from netloom.data import FieldSpec, Prepared

MAX_FEATURES, MAX_POINTS, MAX_TOP_FEATURES = 300, 400, 4
# A word that was met less often tells of its texts, not of itself.
MIN_TOKEN_COUNT = 3


@dataclass(frozen=True)
class FeatureSummary:
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


def summarize_features(
    data: Prepared, values: dict[str, np.ndarray], rows: Sequence[int], groups: Sequence[str]
) -> tuple[FeatureSummary, ...]:
    """All parts of the fields but pictures, the one that matters most first; `values` are (N, …) by field."""
    summaries: list[FeatureSummary] = []
    for spec, encoder in zip(data.schema.inputs, data.fields, strict=True):
        if spec.name not in values or spec.is_image:
            continue
        if spec.is_tokens and len(spec.columns) < 2:
            summaries += _summarize_tokens(data, spec, encoder, values[spec.name], rows, groups)
        else:
            summaries += _summarize_columns(data, spec, encoder, values[spec.name], rows, groups)
    summaries.sort(key=lambda part: -part.mean)
    shared_names = _shared_names((part.field, part.name) for part in summaries)
    return tuple(
        dataclasses.replace(part, name=_with_field(part.name, part.field)) if part.name in shared_names else part
        for part in summaries[:MAX_FEATURES]
    )


def strongest_features(data: Prepared, values: dict[str, np.ndarray], rows: Sequence[int]) -> list[tuple[str, ...]]:
    """Of each row, the parts that mattered most, with their signed attribution in words; nothing of pictures."""
    columns: list[tuple[str, str, np.ndarray]] = []
    spoken: list[list[tuple[str, str, float]]] = [[] for _ in rows]
    for spec, encoder in zip(data.schema.inputs, data.fields, strict=True):
        if spec.name not in values or spec.is_image:
            continue
        if spec.is_tokens and len(spec.columns) < 2:
            tokens, name_of = data.inputs[spec.name][list(rows)].numpy(), token_names(encoder)
            for row, place in zip(*np.nonzero(tokens != PAD), strict=True):
                spoken[row].append((spec.name, name_of(int(tokens[row, place])), float(values[spec.name][row, place])))
        else:
            names, flat, _ = _columns(data, spec, encoder, values[spec.name], rows)
            columns += [(spec.name, name, flat[:, index]) for index, name in enumerate(names)]
    texts = []
    for row, entries in enumerate(spoken):
        entries += [(field, name, float(attributions[row])) for field, name, attributions in columns]
        shared_names = _shared_names((field, name) for field, name, _ in entries)
        entries.sort(key=lambda item: -abs(item[2]))
        top = [item for item in entries[:MAX_TOP_FEATURES] if item[2]]
        texts.append(
            tuple(f"{_with_field(name, at) if name in shared_names else name} {value:+.2g}" for at, name, value in top)
        )
    return texts


def summarize_layers(nodes: dict[str, np.ndarray], groups: Sequence[str]) -> tuple[FeatureSummary, ...]:
    """The channels, or numbers, of a layer's output (N, …) by the path of its node, the one that matters most first."""
    summaries = [
        _summary(path, name, flat[:, index], list(groups), np.full(len(flat), np.nan))
        for path, values in nodes.items()
        for names, flat in [_unit_columns(values)]
        for index, name in enumerate(names)
    ]
    summaries.sort(key=lambda part: -part.mean)
    return tuple(summaries[:MAX_FEATURES])


def strongest_units(nodes: dict[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Of each row, the channels or numbers of a layer that mattered most."""
    texts: list[tuple[str, ...]] = []
    for values in nodes.values():
        names, flat = _unit_columns(values)
        for row in flat:
            order = np.argsort(-np.abs(row), kind="stable")[:MAX_TOP_FEATURES]
            texts.append(tuple(f"{names[index]} {row[index]:+.2g}" for index in order if row[index]))
    return texts


def layer_maps(nodes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Where in a layer's maps (N, C, H, W) the channels together matter, (N, 1, H, W), by the path of its node."""
    return {path: values.sum(1, keepdims=True) for path, values in nodes.items() if values.ndim == 4}


def _unit_columns(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """A layer's output (N, …) as columns (N, parts): maps (N, C, H, W) by channel, steps (N, T, D) by number."""
    if values.ndim == 4:
        return [f"channel {index}" for index in range(values.shape[1])], values.sum((2, 3))
    flat = values.sum(1) if values.ndim == 3 else values.reshape(len(values), -1)
    return [f"number {index}" for index in range(flat.shape[1])], flat


def _shared_names(parts: Iterable[tuple[str, str]]) -> set[str]:
    """The names that parts of several fields share."""
    fields: dict[str, set[str]] = {}
    for field, name in parts:
        fields.setdefault(name, set()).add(field)
    return {name for name, field_names in fields.items() if len(field_names) > 1}


def _with_field(name: str, field: str) -> str:
    return f"{name} ({field})"


def _summarize_columns(
    data: Prepared,
    spec: FieldSpec,
    encoder: FieldEncoder[Any],
    values: np.ndarray,
    rows: Sequence[int],
    groups: Sequence[str],
) -> list[FeatureSummary]:
    names, flat, levels = _columns(data, spec, encoder, values, rows)
    return [
        _summary(spec.name, name, flat[:, index], list(groups), _ranks(levels[:, index]))
        for index, name in enumerate(names)
    ]


def _columns(
    data: Prepared, spec: FieldSpec, encoder: FieldEncoder[Any], values: np.ndarray, rows: Sequence[int]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Columns of a table, those of one category together, or the channels, steps or spans of a series: their names,
    their attributions (N, parts), and their values (N, parts) or what stands for them."""
    inputs = data.inputs[spec.name][list(rows)].numpy()
    names = column_names(data, spec)
    if names:
        return list(names), values, np.stack([_column_levels(encoder, name, inputs) for name in names], axis=1)
    if spec.is_tokens:
        return list(spec.columns), values, np.full(values.shape, np.nan)
    if values.ndim == 3 and values.shape[2] > 1:
        channels = axes_of(data).get(spec.name, Axes()).names(values.shape[2], spec.columns)
        return channels, values.sum(1), inputs.mean(1)
    spans = segments_of(spec, encoder)
    if spans:
        return list(spans.names), spans.summed(values), spans.levels(inputs)
    flat = values.reshape(len(values), -1)
    named = list(spec.columns) if len(spec.columns) == flat.shape[1] else []
    return named or [f"step {index}" for index in range(flat.shape[1])], flat, inputs.reshape(len(values), -1)


def _column_levels(encoder: FieldEncoder[Any], name: str, inputs: np.ndarray) -> np.ndarray:
    """How high the value of a column of a table is in each row, (N,); no number where it has no order, as a category
    and the parts of a date have none. Where a second number says that it is missing, the first stands for it."""
    columns = encoder.columns
    starts = np.cumsum([0, *(column.width for column in columns)])[:-1]
    matches = [
        (start + column.parts.index(name), column)
        for start, column in zip(starts, columns, strict=True)
        if name in column.parts
    ]
    if len(matches) != 1 or not matches[0][1].is_ordered:
        return np.full(len(inputs), np.nan)
    level: np.ndarray = inputs[:, matches[0][0]]
    return level


def _summarize_tokens(
    data: Prepared,
    spec: FieldSpec,
    encoder: FieldEncoder[Any],
    values: np.ndarray,
    rows: Sequence[int],
    groups: Sequence[str],
) -> list[FeatureSummary]:
    """Each word wherever it stands."""
    tokens = data.inputs[spec.name][list(rows)].numpy()
    name_of, positions_by_token = token_names(encoder), dict[int, list[tuple[int, int]]]()
    for row, place in zip(*np.nonzero(tokens != PAD), strict=True):
        positions_by_token.setdefault(int(tokens[row, place]), []).append((int(row), int(place)))
    min_count = MIN_TOKEN_COUNT if any(len(met) >= MIN_TOKEN_COUNT for met in positions_by_token.values()) else 1
    summaries = []
    for token, positions in positions_by_token.items():
        if len(positions) >= min_count:
            attributions = np.array([values[row, index] for row, index in positions])
            summaries.append(
                _summary(
                    spec.name,
                    name_of(token),
                    attributions,
                    [groups[row] for row, _ in positions],
                    np.full(len(positions), np.nan),
                )
            )
    return summaries


def token_names(encoder: FieldEncoder[Any]) -> Callable[[int], str]:
    """What the numbers of a field stand for: words of its vocabulary, or the values of its one column, from 1."""
    if columns := encoder.columns:
        (column,) = (encoder.column for encoder in columns)
        values = column.get("values") or ()
        named = str(column["name"])

        def value(number: int) -> str:
            text = str(values[number - 1]) if number <= len(values) else f"# {number}"
            return text if text.casefold().startswith(named.casefold()) else f"{named} = {text}"

        return value
    vocabulary = encoder.vocabulary if isinstance(encoder, TokenEncoder) else ()

    def word(token: int) -> str:
        if token == UNKNOWN:
            return "(unknown word)"
        return str(vocabulary[token]) if token < len(vocabulary) else f"token {token}"

    return word


def _summary(name: str, part: str, values: np.ndarray, groups: list[str], levels: np.ndarray) -> FeatureSummary:
    sizes, group_of_each = np.abs(values), np.array(groups)
    by_group = {group: float(sizes[group_of_each == group].mean()) for group in dict.fromkeys(groups)}
    sample = np.linspace(0, len(values) - 1, min(len(values), MAX_POINTS)).round().astype(int)
    points, heights = values[sample].astype(np.float32), levels[sample].astype(np.float32)
    return FeatureSummary(name, part, float(sizes.mean()), float(values.mean()), len(values), by_group, points, heights)


def _ranks(levels: np.ndarray) -> np.ndarray:
    """Values by their rank, from 0 to 1; what has no order, or is the same everywhere, is no number."""
    from scipy.stats import rankdata

    if not np.isfinite(levels).all() or not np.ptp(levels) > 0:
        return np.full(len(levels), np.nan)
    ranks: np.ndarray = (rankdata(levels) - 1) / max(1, len(levels) - 1)
    return ranks

"""Aggregate attributions over rows by feature, token, step or unit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.core.parts.axes import Axes, axes_of
from netloom.explain.core.parts.columns import column_names
from netloom.explain.core.parts.segments import segments_of
from netloom.modalities.encoding.category_column import CategoryEncoder
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.tokenization import PAD, UNKNOWN

if TYPE_CHECKING:
    from netloom.data import FieldSpec, Prepared

MAX_FEATURES, MAX_POINTS, MAX_TOP_FEATURES = 300, 400, 4
# The mean of a rarer token describes the few texts that contain it rather than the token.
MIN_TOKEN_COUNT = 3


@dataclass(frozen=True)
class FeatureSummary:
    """The attributions of a feature, token, step, segment or channel over the rows that contain it.

    `mean` is the mean magnitude, `signed` the mean attribution, and `count` the number of occurrences. `by_group` is
    the mean magnitude by explained target. `points` are single attributions, at most `MAX_POINTS` evenly sampled, and
    `levels` the ranks of their feature values from 0 to 1 (NaN if values have no order).
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
    """Summarize attributions (N, …) by field for all features except pixels, in descending order of the mean
    magnitude."""
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
    """Return the top features of each row with their signed attributions as text, without pixels."""
    columns: list[tuple[str, str, np.ndarray]] = []
    spoken: list[list[tuple[str, str, float]]] = [[] for _ in rows]
    for spec, encoder in zip(data.schema.inputs, data.fields, strict=True):
        if spec.name not in values or spec.is_image:
            continue
        if spec.is_tokens and len(spec.columns) < 2:
            tokens, name_of = data.inputs[spec.name][list(rows)].numpy(), token_names(encoder)
            for row, position in zip(*np.nonzero(tokens != PAD), strict=True):
                spoken[row].append(
                    (spec.name, name_of(int(tokens[row, position])), float(values[spec.name][row, position]))
                )
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
    """Summarize the channels or units of layer outputs (N, …) by node path, in descending order of the mean
    magnitude."""
    summaries = [
        _summary(path, name, flat[:, index], list(groups), np.full(len(flat), np.nan))
        for path, values in nodes.items()
        for names, flat in [_unit_columns(values)]
        for index, name in enumerate(names)
    ]
    summaries.sort(key=lambda part: -part.mean)
    return tuple(summaries[:MAX_FEATURES])


def strongest_units(nodes: dict[str, np.ndarray]) -> list[tuple[str, ...]]:
    """Return the top channels or units of each row with their signed attributions as text."""
    texts: list[tuple[str, ...]] = []
    for values in nodes.values():
        names, flat = _unit_columns(values)
        for row in flat:
            order = np.argsort(-np.abs(row), kind="stable")[:MAX_TOP_FEATURES]
            texts.append(tuple(f"{names[index]} {row[index]:+.2g}" for index in order if row[index]))
    return texts


def layer_maps(nodes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Sum feature maps (N, C, H, W) over channels to (N, 1, H, W), by node path."""
    return {path: values.sum(1, keepdims=True) for path, values in nodes.items() if values.ndim == 4}


def _unit_columns(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Reduce layer outputs to columns (N, units): maps (N, C, H, W) by channel, sequences (N, T, D) by feature."""
    if values.ndim == 4:
        return [f"channel {index}" for index in range(values.shape[1])], values.sum((2, 3))
    flat = values.sum(1) if values.ndim == 3 else values.reshape(len(values), -1)
    return [f"number {index}" for index in range(flat.shape[1])], flat


def _shared_names(parts: Iterable[tuple[str, str]]) -> set[str]:
    """Return the names that occur in several fields."""
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
    """Return the names, attributions (N, features) and values (N, features) of a field.

    Features are columns of a table (a category is one), or the channels, steps or segments of a series.
    """
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
    """Return the values of a table column in each row, (N,); NaN if they have no order, as for categories and date
    parts.

    If a second value encodes missingness, only the first is used.
    """
    columns = encoder.columns
    starts = np.cumsum([0, *(column.width for column in columns)])[:-1]
    matches = [
        (start + column.parts.index(name), column)
        for start, column in zip(starts, columns, strict=True)
        if name in column.parts
    ]
    # Several matches are the values of a one-hot category.
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
    """Summarize each token over all its occurrences."""
    tokens = data.inputs[spec.name][list(rows)].numpy()
    name_of, positions_by_token = token_names(encoder), dict[int, list[tuple[int, int]]]()
    for row, position in zip(*np.nonzero(tokens != PAD), strict=True):
        positions_by_token.setdefault(int(tokens[row, position]), []).append((int(row), int(position)))
    # In a small sample no token may be frequent enough; then all are listed.
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
    """Return a function from token ids to words of the vocabulary, or to values of the field's one column (from 1)."""
    if columns := encoder.columns:
        (column,) = columns
        values = column.values if isinstance(column, CategoryEncoder) else []  # hashed: none
        named = column.name

        def value(number: int) -> str:
            text = str(values[number - 1]) if number <= len(values) else f"# {number}"
            return text if text.casefold().startswith(named.casefold()) else f"{named} = {text}"

        return value
    vocabulary = encoder.vocabulary

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
    """Convert values to ranks from 0 to 1; NaN if they have no order or are constant."""
    from scipy.stats import rankdata

    if not np.isfinite(levels).all() or not np.ptp(levels) > 0:
        return np.full(len(levels), np.nan)
    ranks: np.ndarray = (rankdata(levels) - 1) / max(1, len(levels) - 1)
    return ranks

"""All pictures of one explanation, in the order in which they are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.text import number
from netloom.explain.core.axes import Axes
from netloom.explain.plots import figures, text
from netloom.explain.plots.colors import bound

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.explain.core.explanation import Explanation

MOST_WORDS = 40


class PlotKind(Enum):
    """How the attributions of a field, or of a layer, are drawn."""

    IMAGE = "image"
    TEXT = "text"
    BARS = "bars"
    SERIES = "series"
    LAYER = "layer"

    @property
    def shares_scale(self) -> bool:
        """Whether the values of several such fields lie along one axis of numbers."""
        return self in (PlotKind.TEXT, PlotKind.BARS)


@dataclass(frozen=True)
class How:
    """What people choose about the pictures. `way`: bars as the way from the baseline to the answer."""

    opacity: float = 0.85
    sign: figures.Sign = "both"
    way: bool = False


@dataclass(frozen=True)
class Drawn:
    """One picture: a Plotly figure, or `html` with the same as `svg`. `beside` stands to its left. `table` holds the
    numbers, `note` what else is to be said."""

    key: str
    title: str
    kind: PlotKind
    figure: go.Figure | None = None
    html: str = ""
    svg: str = ""
    beside: go.Figure | None = None
    table: dict[str, list[Any]] = field(default_factory=dict)
    note: str = ""


def kind_of(found: Explanation, name: str) -> PlotKind:
    """How the attributions of a field are drawn."""
    values = found.attributions[name]
    if values.ndim == 3:
        return PlotKind.IMAGE
    if values.ndim == 1:
        return PlotKind.TEXT if _written(found, name) else PlotKind.BARS
    return PlotKind.SERIES


def has_text(found: Explanation) -> bool:
    """Whether one of the fields is a text."""
    return any(kind_of(found, name) is PlotKind.TEXT for name in found.attributions)


def drawn(found: Explanation, how: How | None = None) -> Iterator[Drawn]:
    """The pictures of each input, then those of each layer."""
    how = how or How()
    pictures, listed = ends(found)
    for name, values in found.attributions.items():
        kind = kind_of(found, name)
        if kind is PlotKind.IMAGE:
            yield _picture(found, name, values, how, pictures)
        elif kind is PlotKind.TEXT:
            yield from _text(found, name, values, listed)
        elif kind is PlotKind.BARS:
            yield _on_scale(_bars(found, name, values, how), listed)
        else:
            yield _series(found, name, values)
    down = next((axes.down for axes in found.axes.values()), "step")
    for path, values in found.nodes.items():
        yield from _layer(path, values, down)


def ends(found: Explanation) -> tuple[float | None, list[float]]:
    """Where the scales of all pictures end, and from where to where all bars and words go: those of several inputs are
    held against each other. None, and nothing, where there is but one."""
    kinds = {name: kind_of(found, name) for name in found.attributions}
    pictures = [values.sum(0) for name, values in found.attributions.items() if kinds[name] is PlotKind.IMAGE]
    listed = [values for name, values in found.attributions.items() if kinds[name].shares_scale]
    end = max(map(bound, pictures)) if len(pictures) > 1 else None
    if len(listed) < 2:
        return end, []
    return end, [min(0.0, *(float(one.min()) for one in listed)), max(0.0, *(float(one.max()) for one in listed))]


def _on_scale(one: Drawn, ends: list[float]) -> Drawn:
    if one.figure is not None and ends and ends[1] > ends[0]:
        one.figure.update_xaxes(range=[1.06 * end for end in ends])
    return one


def _written(found: Explanation, name: str) -> bool:
    """Whether a field is a text, whose labels are the words of the example, and not the names of columns."""
    labels = tuple(label for label in found.labels.get(name, ()) if label)
    example = found.example
    own = example.words.get(name, example.tokens)
    answered = bool(example.answer) and labels[1:] == tuple(example.answer[: len(labels) - 1])
    return bool(labels) and (labels == tuple(own[: len(labels)]) or answered)


def _picture(found: Explanation, name: str, values: np.ndarray, how: How, end: float | None) -> Drawn:
    image = found.example.images.get(name, found.example.image)
    summed = values.sum(0)
    if image is not None and np.asarray(image).shape[:2] != summed.shape:
        image = None  # it was made another size for the network
    figure = figures.overlay(summed, image, title=found.title, opacity=how.opacity, sign=how.sign, end=end)
    beside = figures.picture(image) if image is not None else None
    return Drawn(
        f"picture {name}",
        name,
        PlotKind.IMAGE,
        figure,
        beside=beside,
        table=cells(values, ("channel", "row", "column")),
    )


def _text(found: Explanation, name: str, values: np.ndarray, ends: list[float]) -> Iterator[Drawn]:
    labels = found.labels[name]
    kept = [place for place, label in enumerate(labels) if label and place < len(values)]
    shown = values[kept]
    named = [labels[place] for place in kept]
    table: dict[str, list[Any]] = {"place": kept, "token": named, "attribution": shown.tolist()}
    end = max(map(abs, ends), default=0.0)
    html, svg = text.as_html(named, shown, end=end), text.as_svg(named, shown, end)
    yield Drawn(f"text {name}", name, PlotKind.TEXT, html=html, svg=svg, table=table)
    if 1 < len(kept) <= MOST_WORDS:
        yield _on_scale(Drawn(f"bars {name}", "", PlotKind.BARS, figures.bars(shown, named), table=table), ends)


def _bars(found: Explanation, name: str, values: np.ndarray, how: How) -> Drawn:
    labels = found.labels.get(name, ())
    named = [labels[place] if place < len(labels) else f"number {place}" for place in range(len(values))]
    shown, shown_names = figures.strongest(values, columns_with_values(found, name))
    example = found.example.columns
    table = {"column": named, "value": [example.get(label, _date(label, example) or "") for label in named]}
    whole = len(found.attributions) == 1
    if how.way and whole and explains_the_way(found):
        figure = figures.waterfall(shown, shown_names, found.ground, found.answer)
    else:
        figure = figures.bars(shown, shown_names)
    return Drawn(f"bars {name}", name, PlotKind.BARS, figure, table=table | {"attribution": values.tolist()})


def columns_with_values(found: Explanation, name: str) -> list[str]:
    """The columns of a field, each with the value that it has."""
    labels, count = found.labels.get(name, ()), len(found.attributions[name])
    named = [labels[place] if place < len(labels) else f"number {place}" for place in range(count)]
    return [_told(label, found.example.columns) for label in named]


def explains_the_way(found: Explanation) -> bool:
    """Whether its parts add up, so that they make a way from the baseline to the answer."""
    completeness = found.proofs.completeness
    if completeness is None:
        return False
    return completeness.by_construction or completeness.word in ("exact", "converged", "approximate")


def _told(label: str, columns: dict[str, Any]) -> str:
    value = columns.get(label, _date(label, columns))
    if value is None or value == "":
        return f"{label[:28]} (missing)" if label in columns else label
    try:
        return f"{label[:28]} = {number(float(value))}"
    except (TypeError, ValueError):
        return f"{label[:28]} = {str(value)[:24]}"


def _date(label: str, columns: dict[str, Any]) -> str | None:
    """What an example shows of a date by its parts, such as "year 2024, month 5"; None where it has none."""
    parts = {name: value for name, value in columns.items() if name.startswith(f"{label} (") and name.endswith(")")}
    told = [f"{name[len(label) + 2 : -1]} {value:g}" for name, value in parts.items() if isinstance(value, float)]
    return ", ".join(told) or None


def _series(found: Explanation, name: str, values: np.ndarray) -> Drawn:
    table = values.reshape(len(values), -1)
    series = None if found.example.series is None else np.asarray(found.example.series, dtype=np.float64)
    if series is not None and series.shape != table.shape:
        series = None
    axes, labels = found.axes.get(name, Axes()), found.labels.get(name, ())
    figure, pieces, note = figures.band(table, series, labels, axes), axes.pieces(len(table)), ""
    if pieces is not None:
        note = f"Colors show the sum over each of {len(pieces.names)} segments; the CSV also has every {axes.down}."
    return Drawn(f"series {name}", name, PlotKind.SERIES, figure, table=along(table, axes, labels), note=note)


def along(values: np.ndarray, axes: Axes, labels: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """The attributions (T, D) of a series or of a graph as a table, with the piece in which each is drawn."""
    table, names = cells(values, (axes.down, axes.across)), axes.names(values.shape[1], labels)
    columns = table[axes.across]
    table[axes.across] = [names[place] for place in columns]
    pieces = axes.pieces(len(values))
    if pieces is None:
        return table
    which = np.searchsorted(pieces.starts, table[axes.down], side="right") - 1
    sums = axes.drawn(values)[which, columns]
    return table | {"segment": [pieces.names[place] for place in which], "segment sum": sums.tolist()}


def _layer(path: str, values: np.ndarray, down: str) -> Iterator[Drawn]:
    """The numbers of a layer: maps as the sum over their channels, and which of them weigh most."""
    size = " × ".join(map(str, values.shape)) or "1 unit"
    title = f"{path} · {size}"
    if values.ndim == 3 and min(values.shape[1:]) > 1:
        figure = figures.overlay(values.sum(0), title="All channels" if len(values) > 1 else "")
        strongest = _numbered(values.sum((1, 2)), "channel") if len(values) > 1 else None
        table = cells(values, ("channel", "row", "column"))
        beside = figure if strongest else None
        yield Drawn(f"layer {path}", title, PlotKind.LAYER, strongest or figure, beside=beside, table=table)
    elif values.ndim == 2 and min(values.shape) > 1:
        figure = figures.grid(values.T, down.capitalize(), "Unit")
        yield Drawn(f"layer {path}", title, PlotKind.LAYER, figure, table=cells(values, (down, "unit")))
    else:
        flat = values.ravel()
        yield Drawn(f"layer {path}", title, PlotKind.LAYER, _numbered(flat, "unit"), table=cells(flat, ("unit",)))


def _numbered(values: np.ndarray, what: str) -> go.Figure:
    return figures.bars(*figures.strongest(values, [f"{what} {place}" for place in range(len(values))]))


def cells(values: np.ndarray, axes: tuple[str, ...]) -> dict[str, list[Any]]:
    """An array as a table with a row for each number: its place along each axis, and the number."""
    places = np.indices(values.shape).reshape(values.ndim, -1)
    table: dict[str, list[Any]] = {axis: places[number].tolist() for number, axis in enumerate(axes)}
    return table | {"attribution": values.ravel().tolist()}

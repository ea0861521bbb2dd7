"""All plots of one explanation, in reading order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.text import cut, number
from netloom.data.boxes import image_objects
from netloom.explain.core.parts.axes import Axes
from netloom.explain.plots import figures, text
from netloom.explain.plots.colors import bound
from netloom.explain.plots.object_shapes import with_objects

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.explain.core.explanation import Explanation

MAX_WORDS = 40


class PlotKind(Enum):
    """How the attributions of a field or a layer are drawn."""

    IMAGE = "image"
    TEXT = "text"
    BARS = "bars"
    SERIES = "series"
    LAYER = "layer"

    @property
    def shares_scale(self) -> bool:
        """Whether several such fields can share one numeric axis."""
        return self in (PlotKind.TEXT, PlotKind.BARS)


@dataclass(frozen=True)
class PlotOptions:
    """Display options. `waterfall` draws bars as a waterfall from the baseline score to the score; with `words_only`, a
    text has no bars, which would repeat its colored words."""

    opacity: float = 0.85
    sign: figures.Sign = "both"
    waterfall: bool = False
    words_only: bool = False


@dataclass(frozen=True)
class Plot:
    """One plot: a Plotly figure, or `html` with the same content as `svg`.

    `beside` is drawn to its left, `table` holds the numbers, and `note` is a caption.
    """

    key: str
    title: str
    kind: PlotKind
    figure: go.Figure | None = None
    html: str = ""
    svg: str = ""
    beside: go.Figure | None = None
    table: dict[str, list[Any]] = field(default_factory=dict)
    note: str = ""


def plot_kind(explanation: Explanation, name: str) -> PlotKind:
    """Return how the attributions of a field are drawn."""
    values = explanation.attributions[name]
    if values.ndim == 3:
        return PlotKind.IMAGE
    if values.ndim == 1:
        return PlotKind.TEXT if _is_text(explanation, name) else PlotKind.BARS
    return PlotKind.SERIES


def has_text(explanation: Explanation) -> bool:
    """Return whether one of the fields is a text."""
    return any(plot_kind(explanation, name) is PlotKind.TEXT for name in explanation.attributions)


def explanation_plots(explanation: Explanation, options: PlotOptions | None = None) -> Iterator[Plot]:
    """Yield the plots of each input, then those of each layer."""
    options = options or PlotOptions()
    pictures, listed = shared_scales(explanation)
    for name, values in explanation.attributions.items():
        kind = plot_kind(explanation, name)
        if kind is PlotKind.IMAGE:
            yield _picture(explanation, name, values, options, pictures)
        elif kind is PlotKind.TEXT:
            yield from _text(explanation, name, values, options, listed)
        elif kind is PlotKind.BARS:
            yield _with_range(_bars(explanation, name, values, options), listed)
        else:
            yield _series(explanation, name, values)
    down = next((axes.down for axes in explanation.axes.values()), "step")
    for path, values in explanation.nodes.items():
        yield from _layer(path, values, down)


def shared_scales(explanation: Explanation) -> tuple[float | None, list[float]]:
    """Return the limit of the color scale and the range of the bars that several inputs share; None and [] for one
    input."""
    kinds = {name: plot_kind(explanation, name) for name in explanation.attributions}
    pictures = [values.sum(0) for name, values in explanation.attributions.items() if kinds[name] is PlotKind.IMAGE]
    listed = [values for name, values in explanation.attributions.items() if kinds[name].shares_scale]
    end = max(map(bound, pictures)) if len(pictures) > 1 else None
    if len(listed) < 2:
        return end, []
    return end, [
        min(0.0, *(float(values.min()) for values in listed)),
        max(0.0, *(float(values.max()) for values in listed)),
    ]


def _with_range(plot: Plot, limits: list[float]) -> Plot:
    if plot.figure is not None and limits and limits[1] > limits[0]:
        plot.figure.update_xaxes(range=[1.06 * end for end in limits])
    return plot


def _is_text(explanation: Explanation, name: str) -> bool:
    """Return whether the labels of a field are tokens of the example rather than column names."""
    labels = tuple(label for label in explanation.labels.get(name, ()) if label)
    example = explanation.example
    tokens = example.words.get(name, example.tokens)
    # A decoder input is the answer shifted by one, after a start token.
    is_answer = bool(example.answer) and labels[1:] == tuple(example.answer[: len(labels) - 1])
    return bool(labels) and (labels == tuple(tokens[: len(labels)]) or is_answer)


def _picture(explanation: Explanation, name: str, values: np.ndarray, options: PlotOptions, end: float | None) -> Plot:
    image = explanation.example.images.get(name, explanation.example.image)
    summed = values.sum(0)
    if image is not None and np.asarray(image).shape[:2] != summed.shape:
        image = None  # the network sees a resized image
    figure = figures.overlay(
        summed, image, title=explanation.title, opacity=options.opacity, sign=options.sign, end=end
    )
    beside = figures.picture(image) if image is not None else None
    if beside is not None:
        _add_objects(explanation, summed.shape, figure, beside)
    return Plot(
        f"image {name}",
        name,
        PlotKind.IMAGE,
        figure,
        beside=beside,
        table=array_table(values, ("channel", "row", "column")),
    )


def _add_objects(explanation: Explanation, size: tuple[int, ...], attributions: go.Figure, picture: go.Figure) -> None:
    """Add the boxes of the predicted objects to both figures of an image (H, W), and those of the true ones to its
    picture."""
    predicted, example, (height, width) = explanation.prediction.objects, explanation.example, size
    true = () if example.boxes is None else image_objects(example.boxes.tolist(), example.classes)
    if not predicted and not true:
        return
    with_objects(attributions, (height, width), predicted, is_labeled=False)
    with_objects(picture, (height, width), predicted, true)
    picture.update_layout(title_text="Predicted objects; dashed: true" if true else "Predicted objects")


def _text(
    explanation: Explanation, name: str, values: np.ndarray, options: PlotOptions, limits: list[float]
) -> Iterator[Plot]:
    labels = explanation.labels[name]
    positions = [index for index, label in enumerate(labels) if label and index < len(values)]
    shown_values = values[positions]
    tokens = [labels[index] for index in positions]
    table: dict[str, list[Any]] = {"place": positions, "token": tokens, "attribution": shown_values.tolist()}
    end = max(map(abs, limits), default=0.0)
    html, svg = text.as_html(tokens, shown_values, end=end), text.as_svg(tokens, shown_values, end)
    yield Plot(f"text {name}", name, PlotKind.TEXT, html=html, svg=svg, table=table)
    if 1 < len(positions) <= MAX_WORDS and not options.words_only:
        yield _with_range(
            Plot(f"bars {name}", "", PlotKind.BARS, figures.bars(shown_values, tokens), table=table), limits
        )


def _bars(explanation: Explanation, name: str, values: np.ndarray, options: PlotOptions) -> Plot:
    labels = explanation.labels.get(name, ())
    column_names = [labels[index] if index < len(labels) else f"number {index}" for index in range(len(values))]
    shown_values, shown_names = figures.strongest(values, column_labels(explanation, name))
    example = explanation.example.columns
    table = {
        "column": column_names,
        "value": [example.get(label, _date(label, example) or "") for label in column_names],
    }
    is_only_field = len(explanation.attributions) == 1
    if options.waterfall and is_only_field and has_waterfall(explanation):
        figure = figures.waterfall(shown_values, shown_names, explanation.baseline_score, explanation.score)
    else:
        figure = figures.bars(shown_values, shown_names)
    return Plot(f"bars {name}", name, PlotKind.BARS, figure, table=table | {"attribution": values.tolist()})


def column_labels(explanation: Explanation, name: str) -> list[str]:
    """Return the columns of a field with their values."""
    labels, count = explanation.labels.get(name, ()), len(explanation.attributions[name])
    column_names = [labels[index] if index < len(labels) else f"number {index}" for index in range(count)]
    return [_column_label(label, explanation.example.columns) for label in column_names]


def has_waterfall(explanation: Explanation) -> bool:
    """Return whether the attributions sum to the change of the score, as a waterfall requires."""
    completeness = explanation.proofs.completeness
    if completeness is None:
        return False
    return completeness.by_construction or completeness.word in ("exact", "converged", "approximate")


def _column_label(label: str, columns: dict[str, Any]) -> str:
    name, value = cut(label, 28), columns.get(label, _date(label, columns))
    if value is None or value == "":
        return f"{name} (missing)" if label in columns else label
    try:
        return f"{name} = {number(float(value))}"
    except (TypeError, ValueError):
        return f"{name} = {cut(str(value), 32)}"


def _date(label: str, columns: dict[str, Any]) -> str | None:
    """Return the date parts of an example, such as "year 2024, month 5"; None if the column is not a date."""
    parts = {name: value for name, value in columns.items() if name.startswith(f"{label} (") and name.endswith(")")}
    texts = [f"{name[len(label) + 2 : -1]} {value:g}" for name, value in parts.items() if isinstance(value, float)]
    return ", ".join(texts) or None


def _series(explanation: Explanation, name: str, values: np.ndarray) -> Plot:
    table = values.reshape(len(values), -1)
    series = None if explanation.example.series is None else np.asarray(explanation.example.series, dtype=np.float64)
    if series is not None and series.shape != table.shape:
        series = None
    axes, labels = explanation.axes.get(name, Axes()), explanation.labels.get(name, ())
    figure, pieces, note = figures.series_band(table, series, labels, axes), axes.pieces(len(table)), ""
    if pieces is not None:
        note = f"Colors show the sum over each of {len(pieces.names)} segments; the CSV also has every {axes.down}."
    return Plot(f"series {name}", name, PlotKind.SERIES, figure, table=series_table(table, axes, labels), note=note)


def series_table(values: np.ndarray, axes: Axes, labels: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """Return attributions (T, D) of a series or graph as table columns, with the segment in which each is drawn."""
    table, names = array_table(values, (axes.down, axes.across)), axes.names(values.shape[1], labels)
    columns = table[axes.across]
    table[axes.across] = [names[index] for index in columns]
    pieces = axes.pieces(len(values))
    if pieces is None:
        return table
    segment_of_row = np.searchsorted(pieces.starts, table[axes.down], side="right") - 1
    sums = axes.drawn(values)[segment_of_row, columns]
    return table | {"segment": [pieces.names[index] for index in segment_of_row], "segment sum": sums.tolist()}


def _layer(path: str, values: np.ndarray, down: str) -> Iterator[Plot]:
    """Yield the plot of a layer: for feature maps, the sum over channels beside the bars of the strongest channels."""
    size = " × ".join(map(str, values.shape)) or "1 unit"
    title = f"{path} · {size}"
    if values.ndim == 3 and min(values.shape[1:]) > 1:
        figure = figures.overlay(values.sum(0), title="All channels" if len(values) > 1 else "")
        strongest = _numbered(values.sum((1, 2)), "channel") if len(values) > 1 else None
        table = array_table(values, ("channel", "row", "column"))
        beside = figure if strongest else None
        yield Plot(f"layer {path}", title, PlotKind.LAYER, strongest or figure, beside=beside, table=table)
    elif values.ndim == 2 and min(values.shape) > 1:
        figure = figures.grid(values.T, down.capitalize(), "Unit")
        yield Plot(f"layer {path}", title, PlotKind.LAYER, figure, table=array_table(values, (down, "unit")))
    else:
        flat = values.ravel()
        yield Plot(f"layer {path}", title, PlotKind.LAYER, _numbered(flat, "unit"), table=array_table(flat, ("unit",)))


def _numbered(values: np.ndarray, unit: str) -> go.Figure:
    return figures.bars(*figures.strongest(values, [f"{unit} {index}" for index in range(len(values))]))


def array_table(values: np.ndarray, axes: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return an array as a table with one row per value: its index along each axis, and the value."""
    positions = np.indices(values.shape).reshape(values.ndim, -1)
    table: dict[str, list[Any]] = {axis: positions[number].tolist() for number, axis in enumerate(axes)}
    return table | {"attribution": values.ravel().tolist()}

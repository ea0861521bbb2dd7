"""Examples beside the outputs of a network: images, masks, series and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import cut, escape, number
from netloom.data.boxes import image_objects
from netloom.data.images import channels_last
from netloom.explain.plots.class_colors import COLORS, VOID_COLOR, color
from netloom.training.objectives.evaluation import (
    BoxesPart,
    ClassesPart,
    ColumnsPart,
    Embedding,
    Panel,
    Picture,
    PicturePart,
    Separation,
    SeriesPart,
    TagsPart,
)
from netloom.ui.components.charts.charts import MARGIN, TRAIN, VALIDATION, described
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.examples.image_urls import address, enlarged
from netloom.ui.components.examples.object_boxes import show_objects
from netloom.ui.components.state import Key

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from streamlit.delta_generator import DeltaGenerator

# Panels side by side; fewer where the pictures have labels
ACROSS, ACROSS_LABELED = 4, 2
# Explanations of the colors of a kind of part, once for all panels
CAPTIONS = {"series": "Indigo: input. Orange: reconstruction."}


def panels(panels: list[Panel], classes: Sequence[str]) -> None:
    """Draw panels in groups such as the worst and the best."""
    kinds = {part["kind"] for item in panels for part in item["parts"]}
    if classes and "classes" in kinds:
        masks = [part["values"] for item in panels for part in item["parts"] if part["kind"] == "classes"]
        legend(classes, has_void=any(np.min(mask) < 0 for mask in masks))
    for kind, caption in CAPTIONS.items():
        if kind in kinds:
            st.caption(caption)
    for group in dict.fromkeys(item.get("group", "") for item in panels):
        if group:
            st.markdown(f"**{escape(group)}**")
        items = [item for item in panels if item.get("group", "") == group]
        across = ACROSS_LABELED if kinds & LABELED else ACROSS
        for start in range(0, len(items), across):
            for column, item in zip(st.columns(across), items[start : start + across], strict=False):
                with column, st.container(border=True):
                    _parts(item, classes)
                    st.caption(f"Row {item['row']} · {escape(cut(item['caption'], 80))}")


def samples(images: dict[str, list[Picture]], *, judged: bool) -> None:
    """Draw groups of images (C, H, W) side by side, each as one sheet.

    `judged`: whether their distance from test images was measured, as for a GAN, but not for a decoder.
    """
    for column, (title, pictures) in zip(st.columns(len(images)), images.items(), strict=True):
        column.markdown(f"**{escape(title)}**")
        sheet = _sheet(np.asarray(pictures, dtype=np.float64))
        column.image(sheet, width="stretch", alt=f"{len(pictures)} images: {title}")
    st.caption(
        "The generated images use the same noise in every run, which was not used in training. Likeness is 100% "
        "at a Fréchet distance of 0 to the test images, and 0% at the distance of training images with shuffled "
        "pixels. Real images do not reach 100% either, because no two samples are the same."
        if judged
        else "The decoder generates each image from a latent vector z ~ N(0, 1), the prior. The noise is the same "
        "for every run. If these images look less real than reconstructions, the latent vectors of the data do "
        "not fill the prior; raise the coefficient of Reparameterize."
    )


def _sheet(pictures: Any) -> str:
    """Return images (N, C, H, W) as one image with eight per row and gray lines between them, enlarged if small."""
    count, channels, height, width = pictures.shape
    across = min(8, count)
    down = -(-count // across)
    times = max(1, 64 // max(height, width))
    big = pictures.repeat(times, 2).repeat(times, 3)  # (N, C, H, W) -> (N, C, times H, times W)
    tile = (height * times + 2, width * times + 2)
    sheet = np.full((down * tile[0] - 2, across * tile[1] - 2, 3), 0.5)
    for index, image in enumerate(big):
        top, left = index // across * tile[0], index % across * tile[1]
        pixels = image.transpose(1, 2, 0) if channels == 3 else image[0][:, :, None]
        sheet[top : top + height * times, left : left + width * times] = pixels
    return address(sheet)


def legend(classes: Sequence[str], *, has_void: bool = False) -> None:
    """Draw the colors of the classes, and that of void pixels if there are any."""
    import html

    names = [(color(index), name) for index, name in enumerate(classes)]
    if has_void:
        names.append((VOID_COLOR, "void"))
    marks = [
        f'<span style="display:inline-block;margin-right:10px"><span style="background:{tone};'
        f'padding:0 8px;border-radius:4px;margin-right:5px"></span>{html.escape(cut(name, 40))}</span>'
        for tone, name in names
    ]
    # With spaces, at which a line can break
    st.html(f'<div style="font-size:0.85rem;line-height:2">{" ".join(marks)}</div>')


def painted(numbers: Any) -> Any:
    """Return class indices (H, W), below 0 for void pixels, as an image (H, W, 3) with values from 0 to 1."""
    grid = np.asarray(numbers, dtype=np.int64)  # stored as unsigned bytes where there are no void pixels
    names = [VOID_COLOR, *(color(index) for index in range(max(0, int(grid.max()) + 1)))]
    tones = [[int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)] for name in names]
    return np.array(tones)[np.maximum(grid, -1) + 1]


def _parts(item: Panel, classes: Sequence[str]) -> None:
    pictures = [part for part in item["parts"] if part["kind"] in PICTURES]
    key = Key.PANEL.of(item["row"], item.get("group", ""))
    columns = column_row(len(pictures), key, OnPhone.WHOLE) if pictures else []
    for column, picture in zip(columns, pictures, strict=True):
        with column:
            PICTURES[picture["kind"]](picture, classes)
    if pictures:  # on one line, because the title of a small picture would break within a word
        st.caption(" · ".join(picture["title"] for picture in pictures))
    for part in item["parts"]:
        if part["kind"] in PARTS:
            PARTS[part["kind"]](part, item)


def _picture(part: PicturePart, classes: Sequence[str]) -> None:
    st.image(enlarged(_pixels(part)), width="stretch", alt=part["title"])


def _mask(part: ClassesPart, classes: Sequence[str]) -> None:
    st.image(enlarged(painted(part["values"])), width="stretch", alt=part["title"])


def _boxes(part: BoxesPart, classes: Sequence[str]) -> None:
    show_objects(_pixels(part), image_objects(part["boxes"], classes, part.get("scores")), part["title"])


# The kinds of parts that are drawn beside each other, and those with labels in their pictures
PICTURES: Mapping[str, Callable[[Any, Sequence[str]], None]] = {"picture": _picture, "classes": _mask, "boxes": _boxes}
LABELED = {"boxes"}


def _series(part: SeriesPart, item: Panel) -> None:
    key = Key.PANEL.of(item["row"], item.get("group", ""), part["title"])
    chart = overlaid(np.asarray(part["values"]), np.asarray(part["other"]))
    st.plotly_chart(chart, width="stretch", config={"displayModeBar": False}, key=key, alt=f"Chart: {part['title']}")


def _tags(part: TagsPart, item: Panel) -> None:
    st.caption(part["title"])
    tagged(part["words"], part["values"])


def _columns(part: ColumnsPart, item: Panel) -> None:
    rows = [
        {"column": name, "was": _cell(value), "reconstruction": _cell(part["other"][name])}
        for name, value in part["values"].items()
    ]
    st.dataframe(rows, hide_index=True, height=180)


# The kinds of parts that are drawn one below the other, after the pictures
PARTS: Mapping[str, Callable[[Any, Panel], None]] = {"series": _series, "tags": _tags, "columns": _columns}


def tagged(words: Sequence[str], tags: Sequence[str]) -> None:
    """Draw a text with colored entities, each with its kind."""
    import html

    marks, before = [], ""
    for word, tag in zip(words, tags, strict=False):
        kind = tag.partition("-")[2]
        begins, before = tag.startswith("B-") or kind != before, kind
        if kind:
            tone = color(1 + sum(map(ord, kind)) % (len(COLORS) - 1))
            name = f'<sup style="font-size:0.7rem">{html.escape(cut(kind, 20))}</sup>' if begins else ""
            marks.append(f'<span style="border-bottom:3px solid {tone}">{html.escape(word)}</span>{name}')
        else:
            marks.append(html.escape(word))
    st.html(f'<div style="line-height:1.9">{" ".join(marks)}</div>')


def _pixels(part: PicturePart | BoxesPart) -> np.ndarray:
    """Return a picture (C, H, W) as (H, W) or (H, W, 3)."""
    return channels_last(np.asarray(part["values"], dtype=np.float64))


def overlaid(before: np.ndarray, after: np.ndarray) -> go.Figure:
    """Return a chart of a series and its reconstruction, both (T, channels)."""
    import plotly.graph_objects as go

    traces = [
        {
            "type": "scatter",
            "y": values[:, channel],
            "mode": "lines",
            "name": name,
            "line": {"color": tone, "width": 1.6},
        }
        for values, name, tone in ((before, "input", TRAIN), (after, "reconstruction", VALIDATION))
        for channel in range(values.shape[1])
    ]
    return go.Figure(traces, {"height": 130, "margin": {**MARGIN, "t": 6}, "showlegend": False})


def separation_charts(separation: Separation, name: str = "") -> None:
    """Draw the separation of two groups of rows: a histogram of scores, the ROC curve, and the precision-recall curve.

    `name` distinguishes the widgets of several separations.
    """
    curved = bool(separation.get("precision"))
    left, *right = st.columns(3 if curved else 2)
    _draw(left, _histogram(separation), Key.ERRORS.of(name))
    if separation["false_positive_rate"]:
        _draw(right[0], _rates(separation), Key.ROC.of(name))
    if curved:
        _draw(right[1], _precision(separation), Key.PRECISION.of(name))


def _draw(place: DeltaGenerator, figure: go.Figure, key: str) -> None:
    place.plotly_chart(figure, width="stretch", key=key, alt=described(figure, "separation"))


def _precision(separation: Separation) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(x=separation["recall"], y=separation["precision"], mode="lines", line={"color": TRAIN})
    figure.update_layout(
        title={"text": "Precision and recall", "x": 0, "font": {"size": 15}},
        height=340,
        margin=MARGIN,
        xaxis_title="Recall",
        yaxis_title="Precision",
        showlegend=False,
    )
    figure.update_yaxes(range=[0, 1.02])
    return figure


def embedding_chart(embedding: Embedding) -> go.Figure:
    """Return a scatter plot of embeddings on their first two principal axes, colored by class."""
    import plotly.graph_objects as go

    figure = go.Figure()
    colors = COLORS[1:]  # without the color of the background
    for turn, name in enumerate(dict.fromkeys(sorted(embedding["names"]))):
        positions = [index for index, class_name in enumerate(embedding["names"]) if class_name == name]
        figure.add_scatter(
            x=[embedding["x"][index] for index in positions],
            y=[embedding["y"][index] for index in positions],
            mode="markers",
            marker={"size": 6, "color": colors[turn % len(colors)]},
            name=name,
        )
    figure.update_layout(
        title={"text": "Embeddings of test rows on their first two principal axes", "x": 0, "font": {"size": 15}},
        height=420,
        margin=MARGIN,
        xaxis_title="First axis",
        yaxis_title="Second axis",
    )
    return figure


def _histogram(separation: Separation) -> go.Figure:
    import plotly.graph_objects as go

    top = max([*separation["usual"], *separation["unusual"]], default=1.0)
    names = separation.get("names") or ("usual", "unusual")
    # Both groups in the same bins, and the largest score within the last one
    bins = {"start": 0, "end": top * 1.001, "size": top / 40 or 1}
    figure = go.Figure()
    for values, name, tone in ((separation["usual"], names[0], TRAIN), (separation["unusual"], names[1], VALIDATION)):
        figure.add_histogram(x=values, name=name, marker_color=tone, opacity=0.7, xbins=bins)
    if np.isfinite(separation["threshold"]):
        figure.add_vline(separation["threshold"], line_dash="dot", line_color="#94a3b8", annotation_text="threshold")
    figure.update_layout(
        title={"text": separation.get("score", "Errors"), "x": 0, "font": {"size": 15}},
        barmode="overlay",
        height=340,
        margin=MARGIN,
        xaxis_title=separation.get("score", "Error per row"),
        yaxis_title="Rows",
        legend={"orientation": "h", "x": 0, "y": -0.25, "yanchor": "top"},
    )
    return figure


def _rates(separation: Separation) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "color": "#94a3b8"}, name="chance")
    figure.add_scatter(
        x=separation["false_positive_rate"],
        y=separation["true_positive_rate"],
        mode="lines",
        line={"color": TRAIN},
        name="found",
    )
    figure.update_layout(
        title={"text": "ROC curve", "x": 0, "font": {"size": 15}},
        height=340,
        margin=MARGIN,
        xaxis_title="False positive rate",
        yaxis_title="True positive rate",
        showlegend=False,
    )
    return figure


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)

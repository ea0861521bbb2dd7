"""The predictions of a network for the same rows after each epoch, with a slider over the epochs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import streamlit as st

from netloom.core.text import cut, number
from netloom.store import RunArtifacts
from netloom.training.diagnostics import Predictions, read_samples
from netloom.training.diagnostics.prediction_cards import (
    Card,
    CardJson,
    ExampleCard,
    ExampleJson,
    ImageCard,
    MaskCard,
    NumbersCard,
    ObjectsCard,
    SeriesCard,
    TextCard,
    prediction_card,
    unpacked,
)
from netloom.ui.components.charts.charts import TRAIN, VALIDATION, over_one_height
from netloom.ui.components.curves.curve import drawing
from netloom.ui.components.examples.example_panels import painted
from netloom.ui.components.examples.image_urls import enlarged
from netloom.ui.components.examples.object_boxes import objects_html, swatch
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.train.state import Key, ReadFile, TrainState

CARD = "border:1px solid rgba(128,128,128,.28);border-radius:8px;padding:8px 10px;min-width:0;overflow-wrap:anywhere"
GRID = "display:grid;grid-template-columns:repeat(auto-fill,minmax({0}px,1fr));gap:10px;font-size:.85rem"
# As captions: a fainter text has a contrast below 4.5:1.
MUTED = "opacity:.68"
RIGHT = "#16a34a"
# Darker on white, and lighter on black, than the plain colors of a right answer and of curves.
READABLE = "color:color-mix(in srgb,{0} 65%,currentColor)"
# The size of images in pixels; larger with boxes.
SIZE, SIZE_OF_BOXES = 72, 108
MAX_LETTERS, MAX_NAMED = 16, 6  # of an object, and objects of an image
NOT_YET = "After the first epoch, this shows the predictions for a few validation rows."


def latest_predictions(artifacts: RunArtifacts, run_id: str, height: int) -> None:
    """Draw the rows with their predictions after the last epoch, in a part of the page that scrolls above a height in
    pixels."""
    samples = _samples(artifacts)
    if samples is None or not samples.epochs:
        st.caption(NOT_YET)
        return
    line = samples.epochs[-1]
    st.caption(f"Predictions for validation rows after epoch {line['epoch']}")
    # Streamlit's scrolling containers cannot be reached by the keyboard.
    st.html(
        f'<div tabindex="0" role="region" aria-label="Latest predictions" style="max-height:{height}px;overflow:auto">'
        f"{cards(samples.rows, line['said'])}</div>"
    )


def prediction_history(artifacts: RunArtifacts, run_id: str) -> None:
    """Draw the rows with their predictions after the last epoch, or after the chosen one."""
    samples = _samples(artifacts)
    if samples is None or not samples.epochs:
        st.caption(NOT_YET)
        return
    epochs = [line["epoch"] for line in samples.epochs]
    chosen_epochs = TrainState.current().epochs
    chosen = chosen_epochs.get(run_id)
    at = chosen if chosen in epochs else epochs[-1]
    if len(epochs) > 1:
        # One widget for the whole run, because a new one would lose the keyboard focus.
        key = Key.PREDICTIONS.of(run_id)
        if value_of(key) != at:
            set_value(key, at)

        def move() -> None:
            value = value_of(key)
            chosen_epochs[run_id] = None if value == epochs[-1] else value

        at = st.select_slider("After epoch", epochs, key=key, on_change=move)
    line = samples.epochs[epochs.index(at)]
    st.html(cards(samples.rows, line["said"]))
    is_generated = all(ExampleCard.from_json(row).is_generated for row in samples.rows)
    st.caption(
        "Generated from the same noise in every epoch."
        if is_generated
        else "Validation rows: the network is not trained on them. The rows stay the same during the whole run."
    )


def cards(rows: Sequence[ExampleJson], predictions: Sequence[CardJson]) -> str:
    """Return all rows as HTML with escaped contents."""
    examples = [ExampleCard.from_json(row) for row in rows]
    html_cards = [
        _card(example, prediction_card(prediction)) for example, prediction in zip(examples, predictions, strict=False)
    ]
    pictures = max((card.count("<figure") for card in html_cards), default=0)
    wide = any(isinstance(example.input, SeriesCard | TextCard) for example in examples)
    has_boxes = any(isinstance(example.target, ObjectsCard) for example in examples)
    # Room for a text, or for images side by side.
    size = SIZE_OF_BOXES if has_boxes else SIZE
    least = 300 if wide else max(20 + (size + 8) * pictures, 190 if examples and examples[0].true else 0)
    return f'<div style="{GRID.format(least)}">{"".join(html_cards)}</div>'


def _card(example: ExampleCard, prediction: Card) -> str:
    if isinstance(example.input, TextCard) and isinstance(prediction, TextCard) and not example.true:
        prompt = f'<span style="{MUTED}">{escape(example.input.text)}</span>'  # a text that the network continues
        return f'<div style="{CARD}">{prompt}<b>{escape(prediction.text)}</b></div>'
    parts = [
        _pictures(example, prediction),
        _input(example.input, prediction),
        _prediction(example, prediction),
        _true_text(example, prediction),
    ]
    if example.true:
        parts.append(f'<div style="{MUTED};font-size:.75rem">Row {example.row}</div>')
    return f'<div style="{CARD}">{"".join(parts)}</div>'


def _pictures(example: ExampleCard, prediction: Card) -> str:
    """Return the images and masks of an example and its prediction side by side."""
    titled = ((example.input, "Input"), (example.target, "True"), (prediction, "Predicted"))
    if isinstance(example.target, ObjectsCard) and isinstance(example.input, ImageCard):
        return _boxed_pictures(example.input, example.target, prediction)
    pictures = [picture for card, title in titled if (picture := _picture(card, title))]
    if not pictures:
        return ""
    if len(pictures) == 1:  # a single image needs no caption
        pictures = [pictures[0].partition("<figcaption")[0] + "</figure>"]
    return f'<div style="display:flex;gap:8px;flex-wrap:wrap">{"".join(pictures)}</div>'


def _boxed_pictures(picture: ImageCard, target: ObjectsCard, prediction: Card) -> str:
    """Return the image with the true and with the predicted objects; their names do not fit on it, and are below."""
    pixels, figures = unpacked(picture.image) / 255, []
    for card, title in ((target, "True"), (prediction, "Predicted")):
        if isinstance(card, ObjectsCard):
            image = objects_html(enlarged(pixels), card.objects, title, is_labeled=False)
            names = [
                f'<span style="white-space:nowrap">{swatch(item.number)}{escape(cut(item.title, MAX_LETTERS))}</span>'
                for item in card.objects[:MAX_NAMED]
            ]
            if len(card.objects) > MAX_NAMED:
                names.append(f"and {len(card.objects) - MAX_NAMED} more")
            figures.append(
                f'<figure style="margin:0;width:{SIZE_OF_BOXES}px">{image}<figcaption style="font-size:.75rem">'
                f'<span style="{MUTED}">{title}</span><br>{"<br>".join(names) or "no object"}</figcaption></figure>'
            )
    return f'<div style="display:flex;gap:8px;flex-wrap:wrap">{"".join(figures)}</div>'


def _picture(card: Card | None, title: str) -> str:
    """Return the image or mask of a card; "" if it has none."""
    match card:
        case ImageCard(image):
            return _image(unpacked(image), title)
        case MaskCard():
            return _image((painted(card.numbers()) * 255).round().astype(np.uint8), title)
        case _:
            return ""


def _input(card: Card | None, prediction: Card) -> str:
    """Return the input of an example, without images."""
    match card:
        case SeriesCard(values):
            return _series(values, prediction.values if isinstance(prediction, SeriesCard) else None)
        case TextCard(text):
            return f'<div style="{MUTED}">{escape(text[-160:])}</div>'
        case _:
            return ""


def _prediction(example: ExampleCard, prediction: Card) -> str:
    """Return a predicted text, or predicted numbers beside the true ones; "" for what is drawn beside the input."""
    match prediction, example.target:
        case NumbersCard(predicted), NumbersCard(true):
            return _numbers(true, predicted)
        case TextCard(text, share), _:
            tone = RIGHT if text == example.true else VALIDATION if share is not None else "currentColor"
            shown = f" <span style='{MUTED}'>{share:.0%}</span>" if share is not None else ""
            return f'<div>Predicted <b style="{READABLE.format(tone)}">{escape(text)}</b>{shown}</div>'
        case _:
            return ""


def _true_text(example: ExampleCard, prediction: Card) -> str:
    """Return the true target in words, unless the card shows it already."""
    match prediction, example.target:
        case (NumbersCard(), NumbersCard()) | (_, MaskCard() | ObjectsCard()):
            return ""
        case TextCard(text), _ if text == example.true:
            return ""
        case _:
            return f'<div style="{MUTED}">True: {escape(example.true[:120])}</div>' if example.true else ""


def _numbers(true: Sequence[float], predicted: Sequence[float]) -> str:
    """Return predicted numbers beside the targets and their differences, as HTML."""
    lines = [
        f'<div>Predicted <b style="{READABLE.format(TRAIN)}">{number(value)}</b> · true {number(true_value)} '
        f'<span style="{MUTED}">({number(value - true_value, 3, signed=True)})</span></div>'
        for value, true_value in zip(predicted[:4], true[:4], strict=False)
    ]
    return "".join(lines)


def _image(pixels: np.ndarray, title: str) -> str:
    from PIL import Image

    image = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure style="margin:0"><img src="data:image/png;base64,{data}" alt="{title}" width="{SIZE}" '
        f'style="image-rendering:pixelated;border-radius:4px;display:block">'
        f'<figcaption style="{MUTED};font-size:.75rem">{title}</figcaption></figure>'
    )


def _series(inputs: Sequence[Sequence[float]], predicted: Any) -> str:
    """Return a series (T, channels) and its reconstruction as a small image in HTML."""
    both = [np.asarray(values, dtype=np.float64) for values in (inputs, predicted) if values is not None]
    if len(both) == 1:  # a reconstruction is on the scale of its input
        both = [over_one_height(both[0])[0]]
    low, high = min(float(channels.min()) for channels in both), max(float(channels.max()) for channels in both)
    span = (high - low) or 1.0
    drawn = []
    for values, tone in zip(both, (TRAIN, VALIDATION), strict=False):
        for channel in values.T[:4]:
            apart = 260 / max(len(channel) - 1, 1)
            points = " ".join(
                f"{apart * index:.1f},{58 - 56 * (v - low) / span:.1f}" for index, v in enumerate(channel)
            )
            drawn.append(f'<polyline points="{points}" fill="none" stroke="{tone}" stroke-width="1.4"/>')
    return drawing("".join(drawn), 260, 60, "Input and reconstruction", "width:100%")


def _samples(artifacts: RunArtifacts) -> Predictions | None:
    """Return the predictions of a run, which are read again only if their file has changed."""
    path = artifacts.predictions
    if not path.exists():
        return None
    state, current_stamp = TrainState.current(), (str(path), path.stat().st_mtime_ns, path.stat().st_size)
    if state.predictions.stamp != current_stamp:
        state.predictions = ReadFile(current_stamp, read_samples(artifacts))
    return state.predictions.content

"""An explanation as one PNG, drawn without a browser: image overlays, colored words, bars and bands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.plots.colors import AGAINST, FOR, bound
from netloom.explain.plots.explanation_plots import PlotKind, column_labels, plot_kind, shared_scales
from netloom.explain.plots.figures import strongest

if TYPE_CHECKING:
    from PIL import Image

    from netloom.explain.core.explanation import Explanation

WIDTH, EDGE, SIZE, ROW = 900, 24, 17, 27
INK, FAINT = (28, 28, 40), (130, 130, 140)
STRONGEST = 0.85


def write_png(explanation: Explanation, path: Path) -> None:
    """Write the attributions of the input as PNG, or those of the layers if there are none.

    Raises:
        OSError: The file cannot be written.
    """
    sheets = [_heading(explanation)]
    pictures, listed = shared_scales(explanation)
    end = max(map(abs, listed), default=0.0)
    for name, values in explanation.attributions.items():
        kind = plot_kind(explanation, name)
        if len(explanation.attributions) > 1:
            sheets.append(_title(name))
        if kind is PlotKind.IMAGE:
            sheets.append(
                _picture(values.sum(0), explanation.example.images.get(name, explanation.example.image), pictures)
            )
        elif kind is PlotKind.TEXT:
            sheets.append(_words(explanation.labels[name], values, end))
        elif kind is PlotKind.BARS:
            sheets.append(_bars(values, column_labels(explanation, name), end))
        else:
            sheets.append(_map(values.reshape(len(values), -1).T))
    for node, values in () if explanation.attributions else explanation.nodes.items():
        maps = values.ndim == 3 and min(values.shape[1:]) > 1
        numbers = [f"{node} {index}" for index in range(values.size)]
        sheets.append(_picture(values.sum(0), None) if maps else _bars(values.ravel(), numbers))
    height = sum(sheet.height for sheet in sheets) + EDGE
    image = _empty(height)
    top = 0
    for sheet in sheets:
        image.paste(sheet, (0, top))
        top += sheet.height
    image.save(path, format="PNG")


def colored(values: np.ndarray, ground: np.ndarray | None = None, end: float | None = None) -> np.ndarray:
    """Color values (H, W) over a gray image (H, W) or over white, as (H, W, 3) in [0, 1].

    `end` is the limit of the scale, by default the largest magnitude.
    """
    # Colors are never fully opaque, so that the image shows through.
    strength = (np.abs(values) / (end or bound(values)))[..., None] * STRONGEST
    tones = [np.array([int(part) for part in tone.split(",")]) / 255 for tone in (FOR, AGAINST)]
    beneath = np.ones((*values.shape, 1)) if ground is None else np.clip(ground, 0, 1)[..., None]
    colors: np.ndarray = beneath * (1 - strength) + np.where(values[..., None] > 0, *tones) * strength
    return colors


def _empty(height: int) -> Image.Image:
    from PIL import Image

    return Image.new("RGB", (WIDTH, height), "white")


def _heading(explanation: Explanation) -> Image.Image:
    lines = [
        f"Prediction: {explanation.prediction.text[:70]}",
        *_wrapped(explanation.headline[:200]),
        *_wrapped(f"{explanation.verdict.title}: {explanation.verdict.sentence}"),
    ]
    sheet = _empty(EDGE + ROW * len(lines) + 10)
    for index, line in enumerate(lines):
        _write(sheet, (EDGE, EDGE + index * ROW), line, INK if index == 0 else FAINT)
    return sheet


def _title(name: str) -> Image.Image:
    sheet = _empty(ROW + 4)
    _write(sheet, (EDGE, 0), " ".join(name.split())[:70], INK)
    return sheet


def _wrapped(text: str, letters: int = 98) -> list[str]:
    from textwrap import wrap

    return wrap(" ".join(text.split()), letters)


def _picture(values: np.ndarray, image: Any, end: float | None = None) -> Image.Image:
    """Draw the image and, beside it, the overlay."""
    ground = None
    if image is not None and np.asarray(image).shape[:2] == values.shape:
        pixels = np.asarray(image, dtype=np.float64)
        ground = pixels if pixels.ndim == 2 else pixels.mean(2)
    side = (WIDTH - 3 * EDGE) // 2
    times = max(1, side // max(values.shape))
    sheet = _empty(values.shape[0] * times + EDGE)
    if ground is not None:
        sheet.paste(_pixels(np.clip(image, 0, 1), times), (EDGE, 0))
    sheet.paste(_pixels(colored(values, ground, end), times), (EDGE if ground is None else side + 2 * EDGE, 0))
    return sheet


def _pixels(values: np.ndarray, times: int) -> Image.Image:
    from PIL import Image

    numbers = (np.asarray(values) * 255).round().astype(np.uint8)
    return Image.fromarray(numbers.repeat(times, 0).repeat(times, 1)).convert("RGB")


def _map(values: np.ndarray) -> Image.Image:
    """Draw channels (D, T) as colored rows."""
    wide = WIDTH - 2 * EDGE
    # Nearest-neighbor resampling of the steps to the width of the sheet
    columns = np.arange(wide) * values.shape[1] // wide
    tall = max(4, min(90, 360 // len(values)))
    colors = colored(values)[:, columns].repeat(tall, 0)
    sheet = _empty(len(colors) + EDGE)
    sheet.paste(_pixels(colors, 1), (EDGE, 0))
    return sheet


def _bars(values: np.ndarray, names: list[str], end: float = 0.0) -> Image.Image:
    from PIL import ImageDraw

    shown_values, shown_names = strongest(values, names)
    sheet = _empty(ROW * len(shown_values) + EDGE)
    draw, middle = ImageDraw.Draw(sheet), 620
    reach, end = WIDTH - middle - 4 * EDGE, end or bound(shown_values)
    for index, (value, name) in enumerate(zip(shown_values, shown_names, strict=True)):
        top = index * ROW
        _write(sheet, (EDGE, top), name[:34], INK)
        far = middle + int(reach * float(value) / end)
        tone = tuple(int(part) for part in (FOR if value > 0 else AGAINST).split(","))
        draw.rectangle((min(middle, far), top + 3, max(middle, far), top + ROW - 5), fill=tone)
        _write(sheet, (WIDTH - 90, top), f"{value:+.3g}", FAINT)
    return sheet


def _words(labels: tuple[str, ...], values: np.ndarray, end: float = 0.0) -> Image.Image:
    from PIL import ImageDraw

    words = [(_legible(label), float(value)) for label, value in zip(labels, values, strict=False) if label]
    tones = colored(np.array([[value for _, value in words]]), end=end)[0] if words else []
    font, positions, x, y = _font(), [], EDGE, 0
    for label, _ in words:
        wide = int(font.getlength(label)) + 10
        if x + wide > WIDTH - EDGE:
            x, y = EDGE, y + ROW + 6
        positions.append((x, y, wide))
        x += wide + 4
    sheet = _empty(y + ROW + EDGE)
    draw = ImageDraw.Draw(sheet)
    for (label, _), (left, top, wide), tone in zip(words, positions, tones, strict=True):
        draw.rounded_rectangle((left, top, left + wide, top + ROW), 5, fill=tuple(int(255 * part) for part in tone))
        _write(sheet, (left + 5, top + 2), label, INK)
    return sheet


def _legible(label: str) -> str:
    """Replace characters that the font lacks."""
    return label.replace("\n", "↵").replace("⟨", "(").replace("⟩", ")")


def _write(sheet: Image.Image, position: tuple[int, int], text: str, color: tuple[int, int, int]) -> None:
    from PIL import ImageDraw

    ImageDraw.Draw(sheet).text(position, text, fill=color, font=_font())


def _font() -> Any:
    from PIL import ImageFont

    # This font is part of Pillow, so that no font has to be installed.
    return ImageFont.load_default(SIZE)

"""The colors of classes in masks, tags and boxes."""

from __future__ import annotations

# The first is that of the background of masks.
COLORS = ("#d4d4d8", "#6366f1", "#f59e0b", "#10b981", "#ef4444", "#06b6d4", "#d946ef", "#84cc16", "#f97316", "#64748b")
VOID_COLOR = "#18181b"  # of pixels without a class
# The luminance above which black text on a color has a higher contrast than white text, https://www.w3.org/TR/WCAG22
_LIGHT = 0.179


def color(index: int) -> str:
    """Return the color of a class by its index, where the first class is the background."""
    # Further classes repeat the colors, but not that of the background.
    return COLORS[index] if index < len(COLORS) else COLORS[1 + (index - 1) % (len(COLORS) - 1)]


def object_color(number: int) -> str:
    """Return the color of a class of objects by its number, where no class is the background."""
    return color(number + 1)


def text_color(background: str) -> str:
    """Return black or white, whichever is easier to read on a color such as "#6366f1"."""
    parts = (int(background[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > _LIGHT else "#ffffff"

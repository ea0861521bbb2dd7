"""Images, series and texts without content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from netloom.core.text import counted
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import MAX_EXAMPLES, Finding
from netloom.data.quality.quality_view import QualityView

MIN_DEVIATION = 1e-6


class EmptyExamples(QualityCheck):
    """Images of one color, series that are constant, texts without words."""

    title = "Examples without content"
    order = 100

    def check(self, view: QualityView) -> Iterator[Finding]:
        blank = [position for position, text in enumerate(view.texts) if not text.strip()]
        if blank:
            yield self._finding(view, blank, counted(len(blank), "text"), "without words")
        for name, values in view.fields_of_kind("image"):
            constant = _constant_examples(values)
            if len(constant):
                images = counted(len(constant), "image")
                yield self._finding(view, constant, images, f"of one color in the field {name!r}")
        for name, values in view.fields_of_kind("sequence"):
            constant = _constant_examples(values)
            if len(constant):
                series = counted(len(constant), "series", "series")
                verb = "changes" if len(constant) == 1 else "change"
                yield self._finding(view, constant, series, f"that never {verb} in the field {name!r}")

    def _finding(self, view: QualityView, positions: Sequence[int] | np.ndarray, examples: str, reason: str) -> Finding:
        return Finding(
            "empty_examples",
            "warning",
            f"There {'is' if len(positions) == 1 else 'are'} {examples} {reason}.",
            "Nothing can be learned from them; remove them from the file.",
            rows=view.row_numbers(positions[:MAX_EXAMPLES]),
            count=len(positions),
        )


def _constant_examples(values: np.ndarray) -> np.ndarray:
    """Positions of constant examples of (n, …); none if most are, as in a field of noise that is filled later."""
    deviations = values.reshape(len(values), -1).std(1)
    constant = np.flatnonzero(deviations < MIN_DEVIATION)
    return constant if len(constant) < len(values) / 2 else constant[:0]

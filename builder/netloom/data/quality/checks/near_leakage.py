"""Validation and test rows that are nearly equal to training rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.core.text import counted
from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import MAX_EXAMPLES, Finding
from netloom.data.quality.near_duplicates import (
    MIN_CORRELATION,
    MIN_JACCARD,
    SHINGLE,
    Pairs,
    near_images,
    near_numbers,
    near_texts,
)
from netloom.data.quality.quality_view import QualityView

MAX_DIFFERENCE = 0.3  # of two series, relative to how much the first varies


class NearLeakage(QualityCheck):
    """Images by a perceptual hash, texts by MinHash, numbers by their nearest neighbor."""

    title = "Test rows that are nearly equal to a training row"
    order = 150
    is_slow = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        train, held_out = np.flatnonzero(view.split_index == 0), np.flatnonzero(view.split_index > 0)
        if view.has_overlapping_rows or not len(train) or not len(held_out):
            return
        pairs, method = _near_pairs(view, train, held_out)
        # Exact copies are the finding of another check.
        pairs = [(first, second) for first, second in pairs if view.content_codes[first] != view.content_codes[second]]
        train_row_of = dict(reversed(pairs))  # the first training row of each held-out row
        if not train_row_of:
            return
        count = len(train_row_of)
        yield Finding(
            "near_leakage",
            "warning",
            f"{counted(count, 'row')} of the {len(held_out):,} validation and test rows "
            f"{'is' if count == 1 else 'are'} nearly equal to a training row.",
            "If they come from one source, such as frames of one video or copies of one text, split by that source; "
            "otherwise test scores can be too high.",
            pairs=tuple(
                (int(view.rows[first]), int(view.rows[second]))
                for first, second in list(train_row_of.items())[:MAX_EXAMPLES]
            ),
            count=count,
            fix=fixes.split_by(view, "group", "Split by group") if view.data.raw.groups is not None else None,
            method=method,
        )


def _near_pairs(view: QualityView, train: np.ndarray, held_out: np.ndarray) -> tuple[Pairs, str]:
    """Pairs of a held-out and a training position, and the description of the method."""
    if view.texts:
        return near_texts(view.texts, train, held_out), (
            f"Texts that share {MIN_JACCARD:.0%} of their sequences of {SHINGLE} characters, found by MinHash; "
            "paraphrases are not found."
        )
    images = [values for _, values in view.fields_of_kind("image")]
    if images:
        return near_images(images[0], train, held_out), (
            "Images whose difference hashes agree in all but a few of 64 bits and that correlate above "
            f"{MIN_CORRELATION} at 16×16; rotated or mirrored copies are not found."
        )
    # Imputed numbers are equal in many rows, which would make rows with missing numbers near each other.
    train, held_out = train[view.is_complete[train]], held_out[view.is_complete[held_out]]
    parts = [
        values.reshape(len(view), -1) for kind in ("vector", "sequence") for _, values in view.fields_of_kind(kind)
    ]
    if not parts:
        return [], ""
    values = np.concatenate(parts, axis=1)
    pairs = near_numbers(values, train, held_out)
    if any(view.fields_of_kind("sequence")):
        pairs = [(first, second) for first, second in pairs if _are_similar(values[first], values[second])]
    return pairs, "Rows that are closer to a training row than a tenth of the usual distance between training rows."


def _are_similar(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether the difference of two series is small relative to the variation of the first.

    Two faint sounds are near each other in any case.
    """
    variation = float(np.linalg.norm(first - first.mean()))
    return float(np.linalg.norm(first - second)) < MAX_DIFFERENCE * variation

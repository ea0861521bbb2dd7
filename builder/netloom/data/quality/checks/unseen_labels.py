"""Labels of validation and test rows that no training row has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from netloom.core.text import counted
from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import MAX_EXAMPLES, Finding, quoted
from netloom.data.quality.quality_view import SPLITS, QualityView
from netloom.data.settings.label_merging import normal
from netloom.data.targets import target_of


@dataclass(frozen=True)
class _TargetLabels:
    """The labels of one target.

    Attributes:
        counts: Rows with each label, by split (3, labels).
        indices: The label or labels of each row, (R,) or (R, several); negative where there is none.
    """

    name: str
    classes: tuple[str, ...]
    counts: np.ndarray
    indices: np.ndarray


class UnseenLabels(QualityCheck):
    """Labels that are measured but can never be predicted."""

    title = "Labels of validation or test rows that training never has"
    order = 30
    is_in_overview = True
    invalidates_results = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        for labels in _target_labels(view):
            train, held_out = labels.counts[0], labels.counts[1:].sum(0)
            unseen = np.flatnonzero((train == 0) & (held_out > 0))
            if len(unseen):
                yield self._finding(view, labels, unseen)

    def _finding(self, view: QualityView, labels: _TargetLabels, unseen: np.ndarray) -> Finding:
        names = [labels.classes[index] for index in unseen]
        held_out = np.concatenate([view.data.split[part].numpy() for part in SPLITS[1:]])
        is_unseen = np.isin(labels.indices[held_out], unseen)
        rows = held_out[is_unseen if is_unseen.ndim == 1 else is_unseen.any(axis=1)]  # (R,), or (R, several)
        spellings = _spellings(labels, unseen)
        without_match = [name for name in names if name not in spellings]
        advice = []
        if spellings:
            examples = ", ".join(f"{name!r} as {trained!r}" for name, trained in list(spellings.items())[:4])
            advice.append(f"Some differ from a label of training in case, spaces or punctuation only: {examples}.")
        if without_match:
            advice.append(
                f"The training rows do not have the labels {quoted(without_match)}: correct them in the file, or split "
                "so that training has some of them."
            )
        return Finding(
            "unseen_labels",
            "error",
            f"{counted(len(rows), 'row')} of the {len(held_out):,} validation and test rows "
            f"{'has' if len(rows) == 1 else 'have'} {'a label' if len(names) == 1 else 'labels'} of {labels.name!r} "
            f"that no training row has: {quoted(names)}.",
            f"{' '.join(advice)} The network cannot learn to predict them, so it is wrong on each of these rows.",
            columns=(labels.name,),
            rows=tuple(np.sort(rows)[:MAX_EXAMPLES].tolist()),
            count=len(rows),
            fix=fixes.treat_as_same(view, labels.name, spellings) if spellings else None,
            exact=True,
        )


def _target_labels(view: QualityView) -> Iterator[_TargetLabels]:
    """Yield the labels of each target that has any."""
    spec, values = view.data.schema.target, view.data.target.numpy()
    for target in target_of(spec.kind).labels(spec, values):
        counts = np.zeros((len(SPLITS), len(target.classes)), dtype=np.int64)
        for index, part in enumerate(SPLITS):
            indices = target.numbers[view.data.split[part].numpy()].ravel()
            counts[index] = np.bincount(indices[indices >= 0], minlength=len(target.classes))[: len(target.classes)]
        yield _TargetLabels(target.name, target.classes, counts, target.numbers)


def _spellings(labels: _TargetLabels, unseen: np.ndarray) -> dict[str, str]:
    """Return the unseen labels that are another spelling of a label of training, with the most frequent such label."""
    trained: dict[str, str] = {}
    # From the most frequent, so that `setdefault` keeps the most frequent spelling.
    for index in np.argsort(-labels.counts[0], kind="stable").tolist():
        if labels.counts[0][index]:
            trained.setdefault(normal(labels.classes[index]), labels.classes[index])
    names = [labels.classes[index] for index in unseen]
    return {name: trained[normal(name)] for name in names if normal(name) in trained}

"""Labels of validation and test rows that training never has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from netloom.data.preparation.label_merging import normal
from netloom.data.quality import fixes
from netloom.data.quality.finding import SHOWN, Finding, are, named
from netloom.data.quality.quality_view import NAMES, Look
from netloom.data.targets import target_of


@dataclass(frozen=True)
class _Labels:
    """How many rows of each part have each of the labels (3, labels), and the label or labels of a row."""

    name: str
    classes: tuple[str, ...]
    counts: np.ndarray
    applies: np.ndarray  # (R,) or (R, several) numbers of labels


class UnseenLabels:
    """Labels that are measured and can never be predicted: no training row has them."""

    title = "Labels of validation or test rows that training never has"
    heavy = False
    severe = True

    def check(self, look: Look) -> Iterator[Finding]:
        for labels in _labels(look):
            train, held = labels.counts[0], labels.counts[1:].sum(0)
            unseen = np.flatnonzero((train == 0) & (held > 0))
            if len(unseen):
                yield self._finding(look, labels, unseen)

    def _finding(self, look: Look, labels: _Labels, unseen: np.ndarray) -> Finding:
        names = [labels.classes[place] for place in unseen]
        held = np.concatenate([look.data.split[part].numpy() for part in NAMES[1:]])
        inside = np.isin(labels.applies[held], unseen)
        rows = held[inside if inside.ndim == 1 else inside.any(axis=1)]
        same = _spellings(labels, unseen)
        others = [name for name in names if name not in same]
        advice = []
        if same:
            shown = ", ".join(f"{one!r} as {other!r}" for one, other in list(same.items())[:4])
            advice.append(f"Some differ from a label of training in case, spaces or punctuation alone: {shown}.")
        if others:
            advice.append(
                f"Nothing in training is called {named(others)}: correct these labels in the file, or split so that "
                "training has some of them."
            )
        return Finding(
            "unseen_labels",
            "error",
            f"{are(len(rows), 'row')} of the {len(held):,} validation and test rows "
            f"{'has' if len(rows) == 1 else 'have'} {'a label' if len(names) == 1 else 'labels'} of {labels.name!r} "
            f"that no training row has: {named(names)}.",
            f"{' '.join(advice)} The network cannot learn to predict them, so it is wrong on each of these rows.",
            columns=(labels.name,),
            rows=tuple(np.sort(rows)[:SHOWN].tolist()),
            count=len(rows),
            fix=fixes.treat_as_same(look, labels.name, same) if same else None,
            exact=True,
        )


def _labels(look: Look) -> Iterator[_Labels]:
    """The labels of each target, where it has any."""
    spec, values = look.data.schema.target, look.data.target.numpy()
    for found in target_of(spec.kind).labels(spec, values):
        yield _counted(look, found.name, found.classes, found.numbers)


def _counted(look: Look, name: str, classes: tuple[str, ...], places: np.ndarray) -> _Labels:
    counts = np.zeros((len(NAMES), len(classes)), dtype=np.int64)
    for part, title in enumerate(NAMES):
        found = places[look.data.split[title].numpy()].ravel()
        counts[part] = np.bincount(found[found >= 0], minlength=len(classes))[: len(classes)]
    return _Labels(name, classes, counts, places)


def _spellings(labels: _Labels, unseen: np.ndarray) -> dict[str, str]:
    """Labels that are one of training but for their spelling, with the commonest of those."""
    known: dict[str, str] = {}
    for place in np.argsort(-labels.counts[0], kind="stable").tolist():
        if labels.counts[0][place]:
            known.setdefault(normal(labels.classes[place]), labels.classes[place])
    names = [labels.classes[place] for place in unseen]
    return {name: known[normal(name)] for name in names if normal(name) in known}

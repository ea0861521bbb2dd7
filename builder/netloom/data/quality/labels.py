"""Labels that may be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from netloom.data.quality.finding import SHOWN, Finding, are
from netloom.data.quality.near_duplicates import shrunk
from netloom.data.quality.quality_view import Look

MOST = 5_000  # rows
FOLDS = 3
NEIGHBOURS = 10
COMPONENTS = 50
KNOWS = 0.5  # of what guessing the most frequent class leaves to be known, how much the model has to know
UNLIKELY = 0.2  # what a wrong label's probability is at most
METHOD = (
    "Confident learning in its simplest form (https://arxiv.org/abs/1911.00068): each row is judged by a model that "
    "did not see it, in {folds} folds; a label is doubted where it got at most {unlikely:.0%} and another class at "
    "least what rows of that class usually get. The model is {model} on simple features, right in {right:.0%} of all "
    "rows: where it is weak, it doubts what is merely difficult, and what is wrong in a regular way it takes for "
    "right. A model that knows less than half of what there is to know is not asked."
)


class LabelNoise:
    """Rows whose label a simple model, which did not see them, finds very unlikely."""

    title = "Labels that may be wrong"
    heavy = True
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        labels = look.labels
        if labels is None or len(look.classes) < 2:
            return
        places = np.arange(len(look))
        if len(places) > MOST:
            places = np.sort(np.random.default_rng(0).choice(places, MOST, replace=False))
        # A class of a few rows cannot be told in folds.
        counts = np.bincount(labels[places], minlength=len(look.classes))
        places = places[counts[labels[places]] >= 2 * FOLDS]
        if len(np.unique(labels[places])) < 2 or len(places) < 50:
            return
        shares, known, model = out_of_fold(features(look, places), labels[places])
        given = np.searchsorted(known, labels[places])
        right = float((shares.argmax(1) == given).mean())
        guessed = float(np.bincount(given).max() / len(given))
        doubted, instead = doubts(shares, given)
        if not len(doubted) or right - guessed < KNOWS * (1 - guessed):
            return
        worst = doubted[np.argsort(shares[doubted, given[doubted]])][:SHOWN]
        names = look.classes
        yield Finding(
            "label_noise",
            "hint",
            f"{are(len(doubted), 'label')} of {len(places):,} may be wrong.",
            "Look at them, and correct the file where they are; do not drop them unseen, as some are merely difficult.",
            rows=look.named(places[worst]),
            notes=tuple(f"{names[known[given[row]]]} → {names[known[instead[row]]]}?" for row in worst),
            count=len(doubted),
            method=METHOD.format(folds=FOLDS, unlikely=UNLIKELY, model=model, right=right),
        )


def doubts(shares: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which rows' labels are doubted, and for every row the class that is likely instead."""
    every = np.arange(len(given))
    own = shares[every, given]
    usual = np.array([own[given == number].mean() for number in range(shares.shape[1])])
    others = np.where(shares >= usual, shares, 0.0)
    others[every, given] = 0.0
    instead = others.argmax(1)
    return np.flatnonzero((others.max(1) > 0) & (own <= UNLIKELY) & (own < usual[given])), instead


def out_of_fold(values: Any, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """The probability of each class for each row (n, K) by a model that did not see it, the classes in order, and the
    model's name: the better of a linear one and one by neighbours."""
    from sklearn.model_selection import StratifiedKFold

    known = np.unique(labels)
    found = {name: np.zeros((len(labels), len(known))) for name in ("a logistic regression", "its nearest neighbours")}
    for train, held in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(np.zeros(len(labels)), labels):
        for shares, model in zip(found.values(), _models(), strict=True):
            shares[held] = model.fit(values[train], labels[train]).predict_proba(values[held])
    place = np.searchsorted(known, labels)
    name = max(found, key=lambda model: float((found[model].argmax(1) == place).mean()))
    return found[name], known, name


def _models() -> tuple[Any, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    return LogisticRegression(max_iter=60, tol=1e-2), KNeighborsClassifier(NEIGHBOURS, weights="distance")


def features(look: Look, places: np.ndarray) -> Any:
    """Simple features of rows (n, D): numbers as the network gets them, pictures at 16×16, series with their spectrum,
    counts of words; at most `COMPONENTS` directions of them."""
    from sklearn.decomposition import PCA, TruncatedSVD

    if look.texts:
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=20_000)
        try:
            counts = words.fit_transform([look.texts[place] for place in places])
        except ValueError:  # no word stands in two texts
            return np.zeros((len(places), 1))
        if counts.shape[1] <= COMPONENTS:
            return counts.toarray()
        return TruncatedSVD(2 * COMPONENTS if counts.shape[1] > 4 * COMPONENTS else COMPONENTS).fit_transform(counts)
    rows = look.rows[places]
    parts = []
    for field in look.data.schema.inputs:
        values = look.data.inputs[field.name][rows].numpy()
        if field.is_image:
            side = min(16, *values.shape[2:])
            parts.append(shrunk(values, side, side).reshape(len(rows), -1))
        elif field.is_sequence:
            spectrum = np.abs(np.fft.rfft(values, axis=1))[:, :256].reshape(len(rows), -1)
            parts += [values.reshape(len(rows), -1)[:, :512], np.log1p(spectrum)]
        elif field.is_vector:
            parts.append(values)
        else:
            parts.append(_hot(values))
    whole = np.nan_to_num(np.concatenate(parts, axis=1).astype(np.float64))
    whole = np.clip((whole - whole.mean(0)) / np.maximum(whole.std(0), 1e-6), -10, 10)
    if whole.shape[1] <= COMPONENTS:
        return whole
    return PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit_transform(whole)


def _hot(numbers: np.ndarray) -> np.ndarray:
    """A column for each common value of each place of (n, F)."""
    columns = [
        (numbers[:, place] == value).astype(np.float64)
        for place in range(min(numbers.shape[1], 30))
        for value in np.argsort(-np.bincount(numbers[:, place]))[:20]
    ]
    return np.column_stack(columns)

"""Labels that may be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from netloom.core.text import counted
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.finding import MAX_EXAMPLES, Finding
from netloom.data.quality.near_duplicates import downscale
from netloom.data.quality.quality_view import QualityView

MAX_ROWS = 5_000
MIN_ROWS = 50
FOLDS = 3
NEIGHBORS = 10
COMPONENTS = 50
MIN_SKILL = 0.5  # of the model: how much of the errors of guessing the most frequent class it avoids
MAX_PROBABILITY = 0.2  # of a wrong label
METHOD = (
    "Confident learning in its simplest form (https://arxiv.org/abs/1911.00068): each row is judged by a model that "
    "was not trained on it, in {folds} folds; a label is doubted if its probability is at most {unlikely:.0%} and that "
    "of another class is at least the mean over the rows of that class. The model is {model} on simple features, with "
    "an accuracy of {accuracy:.0%}: where it is weak, it doubts rows that are merely difficult, and it accepts "
    "systematic errors. A model that avoids less than half of the errors of guessing is not used."
)


class LabelNoise(QualityCheck):
    """Rows whose label is very unlikely to a simple model that was not trained on them."""

    title = "Labels that may be wrong"
    order = 160
    is_slow = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        if view.labels is None or len(view.classes) < 2:
            return
        positions = np.arange(len(view))
        if len(positions) > MAX_ROWS:
            positions = np.sort(np.random.default_rng(0).choice(positions, MAX_ROWS, replace=False))
        # Each fold needs rows of each class for training.
        counts = np.bincount(view.labels[positions], minlength=len(view.classes))
        positions = positions[counts[view.labels[positions]] >= 2 * FOLDS]
        if len(np.unique(view.labels[positions])) < 2 or len(positions) < MIN_ROWS:
            return
        probabilities, present, model = out_of_fold(features(view, positions), view.labels[positions])
        labels = np.searchsorted(present, view.labels[positions])
        accuracy = float((probabilities.argmax(1) == labels).mean())
        baseline = float(np.bincount(labels).max() / len(labels))
        doubted, alternatives = doubts(probabilities, labels)
        if not len(doubted) or accuracy - baseline < MIN_SKILL * (1 - baseline):
            return
        worst = doubted[np.argsort(probabilities[doubted, labels[doubted]])][:MAX_EXAMPLES]
        names = [view.classes[index] for index in present]
        yield Finding(
            "label_noise",
            "hint",
            f"{counted(len(doubted), 'label')} of {len(positions):,} may be wrong.",
            "Check them, and correct the wrong ones in the file. Do not drop all of them: some are only difficult.",
            rows=view.row_numbers(positions[worst]),
            notes=tuple(f"{names[labels[row]]} → {names[alternatives[row]]}?" for row in worst),
            count=len(doubted),
            method=METHOD.format(folds=FOLDS, unlikely=MAX_PROBABILITY, model=model, accuracy=accuracy),
        )


def doubts(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels that are likely to be wrong.

    Args:
        probabilities: (n, K), out of fold.
        labels: Class indices (n,).

    Returns:
        The rows of doubted labels, and for every row the class that is likely instead (n,).
    """
    rows = np.arange(len(labels))
    of_label = probabilities[rows, labels]
    mean_of_class = np.array([of_label[labels == index].mean() for index in range(probabilities.shape[1])])
    # The thresholds of confident learning: the mean probability of a class over its rows
    confident = np.where(probabilities >= mean_of_class, probabilities, 0.0)
    confident[rows, labels] = 0.0
    alternatives = confident.argmax(1)
    is_doubted = (confident.max(1) > 0) & (of_label <= MAX_PROBABILITY) & (of_label < mean_of_class[labels])
    return np.flatnonzero(is_doubted), alternatives


def out_of_fold(values: Any, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Predict the class of each row with a model that was not trained on it.

    Two models are cross-validated, and the more accurate one is used: logistic regression wins where classes are
    linear, nearest neighbors where they are clusters.

    Returns:
        The probabilities (n, K), the K class indices that occur, and the name of the model.
    """
    from sklearn.model_selection import StratifiedKFold

    present = np.unique(labels)
    probabilities = {
        name: np.zeros((len(labels), len(present))) for name in ("a logistic regression", "its nearest neighbors")
    }
    for train, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(np.zeros(len(labels)), labels):
        for predicted, model in zip(probabilities.values(), _models(), strict=True):
            predicted[held_out] = model.fit(values[train], labels[train]).predict_proba(values[held_out])
    indices = np.searchsorted(present, labels)
    name = max(probabilities, key=lambda model: float((probabilities[model].argmax(1) == indices).mean()))
    return probabilities[name], present, name


def _models() -> tuple[Any, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    return LogisticRegression(max_iter=60, tol=1e-2), KNeighborsClassifier(NEIGHBORS, weights="distance")


def features(view: QualityView, positions: np.ndarray) -> Any:
    """Simple features (n, D) of rows: encoded numbers, images at 16×16, series with their spectrum, TF-IDF of words.

    More than `COMPONENTS` features are reduced by PCA, or by truncated SVD if they are sparse.
    """
    if view.texts:
        return _text_features([view.texts[position] for position in positions])
    from sklearn.decomposition import PCA

    rows = view.rows[positions]
    parts = []
    for field in view.data.schema.inputs:
        values = view.data.inputs[field.name][rows].numpy()
        if field.is_image:
            side = min(16, *values.shape[2:])
            parts.append(downscale(values, side, side).reshape(len(rows), -1))
        elif field.is_sequence:
            spectrum = np.abs(np.fft.rfft(values, axis=1))[:, :256].reshape(len(rows), -1)
            parts += [values.reshape(len(rows), -1)[:, :512], np.log1p(spectrum)]
        elif field.is_vector:
            parts.append(values)
        else:
            parts.append(_one_hot(values))
    table = np.nan_to_num(np.concatenate(parts, axis=1).astype(np.float64))
    # Clipped, as outliers would dominate the principal components
    table = np.clip((table - table.mean(0)) / np.maximum(table.std(0), 1e-6), -10, 10)
    if table.shape[1] <= COMPONENTS:
        return table
    return PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit_transform(table)


def _text_features(texts: list[str]) -> Any:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=20_000)
    try:
        weights = vectorizer.fit_transform(texts)
    except ValueError:  # no word occurs in two texts
        return np.zeros((len(texts), 1))
    if weights.shape[1] <= COMPONENTS:
        return weights.toarray()
    components = 2 * COMPONENTS if weights.shape[1] > 4 * COMPONENTS else COMPONENTS
    return TruncatedSVD(components).fit_transform(weights)


def _one_hot(codes: np.ndarray) -> np.ndarray:
    """Return a column for each frequent code at each position of (n, F)."""
    columns = [
        (codes[:, position] == code).astype(np.float64)
        for position in range(min(codes.shape[1], 30))
        for code in np.argsort(-np.bincount(codes[:, position]))[:20]
    ]
    return np.column_stack(columns)

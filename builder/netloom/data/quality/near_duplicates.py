"""Rows that are measured on and are nearly the same as one in training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.finding import SHOWN, Finding, are
from netloom.data.quality.quality_view import Look

HAMMING = 6  # bits of 64 in which the hashes of two pictures of one thing may differ
CORRELATION = 0.992  # of what is left of two pictures at 16×16
JACCARD = 0.8
SHINGLE, HASHES, BAND = 5, 32, 4
NEAREST = 0.1  # of the usual distance to the nearest row
OWN = 0.3  # of how much a series moves itself
MANY = 1_000  # rows at a time
_PRIME = (1 << 31) - 1


class NearLeakage:
    """Pictures by a perceptual hash, texts by MinHash over runs of letters, numbers by their nearest row."""

    title = "Test rows that are nearly the same as a training row"
    heavy = True
    severe = False

    def check(self, look: Look) -> Iterator[Finding]:
        train, held = np.flatnonzero(look.part == 0), np.flatnonzero(look.part > 0)
        if look.overlapping or not len(train) or not len(held):
            return
        pairs, method = self._pairs(look, train, held)
        # What is the same exactly is another finding.
        pairs = [(one, two) for one, two in pairs if look.contents[one] != look.contents[two]]
        found = dict(reversed(pairs))
        if not found:
            return
        yield Finding(
            "near_leakage",
            "warning",
            f"{are(len(found), 'row')} of the {len(held):,} validation and test rows "
            f"{'is' if len(found) == 1 else 'are'} nearly the same as a training row.",
            "If they come from one thing, such as frames of one film or copies of one text, split by what they belong "
            "to, or the result looks better than it is.",
            pairs=tuple((int(look.rows[one]), int(look.rows[two])) for one, two in list(found.items())[:SHOWN]),
            count=len(found),
            fix=fixes.split_by(look, "group", "Split by group") if look.data.raw.groups is not None else None,
            method=method,
        )

    def _pairs(self, look: Look, train: np.ndarray, held: np.ndarray) -> tuple[list[tuple[int, int]], str]:
        if look.texts:
            return near_texts(look.texts, train, held), (
                f"Texts that share {JACCARD:.0%} of their runs of {SHINGLE} letters, found by MinHash; texts that say "
                "the same in other words are not found."
            )
        pictures = [values for _, values in look.dense("image")]
        if pictures:
            return near_pictures(pictures[0], train, held), (
                "Pictures whose difference hashes agree in all but a few of 64 bits and that correlate above "
                f"{CORRELATION} at 16×16; turned or mirrored copies are not found."
            )
        # Where numbers are missing, the same stands in, so that such rows are near each other by that alone.
        train, held = train[look.complete[train]], held[look.complete[held]]
        values = [one.reshape(len(look), -1) for kind in ("vector", "sequence") for _, one in look.dense(kind)]
        if not values:
            return [], ""
        whole = np.concatenate(values, axis=1)
        pairs = near_numbers(whole, train, held)
        if look.dense("sequence"):
            pairs = [(one, two) for one, two in pairs if _alike(whole[one], whole[two])]
        return pairs, (
            "Rows whose nearest training row is closer than a tenth of the usual distance between training rows."
        )


def _alike(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether what differs in two series is little beside what they are: two faint sounds are near each other, too."""
    moves = float(np.linalg.norm(one - one.mean()))
    return float(np.linalg.norm(one - two)) < OWN * moves


def near_pictures(pictures: np.ndarray, train: np.ndarray, held: np.ndarray) -> list[tuple[int, int]]:
    """Places of near pairs among pictures (n, C, H, W)."""
    small = shrunk(pictures, 16, 16).reshape(len(pictures), -1)
    small = small - small.mean(1, keepdims=True)
    length = np.linalg.norm(small, axis=1)
    whole = length > 1e-3 * np.sqrt(small.shape[1])
    small = small / np.maximum(length, 1e-9)[:, None]
    grid = shrunk(pictures, 8, 9)
    signs = np.where(grid[:, :, 1:] > grid[:, :, :-1], 1.0, -1.0).reshape(len(pictures), -1).astype(np.float32)
    found = []
    for start in range(0, len(held), MANY):
        rows = held[start : start + MANY]
        # Of vectors of ±1, the product tells in how many places they agree.
        agree = signs[rows] @ signs[train].T
        for one, two in zip(*np.nonzero(agree >= 64 - 2 * HAMMING), strict=True):
            a, b = rows[one], train[two]
            if whole[a] and whole[b] and float(small[a] @ small[b]) > CORRELATION:
                found.append((int(a), int(b)))
    return found


def shrunk(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Grey pictures (n, height, width), each pixel the mean of the area that it covers."""
    import torch
    from torch.nn import functional

    grey = torch.from_numpy(np.ascontiguousarray(pictures, dtype=np.float32)).mean(1, keepdim=True)
    if grey.shape[2] >= height and grey.shape[3] >= width:
        found = functional.adaptive_avg_pool2d(grey, (height, width))
    else:
        found = functional.interpolate(grey, (height, width), mode="bilinear", align_corners=False)
    return np.asarray(found[:, 0].numpy())


def near_texts(texts: list[str], train: np.ndarray, held: np.ndarray) -> list[tuple[int, int]]:
    """Places of near pairs among texts (https://en.wikipedia.org/wiki/MinHash)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    shingles = HashingVectorizer(
        analyzer="char", ngram_range=(SHINGLE, SHINGLE), binary=True, norm=None, alternate_sign=False, n_features=2**20
    ).transform(texts)
    sizes = np.diff(shingles.indptr)
    signatures = _signatures(shingles.indices, shingles.indptr)
    candidates: set[tuple[int, int]] = set()
    for start in range(0, HASHES, BAND):
        _, bucket = np.unique(signatures[:, start : start + BAND], axis=0, return_inverse=True)
        bucket = bucket.ravel()
        known: dict[int, list[int]] = {}
        for place in train[sizes[train] > 0].tolist():
            known.setdefault(int(bucket[place]), []).append(place)
        for place in held[sizes[held] > 0].tolist():
            candidates.update((place, other) for other in known.get(int(bucket[place]), ())[:20])
    if not candidates:
        return []
    one, two = np.array(sorted(candidates)).T
    common = np.asarray(shingles[one].multiply(shingles[two]).sum(1)).ravel()
    share = common / (sizes[one] + sizes[two] - common)
    return [(int(a), int(b)) for a, b, near in zip(one, two, share >= JACCARD, strict=True) if near]


def _signatures(indices: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """For each text the least of its shingles' numbers under each of several hashes (n, HASHES)."""
    random = np.random.default_rng(0)
    found = np.full((len(bounds) - 1, HASHES), _PRIME, dtype=np.int64)
    some = np.flatnonzero(np.diff(bounds))
    values = indices.astype(np.int64)
    for place in range(HASHES):
        hashed = (values * int(random.integers(1, _PRIME)) + int(random.integers(_PRIME))) % _PRIME
        if len(some):
            found[some, place] = np.minimum.reduceat(hashed, bounds[some])
    return found


def near_numbers(values: np.ndarray, train: np.ndarray, held: np.ndarray) -> list[tuple[int, int]]:
    """Places of near pairs among rows (n, D) of numbers in like units."""
    from sklearn.neighbors import NearestNeighbors

    width = values.shape[1]
    if len(train) < 3 or not len(held):
        return []
    known = NearestNeighbors(n_neighbors=1).fit(values[train])
    # The first neighbor of a training row is that row itself.
    usual = float(np.median(known.kneighbors(values[train[:200]], 2)[0][:, 1]))
    # So near that by chance, in so many dimensions, about one in fifty reports has one such row.
    near = usual * min(NEAREST, (0.02 / len(held)) ** (1 / min(width, 12)))
    distances, places = (found[:, 0] for found in known.kneighbors(values[held]))
    return [(int(a), int(train[b])) for a, b, d in zip(held, places, distances, strict=True) if d < near]

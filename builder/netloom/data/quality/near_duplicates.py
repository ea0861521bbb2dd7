"""Search for nearly equal images, texts and rows of numbers between two sets of positions."""

from __future__ import annotations

import numpy as np

HAMMING = 6  # bits of 64 by which the difference hashes of two images of one scene may differ
MIN_CORRELATION = 0.992  # of two images at 16×16
MIN_JACCARD = 0.8
SHINGLE, HASHES, BAND = 5, 32, 4  # characters of a shingle; hashes of a signature, and of a band of it
MAX_DISTANCE = 0.1  # of the median distance between a training row and its nearest neighbor
_ROWS_AT_ONCE = 1_000
_MAX_BUCKET = 20  # candidates per text and band: identical boilerplate would make their number quadratic
_PRIME = (1 << 31) - 1
Pairs = list[tuple[int, int]]


def near_images(images: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> Pairs:
    """Pairs of a held-out and a training position of nearly equal images (n, C, H, W).

    Difference hashes (https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html) propose pairs,
    and the correlation at 16×16 confirms them.
    """
    small = downscale(images, 16, 16).reshape(len(images), -1)
    small = small - small.mean(1, keepdims=True)
    norms = np.linalg.norm(small, axis=1)
    has_contrast = norms > 1e-3 * np.sqrt(small.shape[1])  # the correlation of flat images is noise
    small = small / np.maximum(norms, 1e-9)[:, None]
    grid = downscale(images, 8, 9)
    signs = np.where(grid[:, :, 1:] > grid[:, :, :-1], 1.0, -1.0).reshape(len(images), -1).astype(np.float32)
    pairs = []
    for start in range(0, len(held_out), _ROWS_AT_ONCE):
        rows = held_out[start : start + _ROWS_AT_ONCE]
        # The dot product of vectors of ±1 is 64 less twice their Hamming distance.
        agreement = signs[rows] @ signs[train].T
        for row, column in zip(*np.nonzero(agreement >= 64 - 2 * HAMMING), strict=True):
            first, second = rows[row], train[column]
            if has_contrast[first] and has_contrast[second] and float(small[first] @ small[second]) > MIN_CORRELATION:
                pairs.append((int(first), int(second)))
    return pairs


def downscale(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Gray images (n, height, width) from (n, C, H, W), each pixel the mean of the area that it covers."""
    import torch
    from torch.nn import functional

    gray = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)).mean(1, keepdim=True)
    if gray.shape[2] >= height and gray.shape[3] >= width:
        scaled = functional.adaptive_avg_pool2d(gray, (height, width))
    else:
        scaled = functional.interpolate(gray, (height, width), mode="bilinear", align_corners=False)
    return np.asarray(scaled[:, 0].numpy())


def near_texts(texts: list[str], train: np.ndarray, held_out: np.ndarray) -> Pairs:
    """Pairs of a held-out and a training position of texts with a high Jaccard similarity of their shingles.

    MinHash with locality-sensitive hashing (https://en.wikipedia.org/wiki/MinHash) proposes pairs, whose similarity is
    then computed exactly.
    """
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
        train_in_bucket: dict[int, list[int]] = {}
        for position in train[sizes[train] > 0].tolist():
            train_in_bucket.setdefault(int(bucket[position]), []).append(position)
        for position in held_out[sizes[held_out] > 0].tolist():
            neighbors = train_in_bucket.get(int(bucket[position]), ())[:_MAX_BUCKET]
            candidates.update((position, neighbor) for neighbor in neighbors)
    if not candidates:
        return []
    first, second = np.array(sorted(candidates)).T
    common = np.asarray(shingles[first].multiply(shingles[second]).sum(1)).ravel()
    jaccard = common / (sizes[first] + sizes[second] - common)
    is_near = jaccard >= MIN_JACCARD
    return list(zip(first[is_near].tolist(), second[is_near].tolist(), strict=True))


def _signatures(indices: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return the MinHash signature (n, HASHES) of each text, from the shingles of a CSR matrix."""
    random = np.random.default_rng(0)
    signatures = np.full((len(bounds) - 1, HASHES), _PRIME, dtype=np.int64)
    nonempty = np.flatnonzero(np.diff(bounds))
    values = indices.astype(np.int64)
    for index in range(HASHES):
        hashed = (values * int(random.integers(1, _PRIME)) + int(random.integers(_PRIME))) % _PRIME
        if len(nonempty):
            signatures[nonempty, index] = np.minimum.reduceat(hashed, bounds[nonempty])
    return signatures


def near_numbers(values: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> Pairs:
    """Pairs of a held-out and a training position of rows (n, D) that are much closer than training rows usually are.

    The features should have similar scales.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(train) < 3 or not len(held_out):
        return []
    neighbors = NearestNeighbors(n_neighbors=1).fit(values[train])
    # The first neighbor of a training row is that row itself.
    usual_distance = float(np.median(neighbors.kneighbors(values[train[:200]], 2)[0][:, 1]))
    # The threshold shrinks with the number of rows, so that about one report in fifty has such a row by chance.
    threshold = usual_distance * min(MAX_DISTANCE, (0.02 / len(held_out)) ** (1 / min(values.shape[1], 12)))
    distances, nearest = (column[:, 0] for column in neighbors.kneighbors(values[held_out]))
    is_near = distances < threshold
    return list(zip(held_out[is_near].tolist(), train[nearest[is_near]].tolist(), strict=True))

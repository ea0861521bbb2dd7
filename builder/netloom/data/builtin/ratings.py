"""Ratings and clicks from seeded models, so that the learnable structure is known."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.multi_field import Categories, MultiFieldDataset
from netloom.data.raw_dataset import RawDataset, RawTarget

_FACTORS = 3


class Ratings(Dataset):
    """Ratings by a latent factor model with a few factors per user and film."""

    name = "ratings"
    example_count = 5000
    title = "Movie ratings"
    kind = "table"
    task = "regression"
    summary = "Stars that users gave to movies: predict the ratings of other pairs"

    rows: Rows = Field(5000, description="Number of ratings")
    users: int = Field(100, ge=10, le=1_000, description="Number of users")
    films: int = Field(60, ge=10, le=1_000, description="Number of films")
    noise: float = Field(0.35, ge=0, le=2, description="Standard deviation of the noise, in stars")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        # No pair occurs twice, so that no test rating is in training; with fewer pairs than rows, all pairs are used.
        pairs = random.permutation(self.users * self.films)[: self.rows]
        rows, user, film = len(pairs), pairs // self.films, pairs % self.films
        taste, traits = random.normal(size=(self.users, _FACTORS)), random.normal(size=(self.films, _FACTORS))
        user_bias, film_bias = random.normal(0, 0.4, self.users), random.normal(0, 0.4, self.films)
        stars = 3.2 + user_bias[user] + film_bias[film] + 0.5 * (taste[user] * traits[film]).sum(1)
        stars = (stars + random.normal(0, self.noise, rows)).clip(1, 5).round(1)
        target_fields: RawTarget = {"target": stars[:, None], "target_kind": "number", "target_name": "stars"}
        users = Categories(name="user", columns={"user": [f"user {number:03}" for number in user]}, **target_fields)
        films = Categories(name="film", columns={"film": [f"film {number:03}" for number in film]}, **target_fields)
        return MultiFieldDataset(name="", parts=(users, films), **target_fields)


_COLUMNS = {
    "device": ("phone", "tablet", "laptop", "television"),
    "hour": ("night", "morning", "noon", "afternoon", "evening"),
    "weekday": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "site": ("news", "sport", "cooking", "travel", "music", "science", "garden", "games"),
    "advertised": ("shoes", "books", "flights", "phones", "plants", "tickets", "tools", "tea", "bikes", "courses"),
    "format": ("banner", "video", "text", "carousel"),
}


class Clicks(Dataset):
    """Clicks on advertisements, which depend a little on single columns and mainly on pairs of them."""

    name = "clicks"
    example_count = 6000
    title = "Ad clicks"
    kind = "table"
    task = "classification"
    summary = "Where and when an ad was shown: predict clicks, which depend on pairs of columns"

    rows: Rows = Field(6000, description="Number of times that an ad was shown")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        sizes = [len(values) for values in _COLUMNS.values()]
        # No combination occurs twice, so that no test row is in training.
        positions = np.unravel_index(random.permutation(int(np.prod(sizes)))[: self.rows], sizes)
        drawn = dict(zip(_COLUMNS, positions, strict=True))
        score = np.full(self.rows, -0.3)
        vectors = {name: random.normal(size=(len(values), 4)) for name, values in _COLUMNS.items()}
        for name, numbers in drawn.items():
            score += random.normal(0, 0.4, len(_COLUMNS[name]))[numbers]
        # Σ over pairs of columns of the scalar product of their vectors, as in a factorization machine (Rendle, 2010).
        chosen = np.stack([vectors[name][numbers] for name, numbers in drawn.items()], axis=1)  # (R, F, 4)
        score += 0.25 * ((chosen.sum(1) ** 2).sum(1) - (chosen**2).sum((1, 2)))
        clicked = random.uniform(size=self.rows) < 1 / (1 + np.exp(-score))
        return Categories(
            name="shown",
            target=clicked.astype(np.int64),
            target_kind="class",
            target_name="clicked",
            classes=("no", "yes"),
            columns={name: [_COLUMNS[name][number] for number in numbers] for name, numbers in drawn.items()},
        )

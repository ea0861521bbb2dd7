"""Ratings: rows of a user, an item and a number, for recommender systems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.data.multi_field import Categories, MultiFieldDataset
from netloom.data.raw_dataset import RawDataset, RawTarget
from netloom.data.tables.target_guess import are_numbered, is_timestamp
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.tabular import Tabular, known_rows, no_number, numeric, parts_of_rows
from netloom.data.uploads.upload_kind import Answers, Question
from netloom.modalities.columns import conversion

if TYPE_CHECKING:
    import pandas as pd

_USER = re.compile(r"(?i)(user|customer|member|reviewer|person|reader|viewer|account)([ _-]?(id|name|no))?s?")
_ITEM = re.compile(r"(?i)(item|movie|film|book|product|song|artist|track|game|article|asin|isbn|restaurant|anime)"
                   r"([ _-]?(id|name|no|title))?s?")  # fmt: skip
_RATING = re.compile(r"(?i)(ratings?|stars?|scores?|overall|points|preference)([ _-]?value)?")
_TIME = re.compile(r"(?i)((unix|event|click|order|rating)[ _-]?)?(time(stamp)?|date(time)?|ts)([ _-]?(ms|s))?")
# The name of the target if each row is a click or a purchase.
CHOSEN = "chosen"
# Of ratings without column names: the fewest rows, the most distinct ratings, the highest, and the share of rows that
# rate an item again.
FEWEST, MAX_VALUES, HIGHEST, MAX_REPEATED = 50, 20, 100, 0.05


class Ratings(Tabular):
    """User, item and rating."""

    name = "ratings"
    title = "Ratings"
    about = "One rating per row: a column of users, one of items such as films, and one of ratings."
    kind = "table"
    target_question = "rating"
    specific_questions = (
        Question("user", "User", "choice", "Column with the user"),
        Question("item", "Item", "choice", "Column with the item"),
        Question(
            "rating", "Rating", "choice", "The number to predict; without one, each row is a click or a purchase",
            optional=True, empty="none"
        ),
    )  # fmt: skip

    def suits(self, table: pd.DataFrame) -> float:
        matches = [
            any(pattern.fullmatch(str(name).strip()) for name in table.columns) for pattern in (_USER, _ITEM, _RATING)
        ]
        if all(matches) and table.shape[1] <= 6:
            return 0.9
        unnamed = _unnamed(table)
        # Without times, other tables of whole numbers can look alike, so that this kind is only offered
        return 0.0 if not unnamed else 0.9 if table.shape[1] > len(unnamed) else 0.4

    def guesses(self, table: pd.DataFrame, answers: Answers) -> JsonObject:
        unnamed = _unnamed(table)
        if unnamed:
            return {name: answers.get(name) or column for name, column in unnamed.items()}
        guesses: dict[str, Any] = {}
        columns = [str(name) for name in table.columns]
        for name, pattern in (("user", _USER), ("item", _ITEM), ("rating", _RATING)):
            named = [
                column for column in columns if pattern.fullmatch(column.strip()) and column not in guesses.values()
            ]
            others = [column for column in columns if column not in guesses.values()]
            if name == "rating":
                # A table of clicks or purchases has none, or only their times
                numbers = [column for column in numeric(table) if column in others]
                ratings = [column for column in numbers if not _is_time(table[column], column)]
                guesses[name] = answers.get(name) or next(iter([*named[:1], *ratings[-1:]]), None)
            else:
                guesses[name] = answers.get(name) or (named or others or columns)[0]
        return guesses

    def learned(self, source: Source, answers: Answers) -> str:
        if answers.get("rating") is None:
            return f"Rank each {answers.get('item')!r} for a {answers.get('user')!r}, who chose those of the rows."
        return (
            f"Predict the {answers.get('rating')!r} that a {answers.get('user')!r} gives to a {answers.get('item')!r}."
        )

    def target_phrase(self, answers: Answers) -> str:
        if answers["rating"] is None:
            return f"{answers['item']} that {answers['user']} chooses"
        return f"{answers['rating']} that {answers['user']} gives to {answers['item']}"

    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        user, item, name = options.choice("user"), options.choice("item"), options.optional_choice("rating")
        columns = [column for column in (user, item, name) if column is not None]
        if len(set(columns)) < len(columns):
            raise DataError("The user, the item and the rating are three different columns.")
        warnings: list[str] = []
        rated = known_rows(table, columns, warnings)
        ratings = _ratings(table, rated, name)
        if name is None:
            warnings.append(
                "Without ratings, each row is an item that its user chose. Train the task Recommendation (BPR), as the "
                "template ratings_bpr does; there is no number to predict."
            )
        split = parts_of_rows(parts, rated)
        repeated = int(rated.duplicated([user, item]).sum())
        if repeated:
            verbs = ("choose", "chose") if name is None else ("rate", "rated")
            warnings.append(
                f"{repeated:,} rows {verbs[0]} an item that the same user {verbs[1]} before; both are used."
            )
        target_fields: RawTarget = {"target": ratings[:, None], "target_kind": "number", "target_name": name or CHOSEN}
        fields = tuple(
            _named(role, column, rated[column], target_fields) for role, column in (("user", user), ("item", item))
        )
        return MultiFieldDataset(name="", parts=fields, warnings=warnings, given=split, **target_fields)


def _ratings(table: pd.DataFrame, rated: pd.DataFrame, name: str | None) -> np.ndarray:
    """Return the rating of each row (R,), 1 without a column of ratings.

    Raises:
        DataError: The column has no ratings.
    """
    if name is None:
        return np.ones(len(rated))
    if name not in numeric(table):
        raise no_number(
            table[name],
            f"{name!r} is not numeric, so it is not a rating; choose the column of ratings.",
        )
    ratings = rated[name].to_numpy(dtype=np.float64)
    if not np.isfinite(ratings).all() or abs(ratings).max() > 1e100:
        raise DataError(f"The column {name!r} holds infinite or far too large numbers; remove those rows.")
    if ratings.min() == ratings.max():
        raise DataError(
            f"Every rating is {ratings[0]:g}, so there is nothing to predict; choose no column of ratings if each row "
            "is a click or a purchase."
        )
    return ratings


def _is_time(values: pd.Series, name: str) -> bool:
    """Return whether a column has the times of ratings, by its values or its name."""
    return is_timestamp(values) or bool(_TIME.fullmatch(name.strip()))


def _unnamed(table: pd.DataFrame) -> dict[str, str]:
    """Return the columns of user, item and rating in a table without names, such as u.data of MovieLens; {} for others.

    Two columns of ids that recur, and one of few numbers on a scale; a column of times is none of these.
    """
    columns = [str(name) for name in table.columns]
    if len(columns) not in (3, 4) or not are_numbered(columns) or len(numeric(table)) < len(columns):
        return {}
    unnamed = [name for name in columns if not is_timestamp(table[name])]
    if len(unnamed) != 3 or len(table) < FEWEST or table[unnamed].isna().any(axis=None):
        return {}
    *ids, rating = unnamed
    recur = all(
        (table[name] % 1 == 0).all() and MAX_VALUES // 2 < table[name].nunique() <= len(table) / 2 for name in ids
    )
    values = table[rating].drop_duplicates()
    on_scale = 2 < len(values) <= MAX_VALUES and (values * 2 % 1 == 0).all() and values.between(0, HIGHEST).all()
    if not recur or not on_scale or (len(columns) == 3 and table.duplicated(ids).mean() > MAX_REPEATED):
        return {}
    return dict(zip(("user", "item", "rating"), unnamed, strict=True))


def _named(field: str, column: str, values: pd.Series, target_fields: RawTarget) -> Categories:
    """Users or items as categories; numeric ids are normalized, so that 1 and 1.0 are the same."""
    labels, numeric = conversion.labels(values, column)
    settings = {column: {"numeric": True}} if numeric else {}
    return Categories(name=field, columns={column: labels}, settings=settings, **target_fields)

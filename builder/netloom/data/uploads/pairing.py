"""Functions shared by the kinds of uploads whose rows are pairs or triplets of texts or of images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw_dataset import RowFields
from netloom.data.tables.target_guess import possible_targets, ranked_targets
from netloom.data.uploads.upload_kind import Answers

if TYPE_CHECKING:
    import pandas as pd

FIELDS = ("first", "second")
ANCHOR, POSITIVE, NEGATIVE = "anchor", "positive", "negative"
ROLES = (ANCHOR, POSITIVE, NEGATIVE)
_TRIPLET = {
    role: re.compile(rf"(?i)({names})s?([ _-]?(text|sentence|image|file|path|id))?")
    for role, names in ((ANCHOR, "anchor|query"), (POSITIVE, "positive|pos"), (NEGATIVE, "negative|neg"))
}
# Names of columns that say how the two of a pair are related.
_RELATION = re.compile(
    r"(?i)(is[ _-]?)?(same|equal|equivalent|duplicates?|match(es|ing|ed)?|paraphrases?|similar(ity)?|related(ness)?"
    r"|relevance|entail(s|ment)|gold[ _-]?label|verdict|verified)([ _-]?(score|label))?"
)
FEWEST_ANCHORS = 10
_CLASSES = ("different", "same")
TRIPLETS_SUMMARY = "each is read as two pairs, one that belongs together and one that does not"  # ends the summary


def likely_relations(table: pd.DataFrame) -> list[str]:
    """Return the columns that may say how the two of a pair are related, the most likely first; beyond the first only
    columns that can be predicted."""
    ranked = sorted(ranked_targets(table), key=lambda name: _RELATION.fullmatch(name.strip()) is None)  # stable
    possible = {*possible_targets(table)}
    return [name for place, name in enumerate(ranked) if place == 0 or name in possible]


def role_of(text: str) -> str | None:
    """Return the role in a triplet that a name states, such as anchor; None if it states none."""
    return next((role for role, pattern in _TRIPLET.items() if pattern.fullmatch(text.strip())), None)


def triplet_columns(columns: Sequence[str]) -> dict[str, str]:
    """Return the columns of the anchor, the positive and the negative of a triplet; {} unless all are named so."""
    named = {
        role: next((column for column in columns if pattern.fullmatch(column.strip())), "")
        for role, pattern in _TRIPLET.items()
    }
    return named if all(named.values()) else {}


def refuse_triplets(columns: Sequence[str]) -> None:
    """Refuse a table of triplets, in which no column is a target.

    Raises:
        DataError: The columns are an anchor, a positive and a negative example.
    """
    named = triplet_columns(columns)
    if named:
        anchor, positive, negative = (repr(named[role]) for role in ROLES)
        raise DataError(
            f"The columns {anchor}, {positive} and {negative} are triplets, which have no column to predict. Read them "
            "as triplets of texts or of images, or name the column to predict."
        )


def refuse_equal_columns(columns: Sequence[str]) -> None:
    """Refuse triplets with a column in two roles.

    Raises:
        DataError: Two columns are equal.
    """
    if len(set(columns)) < len(columns):
        raise DataError("The anchor, the positive and the negative have to be three different columns.")


def learned_from_triplets(noun: str, answers: Answers) -> str:
    """Return what a network learns from triplets of texts or of images (`noun`), as a sentence."""
    anchor, positive, negative = (repr(answers.get(role)) for role in ROLES)
    return f"Predict whether two {noun} belong together: {anchor} and {positive} do, {anchor} and {negative} do not."


def rows_of_triplets(anchors: Sequence[str] | np.ndarray, parts: np.ndarray | None) -> RowFields:
    """Return the target and the roles of the pairs (2R,) of R triplets: first the positive, then the negative of each.

    Pairs with the same anchor are one group, because the network would otherwise be tested on anchors of its training;
    with few different anchors, the group is the triplet.

    Args:
        parts: The part of the split of each triplet (R,), if it is given.
    """
    import pandas as pd

    count = len(anchors)
    # An array of NumPy's strings would give each text the memory of the longest one.
    groups = pd.factorize(np.asarray(anchors, dtype=object), sort=True)[0]
    if groups.max(initial=-1) + 1 < FEWEST_ANCHORS:
        groups = np.arange(count)
    fields: RowFields = {
        "target": np.tile(np.array([1, 0], dtype=np.int64), count),
        "target_kind": "class",
        "target_name": "relation",
        "classes": _CLASSES,
        "groups": np.repeat(groups, 2),
    }
    if parts is not None:
        fields["given"] = np.repeat(parts, 2)
    return fields

"""The likely targets of a table, ranked by the names, the positions and the cardinalities of its columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from netloom.data.dialect import is_numbered_name
from netloom.data.splits.given_splits import split_column
from netloom.data.tables.arrow_table import StoredTable
from netloom.data.tables.column_inference import inference_values, too_many_classes
from netloom.modalities.columns.registry import inferred_kind
from netloom.modalities.columns.text import FEW_VALUES

if TYPE_CHECKING:
    import pandas as pd

GUESSES = 3  # the number of targets that are shown to choose from
# Names that people give to targets, each with its weight. A name outweighs the last position, and a general name
# outweighs the name of a well-known target, unless position and cardinality both favor the latter.
_GENERAL = ("target", "targets", "label", "labels", "ground truth", "y true")
_USUAL = ("class", "y", "category", "intent", "sentiment", "topic", "emotion")
_KNOWN = (
    "survived", "outcome", "diagnosis", "dx", "species", "variety", "churn", "churned", "exited", "fraud", "is fraud",
    "medv", "mpg", "subscribed", "approved", "loan status", "attrition", "defaulted", "cultivar", "is canceled", "spam",
    "is spam", "toxic", "median house value",
)  # fmt: skip
# Targets in some tables, features in others.
_POSSIBLE = (
    "price", "quality", "default", "income", "salary", "response", "result", "output", "deposit", "grade", "stars",
    "rating", "charges", "strength", "rings", "cnt", "count", "sales", "demand", "status", "choice", "died",
)  # fmt: skip
# Several targets of one table, as y1 and y2 of the energy efficiency of buildings at UCI.
_NUMBERED = re.compile(r"(y|target|output|response) ?\d{1,3}")
_ENDING = re.compile(r".* (class|labels?|target|price|outcome|category|type|status|score|result)")
_TIME = re.compile(
    r"(.* )?(timestamp|time stamp|date ?time)|time|date|epoch|year|quarter|month|week|weekday|hour|minute"
    r"|day( of (the )?(week|month|year))?"
)
_ID = re.compile(r".* (id|uuid|key|no|number)|id|uuid|index|row|unnamed \d+( \d+)?")
# Ids that recur, as those of persons who are measured several times; of few values, class_id may be the class.
_RECURRING_ID = re.compile(
    r"id|uuid|(?P<noun>.* )(id|uuid)|subject|patient|participant|respondent"
    r"|(user|customer|client|patient|person|subject|family|household|student|employee|store|town|session)(id|no)"
)
# A possible target gives way to a last column of few values, as in age, income, buys.
GENERAL, USUAL, KNOWN, ENDING, POSSIBLE, LAST, FIRST, FEW, UNSUITABLE = 24, 16, 14, 12, 9, 8, 4, 2, -12
# In a table without names: more likely than a last column of many numbers, and less than one of few values.
ONLY_CLASSES = 3
EPOCH_SECONDS = (3e8, 3e9)  # from 1979 to 2065
SAMPLE_ROWS = 20_000
COORDINATES = {"x", "y", "z"}
# Together they are a place, which can be predicted, but is rarely last for that reason.
_LATITUDES, _LONGITUDES = {"latitude", "lat"}, {"longitude", "lon", "long", "lng"}


def ranked_targets(table: pd.DataFrame) -> list[str]:
    """Return the columns that may be targets, the most likely first; all columns, the unsuitable ones last."""
    return _ranking(table)[0]


def likely_targets(table: pd.DataFrame) -> list[str]:
    """Return the targets to choose from, the most likely first: at most `GUESSES`, and beyond the first only columns
    that can be predicted."""
    ranked, suitable = _ranking(table)
    return [name for place, name in enumerate(ranked) if place == 0 or name in suitable][:GUESSES]


def _ranking(table: pd.DataFrame) -> tuple[list[str], set[str]]:
    """Return all columns, the most likely target first, and the suitable ones."""
    split = split_column(table)
    table = _sample(table)
    columns = [str(column) for column in table.columns if str(column) != split] or [str(table.columns[-1])]
    plain_names = {name: _plain(name) for name in columns}
    named = _weights(table, plain_names)
    suitable = {name for name in columns if _is_suitable(table, name)}
    # Where the columns at the ends cannot be targets, such as ids, the next ones are taken for the first and the last.
    ordered = [name for name in columns if name in suitable] or columns
    names = {*plain_names.values()}
    places = _LATITUDES | _LONGITUDES if names & _LATITUDES and names & _LONGITUDES else set()
    ordered = [name for name in ordered if plain_names[name] not in places] or ordered
    only_classes = _only_classes(table, columns, suitable)
    numbered = suitable & _numbered_targets(plain_names)
    scores = {
        name: named[name]
        + POSSIBLE * (name in numbered)
        + LAST * (name == ordered[-1])
        + FIRST * (name == ordered[0] and len(ordered) > 1)
        + ONLY_CLASSES * (name == only_classes)
        # A column that is named like a target stays one, so that the reason why it cannot be predicted is reported
        + (FEW * _has_few_values(table, name) if name in suitable else UNSUITABLE * (not named[name]))
        for name in columns
    }
    return sorted(columns, key=lambda name: -scores[name]), suitable  # stable: of equal columns, the first


def _weights(table: pd.DataFrame, plain_names: Mapping[str, str]) -> dict[str, int]:
    """Return the weights of the names of columns."""
    coordinates = COORDINATES if _has_coordinates(table, plain_names) else set()
    names = {*plain_names.values()}
    return {
        name: 0 if plain in coordinates or _qualifies(plain, names) else _weight(plain)
        for name, plain in plain_names.items()
    }


def _numbered_targets(plain_names: Mapping[str, str]) -> set[str]:
    """Return the columns such as target 2, but not y1, y2, … if each has its x, as the corners of a box do."""
    names = {*plain_names.values()}
    x, y = ({name for name in names if re.fullmatch(rf"{axis} ?\d+", name)} for axis in "xy")
    corners = y if {name[1:] for name in x} == {name[1:] for name in y} else set()
    return {name for name, plain in plain_names.items() if _NUMBERED.fullmatch(plain) and plain not in corners}


def _qualifies(plain: str, names: Collection[str]) -> bool:
    """Return whether a name, such as max price, has its weight from its last word alone, which another column has."""
    return _weight(plain) == ENDING and plain.split()[-1] in names


def default_target(table: pd.DataFrame) -> str:
    """Return the most likely target."""
    return ranked_targets(table)[0]


def possible_targets(table: pd.DataFrame) -> list[str]:
    """Return the columns that can be predicted as a class or a number, which texts, ids and constants cannot.

    A constant that is named like a target is among them.
    """
    table = _sample(table)
    names = [str(name) for name in table.columns]
    return [
        name for name in names if _is_suitable(table, name) or (_weight(_plain(name)) and _is_constant(table, name))
    ]


def is_timestamp(values: pd.Series) -> bool:
    """Return whether whole numbers are moments in seconds or milliseconds since 1970."""
    import pandas as pd

    if not pd.api.types.is_integer_dtype(values) or not len(values):
        return False
    low, high = EPOCH_SECONDS
    return any(bool(values.between(low * unit, high * unit).all()) for unit in (1, 1_000)) and values.nunique() > 1


def _sample(table: pd.DataFrame) -> pd.DataFrame:
    """Return rows that are evenly spaced, as rows that are sorted by the target begin with a single class."""
    return table if isinstance(table, StoredTable) else table.iloc[:: max(1, len(table) // SAMPLE_ROWS)]


def _plain(name: str) -> str:
    """Return a name in lower case, with single blanks between its words: isFraud and is_fraud are `is fraud`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\W_]+", spaced.lower())).strip()


def _has_coordinates(table: pd.DataFrame, plain_names: Mapping[str, str]) -> bool:
    """Return whether x and y are coordinates: beside z, or where numbers y have columns before and after them, as in
    x, y, species."""
    name_of = {plain: name for name, plain in plain_names.items()}
    if not {"x", "y"} <= {*name_of} or "z" in name_of:
        return {*name_of} >= COORDINATES
    plain = [*plain_names.values()]
    return "y" not in (plain[0], plain[-1]) and not _has_few_values(table, name_of["y"])


def _weight(plain: str) -> int:
    for names, weight in ((_GENERAL, GENERAL), (_USUAL, USUAL), (_KNOWN, KNOWN), (_POSSIBLE, POSSIBLE)):
        if plain in names:
            return weight
    return ENDING if _ENDING.fullmatch(plain) else 0


def _is_suitable(table: pd.DataFrame, name: str) -> bool:
    values = inference_values(table, name)
    kind = inferred_kind(values)
    if not kind.can_be_target or _TIME.fullmatch(_plain(name)) or is_timestamp(values):
        return False
    if not len(values):
        return True  # a column in a file, whose numbers are not read for a guess
    if (_ID.fullmatch(_plain(name)) and values.is_unique) or _is_recurring_id(_plain(name), values):
        return False
    count = values.nunique()
    has_classes = kind.has_one_value and not kind.is_numeric
    return count > 1 and not (has_classes and too_many_classes(count, len(values)))


def _is_recurring_id(plain: str, values: pd.Series) -> bool:
    """Return whether a column has the ids of what the rows belong to; class_id and species_id name classes."""
    match = _RECURRING_ID.fullmatch(plain)
    if match is None or (match["noun"] and _weight(match["noun"].strip())):
        return False
    return plain in ("id", "uuid") or int(values.nunique()) > FEW_VALUES


def are_numbered(columns: Sequence[str]) -> bool:
    """Return whether the columns of a table have no names, so that they were numbered."""
    return all(map(is_numbered_name, columns))


def _is_constant(table: pd.DataFrame, name: str) -> bool:
    return bool(inference_values(table, name).nunique() < 2)


def _only_classes(table: pd.DataFrame, columns: Sequence[str], suitable: Collection[str]) -> str | None:
    """Return the only column of texts of a table without column names, if it has few values; without texts, the first
    column if it is the only one of few values, as in the UCR archive; None otherwise."""
    import pandas as pd

    if not are_numbered(columns):
        return None
    texts = [name for name in columns if pd.api.types.is_string_dtype(inference_values(table, name))]
    if not texts:
        few = [name for name in columns if name in suitable and _has_few_values(table, name)]
        return columns[0] if few == columns[:1] else None
    is_only = len(texts) == 1 and texts[0] in suitable and _has_few_values(table, texts[0])
    return texts[0] if is_only else None


def _has_few_values(table: pd.DataFrame, name: str) -> bool:
    values = inference_values(table, name)
    return bool(len(values)) and 2 <= values.nunique() <= FEW_VALUES

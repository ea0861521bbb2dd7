"""What a document says of columns and fields: kind, role and preprocessing, as plain JSON that is checked here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netloom.core.errors import DataError

# The options of a document that hold them, by the name of a column and by that of a field.
COLUMNS, FIELDS = "columns", "fields"

ColumnKind = Literal["number", "category", "text", "date", "boolean"]
Role = Literal["input", "target", "group", "weight", "time", "split", "ignore"]
Scale = Literal["standard", "minmax", "quantile", "normal", "log1p", "log_standard", "none"]
Impute = Literal["median", "mean", "most_frequent", "constant"]
Encode = Literal["onehot", "hash", "index", "own"]
Part = Literal["days", "year", "quarter", "month", "day", "yearday", "weekday", "hour", "minute"]
Tokens = Literal["words", "bpe", "characters"]
Normalise = Literal["dataset", "channel", "unit", "none"]
Sound = Literal["waveform", "log-mel"]
PARTS: tuple[Part, ...] = ("days", "month", "weekday")  # of a date, where nothing else is said


class Choice(BaseModel):
    """Some settings, each of which may be left out."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def plain(self) -> dict[str, Any]:
        """What was set, as plain JSON."""
        return self.model_dump(mode="json", exclude_none=True)


class TextChoice(Choice):
    """How a text becomes tokens: by words, by byte pairs that are learned from the training texts, or by letters."""

    tokens: Tokens | None = None
    vocabulary: Annotated[int, Field(ge=260, le=100_000)] | None = None
    length: Annotated[int, Field(ge=1, le=4_096)] | None = None
    lower: bool | None = None


class FieldChoice(TextChoice):
    """The preprocessing of a whole field: a text, pictures (`size`, `grey`, `normalise`) or a series (`scale`).

    A sound is read as its waveform or as its log-mel spectrogram, of windows of `window` samples, a new one every
    `hop` samples, in `bands` from `low` to `high` Hz.
    """

    size: Annotated[int, Field(ge=4, le=512)] | None = None
    grey: bool | None = None
    normalise: Normalise | None = None
    scale: Literal["standard", "minmax", "none"] | None = None
    sound: Sound | None = None
    window: Annotated[int, Field(ge=2, le=65_536)] | None = None
    hop: Annotated[int, Field(ge=1, le=65_536)] | None = None
    bands: Annotated[int, Field(ge=1, le=1_024)] | None = None
    low: Annotated[float, Field(ge=0, le=500_000)] | None = None
    high: Annotated[float, Field(gt=0, le=500_000)] | None = None


Name = Annotated[str, Field(max_length=200)]


class ColumnChoice(TextChoice):
    """The kind, role and preprocessing of a table's column; what is left out is as the column looks. `aliases` name the
    category or label that each of some others stands for."""

    kind: ColumnKind | None = None
    role: Role | None = None
    scale: Scale | None = None
    impute: Impute | None = None
    fill: Annotated[float, Field(ge=-1e30, le=1e30)] | Annotated[str, Field(max_length=200)] | None = None
    indicator: bool | None = None
    encode: Encode | None = None
    buckets: Annotated[int, Field(ge=2, le=4_096)] | None = None
    aliases: Annotated[dict[Name, Name], Field(min_length=1, max_length=1_000)] | None = None
    parts: Annotated[list[Part], Field(min_length=1, max_length=len(get_args(Part)))] | None = None


# Which settings a kind of column takes.
_NUMBER = {"scale", "impute", "fill", "indicator"}
TAKES: Mapping[str, set[str]] = {
    "number": _NUMBER,
    "boolean": _NUMBER,
    "date": _NUMBER | {"parts"},
    "category": {"impute", "fill", "encode", "buckets", "aliases"},
    "text": {"tokens", "vocabulary", "length", "lower"},
}


def column_choices(value: Any, columns: list[str]) -> dict[str, ColumnChoice]:
    """What a document says of a table's columns.

    Raises:
        DataError: it names no such column, or a setting that there is not.
    """
    found = _each(value, ColumnChoice, "column")
    for name in found:
        if name not in columns:
            listed = ", ".join(repr(column[:40]) for column in columns[:20])
            raise DataError(f"There is no column {name[:80]!r} to set anything for; the table has {listed}.")
    return found


def field_choices(value: Any) -> dict[str, FieldChoice]:
    """What a document says of fields.

    Raises:
        DataError: it has a setting that there is not.
    """
    return _each(value, FieldChoice, "field")


def refuse_other_kinds(name: str, kind: str, choice: ColumnChoice) -> None:
    """Raises:
    DataError: a setting belongs to columns of another kind.
    """
    given = set(choice.plain()) - {"kind", "role"}
    for setting in sorted(given - TAKES[kind]):
        raise DataError(f"The column {name[:80]!r} is read as a {kind}, which takes no {setting!r}; take it away.")
    if kind == "category" and choice.impute not in (None, "most_frequent", "constant"):
        raise DataError(f"The categories in {name[:80]!r} have no {choice.impute}; take the most frequent one.")
    if choice.impute == "constant" and choice.fill is None:
        raise DataError(f"Say in 'fill' what stands for missing values in {name[:80]!r}.")
    if kind != "category" and isinstance(choice.fill, str):
        raise DataError(f"What stands for missing values in {name[:80]!r} is a number, received {choice.fill[:60]!r}.")


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raises:
    DataError: an option is given that there is not; the sentence names the nearest one, and all.
    """
    names = list(known)
    for name in sorted(set(given) - set(names)):
        listed = f"the options are {', '.join(names)}" if names else "there are none"
        raise DataError(f"There is no option {name[:60]!r} for {what}; {listed}.{nearest(name, names)}")


def nearest(name: str, names: Iterable[str]) -> str:
    """What was probably meant, as a question behind a sentence; "" where nothing is near."""
    near = get_close_matches(name, list(names), 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _each(value: Any, kind: type[Any], what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DataError(f"The option '{what}s' holds settings by the name of a {what}, received {str(value)[:60]!r}.")
    found = {}
    for name, settings in value.items():
        try:
            found[str(name)] = kind.model_validate(settings)
        except ValidationError as error:
            raise DataError(f"The {what} {str(name)[:80]!r}: {_reason(error, kind)}") from None
    return found


def _reason(error: ValidationError, kind: type[BaseModel]) -> str:
    item = error.errors(include_url=False)[0]
    where = str(item["loc"][0])[:60] if item["loc"] else "settings"
    if item["type"] == "extra_forbidden":
        names = list(kind.model_fields)
        return f"there is no setting {where!r}; the settings are {', '.join(names)}.{nearest(where, names)}"
    return f"{where!r}: {item['msg'][:1].lower()}{item['msg'][1:200]}, received {str(item['input'])[:60]!r}."

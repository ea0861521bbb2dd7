"""What a document says of columns and fields: kind, role and preprocessing, as plain JSON that is checked here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal

from pydantic import ValidationError, create_model

from netloom.core.errors import DataError
from netloom.core.field_errors import field_errors, summary
from netloom.modalities.columns.registry import column_kinds
from netloom.modalities.fields.registry import modalities
from netloom.modalities.settings import Settings

# The options of a document that hold them, by the name of a column and by that of a field.
COLUMNS, FIELDS = "columns", "fields"

Role = Literal["input", "target", "group", "weight", "time", "split", "ignore"]


FieldChoice = Settings  # the preprocessing of a whole field, as its modality declares it


@dataclass(frozen=True)
class ColumnChoice:
    """The kind, role and preprocessing of a table's column; what is left out is as the column looks."""

    kind: str | None = None
    role: Role | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def get(self, setting: str) -> Any:
        """A setting; None where it is left out."""
        return self.settings.get(setting)

    def without(self, setting: str) -> ColumnChoice:
        """The same, but for one setting."""
        settings = {name: value for name, value in self.settings.items() if name != setting}
        return ColumnChoice(self.kind, self.role, settings)

    def plain(self) -> dict[str, Any]:
        """What was set, as plain JSON."""
        named = {"kind": self.kind, "role": self.role}
        return {name: value for name, value in named.items() if value is not None} | dict(self.settings)


@cache
def _field_model() -> type[Settings]:
    """The settings that fields of any modality take."""
    settings = _fields_of(modality.settings for modality in modalities().values())
    model: type[Settings] = create_model("FieldChoice", __base__=Settings, **settings)
    return model


def _fields_of(models: Iterable[type[Settings]]) -> dict[str, Any]:
    return {name: (info.annotation, info) for model in models for name, info in model.model_fields.items()}


@cache
def _column_model() -> type[Settings]:
    """The settings that columns of any kind take."""
    settings = _fields_of(kind.settings for kind in column_kinds().values())
    kinds: Any = Literal[tuple(column_kinds())]
    named: dict[str, Any] = {"kind": (kinds | None, None), "role": (Role | None, None)}
    model: type[Settings] = create_model("ColumnChoice", __base__=Settings, **named, **settings)
    return model


def column_choices(value: Any, columns: list[str]) -> dict[str, ColumnChoice]:
    """What a document says of a table's columns.

    Raises:
        DataError: it names no such column, or a setting that there is not.
    """
    choices = {name: _choice(model) for name, model in _each(value, _column_model(), "column").items()}
    for name in choices:
        if name not in columns:
            listed = ", ".join(repr(column[:40]) for column in columns[:20])
            raise DataError(f"There is no column {name[:80]!r} to set anything for; the table has {listed}.")
    return choices


def field_choices(value: Any) -> dict[str, FieldChoice]:
    """What a document says of fields.

    Raises:
        DataError: it has a setting that there is not.
    """
    return _each(value, _field_model(), "field")


def _choice(model: Settings) -> ColumnChoice:
    settings = model.plain()
    return ColumnChoice(settings.pop("kind", None), settings.pop("role", None), settings)


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
            label = f"the {what} {str(name)[:80]!r}"
            errors = field_errors(error, kind, "setting", label)
            raise DataError(f"{label[:1].upper()}{label[1:]}: {summary(errors, 'the settings')}") from None
    return found

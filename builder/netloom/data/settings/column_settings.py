"""The settings of columns and fields in a document: kind, role and preprocessing, as plain JSON that is validated
here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import ValidationError, create_model

from netloom.core.errors import DataError
from netloom.core.field_errors import field_errors, nearest_name, summary, unknown_name
from netloom.core.plain_json import JsonObject
from netloom.modalities.columns.registry import column_kinds
from netloom.modalities.fields.registry import modalities
from netloom.modalities.settings import Settings

# The keys of a document's options with the settings of columns, and of fields.
COLUMNS, FIELDS = "columns", "fields"

Role = Literal["input", "target", "group", "weight", "time", "split", "ignore"]


FieldChoice = Settings  # the preprocessing of a field, as declared by its modality


@dataclass(frozen=True)
class ColumnChoice:
    """The kind, role and preprocessing of a column; omitted settings are inferred from the column."""

    kind: str | None = None
    role: Role | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def get(self, setting: str) -> Any:
        """Return a setting; None if it is omitted."""
        return self.settings.get(setting)

    def without(self, setting: str) -> ColumnChoice:
        """Return a copy without this setting."""
        settings = {name: value for name, value in self.settings.items() if name != setting}
        return ColumnChoice(self.kind, self.role, settings)

    def plain(self) -> JsonObject:
        """Return the settings as plain JSON."""
        named = {"kind": self.kind, "role": self.role}
        return {name: value for name, value in named.items() if value is not None} | dict(self.settings)


@cache
def _field_model() -> type[Settings]:
    """Return the model of all settings of fields of any modality."""
    settings = _fields_of(modality.settings for modality in modalities().values())
    model: type[Settings] = create_model("FieldChoice", __base__=Settings, **settings)
    return model


def _fields_of(models: Iterable[type[Settings]]) -> dict[str, Any]:
    return {name: (info.annotation, info) for model in models for name, info in model.model_fields.items()}


@cache
def _column_model() -> type[Settings]:
    """Return the model of all settings of columns of any kind."""
    settings = _fields_of(kind.settings for kind in column_kinds().values())
    kinds: Any = Literal[tuple(column_kinds())]
    named: dict[str, Any] = {"kind": (kinds | None, None), "role": (Role | None, None)}
    model: type[Settings] = create_model("ColumnChoice", __base__=Settings, **named, **settings)
    return model


def column_choices(value: Any, columns: list[str]) -> dict[str, ColumnChoice]:
    """Return the column settings of a document.

    Raises:
        DataError: a column or a setting does not exist.
    """
    choices = {name: _choice(model) for name, model in _each(value, _column_model(), "column").items()}
    for name in choices:
        if name not in columns:
            listed = ", ".join(repr(column[:40]) for column in columns[:20])
            nearest = nearest_name(name, columns)
            hint = f"did you mean {nearest[:80]!r}?" if nearest else f"the table has {listed}."
            raise DataError(f"There is no column {name[:80]!r}; {hint}")
    return choices


def field_choices(value: Any) -> dict[str, FieldChoice]:
    """Return the field settings of a document.

    Raises:
        DataError: a setting does not exist.
    """
    return _each(value, _field_model(), "field")


def _choice(model: Settings) -> ColumnChoice:
    settings: dict[str, Any] = model.plain()
    return ColumnChoice(settings.pop("kind", None), settings.pop("role", None), settings)


def refuse_unknown(options: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Refuse options of a dataset, or of its import, that it does not have.

    Raises:
        DataError: An option is unknown; the sentence names the nearest one.
    """
    names = list(known)
    for name in sorted(set(options) - set(names)):
        raise DataError(unknown_name(name, names, "option", owner))


def _each(value: Any, kind: type[Any], noun: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DataError(f"The option '{noun}s' holds settings by the name of a {noun}, received {str(value)[:60]!r}.")
    settings_by_name = {}
    for name, settings in value.items():
        try:
            settings_by_name[str(name)] = kind.model_validate(settings)
        except ValidationError as error:
            label = f"the {noun} {str(name)[:80]!r}"
            errors = field_errors(error, kind, "setting", label)
            raise DataError(f"{label[:1].upper()}{label[1:]}: {summary(errors, 'the settings')}") from None
    return settings_by_name

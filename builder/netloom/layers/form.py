"""The fields of a form, derived from the parameters that a layer declares."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

FieldKind = Literal["int", "float", "bool", "choice", "text", "ints", "values", "texts", "mapping"]
# The kinds of fields that accept an expression over parameters.
EXPRESSIONS = ("int", "float", "ints", "values")


@dataclass(frozen=True)
class FormField:
    """One parameter: its widget, default and bounds. `optional` fields also accept None."""

    name: str
    kind: FieldKind
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    exclusive_minimum: bool = False

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()


def form(declaration: type[BaseModel]) -> list[FormField]:
    """The fields of a declaration, in the order of their definition."""
    return [_field(name, info) for name, info in declaration.model_fields.items()]


def _field(name: str, info: Any) -> FormField:
    annotation, optional = _without_none(info.annotation)
    metadata = list(info.metadata)
    if hasattr(annotation, "__metadata__"):
        # In a union, such as the number of folds or None, the type is still wrapped in its metadata
        metadata += annotation.__metadata__
        annotation = get_args(annotation)[0]
    kind, choices = _kind(annotation)
    low: list[Any] = [
        item.ge if isinstance(item, annotated_types.Ge) else item.gt for item in metadata if _is_low(item)
    ]
    high: list[Any] = [
        item.le if isinstance(item, annotated_types.Le) else item.lt for item in metadata if _is_high(item)
    ]
    return FormField(
        name=name,
        kind=kind,
        # A required field has no default.
        default=None if info.default is PydanticUndefined else info.default,
        description=info.description or "",
        minimum=low[0] if low else None,
        maximum=high[0] if high else None,
        choices=choices,
        optional=optional,
        exclusive_minimum=any(isinstance(item, annotated_types.Gt) for item in metadata),
    )


def _is_low(item: Any) -> bool:
    return isinstance(item, (annotated_types.Ge, annotated_types.Gt))


def _is_high(item: Any) -> bool:
    return isinstance(item, (annotated_types.Le, annotated_types.Lt))


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if len(parts) == 1:
            return parts[0], True
    return annotation, False


def _kind(annotation: Any) -> tuple[FieldKind, tuple[str, ...]]:
    if get_origin(annotation) in (Union, types.UnionType):
        # A union of names and a type without a widget: the form offers only the names.
        named = [part for part in get_args(annotation) if get_origin(part) is Literal]
        annotation = named[0] if len(named) == 1 else annotation
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation)
    if get_origin(annotation) is tuple:
        return "texts" if _is_text(get_args(annotation)[0]) else "ints", ()
    if get_origin(annotation) is dict:
        return "mapping" if _is_text(get_args(annotation)[1]) else "values", ()
    if annotation is bool:
        return "bool", ()
    if annotation is int:
        return "int", ()
    if annotation is float:
        return "float", ()
    if annotation is str:
        return "text", ()
    raise TypeError(f"a form has no field for {annotation}")


def _is_text(annotation: Any) -> bool:
    """Whether a type is text, or one of several names."""
    kind = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return kind is str or get_origin(kind) is Literal

"""Validation errors as data: which field is wrong, what it must be, and what was received.

The messages of pydantic ("Input should be …") are for programmers, so they are replaced. Forms show each error at its
field; other callers join all errors into one text with `summary`.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from netloom.core.text import plain

Path = tuple[str | int, ...]
MAX_RECEIVED = 60
MAX_NAME = 120
# A message does not list more names than this, because people would not read them.
MAX_CHOICES = 12

# The absence of a value; None is a value that a document can hold.
ABSENT = object()


class FieldValueError(ValueError):
    """Raised by a validator of a whole model to name the invalid field; `requirement` continues the name."""

    def __init__(self, field: str, requirement: str, received: object = ABSENT) -> None:
        super().__init__(f"{field} {requirement}")
        self.error = FieldError((field,), requirement, "" if received is ABSENT else _written(received))


@dataclass(frozen=True)
class FieldError:
    """The error of one field.

    `path` is the location of the field within the model; it is empty if no single field is wrong. A "requirement"
    continues the name of the field ("must be at most 10"); a "statement" is a complete sentence. `received` is the
    value as text, or empty if it would not help.
    """

    path: Path
    message: str
    received: str = ""
    kind: Literal["requirement", "statement", "unknown"] = "requirement"

    @property
    def field(self) -> str:
        """The top-level field, at which a form shows the error; empty if the error belongs to no known field."""
        return str(self.path[0]) if self.path and self.kind != "unknown" else ""

    @property
    def name(self) -> str:
        """The path as text."""
        return _shortened(".".join(map(str, self.path)), MAX_NAME)

    @property
    def at_field(self) -> str:
        """The sentence for display below the field, without its name."""
        text = self.message + (f", received {self.received}" if self.received else "")
        return finished(text[:1].upper() + text[1:])

    def sentence(self, whole: str = "the value") -> str:
        """The sentence with the name of the field, or with `whole` if no single field is wrong."""
        if self.kind == "requirement":
            text = f"{self.name or whole} {self.message}"
        else:
            text = f"{self.name}: {self.message}" if self.path and self.kind == "statement" else self.message
        return finished(text + (f", received {self.received}" if self.received else ""))


def summary(errors: Sequence[FieldError], whole: str = "the value", limit: int = 3) -> str:
    """The first `limit` errors as sentences on one line, and the number of further errors."""
    sentences = [error.sentence(whole) for error in errors[:limit]]
    more = len(errors) - len(sentences)
    if more > 0:
        sentences.append(f"There {'is 1 more error' if more == 1 else f'are {more} more errors'}.")
    return plain(" ".join(sentences))


def finished(text: str) -> str:
    """The sentence with a final period, unless it is a question."""
    text = text.rstrip(". ")
    return text if text.endswith("?") else f"{text}."


def comparable(name: str) -> str:
    """A name in lowercase without underscores, which makes layer_norm and LayerNorm equal."""
    return name.lower().replace("_", "")


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelled one most likely means; None if none is similar."""
    by_comparable = {comparable(known_name): known_name for known_name in known}
    matches = get_close_matches(comparable(name), by_comparable, 1)
    return by_comparable[matches[0]] if matches else None


def unknown_name(name: str, known: Iterable[str], noun: str, owner: str) -> str:
    """The sentence for an unknown name: suggests the closest known name, or lists all if there are few."""
    names = list(known)
    sentence = f"There is no {noun} {name[:MAX_RECEIVED]!r} in {owner}"
    if (nearest := nearest_name(name, names)) is not None:
        return f"{sentence}; did you mean {nearest!r}?"
    if not names:
        return f"{sentence}; it has none."
    return f"{sentence}; choose one of {', '.join(names)}." if len(names) <= MAX_CHOICES else f"{sentence}."


def field_errors(
    error: ValidationError, declaration: type[BaseModel], noun: str = "field", owner: str = ""
) -> tuple[FieldError, ...]:
    """The errors in a pydantic ValidationError of the model `declaration`.

    `noun` and `owner` are the words for a field and for the model in messages, as in "There is no parameter 'unit' in
    Linear".
    """
    located = [_located(dict(item), declaration) for item in error.errors(include_url=False)]
    return tuple(_error(group, noun, owner or declaration.__name__) for group in _merged(located))


@dataclass(frozen=True)
class _Located:
    """One error of pydantic, with the model that contains it. `union` is the path of the outermost union around it."""

    item: Mapping[str, Any]
    path: Path
    model: type[BaseModel] | None
    union: Path | None

    @property
    def is_about_type(self) -> bool:
        kind: str = self.item["type"]
        return kind.endswith("_type") or kind == "literal_error"


def _located(item: Mapping[str, Any], declaration: type[BaseModel]) -> _Located:
    """Resolve the location of an error to a path in the user's data.

    The location also names the members of unions, which do not occur in the data, so that they are left out.
    """
    current: Any = declaration
    model: type[BaseModel] | None = None
    path: list[str | int] = []
    union: Path | None = None
    for part in item["loc"]:
        current = _without_annotation(current)
        # pydantic marks an error of a dictionary's key, after the key itself, in this way
        if part == "[key]":
            continue
        if get_origin(current) in (Union, types.UnionType):
            union = tuple(path) if union is None else union
            current = _member(get_args(current), str(part))
            continue
        path.append(part)
        model = current if isinstance(current, type) and issubclass(current, BaseModel) else None
        current = _inside(current, part)
    return _Located(item, tuple(path), model, union)


def _without_annotation(annotation: Any) -> Any:
    """A type without metadata and without None: pydantic does not report a union member for an optional type."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            members = [member for member in get_args(annotation) if member is not type(None)]
            if len(members) == len(get_args(annotation)):
                return annotation
            annotation = Union[tuple(members)]  # noqa: UP007 the members are known only now
        else:
            return annotation


def _member(members: Sequence[Any], tag: str) -> Any:
    """The member of a union with this tag in the location of an error; None if none matches."""
    known = [_without_annotation(member) for member in members]
    for member in known:
        # A tag is a name such as `int` or `tuple[int, ...]`, so that the text before the bracket identifies the type.
        if getattr(get_origin(member) or member, "__name__", "") == tag.partition("[")[0]:
            return member
    return None


def _inside(annotation: Any, part: str | int) -> Any:
    """The type of the value at a field, key or index of a model, dictionary or sequence."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return arguments[1]
    if get_origin(annotation) is tuple and Ellipsis not in arguments and isinstance(part, int):
        return arguments[part] if part < len(arguments) else None
    return arguments[0] if arguments and get_origin(annotation) in (tuple, list, set, frozenset) else None


def _merged(errors: Sequence[_Located]) -> list[list[_Located]]:
    """The errors grouped by the place in the data.

    For a union, pydantic reports what every member refuses. Only the deepest errors are kept: a list with a wrong
    number was not meant to be the text that another member expects.
    """
    # pydantic counts only valid entries, so that a list with an invalid entry is also reported as too short.
    wrong_inside = {located.path[:length] for located in errors for length in range(len(located.path))}
    counted = [located for located in errors if located.item["type"] != "too_short" or located.path not in wrong_inside]
    groups: dict[object, list[_Located]] = {}
    for number, located in enumerate(counted):
        groups.setdefault(number if located.union is None else located.union, []).append(located)
    merged: list[list[_Located]] = []
    for group in groups.values():
        deepest = max(len(located.path) for located in group)
        nearest = [located for located in group if len(located.path) == deepest]
        # A value of the right type but out of bounds says more than that it is not of the other types.
        nearest = [located for located in nearest if not located.is_about_type] or nearest
        paths = dict.fromkeys(located.path for located in nearest)
        merged += [[located for located in nearest if located.path == path] for path in paths]
    return merged


def _error(group: Sequence[_Located], noun: str, owner: str) -> FieldError:
    first = group[0]
    item, path = first.item, first.path
    if item["type"] == "extra_forbidden":
        around = ".".join(map(str, path[:-1]))
        names = first.model.model_fields if first.model else ()
        message = unknown_name(plain(str(path[-1])), names, noun, _shortened(around, MAX_NAME) or owner)
        return FieldError(path, message, kind="unknown")
    if item["type"] in ("value_error", "assertion_error"):
        error = item["ctx"]["error"]
        if isinstance(error, FieldValueError):
            return replace(error.error, path=(*path, *error.error.path))
        return FieldError(path, plain(str(error)), kind="statement")
    if item["type"] == "missing":
        return FieldError(path, "is required")
    requirements = dict.fromkeys(_requirement(located.item) for located in group)
    # "must be a whole number or a number" would be redundant.
    if "be a number" in requirements:
        requirements.pop("be a whole number", None)
    message = "must " + " or ".join(requirements).replace(" or be ", " or ")
    return FieldError(path, message, _received(item))


_REQUIREMENTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), lambda _: "be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _: "be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda _: "be true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), lambda _: "be a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), lambda _: "be a JSON object"),
    **dict.fromkeys(("literal_error", "enum"), lambda context: f"be {context['expected']}"),
    "string_type": lambda _: "be text",
    "none_required": lambda _: "be empty",
    "finite_number": lambda _: "be a finite number",
    **dict.fromkeys(("recursion_loop", "recursion_depth_exceeded"), lambda _: "be nested less deeply"),
    "int_parsing_size": lambda _: "have fewer digits",
    "greater_than": lambda context: f"be greater than {_number(context['gt'])}",
    "greater_than_equal": lambda context: f"be at least {_number(context['ge'])}",
    "less_than": lambda context: f"be less than {_number(context['lt'])}",
    "less_than_equal": lambda context: f"be at most {_number(context['le'])}",
    "multiple_of": lambda context: f"be a multiple of {_number(context['multiple_of'])}",
    "string_too_short": lambda context: _length("at least", context["min_length"], "character"),
    "string_too_long": lambda context: _length("at most", context["max_length"], "character"),
    "too_short": lambda context: _length("at least", context["min_length"], "entry"),
    "too_long": lambda context: _length("at most", context["max_length"], "entry"),
}


def _requirement(item: Mapping[str, Any]) -> str:
    requirement = _REQUIREMENTS.get(item["type"])
    return requirement(item.get("ctx", {})) if requirement else "have another value"


def _length(limit: str, count: int, unit: str) -> str:
    units = unit if count == 1 else "entries" if unit == "entry" else f"{unit}s"
    return "not be empty" if (limit, count) == ("at least", 1) else f"have {limit} {count:,} {units}"


def _number(value: float) -> str:
    whole = isinstance(value, int) or (value == int(value) and abs(value) < 1e15)
    return f"{int(value):,}" if whole else f"{value:g}"


def _received(item: Mapping[str, Any]) -> str:
    """The value as text, or its number of entries or characters if that is what is wrong."""
    value = item["input"]
    if item["type"] in ("too_short", "too_long", "string_too_short", "string_too_long"):
        return f"{len(value):,}" if isinstance(value, Sized) and len(value) else ""
    return _written(value)


def _written(value: object) -> str:
    if isinstance(value, str):
        return repr(_shortened(value, MAX_RECEIVED))
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return _shortened("nothing" if text == "null" else text, MAX_RECEIVED)


def _shortened(text: str, length: int) -> str:
    text = plain(text[: 100 * length])  # a value can be as large as a file
    return text if len(text) <= length else text[: length - 1] + "…"

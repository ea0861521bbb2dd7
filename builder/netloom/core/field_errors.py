"""Wrong values as data: which field is wrong, what it must be, and what was received.

pydantic's own sentences ("Input should be …") are for programmers, so none of them is passed on. A form shows an error
at its field; everything else joins the errors to a sentence by `summary`.
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
# A longer list of names is longer than what people read.
MAX_CHOICES = 12

# No value at all, unlike None, which a document may hold.
ABSENT = object()


class FieldValueError(ValueError):
    """What a validator of several fields raises to name the one that is wrong. The `requirement` continues its name."""

    def __init__(self, field: str, requirement: str, received: object = ABSENT) -> None:
        super().__init__(f"{field} {requirement}")
        self.error = FieldError((field,), requirement, "" if received is ABSENT else _written(received))


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field.

    `path` leads to it from the declaration; it is empty where no single field is wrong. A "requirement" continues the
    name of the field ("must be at most 10"); a "statement" is a sentence of its own. `received` is the value as text,
    empty where it would not help.
    """

    path: Path
    message: str
    received: str = ""
    kind: Literal["requirement", "statement", "unknown"] = "requirement"

    @property
    def field(self) -> str:
        """The field of the declaration that a form shows; empty where there is none."""
        return str(self.path[0]) if self.path and self.kind != "unknown" else ""

    @property
    def name(self) -> str:
        """The path as text."""
        return _shortened(".".join(map(str, self.path)), MAX_NAME)

    @property
    def at_field(self) -> str:
        """The sentence beneath the field itself, which need not repeat its name."""
        text = self.message + (f", received {self.received}" if self.received else "")
        return finished(text[:1].upper() + text[1:])

    def sentence(self, whole: str = "the value") -> str:
        """The sentence that names the field; `whole` is what is wrong where no single field is."""
        if self.kind == "requirement":
            text = f"{self.name or whole} {self.message}"
        else:
            text = f"{self.name}: {self.message}" if self.path and self.kind == "statement" else self.message
        return finished(text + (f", received {self.received}" if self.received else ""))


def summary(errors: Sequence[FieldError], whole: str = "the value", limit: int = 3) -> str:
    """The first errors as sentences on one line."""
    sentences = [error.sentence(whole) for error in errors[:limit]]
    more = len(errors) - len(sentences)
    if more > 0:
        sentences.append(f"There {'is 1 more error' if more == 1 else f'are {more} more errors'}.")
    return plain(" ".join(sentences))


def finished(text: str) -> str:
    """A sentence with its full stop, which a question does not need."""
    text = text.rstrip(". ")
    return text if text.endswith("?") else f"{text}."


def unknown_name(name: str, known: Iterable[str], noun: str, owner: str) -> str:
    """The sentence on a name that does not exist, with the nearest one that does, or else all of a few."""
    names = list(known)
    sentence = f"There is no {noun} {name[:MAX_RECEIVED]!r} in {owner}"
    near = get_close_matches(name, names, 1)
    if near:
        return f"{sentence}; did you mean {near[0]!r}?"
    if not names:
        return f"{sentence}; it has none."
    return f"{sentence}; choose one of {', '.join(names)}." if len(names) <= MAX_CHOICES else f"{sentence}."


def field_errors(
    error: ValidationError, declaration: type[BaseModel], noun: str = "field", owner: str = ""
) -> tuple[FieldError, ...]:
    """What pydantic refused of a `declaration`, in the order of its fields.

    `noun` is what its fields are called, and `owner` what it is called itself, as in "There is no parameter 'unit' in
    Linear".
    """
    found = [_located(dict(item), declaration) for item in error.errors(include_url=False)]
    return tuple(_error(group, noun, owner or declaration.__name__) for group in _merged(found))


@dataclass(frozen=True)
class _Located:
    """One error of pydantic, with the model in which it is. `union` is the path of the union of types around it."""

    item: Mapping[str, Any]
    path: Path
    model: type[BaseModel] | None
    union: Path | None

    @property
    def is_about_type(self) -> bool:
        kind: str = self.item["type"]
        return kind.endswith("_type") or kind == "literal_error"


def _located(item: Mapping[str, Any], declaration: type[BaseModel]) -> _Located:
    """Follow the location of an error through the declaration. Beside fields, keys and indices it holds the names of
    the members of unions, which people never wrote."""
    current: Any = declaration
    model: type[BaseModel] | None = None
    path: list[str | int] = []
    union: Path | None = None
    for part in item["loc"]:
        current = _without_annotation(current)
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
    """A type without its metadata, and without None beside it: pydantic names no member for an optional type."""
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
    """The member of a union that pydantic calls by this tag, as far as there is anything in it."""
    known = [_without_annotation(member) for member in members]
    for member in known:
        if getattr(get_origin(member) or member, "__name__", "") == tag.partition("[")[0]:
            return member
    return None


def _inside(annotation: Any, part: str | int) -> Any:
    """The type of what lies in a model, dictionary or sequence at a field, key or index."""
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
    """One list for each place. Of a union of types, pydantic tells what each member refuses; only those count that came
    furthest, as a list of wrong numbers was not meant to be a word."""
    # pydantic counts only the entries that it takes, so a list with a wrong entry is too short as well.
    wrong_inside = {located.path[:length] for located in errors for length in range(len(located.path))}
    counted = [located for located in errors if located.item["type"] != "too_short" or located.path not in wrong_inside]
    groups: dict[object, list[_Located]] = {}
    for number, located in enumerate(counted):
        groups.setdefault(number if located.union is None else located.union, []).append(located)
    merged: list[list[_Located]] = []
    for group in groups.values():
        deepest = max(len(located.path) for located in group)
        nearest = [located for located in group if len(located.path) == deepest]
        nearest = [located for located in nearest if not located.is_about_type] or nearest
        places = dict.fromkeys(located.path for located in nearest)
        merged += [[located for located in nearest if located.path == place] for place in places]
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
    """The value as people wrote it; the number of its entries or characters where that is what is wrong."""
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
    text = plain(text)
    return text if len(text) <= length else text[: length - 1] + "…"

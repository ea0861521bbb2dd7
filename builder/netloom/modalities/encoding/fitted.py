"""The base class of what is fitted on the training rows: frozen values, which are plain JSON in run folders and
bundles."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any, ClassVar, Self

from netloom.modalities.encoding.cells import EncodeError


@dataclass(frozen=True, kw_only=True)
class FittedState:
    """The fitted state of a field or column, which its encoder declares beside itself.

    In JSON, the keys are the attributes in the order of their declaration, with `last_keys` at the end. An attribute
    that has its default is left out.
    """

    last_keys: ClassVar[tuple[str, ...]] = ()

    name: str

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        """Return the state from its JSON. Keys that this version does not have are ignored.

        Raises:
            EncodeError: a value is missing.
        """
        names, required = _keys(cls)  # type: ignore[arg-type]  # mypy takes the class of a dataclass as unhashable
        if not required <= state.keys():
            missing = ", ".join(repr(name) for name in names if name in required and name not in state)
            raise EncodeError(f"The fitted state of {str(state.get('name', ''))[:80]!r} has no {missing}.")
        return cls(**{name: cls.parsed(name, state[name]) for name in names if name in state})

    @classmethod
    def parsed(cls, key: str, value: Any) -> Any:
        """Return an attribute from its JSON."""
        return value

    def to_json(self) -> dict[str, object]:
        """Return the state as plain JSON."""
        values = dict(self._json_items())
        last = {key: values.pop(key) for key in self.last_keys if key in values}
        return {**values, **last}

    def _json_items(self) -> Iterator[tuple[str, Any]]:
        for field in fields(self):
            value = getattr(self, field.name)
            if _is_required(field) or value != _default(field):
                yield field.name, _plain(value)


@cache
def _keys(cls: type[FittedState]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names of all attributes, and of those without a default; a request reads many states."""
    names = tuple(field.name for field in fields(cls))
    return names, frozenset(field.name for field in fields(cls) if _is_required(field))


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        # A vocabulary can be long, and is not copied
        return [item.to_json() for item in value] if value and isinstance(value[0], FittedState) else value
    return value

"""The base class of what is fitted on the training rows: frozen values, which are plain JSON in run folders and
bundles."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
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
        values = {field.name: cls.parsed(field.name, state[field.name]) for field in fields(cls) if field.name in state}
        missing = [field.name for field in fields(cls) if _is_required(field) and field.name not in values]
        if missing:
            name = str(state.get("name", ""))[:80]
            raise EncodeError(f"The fitted state of {name!r} has no {', '.join(map(repr, missing))}.")
        return cls(**values)

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


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        # A vocabulary can be long, and is not copied
        return [item.to_json() for item in value] if value and isinstance(value[0], FittedState) else value
    return value

"""YAML as data: the types of JSON alone, without tags, aliases and repeated keys.

Words are read as in YAML 1.2: `yes`, a date, `12:30` and `0123` are texts. In YAML 1.1, which PyYAML reads by default,
they are a boolean, a date, 750 and 83.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, ClassVar

_TAG = "tag:yaml.org,2002:"
_EMPTY = [("null", re.compile("$"), [""])]
# The JSON schema of YAML 1.2, https://yaml.org/spec/1.2.2/#102-json-schema, with null and booleans in any case, and ~
_RULES = [
    ("null", re.compile("(~|null|)$", re.IGNORECASE), ["~", "n", "N", ""]),
    ("bool", re.compile("(true|false)$", re.IGNORECASE), list("tTfF")),
    ("int", re.compile("-?(0|[1-9][0-9]*)$"), list("-0123456789")),
    ("float", re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?$"), list("-0123456789")),
]


def read_yaml(text: str, *, only_texts: bool = False) -> Any:
    """Return the value of a YAML text: texts, numbers, booleans, None, lists, and dicts whose keys are texts.

    With `only_texts`, values such as 1.50 and true are texts as they are written, and only an empty value is None.

    Raises:
        ValueError: it is not such a value; the message is the end of a sentence that names the line.
    """
    import yaml

    try:
        loader = _loader(only_texts=only_texts)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=loader)):
            raise ValueError("aliases such as *name are not read; write the value again")
        return yaml.load(text, Loader=loader)  # a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise ValueError(f"{error.problem or error.context}{position}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_yaml(value: Any) -> str:
    """Return a value of JSON as YAML that `read_yaml` reads."""
    import yaml

    return str(yaml.dump(value, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=100))


@cache
def _loader(*, only_texts: bool) -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, Any]]]] = {}

    for name, pattern, first_letters in _EMPTY if only_texts else _RULES:
        Loader.add_implicit_resolver(_TAG + name, pattern, first_letters)

    def mapping(loader: Any, node: Any) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a text", key_node.start_mark)
            key = str(key_node.value)
            if key in values:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key[:60]!r} occurs twice", key_node.start_mark
                )
            values[key] = loader.construct_object(value_node, deep=True)
        return values

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    return Loader


@cache
def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    for name, pattern, first_letters in _RULES:  # beside those of YAML 1.1, so that both read a text as a text
        Dumper.add_implicit_resolver(_TAG + name, pattern, first_letters)
    Dumper.add_representer(str, _represented)
    return Dumper


def _represented(dumper: Any, text: str) -> Any:
    # Unless it is between double quotes, PyYAML writes this line end as it is, and reads it as a blank
    return dumper.represent_scalar(f"{_TAG}str", text, style='"' if "\x85" in text else None)

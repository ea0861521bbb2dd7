"""YAML as data: the types of JSON alone, without tags, aliases and repeated keys.

Words are read as in YAML 1.2: `yes` and `no` are texts, and so is a date. In YAML 1.1, which PyYAML reads by default,
they are not.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_BOOLEAN = re.compile("true|false", re.IGNORECASE)
_UNREAD = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")


def read_yaml(text: str) -> Any:
    """Return the value of a YAML text: texts, numbers, booleans, None, lists, and dicts whose keys are texts.

    Raises:
        ValueError: it is not such a value; the message is the end of a sentence that names the line.
    """
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_loader())):
            raise ValueError("aliases such as *name are not read; write the value again")
        return yaml.load(text, Loader=_loader())  # a subclass of SafeLoader
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


def _resolvers(resolvers: dict[Any, list[tuple[str, Any]]]) -> dict[Any, list[tuple[str, Any]]]:
    """Return the rules for words without quotes, with the booleans of YAML 1.2 and without dates."""
    read = {letter: [rule for rule in rules if rule[0] not in _UNREAD] for letter, rules in resolvers.items()}
    for letter in "tTfF":
        read[letter] = [*read.get(letter, []), (_UNREAD[0], _BOOLEAN)]
    return read


@cache
def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers = _resolvers(base.yaml_implicit_resolvers)

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

    return Dumper

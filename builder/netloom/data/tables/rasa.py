"""Training data of Rasa: intents with examples as YAML, Markdown or JSON; entities are marked as [Paris](city)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.core.yaml_text import read_yaml

if TYPE_CHECKING:
    import pandas as pd

_YAML = re.compile(r"^nlu:\s*$", re.MULTILINE)
_MARKDOWN = re.compile(r"^##\s*intent:", re.MULTILINE)
_INTENT = re.compile(r"##\s*intent:\s*(\S.*)")
_ENTITY = re.compile(r"\[([^\[\]]+)\](?:\(([^()]+)\)|\{([^{}]+)\})")
_EXAMPLE = re.compile(r"\s*[-*]\s+(.*\S)")
_FEWEST = 2


def rasa_table(text: str, filename: str) -> pd.DataFrame | None:
    """Return a table with the columns `text` and `intent`, or `words`, `tags` and `intent` if entities are marked; None
    for another text.

    Raises:
        DataError: The text is training data of Rasa, but not valid YAML.
    """
    import pandas as pd

    if _YAML.search(text[:2_000]):
        examples = [*_of_yaml(text, filename)]
    elif _MARKDOWN.search(text):
        examples = [*_of_markdown(text)]
    else:
        return None
    if len(examples) < _FEWEST or len({intent for intent, _ in examples}) < _FEWEST:
        return None
    marked = [(intent, *_words_and_tags(example)) for intent, example in examples]
    if any(tag != "O" for _, _, tags in marked for tag in tags):
        rows = [{"words": " ".join(words), "tags": " ".join(tags), "intent": intent} for intent, words, tags in marked]
        return pd.DataFrame([row for row in rows if row["words"]])
    return pd.DataFrame([{"text": " ".join(words), "intent": intent} for intent, words, _ in marked if words])


def rasa_records(value: Any) -> list[dict[str, str]]:
    """Return the examples of the older format as JSON, with their intents; [] for another value."""
    data = value.get("rasa_nlu_data") if isinstance(value, dict) else None
    examples = data.get("common_examples") if isinstance(data, dict) else None
    if not isinstance(examples, list) or not all(isinstance(item, dict) for item in examples):
        return []
    return [
        {"text": item["text"], "intent": item["intent"]}
        for item in examples
        if isinstance(item.get("text"), str) and isinstance(item.get("intent"), str)
    ]


def entities_note(value: Any) -> list[str]:
    """Return a note on the entities in the older format as JSON, which are not read."""
    if not rasa_records(value):
        return []
    entities = [item.get("entities") for item in value["rasa_nlu_data"]["common_examples"]]
    count = sum(len(of_example) for of_example in entities if isinstance(of_example, list))
    if not count:
        return []
    return [
        f"The {counted(count, 'entity', 'entities')} of the examples are not read; convert the file to YAML, as with "
        "rasa data convert nlu, to tag words with them."
    ]


def _of_yaml(text: str, filename: str) -> Iterator[tuple[str, str]]:
    """Yield the intent and the text of each example."""
    try:
        value = read_yaml(text)
    except ValueError as error:
        raise DataError(f"{filename[:100]!r} is training data of Rasa, but not valid YAML: {error}.") from None
    for item in value.get("nlu") or [] if isinstance(value, dict) else []:
        if isinstance(item, dict) and isinstance(item.get("intent"), str) and isinstance(item.get("examples"), str):
            # An intent such as faq/ask_name is an intent with a response
            yield from (
                (item["intent"], match[1]) for match in map(_EXAMPLE.match, item["examples"].splitlines()) if match
            )


def _of_markdown(text: str) -> Iterator[tuple[str, str]]:
    intent = ""
    for line in text.splitlines():
        if line.startswith("##"):
            match = _INTENT.match(line)
            intent = match[1].strip() if match else ""
        elif intent and (example := _EXAMPLE.match(line)):
            yield intent, example[1]


def _words_and_tags(example: str) -> tuple[list[str], list[str]]:
    """Return the words of an example and their tags: O, B-city and I-city."""
    words, tags, end = list[str](), list[str](), 0
    for match in _ENTITY.finditer(example):
        before, inside = example[end : match.start()].split(), match[1].split()
        kind = "-".join(_kind(match[2] or match[3]).split())
        words += [*before, *inside]
        tags += ["O"] * len(before) + [f"{'B' if place == 0 else 'I'}-{kind}" for place in range(len(inside))]
        end = match.end()
    rest = example[end:].split()
    return [*words, *rest], [*tags, *["O"] * len(rest)]


def _kind(mark: str) -> str:
    """Return the kind of an entity from its mark: city, city:value, or JSON with a name "entity"."""
    if mark.lstrip().startswith('"'):
        try:
            return str(json.loads("{" + mark + "}").get("entity", "entity"))
        except ValueError:
            return "entity"
    return mark.partition(":")[0].strip() or "entity"

"""Intents of a chatbot as JSON: {"intents": [{"tag": "greeting", "patterns": ["Hi"], "responses": ["Hello!"]}, …]}."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_NAMES = ("tag", "intent", "name")
_TEXTS = ("patterns", "text", "texts", "examples", "utterances", "questions")
_ANSWERS = ("responses", "answers")
_KNOWN = {*_NAMES, *_TEXTS, *_ANSWERS, "context", "context_set", "context_filter"}


@dataclass(frozen=True)
class ExampleIntent:
    """An intent with texts that mean it, and the responses to them."""

    name: str
    texts: list[str]
    responses: list[str]


def example_intents(value: Any) -> list[ExampleIntent]:
    """Return the intents in a JSON value; [] if it is something else."""
    records = value.get("intents") if isinstance(value, dict) else value
    if not isinstance(records, list) or not records:
        return []
    if isinstance(value, list) and not all(isinstance(record, dict) and "patterns" in record for record in records):
        return []  # rows of a table, such as the words of a sentence with their intent
    intents = [_intent(record) for record in records]
    return [intent for intent in intents if intent is not None] if None not in intents else []


def text_records(intents: list[ExampleIntent]) -> list[dict[str, str]]:
    """Return a record for each text, with its intent."""
    return [{"text": text, "intent": intent.name} for intent in intents for text in intent.texts if text.strip()]


def responses_note(intents: list[ExampleIntent]) -> list[str]:
    """Return a note on responses, which a network does not learn."""
    count = sum(len(intent.responses) for intent in intents)
    if not count:
        return []
    return [
        f"The {count:,} responses to the intents are not learned; netloom chat answers with them if this file is its "
        "--policy."
    ]


def _intent(record: Any) -> ExampleIntent | None:
    if not isinstance(record, dict) or not record.keys() <= _KNOWN:
        return None
    name = next((record[key] for key in _NAMES if isinstance(record.get(key), str)), None)
    texts = next((record[key] for key in _TEXTS if _are_texts(record.get(key))), None)
    answers: list[str] = next((record[key] for key in _ANSWERS if _are_texts(record.get(key))), [])
    return None if name is None or texts is None else ExampleIntent(name, texts, answers)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)

"""Intents of chatbots as JSON: their patterns are texts with a class, their responses a policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netloom.chat.policy import PolicyError, loads
from netloom.data.raw.texts import Texts
from tests.data.samples import import_and_prepare

PATTERNS = {
    "greeting": ["Hi", "Hey", "How are you", "Is anyone there?", "Hello", "Good day"],
    "goodbye": ["Bye", "See you later", "Goodbye", "Ciao"],
    "thanks": ["Thanks", "Thank you", "That's helpful"],
    "no_answer": [],
}


def _file(name: str = "tag", texts: str = "patterns") -> dict[str, Any]:
    return {
        "intents": [
            {name: intent, texts: patterns, "responses": [f"{intent}!", "Well."] if patterns else [], "context": [""]}
            for intent, patterns in PATTERNS.items()
        ]
    }


@pytest.mark.parametrize(("name", "texts"), [("tag", "patterns"), ("intent", "text"), ("name", "examples")])
def test_patterns_are_texts_of_their_intent(name: str, texts: str, home: Path) -> None:
    data = import_and_prepare(json.dumps(_file(name, texts)).encode(), home, "intents.json")
    assert isinstance(data.raw, Texts)
    assert (data.raw.target_kind, data.raw.classes) == ("class", ("goodbye", "greeting", "thanks"))
    expected = [(text, intent) for intent, patterns in PATTERNS.items() for text in patterns]
    rows = [data.raw.row(row)["text"] for row in range(len(data.raw))]
    assert [*zip(rows, [data.raw.classes[int(target)] for target in data.raw.target], strict=True)] == expected
    assert any("The 6 responses to the intents are not learned" in note for note in data.raw.warnings)


def test_responses_of_intents_are_a_policy() -> None:
    policy = loads(json.dumps(_file()))
    assert policy.intents["greeting"].responses == ("greeting!", "Well.")
    assert policy.intents["no_answer"].responses == ("You asked about: no answer.",)
    with pytest.raises(PolicyError, match="intents"):
        loads('{"intents": [{"tag": 3, "patterns": ["Hi"]}]}')


def test_short_texts_beside_a_class_are_texts(home: Path) -> None:
    texts = [f"{word} {number}" for number in range(8) for word in ("hi", "bye", "ok")]
    content = "\n".join(["text,label", *(f"{text},{text[0]}" for text in texts)]).encode()
    assert isinstance(import_and_prepare(content, home, "texts.csv").raw, Texts)


def test_names_of_categories_beside_a_class_stay_categories(home: Path) -> None:
    lines = [f"{'red blue green'.split()[i % 3]},{'ab'[i % 2]}" for i in range(40)]
    content = "\n".join(["text,label", *lines]).encode()
    assert not isinstance(import_and_prepare(content, home, "colors.csv").raw, Texts)

"""Intents of chatbots as JSON: their patterns are texts with a class, their responses a policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netloom.chat.policy import PolicyError, loads
from netloom.data.raw.texts import TaggedTexts, Texts
from netloom.data.tables.intents_json import example_intents
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


def test_a_list_of_patterns_is_intents(home: Path) -> None:
    data = import_and_prepare(json.dumps(_file()["intents"]).encode(), home, "intents.json")
    assert data.raw.classes == ("goodbye", "greeting", "thanks")


@pytest.mark.parametrize("is_list", [True, False])
def test_tagged_sentences_are_not_intents(is_list: bool) -> None:
    words = [["fly", "to", "Rome"], ["hello", "there"]]
    records = [{"text": text, "tags": ["O"] * len(text), "intent": text[0]} for text in words]
    assert example_intents(records if is_list else {"intents": records}) == []
    assert example_intents([{"text": text, "intent": text[0]} for text in words]) == []


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


# ---------------------------------------------------------------- Rasa, and conversations

EXAMPLES = {
    "book": ["fly to [New York](city)", 'to [Rome]{"entity": "city", "value": "rome"} [today](day:now)', "fly"] * 5,
    "greet": ["hello there", "hi", "good morning"] * 5,
}
YAML = "version: '3.1'\nnlu:\n" + "".join(
    f"- intent: {name}\n  examples: |\n" + "".join(f"    - {text}\n" for text in texts)
    for name, texts in EXAMPLES.items()
)
MARKDOWN = "".join(f"## intent:{name}\n" + "".join(f"- {text}\n" for text in texts) for name, texts in EXAMPLES.items())


@pytest.mark.parametrize(("content", "filename"), [(YAML, "nlu.yml"), (MARKDOWN, "nlu.md")])
def test_examples_of_rasa_have_intents_and_tags(content: str, filename: str, home: Path) -> None:
    data = import_and_prepare(content.encode(), home, filename)
    assert (data.raw.target_kind, data.raw.classes) == ("class_and_tags", ("book", "greet"))
    assert isinstance(data.raw, TaggedTexts)
    assert [data.raw.row(row)["text"] for row in (0, 1, 15)] == [
        ["fly", "to", "New", "York"], ["to", "Rome", "today"], ["hello", "there"],
    ]  # fmt: skip
    assert [data.raw.tags[row] for row in (0, 1, 15)] == [
        ["O", "O", "B-city", "I-city"],
        ["O", "B-city", "B-day"],
        ["O", "O"],
    ]


def test_examples_of_rasa_without_entities_are_texts(home: Path) -> None:
    content = YAML.replace("](city)", "").replace("[", "").replace("](day:now)", "")
    lines = [line for line in content.splitlines() if "entity" not in line]
    data = import_and_prepare("\n".join(lines).encode(), home, "nlu.yml")
    assert (data.raw.target_kind, data.raw.classes) == ("class", ("book", "greet"))


def test_json_of_rasa_is_texts_with_intents(home: Path) -> None:
    examples: list[dict[str, Any]] = [
        {"text": text, "intent": intent, "entities": []} for intent, texts in PATTERNS.items() for text in texts
    ]
    examples[0]["entities"] = [{"start": 0, "end": 2, "value": "Hi", "entity": "word"}] * 2
    content = json.dumps({"rasa_nlu_data": {"common_examples": examples, "regex_features": []}}).encode()
    data = import_and_prepare(content, home, "nlu.json")
    assert data.raw.classes == ("goodbye", "greeting", "thanks")
    assert any("The 2 entities of the examples are not read" in note for note in data.raw.warnings)


@pytest.mark.parametrize("form", ["OpenAI", "ShareGPT"])
def test_conversations_are_texts_and_answers(form: str, home: Path) -> None:
    def message(speaker: str, text: str) -> dict[str, str]:
        if form == "OpenAI":
            return {"role": speaker, "content": text}
        return {"from": {"user": "human", "assistant": "gpt"}.get(speaker, speaker), "value": text}

    records = [
        {
            ("messages" if form == "OpenAI" else "conversations"): [
                message("system", "Be kind."), message("user", f"What is {i}?"), message("assistant", f"It is {i}."),
                message("user", f"And after {i}?"), message("assistant", f"Then {i + 1}."),
            ]
        }
        for i in range(20)
    ]  # fmt: skip
    content = "\n".join(map(json.dumps, records)) if form == "OpenAI" else json.dumps(records)
    data = import_and_prepare(content.encode(), home, "chat.jsonl")
    assert (len(data.raw), data.raw.target_kind) == (40, "sequence")
    assert data.raw.row(1) == {"text": "And after 0?", "answer so far": "Then 1."}
    assert any("the messages before it and those of the system are left out" in note for note in data.raw.warnings)


def _conversation(number: int, **fields: Any) -> dict[str, Any]:
    turns = {f"What is {number}?": f"It is {number}.", f"And after {number}?": f"Then {number + 1}."}
    messages = [
        {"role": role, "content": text}
        for turn in turns.items()
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    return {**fields, "messages": messages}


@pytest.mark.parametrize("form", ["parts", "field"])
def test_conversations_keep_their_split(form: str, home: Path) -> None:
    rows = {"train": range(20), "validation": range(20, 26), "test": range(26, 34)}
    if form == "parts":
        content = json.dumps({part: [_conversation(i) for i in numbers] for part, numbers in rows.items()})
    else:
        content = "\n".join(
            json.dumps(_conversation(i, id=f"c{i}", model="ab"[i % 2], split=part))
            for part, numbers in rows.items()
            for i in numbers
        )
    data = import_and_prepare(content.encode(), home, "chat.json")
    assert data.raw.target_kind == "sequence"
    assert [len(data.split[part]) for part in rows] == [40, 12, 16]


def test_a_message_without_text_is_left_out_of_a_conversation(home: Path) -> None:
    records = [_conversation(i) for i in range(20)]
    records[3]["messages"].append({"role": "assistant", "content": None, "tool_calls": []})
    data = import_and_prepare("\n".join(map(json.dumps, records)).encode(), home, "chat.jsonl")
    assert (len(data.raw), data.raw.target_kind) == (40, "sequence")

"""Conversations as JSON, in the formats of OpenAI (messages) and ShareGPT (conversations), as texts and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.data.splits.given_splits import is_split, part_of

_LISTS = ("messages", "conversations", "conversation")
_SPEAKERS, _TEXTS = ("role", "from"), ("content", "value")
_USERS, _BOTS = ("user", "human"), ("assistant", "gpt", "bot", "chatgpt")
CHAT_NOTE = (
    "Each message of a user and the answer to it is a row; the messages before it and those of the system are left out."
)


def chat_pairs(records: Sequence[Any]) -> list[dict[str, str]]:
    """Return a row with `text` and `answer` for each message of a user that is answered,
    with the part of the split if the conversations have it; [] for other records."""
    if not records or _messages(records[0]) is None:
        return []
    conversations = [_messages(record) for record in records]
    if None in conversations:
        return []
    splits = _splits(records)
    return [
        {**{name: record[name] for name in splits}, "text": text, "answer": answer}
        for record, messages in zip(records, conversations, strict=True)
        for (speaker, text), (other, answer) in zip(messages or [], (messages or [])[1:], strict=False)
        if speaker in _USERS and other in _BOTS
    ]


def _splits(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the fields that name the part of the split of each conversation."""
    plain = [name for name, value in records[0].items() if isinstance(value, str)]
    return [name for name in plain if is_split(part_of(record.get(name, "")) for record in records)]


def _messages(record: Any) -> list[tuple[str, str]] | None:
    """Return the speakers and texts of a conversation; None if a record is not one."""
    if not isinstance(record, dict):
        return None
    items = next((record[name] for name in _LISTS if isinstance(record.get(name), list)), None)
    if items is None or not all(isinstance(item, dict) for item in items):
        return None
    messages = []
    for item in items:
        if any(name in item and item[name] is None for name in _TEXTS):
            continue  # the call of a tool, which has no text
        speaker = next((item[name] for name in _SPEAKERS if isinstance(item.get(name), str)), None)
        text = next((item[name] for name in _TEXTS if isinstance(item.get(name), str)), None)
        if speaker is None or text is None:
            return None
        messages.append((speaker.lower(), text))
    return messages

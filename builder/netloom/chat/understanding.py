"""What a run reads from a message: the intent with its confidence, and entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom import runs
from netloom.modalities.encoding.text_fields import token_encoder

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

MAX_RANKED = 5
MAX_LETTERS = 4_000


@dataclass(frozen=True)
class Entity:
    """Words of a message that mean something, such as a date. `first` and `last` are indices of words."""

    kind: str
    text: str
    first: int
    last: int


@dataclass(frozen=True)
class Understanding:
    """The intents of a message with their probabilities, most likely first, its words, and its entities."""

    message: str
    ranking: tuple[tuple[str, float], ...]
    words: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()

    @property
    def intent(self) -> str:
        return self.ranking[0][0]

    @property
    def confidence(self) -> float:
        return self.ranking[0][1]


def unavailable_reason(trained: TrainedRun) -> str:
    """Return why a run cannot understand messages, as a sentence; "" if it can."""
    schema, task = trained.data.schema, trained.objective.task
    fields = [field for field in schema.inputs if field.name in trained.fields]
    if len(fields) != 1 or not fields[0].is_text:
        return "A chat needs a network that reads a text, and nothing else."
    if not schema.target.type.has_class or not (task.per_class_scores or task.two_classes):
        return "A chat needs a network that predicts the class of a text, such as its intent or its sentiment."
    return ""


def understand(trained: TrainedRun, messages: Sequence[str]) -> list[Understanding]:
    """Return the understanding of each message, in one pass through the network.

    Raises:
        ValueError: the run cannot understand messages, or a message is too long.
    """
    if reason := unavailable_reason(trained):
        raise ValueError(reason)
    for message in messages:
        if len(message) > MAX_LETTERS:
            raise ValueError(f"A message has {len(message):,} letters; at most {MAX_LETTERS:,} are read.")
    field = next(field for field in trained.data.fields if field.name == trained.fields[0])
    rows = [{field.source_column or field.name: message} for message in messages]
    encoder = token_encoder(field.field)
    return [
        _understanding(message, tuple(encoder.readable(message)), answer)
        for message, answer in zip(messages, runs.predict(trained, rows), strict=True)
    ]


def _understanding(message: str, words: tuple[str, ...], answer: dict[str, Any]) -> Understanding:
    ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])[:MAX_RANKED]
    entities = tuple(
        Entity(span["kind"], " ".join(words[span["first"] : span["last"] + 1]), span["first"], span["last"])
        for span in answer.get("entities", ())
        if span["first"] < len(words)
    )
    return Understanding(message, tuple((name, float(share)) for name, share in ranked), words, entities)

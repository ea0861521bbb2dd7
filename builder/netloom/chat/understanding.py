"""What a run reads from a message: the intent with its confidence, entities, and further outputs such as sentiment.

A run can also recognize entities alone, or generate texts. Its messages have no intent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from netloom import runs
from netloom.chat.policy import MAX_INTENT, MAX_KIND, MESSAGE, readable, words
from netloom.core.errors import UsageError
from netloom.core.plain_json import JsonObject
from netloom.modalities.encoding.rows import Answer
from netloom.modalities.encoding.text_fields import TokenEncoder, token_encoder
from netloom.modalities.encoding.tokenization import UNKNOWN
from netloom.runs.prediction.text_generation import generates_text

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.data.schema import Schema, TargetSpec
    from netloom.runs import TrainedRun
    from netloom.training.objectives import Objective

MAX_RANKED = 5
MAX_LETTERS = 4_000
SENTIMENTS = frozenset(
    [
        *("positive", "negative", "neutral", "mixed", "pos", "neg"),
        *("very positive", "very negative", "somewhat positive", "somewhat negative"),
    ]
)


class ChatRun(Protocol):
    """A run with its data; its network need not be loaded."""

    @property
    def data(self) -> Prepared: ...

    @property
    def objective(self) -> Objective: ...

    @property
    def fields(self) -> list[str]: ...


@dataclass(frozen=True)
class Entity:
    """Words of a message that mean something, such as a date. `first` and `last` are indices of words."""

    kind: str
    text: str
    first: int
    last: int


@dataclass(frozen=True)
class Label:
    """The prediction of another output of the network, such as the sentiment; its probability, if it is a class."""

    name: str
    value: str
    confidence: float | None = None


@dataclass(frozen=True)
class Understanding:
    """The intents of a message with their probabilities, most likely first, its words, and its entities.

    A run without intents has an empty `ranking`, and the intent "" with the confidence 0.

    `abstains`: whether the calibration of the run makes it abstain, so that no intent is accepted.

    `is_unknown`: whether the vocabulary has no token of the message, such as one in another language, so that its
    ranking means nothing.
    """

    message: str
    ranking: tuple[tuple[str, float], ...]
    words: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    labels: tuple[Label, ...] = ()
    abstains: bool = False
    is_unknown: bool = False

    @property
    def intent(self) -> str:
        return self.ranking[0][0] if self.ranking else ""

    @property
    def confidence(self) -> float:
        return self.ranking[0][1] if self.ranking else 0.0


def unavailable_reason(run: ChatRun) -> str:
    """Return why a run cannot understand messages, as a sentence; "" if it can."""
    schema, task = run.data.schema, run.objective.task
    fields = [field for field in schema.inputs if field.name in run.fields]
    # The second field of a network that answers is the beginning of its answer.
    if not fields or not fields[0].is_text or len(fields) != 1 + schema.target.type.is_text:
        return "A chat needs a network that reads a text, and nothing else."
    if not (schema.target.type.is_tags or generates_text(schema)):
        predicts_class = task.per_class_scores or task.two_classes or bool(schema.target.parts)
        if not predicts_class or not has_intents(schema):
            return "A chat needs a network that predicts the class of a text, tags its words, or generates a text."
        if not all(name and len(name) <= MAX_INTENT for name in intent_target(schema).classes):
            return f"A chat needs classes with names of 1 to {MAX_INTENT} letters."
    if any(len(kind) > MAX_KIND for kind in entity_kinds(schema)):
        return f"A chat needs kinds of entities with names of at most {MAX_KIND} letters."
    return ""


def has_intents(schema: Schema) -> bool:
    """Return whether a run predicts a class of a message."""
    return _class_target(schema) is not None


def intent_target(schema: Schema) -> TargetSpec:
    """Return the target whose classes are the intents: the only one, or the first class of several targets.

    Raises:
        ValueError: there is none.
    """
    target = _class_target(schema)
    if target is None:
        raise ValueError("The data has no classes that could be intents.")
    return target


def policy_intents(schema: Schema) -> tuple[str, ...]:
    """Return the intents that a policy answers: those of the run, or `MESSAGE` if it has none."""
    return intent_target(schema).classes if has_intents(schema) else (MESSAGE,)


def is_sentiment(schema: Schema) -> bool:
    """Return whether the classes of a run are sentiments, such as positive and negative, rather than intents."""
    target = _class_target(schema)
    if target is None:
        return False
    return "sentiment" in target.name.lower() or all(
        " ".join(words(readable(name))) in SENTIMENTS for name in target.classes
    )


def _class_target(schema: Schema) -> TargetSpec | None:
    return next((target for target in (schema.target, *schema.target.parts) if target.type.has_class), None)


def entity_kinds(schema: Schema) -> tuple[str, ...]:
    """Return the kinds of entities that a run recognizes, in alphabetical order."""
    target = schema.target
    tags = target.classes if target.type.is_tags else intent_target(schema).tags if has_intents(schema) else ()
    return tuple(sorted({tag.partition("-")[2] for tag in tags if "-" in tag}))


def message_row(run: ChatRun, message: str) -> JsonObject:
    """Return a message as a raw row of the run.

    Raises:
        UsageError: the message is too long.
    """
    if len(message) > MAX_LETTERS:
        raise UsageError(
            f"The message has {len(message):,} characters, but at most {MAX_LETTERS:,} are read. Shorten it."
        )
    field = _text_field(run)
    return {field.source_column or field.name: message}


def understand(trained: TrainedRun, messages: Sequence[str]) -> list[Understanding]:
    """Return the understanding of each message, in one pass through the network.

    Raises:
        UsageError: the run cannot understand messages, or a message is too long.
    """
    if reason := unavailable_reason(trained):
        raise UsageError(reason)
    rows = [message_row(trained, message) for message in messages]
    if generates_text(trained.data.schema):
        return [Understanding(message, ()) for message in messages]
    return [
        read_answer(trained, message, answer)
        for message, answer in zip(messages, runs.predict(trained, rows), strict=True)
    ]


def read_answer(run: ChatRun, message: str, answer: Answer) -> Understanding:
    """Return the understanding of a message from the prediction of the run for it, as in `runs.predict`."""
    outputs: dict[str, Any] = answer.get("outputs", {})
    intents = outputs[intent_target(run.data.schema).name] if outputs else answer
    shares = intents["probabilities"].items() if has_intents(run.data.schema) else ()
    ranked = sorted(shares, key=lambda item: -item[1])[:MAX_RANKED]
    field = _text_field(run)
    written = as_written(message, field.readable(message))
    entities = tuple(
        Entity(span["kind"], " ".join(written[span["first"] : span["last"] + 1]), span["first"], span["last"])
        for span in intents.get("entities", ())
        if span["first"] < len(written)
    )
    labels = tuple(_label(name, output) for name, output in outputs.items() if output is not intents)
    ranking = tuple((name, float(share)) for name, share in ranked)
    [is_unknown] = has_no_known_token(field.encode_texts([message]))
    return Understanding(
        message, ranking, written, entities, labels, bool(intents.get("abstained")), is_unknown=bool(is_unknown)
    )


def has_no_known_token(tokens: np.ndarray) -> np.ndarray:
    """Return for each text of token indices (N, T) whether the vocabulary has none of its tokens, as bool (N,)."""
    is_unknown: np.ndarray = np.all(tokens <= UNKNOWN, axis=1)
    return is_unknown


def as_written(message: str, words: Sequence[str]) -> tuple[str, ...]:
    """Return words with the capital letters of the message, which a vocabulary may lack; a word that is not found stays
    as it is."""
    lower, start, written = message.lower(), 0, []
    is_aligned = len(lower) == len(message)  # some letters become two in lower case
    for word in words:
        position = lower.find(word.lower(), start) if is_aligned and word else -1
        written.append(word if position < 0 else message[position : position + len(word)])
        start = start if position < 0 else position + len(word)
    return tuple(written)


def _label(name: str, output: dict[str, Any]) -> Label:
    value = output["prediction"]
    share = output.get("probabilities", {}).get(value)
    return Label(name, f"{value:.4g}" if isinstance(value, float) else str(value), share)


def _text_field(run: ChatRun) -> TokenEncoder[Any]:
    field = next(field for field in run.data.fields if field.name == run.fields[0])
    return token_encoder(field)

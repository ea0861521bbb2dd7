"""What the answers of an exported network are, in one sentence for its README: one per kind of decoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netloom.data import Prepared

Decoding = dict[str, Any]


def describe(decoding: Decoding, data: Prepared) -> str:
    """The sentence for what a run's `decoding` says of its answers."""
    return SENTENCES[decoding["kind"]](decoding, data)


def _reconstruction(decoding: Decoding, data: Prepared) -> str:
    if "threshold" in decoding:
        return "The answer is whether it is usual or unusual, by how far the network is off when it gives it back."
    return "The answer is the row as the network gives it back, and how far that is off."


def _tags(decoding: Decoding, data: Prepared) -> str:
    words = isinstance(data.row(0).get(data.schema.inputs[0].name), list)
    given = (
        " A text is a string, which is split into words and punctuation marks, or a list of words as in the data."
        if words
        else ""
    )
    return f"The answer is a tag for each word, and the entities that the tags mark.{given}"


def _text(decoding: Decoding, data: Prepared) -> str:
    unread = data.schema.inputs[-1].name
    return f"The answer is a text, written token by token from the rest of the row; `{unread}` is not read."


def _action(decoding: Decoding, data: Prepared) -> str:
    score = "the return that the agent expects of each" if decoding["values"] else "the probability of each"
    return f"The answer is one of {len(decoding['classes'])} actions, with {score}."


def _several(decoding: Decoding, data: Prepared) -> str:
    return f"The answer holds one for each of {', '.join(part['name'] for part in decoding['parts'])}."


def _fixed(sentence: str) -> Callable[[Decoding, Prepared], str]:
    return lambda decoding, data: sentence


def _counted(sentence: str) -> Callable[[Decoding, Prepared], str]:
    return lambda decoding, data: sentence.format(len(decoding["classes"]))


SENTENCES: dict[str, Callable[[Decoding, Prepared], str]] = {
    "input": _reconstruction,
    "generated": _fixed(
        "The answer is the picture that is made of the noise; the discriminator, which only trains, is left out."
    ),
    "mask": _counted("The answer is one of {} classes for each pixel, by its number."),
    "class_and_tags": _fixed(
        "The answer is a class with its probability, a tag for each word, and the entities that the tags mark."
    ),
    "tags": _tags,
    "sequence": _text,
    "action": _action,
    "labels": _counted("The answer is those of {} labels that apply, with the probability of each."),
    "binary": lambda decoding, data: (
        f"The answer is {decoding['classes'][0]} or {decoding['classes'][1]}, with the probability of each."
    ),
    "pair": _fixed("The answer is whether both are alike, by how far apart their embeddings lie."),
    "embedding": _fixed("The answer is an embedding: numbers that are near each other for what is alike."),
    "score": _fixed("The answer is a score: the higher, the better the item suits the user."),
    "several": _several,
    "class": _counted("The answer is one of {} classes, with the probability of each."),
    "number": _fixed("The answer is a number in the units of the data."),
    "next_token": _fixed("The answer is the likeliest next token, with the probabilities of the five likeliest."),
}

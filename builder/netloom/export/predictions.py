"""One sentence on the predictions of an exported network for its README, by the kind of decoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from netloom.data.preparation.calibrated import is_of_objects

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.data.preparation.calibrated import Decoding

CALIBRATED = (
    "It is calibrated: each answer has a `confidence` or an `interval`, and if these were chosen, a `prediction_set` "
    "and whether the network `abstained`, with the `reason`."
)

CALIBRATED_OBJECTS = (
    "It is calibrated: the `score` of an object is the probability that it matches a true object of its class with an "
    "IoU of at least 0.5."
)


def describe(decoding: Decoding, data: Prepared) -> str:
    """Return the sentence for the decoding of a run, and one on its calibration."""
    sentence = SENTENCES[decoding["kind"]](decoding, data)
    calibrations = [part["calibration"] for part in (decoding, *decoding.get("parts", ())) if "calibration" in part]
    if not calibrations:
        return sentence
    return f"{sentence} {CALIBRATED_OBJECTS if all(map(is_of_objects, calibrations)) else CALIBRATED}"


def _reconstruction(decoding: Decoding, data: Prepared) -> str:
    if "threshold" in decoding:
        return "The prediction is usual or unusual, by the reconstruction error."
    return "The prediction is the reconstructed row and its error."


def _tags(decoding: Decoding, data: Prepared) -> str:
    words = isinstance(data.row(0).get(data.schema.inputs[0].name), list)
    text_hint = (
        " A text is a string, which is split into words and punctuation marks, or a list of words as in the data."
        if words
        else ""
    )
    return f"The prediction is a tag for each word and the entities that the tags mark.{text_hint}"


def _text(decoding: Decoding, data: Prepared) -> str:
    unread = data.schema.inputs[-1].name
    return f"The prediction is a text, generated token by token from the rest of the row; `{unread}` is ignored."


def _action(decoding: Decoding, data: Prepared) -> str:
    score = "the return that the agent expects of each" if decoding["values"] else "the probability of each"
    return f"The prediction is one of {len(decoding['classes'])} actions, with {score}."


def _several(decoding: Decoding, data: Prepared) -> str:
    return f"The prediction has one for each of {', '.join(part['name'] for part in decoding['parts'])}."


def _numbers(decoding: Decoding, data: Prepared) -> str:
    forecast = data.schema.target.forecast
    if forecast is None or (len(forecast.series) == 1 and forecast.horizon == 1):
        return "The prediction is a number in the units of the data."
    values = "next value" if forecast.horizon == 1 else f"next {forecast.horizon} values"
    of_each = f" of each of {', '.join(forecast.series)}, by name" if len(forecast.series) > 1 else ""
    return f"The prediction is the {values}{of_each}, in the units of the data."


def _fixed(sentence: str) -> Callable[[Decoding, Prepared], str]:
    return lambda decoding, data: sentence


def _counted(sentence: str) -> Callable[[Decoding, Prepared], str]:
    return lambda decoding, data: sentence.format(len(decoding["classes"]))


SENTENCES: dict[str, Callable[[Decoding, Prepared], str]] = {
    "input": _reconstruction,
    "generated": _fixed(
        "The prediction is the image that is generated from the noise; the discriminator, which is used only in "
        "training, is left out."
    ),
    "mask": _counted("The prediction is one of {} classes for each pixel, as its index."),
    "boxes": _counted(
        "The prediction is a list of objects of {} classes, each with its class, its score and its box: x_min, y_min, "
        "x_max and y_max as shares of the width and the height of the image."
    ),
    "class_and_tags": _fixed(
        "The prediction is a class with its probability, a tag for each word, and the entities that the tags mark."
    ),
    "tags": _tags,
    "sequence": _text,
    "action": _action,
    "labels": _counted("The prediction is the set of labels out of {} that apply, with the probability of each."),
    "binary": lambda decoding, data: (
        f"The prediction is {decoding['classes'][0]} or {decoding['classes'][1]}, with the probability of each."
    ),
    "pair": _fixed("The prediction is whether both are similar, by the distance of their embeddings."),
    "embedding": _fixed("The prediction is an embedding: vectors that are close to each other for similar examples."),
    "score": _fixed("The prediction is a score: a higher score means a more relevant item for the user."),
    "several": _several,
    "class": _counted("The prediction is one of {} classes, with the probability of each."),
    "number": _numbers,
    "next_token": _fixed("The prediction is the most likely next token, with the probabilities of the top five."),
}

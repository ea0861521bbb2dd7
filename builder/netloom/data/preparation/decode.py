"""Decodes outputs of a network to predictions in words and numbers.

A copy of this file is part of each exported network, and the app uses the same file, so both give equal predictions. It
needs only torch and numpy. Outputs are logits for classes; several outputs are a tuple. `target` is the entry of the
target in the decoding of a run, and `arrays` are the inputs (N, …) by field, as tensors or arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netloom.data.preparation.box_decoding import detected_logits
from netloom.data.preparation.calibrated import (
    calibrated_logits,
    is_of_objects,
    object_confidences,
    with_confidence,
)
from netloom.modalities.encoding.rows import restore_rows
from netloom.modalities.encoding.tags import spans
from netloom.modalities.encoding.text_fields import written
from netloom.modalities.encoding.tokenization import PAD

LIKELIEST = 5
Answers = list[dict[str, Any]]


def decode(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return a prediction in plain JSON for each row of the output (N, …).

    With a calibration, probabilities are calibrated, and each answer has its confidence; of objects, each has its own.
    Of several outputs, the first is calibrated.
    """
    target = preprocess["target"]
    decoder, calibration = DECODERS[target["kind"]], target.get("calibration")
    if calibration is None or is_of_objects(calibration):
        return decoder(preprocess, output, arrays)
    first, *other_outputs = output if isinstance(output, tuple) else (output,)
    logits = calibrated_logits(calibration, first)
    answers = decoder(preprocess, (logits, *other_outputs) if other_outputs else logits, arrays)
    return with_confidence(preprocess, first, logits, arrays, answers)


def class_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return one of several classes per row, from logits (N, classes)."""
    names = preprocess["target"]["classes"]
    return [
        {"prediction": names[int(row.argmax())], "probabilities": dict(zip(names, row.tolist(), strict=True))}
        for row in output.softmax(1)
    ]


def binary_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return one of two classes per row, from a logit (N, 1) of the second."""
    (no, yes), limit = preprocess["target"]["classes"], preprocess["target"]["threshold"]
    return [
        {"prediction": yes if share > limit else no, "probabilities": {no: 1 - share, yes: share}, "threshold": limit}
        for share in output[:, 0].sigmoid().tolist()
    ]


def label_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return any number of labels per row, from a logit for each (N, labels)."""
    names, limits = preprocess["target"]["classes"], preprocess["target"]["thresholds"]
    return [
        {
            "prediction": [name for name, share, limit in zip(names, row, limits, strict=True) if share > limit],
            "probabilities": dict(zip(names, row, strict=True)),
            "thresholds": dict(zip(names, limits, strict=True)),
        }
        for row in output.sigmoid().tolist()
    ]


def number_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return numbers in the units of the data, from standardized ones (N, k); those of several series by name."""
    import torch

    target = preprocess["target"]
    # Float32 would round numbers such as times in seconds by more than their errors
    mean, std = (torch.tensor(target[name], dtype=torch.float64) for name in ("mean", "std"))
    values = output.double() * std + mean
    answers = [{"prediction": value} for value in _by_name(target, values)]
    interval = target.get("calibration", {}).get("interval")
    if interval is None:
        return answers
    below, above = (torch.tensor(interval[name], dtype=torch.float64) for name in ("below", "above"))
    low, high = values - below, values + above
    bounds = zip(_by_name(target, low), _by_name(target, high), strict=True)
    coverage = 1 - interval["alpha"]
    return [
        {**answer, "interval": {"low": first, "high": last, "coverage": coverage}}
        for answer, (first, last) in zip(answers, bounds, strict=True)
    ]


def _by_name(target: Mapping[str, Any], values: Any) -> list[Any]:
    """Return numbers (N, k) as plain JSON for each row: one, a list, or those of several series by name."""
    rows, series = values.tolist(), target.get("series")
    if not series:
        return [row[0] if len(row) == 1 else row for row in rows]
    # One series after the other, each with the steps of its horizon
    steps = len(target["std"]) // len(series)
    parts = [[row[series_index * steps :][:steps] for series_index in range(len(series))] for row in rows]
    if steps == 1:
        parts = [[numbers[0] for numbers in row] for row in parts]
    return [dict(zip(series, row, strict=True)) for row in parts]


def token_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return the most likely next tokens, from the last step of logits (N, T, vocabulary)."""
    names, shares = preprocess["fields"][0]["vocabulary"], output[:, -1].softmax(1)
    top = shares.topk(min(LIKELIEST, shares.shape[1]))
    return [
        {
            "prediction": names[tokens[0]],
            "probabilities": {names[token]: share for token, share in zip(tokens, row, strict=True)},
        }
        for tokens, row in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]


def text_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return texts, from logits (N, T, vocabulary) of their tokens."""
    # The decoder input is the last field, and has the vocabulary of the answers.
    return [{"prediction": written(preprocess["fields"][-1]["vocabulary"], line)} for line in output.argmax(2).tolist()]


def mask_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return a class for each pixel, from logits (N, classes, H, W)."""
    names = preprocess["target"]["classes"]
    return [
        {
            "prediction": grid.tolist(),
            "classes": list(names),
            "shares": {name: float((grid == class_index).float().mean()) for class_index, name in enumerate(names)},
        }
        for grid in output.argmax(1)
    ]


def box_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return the objects whose score exceeds the threshold, from the output of a detector (N, classes + 4, H, W).

    With a calibration, objects have their calibrated score, and the threshold is that of calibrated scores.
    """
    import torch

    target = preprocess["target"]
    names, limit, calibration = target["classes"], target["threshold"], target.get("calibration")
    classes, logits, boxes = detected_logits(output)
    scores = logits.sigmoid()
    # The scores of the network decide, so that a calibration neither adds nor removes an object
    is_object, confidences, threshold = scores > limit, scores, limit
    if calibration is not None:
        confidences = object_confidences(calibration, logits)
        threshold = float(object_confidences(calibration, torch.tensor(limit, dtype=torch.float64).logit()))
    return [
        {
            "prediction": [
                {"class": names[number], "score": score, "box": box}
                for number, score, box, is_predicted in zip(*row, strict=True)
                if is_predicted
            ],
            "threshold": threshold,
        }
        for row in zip(*(part.tolist() for part in (classes, confidences, boxes, is_object)), strict=True)
    ]


def tag_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return a tag for each word, and the entities that the tags mark, from logits (N, T, tags)."""
    names = preprocess["target"]["classes"]
    # The network also outputs tags for padding; only words have one
    lengths = (arrays[preprocess["fields"][0]["name"]] != PAD).sum(1).tolist()
    answers = []
    for line, length in zip(output.argmax(2).tolist(), lengths, strict=True):
        tags = [names[number] for number in line[:length]]
        entities = [{"first": first, "last": last, "kind": kind} for first, last, kind in spans(tags)]
        answers.append({"prediction": tags, "entities": entities})
    return answers


def class_and_tag_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return a class, from logits (N, classes), and a tag for each word, from logits (N, T, tags)."""
    classes, tags = output
    target = preprocess["target"]
    first = class_answers(preprocess, classes, arrays)
    second = tag_answers({**preprocess, "target": {**target, "classes": target["tags"]}}, tags, arrays)
    return [
        {**class_answer, "tags": tag_answer["prediction"], "entities": tag_answer["entities"]}
        for class_answer, tag_answer in zip(first, second, strict=True)
    ]


def several_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return a prediction for each of several targets, from one output each."""
    parts = preprocess["target"]["parts"]
    each = [decode({**preprocess, "target": part}, scores, arrays) for part, scores in zip(parts, output, strict=True)]
    names = [part["name"] for part in parts]
    return [
        {
            "prediction": {name: answer["prediction"] for name, answer in zip(names, row, strict=True)},
            "outputs": dict(zip(names, row, strict=True)),
        }
        for row in zip(*each, strict=True)
    ]


def input_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return the reconstruction of the input and its error; with a threshold, whether the input is anomalous."""
    import torch

    field, target = preprocess["fields"][0], preprocess["target"]
    errors: list[float] = []
    if field["name"] in arrays:
        errors = (output - torch.as_tensor(arrays[field["name"]])).square().flatten(1).mean(1).tolist()
    if "threshold" in target:
        limit = target["threshold"]
        words = ["unusual" if error > limit else "usual" for error in errors]
        return [
            {"prediction": word, "error": error, "threshold": limit} for word, error in zip(words, errors, strict=True)
        ]
    values = restore_rows(field, output.numpy())
    if not errors:
        return [{"prediction": value} for value in values]
    return [{"prediction": value, "error": error} for value, error in zip(values, errors, strict=True)]


def generated_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return generated examples."""
    return [{"prediction": example} for example in restore_rows(preprocess["target"]["field"], output.numpy())]


def pair_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return whether two examples are similar, by the distance of their embeddings (N, D)."""
    first, second = output
    names, limit = preprocess["target"]["classes"], preprocess["target"]["threshold"]
    # Clamped like the distance in explanations, whose gradient would be infinite at 0.
    distances = (first - second).square().sum(1).clamp(min=1e-12).sqrt().tolist()
    return [{"prediction": names[int(far < limit)], "distance": far, "threshold": limit} for far in distances]


def action_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return the action of an agent, with the expected return or the probability of each action."""
    target = preprocess["target"]
    scores = output[0] if isinstance(output, tuple) else output
    label, numbers = ("values", scores) if target["values"] else ("probabilities", scores.softmax(1))
    names = target["classes"]
    return [
        {"prediction": names[int(row.argmax())], label: dict(zip(names, row.tolist(), strict=True))} for row in numbers
    ]


def embedding_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return embeddings (N, D) without changes."""
    return [{"prediction": row} for row in output.tolist()]


def score_answers(preprocess: Mapping[str, Any], output: Any, arrays: Mapping[str, Any]) -> Answers:
    """Return scores of items (N, 1)."""
    return [{"prediction": score} for score in output.flatten().tolist()]


DECODERS: dict[str, Callable[[Mapping[str, Any], Any, Mapping[str, Any]], Answers]] = {
    "class": class_answers,
    "binary": binary_answers,
    "labels": label_answers,
    "number": number_answers,
    "next_token": token_answers,
    "sequence": text_answers,
    "mask": mask_answers,
    "boxes": box_answers,
    "tags": tag_answers,
    "class_and_tags": class_and_tag_answers,
    "several": several_answers,
    "input": input_answers,
    "generated": generated_answers,
    "pair": pair_answers,
    "action": action_answers,
    "embedding": embedding_answers,
    "score": score_answers,
}

"""Calibrated probabilities, abstention and prediction sets, from the outputs of a network.

A copy of this file is part of each exported network, and the app uses the same file, so both give equal answers. It
needs only torch and numpy. A calibration is plain JSON, the entry `calibration` of the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from netloom.modalities.encoding.rows import Answer
from netloom.modalities.encoding.tokenization import PAD

# What decodes the outputs of a network, as JSON: the fitted target, whose `kind` decides which other keys it has.
Decoding: TypeAlias = dict[str, Any]
Calibration = Mapping[str, Any]


def calibrated_logits(calibration: Calibration, output: Any) -> Any:
    """Return calibrated logits of the shape of `output`; the classes are on the axis `calibration["axis"]`."""
    import torch

    scaling, axis = calibration.get("scaling"), calibration["axis"]
    if scaling is None:
        return output
    logits = output.movedim(axis, -1)
    if calibration["family"] == "softmax":
        # A softmax ignores a constant that is added to all logits, but a scale for each class does not.
        logits = logits.log_softmax(-1)
    if scaling["curves"]:
        logits = _isotonic_logits(calibration["family"], scaling["curves"], logits)
    else:
        scale, shift = (torch.tensor(scaling[name], dtype=logits.dtype) for name in ("scale", "shift"))
        logits = logits * scale + shift
    return logits.movedim(-1, axis)


def _isotonic_logits(family: str, curves: list[Mapping[str, list[float]]], logits: Any) -> Any:
    """Return logits (…, classes) of probabilities that are interpolated on a curve for each class."""
    import numpy as np
    import torch

    shares = (logits.exp() if family == "softmax" else logits.sigmoid()).numpy()
    columns = [np.interp(shares[..., class_index], curve["x"], curve["y"]) for class_index, curve in enumerate(curves)]
    mapped = torch.from_numpy(np.stack(columns, axis=-1)).to(logits.dtype)
    if family == "softmax":
        return (mapped / mapped.sum(-1, keepdim=True)).log()
    return mapped.logit()


def is_of_objects(calibration: Calibration) -> bool:
    """Return whether the probabilities are those of objects, of which a row has any number: their decoder applies the
    calibration, and the row as a whole has no confidence."""
    return bool(calibration["unit"] == "object")


def object_confidences(calibration: Calibration, logits: Any) -> Any:
    """Return the probabilities (…) that objects are right, from the logits (…) of their scores."""
    return calibrated_logits({**calibration, "axis": -1}, logits[..., None])[..., 0].sigmoid()


def row_confidence(calibration: Calibration, logits: Any, limits: list[float], words: Any = None) -> Any:
    """Return the probability (N,) that a prediction is right, from calibrated logits.

    It is that of the predicted class; of several labels, pixels or words, it is the mean. `limits` are the decision
    thresholds of labels, and `words` (N, T) is true where a text has a word.
    """
    import torch

    values = logits.movedim(calibration["axis"], -1)
    if calibration["family"] == "softmax":
        units = values.softmax(-1).max(-1).values
    else:
        shares = values.sigmoid()
        units = torch.where(shares > torch.tensor(limits, dtype=shares.dtype), shares, 1 - shares)
    return row_mean(units, words)


def known_score(kind: str, calibration: Calibration, output: Any, words: Any = None) -> Any:
    """Return a score (N,) that is low for rows unlike the training rows, from uncalibrated logits: the "softmax"
    probability of the most likely class, or the negative "energy" (https://arxiv.org/abs/2010.03759)."""
    values = output.movedim(calibration["axis"], -1)
    if kind == "energy":
        return row_mean(values.logsumexp(-1), words)
    if calibration["family"] == "softmax":
        return row_mean(values.softmax(-1).max(-1).values, words)
    shares = values.sigmoid()
    return row_mean(shares.maximum(1 - shares), words)


def row_mean(units: Any, words: Any = None) -> Any:
    """Return the mean (N,) of the units of each row, (N,) or (N, …), without positions that are not words."""
    if units.dim() == 1:
        return units
    if words is None:
        return units.flatten(1).mean(1)
    return (units * words).sum(1) / words.sum(1).clamp(min=1)


def set_members(kind: str, limit: float, shares: Any) -> Any:
    """Return which classes are in the conformal set of each row, (N, classes), from probabilities.

    "lac" contains the classes with a probability of at least `limit` (https://arxiv.org/abs/1609.00451). "aps" contains
    the most likely classes whose probabilities add up to at most `limit` (https://arxiv.org/abs/2006.02544, without
    random ties). The most likely class is always in the set, which can only raise the coverage.
    """
    import torch

    order = shares.argsort(dim=-1, descending=True, stable=True)
    ordered = shares.gather(-1, order)
    inside = ordered >= limit if kind == "lac" else ordered.cumsum(-1) <= limit
    inside[..., 0] = True
    return torch.zeros_like(inside).scatter(-1, order, inside)


def word_mask(preprocess: Mapping[str, Any], arrays: Mapping[str, Any]) -> Any:
    """Return which positions (N, T) of the first field have a word."""
    import torch

    return torch.as_tensor(arrays[preprocess["fields"][0]["name"]]) != PAD


def with_confidence(
    preprocess: Mapping[str, Any], output: Any, logits: Any, arrays: Mapping[str, Any], answers: list[Answer]
) -> list[Answer]:
    """Return answers with their confidence, and where chosen, with their prediction set and whether they abstain.

    `output` are the outputs (N, …) of the network, and `logits` the calibrated ones.
    """
    target = preprocess["target"]
    calibration = target["calibration"]
    if calibration["family"] == "numbers":
        return answers
    words = word_mask(preprocess, arrays) if calibration["unit"] == "word" else None
    limits = target.get("thresholds") or [target.get("threshold", 0.5)]
    added: list[dict[str, Any]] = [
        {"confidence": value} for value in row_confidence(calibration, logits, limits, words).tolist()
    ]
    reasons = [_doubts(calibration, part["confidence"]) for part in added]
    if strange := calibration.get("out_of_distribution"):
        scores = known_score(strange["kind"], calibration, output, words).tolist()
        for part, reason, score in zip(added, reasons, scores, strict=True):
            part["familiarity"] = score
            reason += _novelty(strange, score)
    if conformal := calibration.get("conformal"):
        for part, names in zip(added, _sets(calibration, conformal, target["classes"], logits), strict=True):
            part["prediction_set"] = names
    if strange or calibration.get("abstention"):
        for part, reason in zip(added, reasons, strict=True):
            part["abstained"] = bool(reason)
            if reason:
                part["reason"] = " ".join(reason)
    return [{**answer, **part} for answer, part in zip(answers, added, strict=True)]


def _doubts(calibration: Calibration, confidence: float) -> list[str]:
    abstention = calibration.get("abstention")
    if not abstention or confidence >= abstention["threshold"]:
        return []
    return [f"The confidence {confidence:.1%} is below the threshold {abstention['threshold']:.1%}."]


def _novelty(strange: Mapping[str, Any], score: float) -> list[str]:
    if score >= strange["threshold"]:
        return []
    return [
        f"The input is unlike the training data: its familiarity {score:.4g} is below the threshold "
        f"{strange['threshold']:.4g}."
    ]


def _sets(calibration: Calibration, conformal: Mapping[str, Any], classes: list[str], logits: Any) -> list[list[str]]:
    """Return the classes of each conformal set, the most likely first."""
    shares = class_shares(calibration, logits)
    members = set_members(conformal["kind"], conformal["threshold"], shares)
    order = shares.argsort(dim=-1, descending=True, stable=True).tolist()
    return [
        [classes[class_index] for class_index in positions if inside[class_index]]
        for positions, inside in zip(order, members.tolist(), strict=True)
    ]


def class_shares(calibration: Calibration, logits: Any) -> Any:
    """Return the probabilities (N, classes) of classes, from calibrated logits; of two classes also from one logit."""
    import torch

    if calibration["family"] == "softmax":
        return logits.softmax(1)
    positive = logits[:, 0].sigmoid()
    return torch.stack([1 - positive, positive], dim=1)

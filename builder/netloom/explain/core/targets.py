"""Which number is explained where an objective has answers of its own kind: labels, pairs, scores, several outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from netloom.explain.core.errors import UnknownChoiceError
from netloom.explain.core.explanation import Prediction, Target
from netloom.validation.rules.objectives import head_of, head_width

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.document import Training

# Objectives of which all outputs are read, side by side.
JOINED = ("siamese", "several_outputs")
KINDS = ("label", "binary", "distance", "raw", "head")
Asked = int | str | Mapping[str, Any] | None


def choose(asked: Asked, output: torch.Tensor, data: Prepared, training: Training | None) -> Target | None:
    """The target that was asked for, or else the network's own answer; None where the objective has no such answers.

    Raises:
        ExplainError: there is no such label, class or output.
    """
    if training is None:
        return None
    target, objective = data.schema.target, training.objective
    if objective == "binary_classification":
        index = int(output[0, 0] > 0) if asked is None else place(asked, target.classes, "class")
        return Target("binary", index, target.classes[index], f"the score (logit) of {target.classes[index]}")
    if objective == "multi_label":
        index = int(output[0].argmax()) if asked is None else place(asked, target.classes, "label")
        return Target("label", index, target.classes[index], f"the score (logit) of {target.classes[index]}")
    if objective == "siamese":
        return Target("distance", 0, target.name, "the distance of both embeddings")
    if objective == "contrastive":
        names = tuple(f"number {place + 1}" for place in range(output.shape[1]))
        index = int(output[0].abs().argmax()) if asked is None else place(asked, names, "number")
        return Target("raw", index, names[index], f"{names[index]} of the embedding")
    if objective == "ranking":
        return Target("raw", 0, "score", "the score of the item for the user")
    return _head(asked, output, data, training) if objective == "several_outputs" else None


def _head(asked: Asked, output: torch.Tensor, data: Prepared, training: Training) -> Target:
    """One of several outputs: `name`, or `name: class` for one of its classes."""
    names, widths = list[str](), _widths(data, training)
    found: dict[str, Target] = {}
    for place, (part, start, width) in enumerate(_parts(data, widths)):
        own = part["name"]
        names.append(own)
        if part["kind"] == "number":
            found[own] = Target("head", start, own, f"{own}, in its own units", place, widths)
            continue
        classes = part["classes"]
        for index, name in enumerate(classes):
            said = f"the score (logit) of {name} ({own})"
            if width > 1 or index:  # one logit is for the second class
                column = start + (index if width > 1 else 0)
                found[f"{own}: {name}"] = Target("head", column, f"{own}: {name}", said, place, widths)
        best = int(output[0, start : start + width].argmax()) if width > 1 else 1
        found[own] = found[f"{own}: {classes[best]}"]
    if asked is None:
        return found[names[0]]
    if isinstance(asked, int) and 0 <= asked < len(names):
        return found[names[asked]]
    if isinstance(asked, str) and asked in found:
        return found[asked]
    raise UnknownChoiceError(f"There is no output {str(asked)[:60]!r}; choose one of {', '.join(list(found)[:20])}.")


def askable(data: Prepared, training: Training) -> tuple[str, ...]:
    """What can be asked for by name, where it is not one of the classes that an answer has scores for."""
    target = data.schema.target
    if training.objective in ("binary_classification", "multi_label"):
        return target.classes
    if training.objective != "several_outputs":
        return ()
    found = []
    for part, width in zip(target.parts, _widths(data, training), strict=True):
        found.append(part.name)
        found += [f"{part.name}: {name}" for name in part.classes[0 if width > 1 else 1 :]]
    return tuple(found)


def _widths(data: Prepared, training: Training) -> tuple[int, ...]:
    """How many numbers each of several outputs gives."""
    found = []
    for part in data.schema.target.parts:
        head = training.outputs.get(part.name)
        found.append(head_width(part, head_of(part, head.objective if head else "")))
    return tuple(found)


def _parts(data: Prepared, widths: tuple[int, ...]) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Each of several targets, where its output begins and how wide it is, in all outputs side by side."""
    start = 0
    for part, width in zip(data.preprocess["target"]["parts"], widths, strict=True):
        yield part, start, width
        start += width


def place(asked: Asked, names: tuple[str, ...], what: str) -> int:
    """The number of a class, label, output or action that is asked for by name or number.

    Raises:
        ExplainError: there is none.
    """
    if isinstance(asked, int) and 0 <= asked < len(names):
        return asked
    if isinstance(asked, str) and asked in names:
        return names.index(asked)
    if isinstance(asked, str) and asked.isdecimal() and int(asked) < len(names):
        return int(asked)
    listed = ", ".join(names[:20])
    raise UnknownChoiceError(
        f"There is no {what} {str(asked)[:60]!r}; choose one of {listed}, or its number from 0 to {len(names) - 1}."
    )


def select(target: Target, output: torch.Tensor, data: Prepared) -> torch.Tensor:
    """The explained number of each row of an output (N, …): (N,)."""
    if target.kind == "binary":
        return output[:, 0] if target.index else -output[:, 0]
    if target.kind == "distance":
        one, other = output.chunk(2, dim=1)
        return (one - other).square().sum(1).clamp(min=1e-12).sqrt()
    found = output[:, target.index]
    part = data.preprocess["target"]["parts"][target.position or 0] if target.kind == "head" else {}
    if "std" in part:
        found = found * float(part["std"][0]) + float(part["mean"][0])
    return found


def predict(target: Target, output: torch.Tensor, data: Prepared) -> Prediction:
    """The network's answer to one example in words, with probabilities."""
    classes = data.schema.target.classes
    if target.kind == "binary":
        share = float(output[0, 0].sigmoid())
        return Prediction(classes[int(share > 0.5)], {classes[0]: 1 - share, classes[1]: share})
    if target.kind == "label":
        shares = dict(zip(classes, output[0].sigmoid().tolist(), strict=True))
        return Prediction(", ".join(name for name, share in shares.items() if share > 0.5) or "none", shares)
    if target.kind == "distance":
        return Prediction(f"{float(select(target, output, data)):.4g} apart", {})
    if target.kind == "raw":
        return Prediction(f"{target.name} is {float(output[0, target.index]):.4g}", {})
    said, listed = list[str](), dict[str, float]()
    for place, (part, start, width) in enumerate(_parts(data, target.places)):
        values = output[0, start : start + width]
        if part["kind"] == "number":
            said.append(f"{part['name']}: {float(values[0]) * part['std'][0] + part['mean'][0]:.4g}")
            continue
        yes = float(values[0].sigmoid())
        each: list[float] = values.softmax(0).tolist() if width > 1 else [1 - yes, yes]
        said.append(f"{part['name']}: {part['classes'][max(range(len(each)), key=each.__getitem__)]}")
        if place == target.position:
            listed = dict(zip(part["classes"], each, strict=True))
    return Prediction(", ".join(said), listed)

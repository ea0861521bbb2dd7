"""Which number of the answer is explained, and the answer in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from netloom.core.text import number
from netloom.data.preparation.encode import written
from netloom.explain.core import targets
from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.explanation import Prediction, Target
from netloom.validation.rules.data import REBUILDING

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.document import Training

LIKELIEST = 10
# Objectives whose scores of actions are returns in the environment's own units.
VALUING = ("dqn",)
Named = int | str | Mapping[str, Any] | None
Asked = Named | Target


def choose(
    asked: Asked,
    output: torch.Tensor,
    data: Prepared,
    inputs: Mapping[str, torch.Tensor],
    objective: str = "",
    training: Training | None = None,
) -> Target:
    """The target that was asked for, or else the network's own answer; one that was chosen before stays as it is.
    `output` is that for one example, (1, …).

    Raises:
        ExplainError: there is no such class, output, token or position.
    """
    if isinstance(asked, Target):
        return asked
    target = data.schema.target
    if objective in REBUILDING:
        if asked is not None:
            raise ExplainError(
                "A network that gives back its input has one number to explain, how far it is off; ask for no target."
            )
        name = data.schema.inputs[0].name
        return Target("error", 0, name, f"how far {name} as it is given back is off (mean squared error)")
    aimed = targets.choose(asked, output, data, training)
    if aimed is not None:
        return aimed
    if target.kind == "action":
        return _action(asked, output, target.classes, objective)
    if target.kind in ("class", "class_and_tags"):
        classes = target.classes
        index = int(output[0].argmax()) if asked is None else targets.place(asked, classes, "class")
        return Target("class", index, classes[index], f"the score (logit) of {classes[index]}")
    if target.kind == "number":
        width = output[0].numel()
        names = (target.name,) if width == 1 else tuple(f"{target.name} {place + 1}" for place in range(width))
        index = 0 if asked is None else targets.place(asked, names, "output")
        return Target("number", index, names[index], f"{names[index]}, in its own units")
    if target.kind == "mask":
        return _region(asked, output, target.classes)
    return _token(asked, output, data, inputs)


def _action(asked: Named, output: torch.Tensor, actions: tuple[str, ...], objective: str) -> Target:
    """The score of an action: what it is worth, or the logit of its probability."""
    index = int(output[0].argmax()) if asked is None else targets.place(asked, actions, "action")
    told = "the value (expected return)" if objective in VALUING else "the score (logit)"
    kind: Literal["value", "class"] = "value" if objective in VALUING else "class"
    return Target(kind, index, actions[index], f"{told} of {actions[index]}")


def _region(asked: Named, output: torch.Tensor, classes: tuple[str, ...]) -> Target:
    """A class over the pixels that the network gives it; over all of them, where it gives it none."""
    said = output[0].argmax(0).flatten()  # (H·W,)
    commonest = int(said.bincount(minlength=len(classes))[1:].argmax()) + 1  # other than the ground
    index = commonest if asked is None else targets.place(asked, classes, "class")
    places = tuple((said == index).nonzero().flatten().tolist())
    where = "its pixels" if places else "all pixels"
    quantity = f"the mean score (logit) of {classes[index]} over {where}"
    return Target("mask", index, classes[index], quantity, None, places)


def _token(asked: Named, output: torch.Tensor, data: Prepared, inputs: Mapping[str, torch.Tensor]) -> Target:
    request = {"token": asked} if isinstance(asked, (int, str)) else dict(asked or {})
    unknown = set(request) - {"position", "token"}
    if unknown:
        raise ExplainError(f"A target in a text has a position and a token, received {sorted(unknown)[0][:60]!r}.")
    tagging = data.schema.target.kind == "tags"
    steps, vocabulary = output.shape[1], list(data.schema.target.classes) if tagging else _vocabulary(data)
    position, tokens = request.get("position"), next(iter(inputs.values()))
    if position is None and data.schema.target.kind == "sequence":
        position = 0  # nothing but the source can have told the first token
    if position is None:
        position = _first_entity(output, vocabulary, tokens) if tagging else last_token(tokens)
    if not isinstance(position, int) or not 0 <= position < steps:
        raise UnknownChoiceError(f"There is no position {str(position)[:60]!r}; this text has 0 to {steps - 1}.")
    token = request.get("token")
    index = int(output[0, position].argmax()) if token is None else _token_number(token, vocabulary)
    name = vocabulary[index]
    if tagging:
        said = f"the score (logit) of the tag {name} for word {position + 1}"
        return Target("tags", index, name, said, position)
    place = f"as token {position + 1} of the answer" if data.schema.target.kind == "sequence" else (
        f"after step {position + 1}")  # fmt: skip
    return Target("next_token", index, name, f"the score (logit) of {name!r} {place}", position)


def _first_entity(output: torch.Tensor, tags: list[str], tokens: torch.Tensor) -> int:
    """The first word that begins an entity; the first word where there is none."""
    said = output[0, : last_token(tokens) + 1].argmax(1).tolist()
    return next((place for place, number in enumerate(said) if tags[number] != "O"), 0)


def _token_number(token: Any, vocabulary: list[str]) -> int:
    if isinstance(token, str) and token in vocabulary:
        return vocabulary.index(token)
    if isinstance(token, int) and 0 <= token < len(vocabulary):
        return token
    raise ExplainError(f"The token {str(token)[:60]!r} is not among the {len(vocabulary):,} that the network knows.")


def _vocabulary(data: Prepared) -> list[str]:
    """The tokens that are told; those of an answer stand in the last field."""
    place = -1 if data.schema.target.kind == "sequence" else 0
    return list(data.preprocess["fields"][place]["vocabulary"])


def last_token(tokens: torch.Tensor) -> int:
    """The last place of tokens (1, T) that is not padding; 0 where all are."""
    from netloom.data.preparation.encode import PAD

    places = (tokens[0] != PAD).nonzero()
    return int(places[-1]) if len(places) else 0


def select(
    target: Target, output: torch.Tensor, data: Prepared, inputs: Mapping[str, torch.Tensor] | None = None
) -> torch.Tensor:
    """The explained number of each row of an output (N, …), which was given to `inputs` (N, …): (N,)."""
    if target.kind in targets.KINDS:
        return targets.select(target, output, data)
    if target.kind == "error":
        return (output - (inputs or {})[target.name]).square().flatten(1).mean(1)
    if target.kind in ("next_token", "tags"):
        return output[:, target.position, target.index]
    if target.kind == "mask":
        scores = output[:, target.index].flatten(1)
        return scores[:, list(target.places)].mean(1) if target.places else scores.mean(1)
    if target.kind in ("class", "value"):
        return output[:, target.index]
    fitted = data.preprocess["target"]
    spread, middle = _flat(fitted["std"]), _flat(fitted["mean"])
    return output.flatten(1)[:, target.index] * spread[target.index] + middle[target.index]


def _flat(values: Any) -> list[float]:
    import numpy as np

    return [float(value) for value in np.ravel(values)]


def predict(
    target: Target, output: torch.Tensor, data: Prepared, inputs: Mapping[str, torch.Tensor] | None = None
) -> Prediction:
    """The network's answer to one example in words, with probabilities."""
    if target.kind in targets.KINDS:
        return targets.predict(target, output, data)
    if target.kind == "error":
        return Prediction(f"an error of {float(select(target, output, data, inputs)):.4g}", {})
    if target.kind == "number":
        values = data.restore(output)[0].flatten().tolist()
        return Prediction(", ".join(number(value) for value in values), {})
    if target.kind == "value":
        return Prediction(data.schema.target.classes[int(output[0].argmax())], {})
    if target.kind == "class":
        classes, shares = data.schema.target.classes, output[0].softmax(0)
        listed = {name: float(share) for name, share in zip(classes, shares, strict=True)}
        return Prediction(classes[int(shares.argmax())], listed)
    if target.kind == "mask":
        shares = output[0].argmax(0).flatten().bincount(minlength=output.shape[1]) / output[0, 0].numel()
        found = {name: float(share) for name, share in zip(data.schema.target.classes, shares, strict=True)}
        return Prediction(", ".join(f"{name} {share:.0%}" for name, share in found.items() if share), found)
    if target.kind == "tags":
        tags, shares = data.schema.target.classes, output[0, target.position].softmax(0)
        length = last_token(next(iter((inputs or {}).values()))) + 1
        said = " ".join(tags[number] for number in output[0, :length].argmax(1).tolist())
        return Prediction(said, {name: float(share) for name, share in zip(tags, shares, strict=True)})
    vocabulary, shares = _vocabulary(data), output[0, target.position].softmax(0)
    top = shares.topk(min(LIKELIEST, len(shares)))
    listed = {vocabulary[int(i)]: float(share) for i, share in zip(top.indices, top.values, strict=True)}
    if data.schema.target.kind == "sequence":
        return Prediction(written(data.preprocess["fields"][-1], output[0].argmax(1).tolist()), listed)
    return Prediction(vocabulary[int(top.indices[0])], listed)

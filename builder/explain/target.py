"""Which number of the answer is explained, and the answer in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from builder.explain.base import ExplainError
from builder.explain.explanation import Prediction, Target

if TYPE_CHECKING:
    import torch

    from builder.data import Prepared

LIKELIEST = 10
Asked = int | str | Mapping[str, Any] | None


def choose(asked: Asked, output: torch.Tensor, data: Prepared, inputs: Mapping[str, torch.Tensor]) -> Target:
    """The target that was asked for, or else the network's own answer. `output` is that for one example, (1, …).

    Raises:
        ExplainError: there is no such class, output, token or position.
    """
    target = data.schema.target
    if target.kind == "class":
        classes = target.classes
        index = int(output[0].argmax()) if asked is None else _place(asked, classes, "class")
        return Target("class", index, classes[index], f"the score (logit) of {classes[index]}")
    if target.kind == "number":
        width = output[0].numel()
        names = (target.name,) if width == 1 else tuple(f"{target.name} {place + 1}" for place in range(width))
        index = 0 if asked is None else _place(asked, names, "output")
        return Target("number", index, names[index], f"{names[index]}, in its own units")
    return _token(asked, output, data, inputs)


def _place(asked: Asked, names: tuple[str, ...], what: str) -> int:
    if isinstance(asked, int) and 0 <= asked < len(names):
        return asked
    if isinstance(asked, str) and asked in names:
        return names.index(asked)
    if isinstance(asked, str) and asked.isdecimal() and int(asked) < len(names):
        return int(asked)
    listed = ", ".join(names[:20])
    raise ExplainError(
        f"There is no {what} {str(asked)[:60]!r}; choose one of {listed}, or its number from 0 to {len(names) - 1}."
    )


def _token(asked: Asked, output: torch.Tensor, data: Prepared, inputs: Mapping[str, torch.Tensor]) -> Target:
    request = {"token": asked} if isinstance(asked, (int, str)) else dict(asked or {})
    unknown = set(request) - {"position", "token"}
    if unknown:
        raise ExplainError(f"A target in a text has a position and a token, received {sorted(unknown)[0][:60]!r}.")
    steps, vocabulary = output.shape[1], _vocabulary(data)
    position = request.get("position")
    position = last_token(next(iter(inputs.values()))) if position is None else position
    if not isinstance(position, int) or not 0 <= position < steps:
        raise ExplainError(f"There is no position {str(position)[:60]!r}; this text has 0 to {steps - 1}.")
    token = request.get("token")
    index = int(output[0, position].argmax()) if token is None else _token_number(token, vocabulary)
    name = vocabulary[index]
    return Target("next_token", index, name, f"the score (logit) of {name!r} after step {position + 1}", position)


def _token_number(token: Any, vocabulary: list[str]) -> int:
    if isinstance(token, str) and token in vocabulary:
        return vocabulary.index(token)
    if isinstance(token, int) and 0 <= token < len(vocabulary):
        return token
    raise ExplainError(f"The token {str(token)[:60]!r} is not among the {len(vocabulary):,} that the network knows.")


def _vocabulary(data: Prepared) -> list[str]:
    return list(data.preprocess["fields"][0]["vocabulary"])


def last_token(tokens: torch.Tensor) -> int:
    """The last place of tokens (1, T) that is not padding; 0 where all are."""
    from builder.data.encode import PAD

    places = (tokens[0] != PAD).nonzero()
    return int(places[-1]) if len(places) else 0


def select(target: Target, output: torch.Tensor, data: Prepared) -> torch.Tensor:
    """The explained number of each row of an output (N, …): (N,)."""
    if target.kind == "next_token":
        return output[:, target.position, target.index]
    if target.kind == "class":
        return output[:, target.index]
    fitted = data.preprocess["target"]
    spread, middle = _flat(fitted["std"]), _flat(fitted["mean"])
    return output.flatten(1)[:, target.index] * spread[target.index] + middle[target.index]


def _flat(values: Any) -> list[float]:
    import numpy as np

    return [float(value) for value in np.ravel(values)]


def predict(target: Target, output: torch.Tensor, data: Prepared) -> Prediction:
    """The network's answer to one example in words, with probabilities."""
    if target.kind == "number":
        values = data.restore(output)[0].flatten().tolist()
        return Prediction(", ".join(f"{value:.4g}" for value in values), {})
    if target.kind == "class":
        classes, shares = data.schema.target.classes, output[0].softmax(0)
        listed = {name: float(share) for name, share in zip(classes, shares, strict=True)}
        return Prediction(classes[int(shares.argmax())], listed)
    vocabulary, shares = _vocabulary(data), output[0, target.position].softmax(0)
    top = shares.topk(min(LIKELIEST, len(shares)))
    listed = {vocabulary[int(i)]: float(share) for i, share in zip(top.indices, top.values, strict=True)}
    return Prediction(vocabulary[int(top.indices[0])], listed)

"""Explained quantities of outputs with one score for each position of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from netloom.document import Training
from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.explanation import Prediction, Target, TargetQuantity
from netloom.explain.core.quantities.quantity import (
    LOGIT,
    Inputs,
    Quantity,
    Settings,
    TargetChoice,
    probabilities_by_name,
)
from netloom.modalities.encoding.text_fields import token_encoder, written
from netloom.modalities.encoding.tokenization import PAD

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

# The number of most likely tokens in a prediction.
MAX_LISTED_TOKENS = 10


class TokenScore(Quantity):
    """The logit of a token at one position (N, T, vocabulary), such as the next token of a text."""

    kind: ClassVar[TargetQuantity] = "next_token"
    has_position = True
    field: ClassVar[int] = 0  # the input whose vocabulary is used

    def phrase(self, target: Target, name: str) -> str:
        return f"the score of **“{name}”** as the next token"

    def request(self, target: Target) -> TargetChoice:
        return {"position": target.position, "token": target.index}

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        request = {"token": choice} if isinstance(choice, (int, str)) else dict(choice or {})
        if unknown := set(request) - {"position", "token"}:
            raise ExplainError(f"A target in a text has a position and a token, received {sorted(unknown)[0][:60]!r}.")
        names, steps = self.vocabulary(data), output.shape[1]
        position, token = request.get("position"), request.get("token")
        if position is None:
            position = self.position(output, names, next(iter(inputs.values())))
        if not isinstance(position, int) or not 0 <= position < steps:
            raise UnknownChoiceError(f"There is no position {str(position)[:60]!r}; this text has 0 to {steps - 1}.")
        index = int(output[0, position].argmax()) if token is None else _token_index(token, names)
        return Target(self.kind, index, names[index], self.described(names[index], position), position)

    def vocabulary(self, data: Prepared) -> list[str]:
        """Return the tokens or tags of the scores."""
        return list(data.token_field(data.fields[self.field].name).vocabulary)

    def position(self, output: torch.Tensor, names: list[str], tokens: torch.Tensor) -> int:
        """Return the default position."""
        return last_token(tokens)

    def described(self, name: str, position: int) -> str:
        return f"{LOGIT} of {name!r} after step {position + 1}"

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        return output[:, target.position, target.index]

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        probabilities = self.likeliest(target, output, data)
        return Prediction(next(iter(probabilities)), probabilities)

    def likeliest(self, target: Target, output: torch.Tensor, data: Prepared) -> dict[str, float]:
        """Return the most likely tokens at the explained position with their probabilities, in descending order."""
        names, shares = self.vocabulary(data), output[0, target.position].softmax(0)
        top = shares.topk(min(MAX_LISTED_TOKENS, len(shares)))
        return {names[int(index)]: float(share) for index, share in zip(top.indices, top.values, strict=True)}


class AnswerToken(TokenScore):
    """The logit of a token of a generated answer."""

    field = -1

    def position(self, output: torch.Tensor, names: list[str], tokens: torch.Tensor) -> int:
        return 0  # the first token depends on the source only

    def described(self, name: str, position: int) -> str:
        return f"{LOGIT} of {name!r} as output token {position + 1}"

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        text = written(token_encoder(data.fields[self.field]).vocabulary, output[0].argmax(1).tolist())
        return Prediction(text, self.likeliest(target, output, data))


class TagScore(TokenScore):
    """The logit of a tag for one word (N, T, tags)."""

    kind: ClassVar[TargetQuantity] = "tags"

    def phrase(self, target: Target, name: str) -> str:
        return f"the score of the tag **{name}**"

    def vocabulary(self, data: Prepared) -> list[str]:
        return list(data.schema.target.classes)

    def position(self, output: torch.Tensor, names: list[str], tokens: torch.Tensor) -> int:
        """Return the first word that begins an entity; 0 if there is none."""
        tags = output[0, : last_token(tokens) + 1].argmax(1).tolist()
        # "O" marks words outside of entities in the IOB scheme.
        return next((position for position, tag in enumerate(tags) if names[tag] != "O"), 0)

    def described(self, name: str, position: int) -> str:
        return f"{LOGIT} of the tag {name} for word {position + 1}"

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        tags, shares = self.vocabulary(data), output[0, target.position].softmax(0)
        length = last_token(next(iter(inputs.values()))) + 1
        text = " ".join(tags[index] for index in output[0, :length].argmax(1).tolist())
        return Prediction(text, probabilities_by_name(tags, shares))


def last_token(tokens: torch.Tensor) -> int:
    """Return the last position of tokens (1, T) that is not padding; 0 if all are."""
    positions = (tokens[0] != PAD).nonzero()
    return int(positions[-1]) if len(positions) else 0


def _token_index(token: Any, names: list[str]) -> int:
    if isinstance(token, str) and token in names:
        return names.index(token)
    if isinstance(token, int) and 0 <= token < len(names):
        return token
    raise ExplainError(f"The token {str(token)[:60]!r} is not among the {len(names):,} that the network knows.")

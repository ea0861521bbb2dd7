"""Which number of a network's outputs is explained, and its prediction in words: one class per kind of quantity.

A task names the quantity that it explains (`Task.explained`). `choose` finds the one that a person asked for, `select`
computes it, and `predict` says what the network predicts. Outputs are logits; several outputs stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from netloom.core.text import number
from netloom.data.preparation.encode import PAD, written
from netloom.document import Training
from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.explanation import Prediction, Target, TargetQuantity
from netloom.tasks import Task, task, usual_task
from netloom.tasks.several_outputs import head_of, head_width

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

# How many of the likeliest tokens a prediction lists.
LIKELIEST = 10
Named = int | str | Mapping[str, Any] | None
Asked = Named | Target
Inputs = Mapping[str, "torch.Tensor"]


class Quantity:
    """A kind of number that is explained. `kind` is what a `Target` holds of it."""

    kind: ClassVar[TargetQuantity]

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        """What a person can ask for by name, beside the classes of the target."""
        return ()

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        """The target that was asked for, or else the one that the network predicts, for the output of one example.

        Raises:
            ExplainError: there is no such class, output, token or position.
        """
        raise NotImplementedError

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        """The explained number (N,) of each row of an output (N, …)."""
        return output[:, target.index]

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        """The prediction for one example in words, with probabilities."""
        raise NotImplementedError


class ClassScore(Quantity):
    """The logit of one of several classes (N, classes)."""

    kind: ClassVar[TargetQuantity] = "class"

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        classes = data.schema.target.classes
        index = int(output[0].argmax()) if asked is None else place(asked, classes, self.noun)
        return Target(self.kind, index, classes[index], f"{self.said} of {classes[index]}")

    noun: ClassVar[str] = "class"
    said: ClassVar[str] = "the score (logit)"

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        classes, shares = data.schema.target.classes, output[0].softmax(0)
        return Prediction(classes[int(shares.argmax())], _listed(classes, shares))


class ActionScore(ClassScore):
    """The logit of an action."""

    noun = "action"


class ActionValue(ActionScore):
    """The expected return of an action, in the units of the environment."""

    kind: ClassVar[TargetQuantity] = "value"
    said = "the value (expected return)"

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        return Prediction(data.schema.target.classes[int(output[0].argmax())], {})


class BinaryScore(Quantity):
    """The logit (N, 1) of the second of two classes, or its negative for the first."""

    kind: ClassVar[TargetQuantity] = "binary"

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        return data.schema.target.classes

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        classes = data.schema.target.classes
        index = int(output[0, 0] > 0) if asked is None else place(asked, classes, "class")
        return Target(self.kind, index, classes[index], f"the score (logit) of {classes[index]}")

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        return output[:, 0] if target.index else -output[:, 0]

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        classes, share = data.schema.target.classes, float(output[0, 0].sigmoid())
        return Prediction(classes[int(share > 0.5)], {classes[0]: 1 - share, classes[1]: share})


class LabelScore(Quantity):
    """The logit of one of several labels (N, labels)."""

    kind: ClassVar[TargetQuantity] = "label"

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        return data.schema.target.classes

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        labels = data.schema.target.classes
        index = int(output[0].argmax()) if asked is None else place(asked, labels, "label")
        return Target(self.kind, index, labels[index], f"the score (logit) of {labels[index]}")

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        shares = _listed(data.schema.target.classes, output[0].sigmoid())
        return Prediction(", ".join(name for name, share in shares.items() if share > 0.5) or "none", shares)


class Number(Quantity):
    """One of the predicted numbers (N, …), in the units of the data."""

    kind: ClassVar[TargetQuantity] = "number"

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        width, name = output[0].numel(), data.schema.target.name
        names = (name,) if width == 1 else tuple(f"{name} {step + 1}" for step in range(width))
        index = 0 if asked is None else place(asked, names, "output")
        return Target(self.kind, index, names[index], f"{names[index]}, in its own units")

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        fitted = data.preprocess["target"]
        std, mean = _flat(fitted["std"]), _flat(fitted["mean"])
        return output.flatten(1)[:, target.index] * std[target.index] + mean[target.index]

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        values = data.restore(output)[0].flatten().tolist()
        return Prediction(", ".join(number(value) for value in values), {})


class ReconstructionError(Quantity):
    """The mean squared error between the first field of the input and the output."""

    kind: ClassVar[TargetQuantity] = "error"

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        if asked is not None:
            raise ExplainError(
                "A network that gives back its input has one number to explain, how far it is off; ask for no target."
            )
        name = data.schema.inputs[0].name
        return Target(self.kind, 0, name, f"how far {name} as it is given back is off (mean squared error)")

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        return (output - inputs[target.name]).square().flatten(1).mean(1)

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        return Prediction(f"an error of {float(self.select(target, output, data, inputs)):.4g}", {})


class PairDistance(Quantity):
    """The Euclidean distance of two embeddings that stand side by side (N, 2 D)."""

    kind: ClassVar[TargetQuantity] = "distance"

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        return Target(self.kind, 0, data.schema.target.name, "the distance of both embeddings")

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        one, other = output.chunk(2, dim=1)
        return (one - other).square().sum(1).clamp(min=1e-12).sqrt()

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        return Prediction(f"{float(self.select(target, output, data, inputs)):.4g} apart", {})


class Component(Quantity):
    """One number of an embedding (N, D), as it is."""

    kind: ClassVar[TargetQuantity] = "raw"

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        names = tuple(f"number {index + 1}" for index in range(output.shape[1]))
        index = int(output[0].abs().argmax()) if asked is None else place(asked, names, "number")
        return Target(self.kind, index, names[index], f"{names[index]} of the embedding")

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        return Prediction(f"{target.name} is {float(output[0, target.index]):.4g}", {})


class ItemScore(Component):
    """The score (N, 1) of an item for a user."""

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        return Target(self.kind, 0, "score", "the score of the item for the user")


class Region(Quantity):
    """The mean logit of a class (N, classes, H, W) over the pixels that have it."""

    kind: ClassVar[TargetQuantity] = "mask"

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        classes, predicted = data.schema.target.classes, output[0].argmax(0).flatten()  # (H·W,)
        commonest = int(predicted.bincount(minlength=len(classes))[1:].argmax()) + 1  # other than the background
        index = commonest if asked is None else place(asked, classes, "class")
        pixels = tuple((predicted == index).nonzero().flatten().tolist())
        where = "its pixels" if pixels else "all pixels"
        return Target(
            self.kind, index, classes[index], f"the mean score (logit) of {classes[index]} over {where}", None, pixels
        )

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        scores = output[:, target.index].flatten(1)
        return scores[:, list(target.places)].mean(1) if target.places else scores.mean(1)

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        counts = output[0].argmax(0).flatten().bincount(minlength=output.shape[1])
        shares = _listed(data.schema.target.classes, counts / output[0, 0].numel())
        return Prediction(", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share), shares)


class TokenScore(Quantity):
    """The logit of a token at one position (N, T, vocabulary): of what comes next in a text."""

    kind: ClassVar[TargetQuantity] = "next_token"
    field: ClassVar[int] = 0  # the input whose vocabulary the tokens are from

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        request = {"token": asked} if isinstance(asked, (int, str)) else dict(asked or {})
        if unknown := set(request) - {"position", "token"}:
            raise ExplainError(f"A target in a text has a position and a token, received {sorted(unknown)[0][:60]!r}.")
        names, steps = self.vocabulary(data), output.shape[1]
        position, token = request.get("position"), request.get("token")
        if position is None:
            position = self.position(output, names, next(iter(inputs.values())))
        if not isinstance(position, int) or not 0 <= position < steps:
            raise UnknownChoiceError(f"There is no position {str(position)[:60]!r}; this text has 0 to {steps - 1}.")
        index = int(output[0, position].argmax()) if token is None else _token_number(token, names)
        return Target(self.kind, index, names[index], self.described(names[index], position), position)

    def vocabulary(self, data: Prepared) -> list[str]:
        """The tokens, or tags, that a score belongs to."""
        return list(data.preprocess["fields"][self.field]["vocabulary"])

    def position(self, output: torch.Tensor, names: list[str], tokens: torch.Tensor) -> int:
        """The position that is explained unless another is asked for."""
        return last_token(tokens)

    def described(self, name: str, position: int) -> str:
        return f"the score (logit) of {name!r} after step {position + 1}"

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        return output[:, target.position, target.index]

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        listed = self.likeliest(target, output, data)
        return Prediction(next(iter(listed)), listed)

    def likeliest(self, target: Target, output: torch.Tensor, data: Prepared) -> dict[str, float]:
        """The likeliest tokens at the explained position with their probabilities, the likeliest first."""
        names, shares = self.vocabulary(data), output[0, target.position].softmax(0)
        top = shares.topk(min(LIKELIEST, len(shares)))
        return {names[int(index)]: float(share) for index, share in zip(top.indices, top.values, strict=True)}


class AnswerToken(TokenScore):
    """The logit of a token of an answer that is a text."""

    field = -1

    def position(self, output: torch.Tensor, names: list[str], tokens: torch.Tensor) -> int:
        return 0  # only the source can have decided the first token

    def described(self, name: str, position: int) -> str:
        return f"the score (logit) of {name!r} as token {position + 1} of the answer"

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        text = written(data.preprocess["fields"][self.field], output[0].argmax(1).tolist())
        return Prediction(text, self.likeliest(target, output, data))


class TagScore(TokenScore):
    """The logit of a tag for one word (N, T, tags)."""

    kind: ClassVar[TargetQuantity] = "tags"

    def vocabulary(self, data: Prepared) -> list[str]:
        return list(data.schema.target.classes)

    def position(self, output: torch.Tensor, names: list[str], tokens: torch.Tensor) -> int:
        """The first word that begins an entity; the first word where there is none."""
        tags = output[0, : last_token(tokens) + 1].argmax(1).tolist()
        return next((position for position, tag in enumerate(tags) if names[tag] != "O"), 0)

    def described(self, name: str, position: int) -> str:
        return f"the score (logit) of the tag {name} for word {position + 1}"

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        tags, shares = self.vocabulary(data), output[0, target.position].softmax(0)
        length = last_token(next(iter(inputs.values()))) + 1
        text = " ".join(tags[index] for index in output[0, :length].argmax(1).tolist())
        return Prediction(text, _listed(tags, shares))


class HeadScore(Quantity):
    """A number or a class of one of several outputs, which stand side by side."""

    kind: ClassVar[TargetQuantity] = "head"

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        found = []
        for part, width in zip(data.schema.target.parts, _widths(data, training), strict=True):
            found.append(part.name)
            found += [f"{part.name}: {name}" for name in part.classes[0 if width > 1 else 1 :]]
        return tuple(found)

    def choose(self, asked: Named, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training) -> Target:
        """The target named `name`, or `name: class` for one of its classes."""
        names, widths = list[str](), _widths(data, training)
        found: dict[str, Target] = {}
        for position, (part, start, width) in enumerate(_parts(data, widths)):
            name = part["name"]
            names.append(name)
            if "std" in part:
                found[name] = Target(self.kind, start, name, f"{name}, in its own units", position, widths)
                continue
            classes = part["classes"]
            for index, label in enumerate(classes):
                said = f"the score (logit) of {label} ({name})"
                if width > 1 or index:  # one logit is for the second class
                    column = start + (index if width > 1 else 0)
                    found[f"{name}: {label}"] = Target(self.kind, column, f"{name}: {label}", said, position, widths)
            best = int(output[0, start : start + width].argmax()) if width > 1 else 1
            found[name] = found[f"{name}: {classes[best]}"]
        if asked is None:
            return found[names[0]]
        if isinstance(asked, int) and 0 <= asked < len(names):
            return found[names[asked]]
        if isinstance(asked, str) and asked in found:
            return found[asked]
        raise UnknownChoiceError(
            f"There is no output {str(asked)[:60]!r}; choose one of {', '.join(list(found)[:20])}."
        )

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        found, part = output[:, target.index], data.preprocess["target"]["parts"][target.position or 0]
        return found * float(part["std"][0]) + float(part["mean"][0]) if "std" in part else found

    def predict(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> Prediction:
        said, listed = list[str](), dict[str, float]()
        for position, (part, start, width) in enumerate(_parts(data, target.places)):
            values = output[0, start : start + width]
            if "std" in part:
                said.append(f"{part['name']}: {float(values[0]) * part['std'][0] + part['mean'][0]:.4g}")
                continue
            yes = float(values[0].sigmoid())
            shares: list[float] = values.softmax(0).tolist() if width > 1 else [1 - yes, yes]
            said.append(f"{part['name']}: {part['classes'][shares.index(max(shares))]}")
            if position == target.position:
                listed = dict(zip(part["classes"], shares, strict=True))
        return Prediction(", ".join(said), listed)


# By the names that tasks use.
QUANTITIES: dict[str, Quantity] = {
    "class": ClassScore(),
    "action": ActionScore(),
    "value": ActionValue(),
    "binary": BinaryScore(),
    "label": LabelScore(),
    "number": Number(),
    "error": ReconstructionError(),
    "distance": PairDistance(),
    "embedding": Component(),
    "score": ItemScore(),
    "mask": Region(),
    "token": TokenScore(),
    "answer_token": AnswerToken(),
    "tag": TagScore(),
    "head": HeadScore(),
}


def choose(
    asked: Asked, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training | None = None
) -> Target:
    """The target that was asked for, or else the one that the network predicts; one that was chosen before stays.

    Args:
        output: The output for one example, (1, …).
        training: The training section of the document; None: data's usual task with its defaults.

    Raises:
        ExplainError: there is no such class, output, token or position.
    """
    if isinstance(asked, Target):
        return asked
    known = task(training.objective) if training is not None else _usual(data)
    return QUANTITIES[known.explained].choose(asked, output, data, inputs, training or Training())


def select(target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs | None = None) -> torch.Tensor:
    """The explained number (N,) of each row of an output (N, …), which was computed from `inputs`."""
    return _quantity(target, data).select(target, output, data, inputs or {})


def predict(target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs | None = None) -> Prediction:
    """The network's prediction for one example in words, with probabilities."""
    return _quantity(target, data).predict(target, output, data, inputs or {})


def askable(data: Prepared, training: Training) -> tuple[str, ...]:
    """What can be asked for by name, where it is not one of the classes that an output has scores for."""
    quantity = QUANTITIES.get(task(training.objective).explained)
    return quantity.names(data, training) if quantity else ()


def _usual(data: Prepared) -> Task:
    return usual_task(data.schema.target.kind) or task("")


def _quantity(target: Target, data: Prepared) -> Quantity:
    """The quantity of a target; where several have its kind, that of the data's usual task."""
    usual = QUANTITIES[_usual(data).explained]
    return usual if usual.kind == target.kind else _BY_KIND[target.kind]


_BY_KIND = {quantity.kind: quantity for quantity in reversed(QUANTITIES.values())}


def place(asked: Named, names: tuple[str, ...], what: str) -> int:
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


def last_token(tokens: torch.Tensor) -> int:
    """The last position of tokens (1, T) that is not padding; 0 where all are."""
    positions = (tokens[0] != PAD).nonzero()
    return int(positions[-1]) if len(positions) else 0


def _token_number(token: Any, names: list[str]) -> int:
    if isinstance(token, str) and token in names:
        return names.index(token)
    if isinstance(token, int) and 0 <= token < len(names):
        return token
    raise ExplainError(f"The token {str(token)[:60]!r} is not among the {len(names):,} that the network knows.")


def _listed(names: Any, shares: torch.Tensor) -> dict[str, float]:
    return {name: float(share) for name, share in zip(names, shares, strict=True)}


def _flat(values: Any) -> list[float]:
    import numpy as np

    return [float(value) for value in np.ravel(values)]


def _widths(data: Prepared, training: Training) -> tuple[int, ...]:
    """How many numbers each of several outputs gives."""
    return tuple(head_width(part, head_of(part, training)) for part in data.schema.target.parts)


def _parts(data: Prepared, widths: tuple[int, ...]) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Each of several targets, where its output begins and how wide it is, in all outputs side by side."""
    start = 0
    for part, width in zip(data.preprocess["target"]["parts"], widths, strict=True):
        yield part, start, width
        start += width

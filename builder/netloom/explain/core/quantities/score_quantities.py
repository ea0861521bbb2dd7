"""Explained quantities of classes, labels, numbers, pixels, objects and embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from netloom.data.boxes import image_objects, objects_text
from netloom.data.preparation.box_decoding import center_logits, detected
from netloom.data.targets.numbers import numbers_text
from netloom.document import Training
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explanation import Prediction, Target, TargetQuantity
from netloom.explain.core.quantities.quantity import (
    LOGIT,
    Inputs,
    Quantity,
    Settings,
    TargetChoice,
    index_of,
    probabilities_by_name,
)
from netloom.tasks.chosen_thresholds import label_thresholds, threshold_of

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared


class NamedScore(Quantity):
    """A score of one class, action or label of the target, which can be chosen by name."""

    choice: ClassVar[str] = "class"  # the kind of names in error messages
    score: ClassVar[str] = LOGIT

    def predicted_choice(self, output: torch.Tensor, chosen: Settings) -> int:
        return int(output[0].argmax())

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        names = data.schema.target.classes
        index = self.predicted_choice(output, {}) if choice is None else index_of(choice, names, self.choice)
        return Target(self.kind, index, names[index], f"{self.score} of {names[index]}")


class ClassScore(NamedScore):
    """The logit of one of several classes (N, classes)."""

    kind: ClassVar[TargetQuantity] = "class"

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        classes, probabilities = data.schema.target.classes, output[0].softmax(0)
        return Prediction(classes[int(probabilities.argmax())], probabilities_by_name(classes, probabilities))


class ActionScore(ClassScore):
    """The logit of an action."""

    choice = "action"


class ActionValue(ActionScore):
    """The expected return of an action, in the units of the environment."""

    kind: ClassVar[TargetQuantity] = "value"
    score = "the value (expected return)"

    def phrase(self, target: Target, name: str) -> str:
        return f"the value of **{name}**"

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        return Prediction(data.schema.target.classes[int(output[0].argmax())], {})


class BinaryScore(NamedScore):
    """The logit (N, 1) of the second of two classes, or its negative for the first."""

    kind: ClassVar[TargetQuantity] = "binary"
    reads_chosen = True

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        return data.schema.target.classes

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        return output[:, 0] if target.index else -output[:, 0]

    def predicted_choice(self, output: torch.Tensor, chosen: Settings) -> int:
        return int(float(output[0, 0].sigmoid()) > threshold_of(chosen))

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        classes, share = data.schema.target.classes, float(output[0, 0].sigmoid())
        predicted = classes[int(share > threshold_of(chosen))]
        return Prediction(predicted, {classes[0]: 1 - share, classes[1]: share})


class LabelScore(NamedScore):
    """The logit of one of several labels (N, labels)."""

    kind: ClassVar[TargetQuantity] = "label"
    choice = "label"
    reads_chosen = True

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        return data.schema.target.classes

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        shares = probabilities_by_name(data.schema.target.classes, output[0].sigmoid())
        limits = label_thresholds(chosen, len(shares))
        named = [name for (name, share), limit in zip(shares.items(), limits, strict=True) if share > limit]
        return Prediction(", ".join(named) or "none", shares)


class Number(Quantity):
    """One of the predicted numbers (N, …), in the units of the data."""

    kind: ClassVar[TargetQuantity] = "number"
    in_data_units = True

    def phrase(self, target: Target, name: str) -> str:
        return f"the predicted **{name}**"

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        names = data.schema.target.number_names
        return names if len(names) > 1 else ()

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        names = data.schema.target.number_names
        index = 0 if choice is None else index_of(choice, names, "output")
        return Target(self.kind, index, names[index], f"{names[index]}, in the units of the data")

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        numbers = data.fitted_numbers
        return output.flatten(1)[:, target.index] * numbers.std[target.index] + numbers.mean[target.index]

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        values = data.restore(output)[0].flatten().tolist()
        return Prediction(numbers_text(data.schema.target, values), {})


class ReconstructionError(Quantity):
    """The mean squared error between the first field of the input and the output."""

    kind: ClassVar[TargetQuantity] = "error"
    is_error = True
    reads_chosen = True

    def phrase(self, target: Target, name: str) -> str:
        return "**the reconstruction error**"

    def request(self, target: Target) -> TargetChoice:
        return None

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        if choice is not None:
            raise ExplainError(
                "A network that reconstructs its input has a single target, the reconstruction error; leave the target "
                "out."
            )
        name = data.schema.inputs[0].name
        return Target(self.kind, 0, name, f"the reconstruction error of {name} (mean squared error)")

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        return (output - inputs[target.name]).square().flatten(1).mean(1)

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        error = float(self.select(target, output, data, inputs))
        decision = "" if "threshold" not in chosen else "unusual, " if error > chosen["threshold"] else "usual, "
        return Prediction(f"{decision}reconstruction error {error:.4g}", {})


class PairDistance(Quantity):
    """The Euclidean distance of two concatenated embeddings (N, 2 D)."""

    kind: ClassVar[TargetQuantity] = "distance"
    reads_all_outputs = True
    is_distance = True

    def phrase(self, target: Target, name: str) -> str:
        return "**the distance**"

    def request(self, target: Target) -> TargetChoice:
        return None

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        return Target(self.kind, 0, data.schema.target.name, "the distance between the two embeddings")

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        first, second = output.chunk(2, dim=1)
        # The gradient of the square root is infinite at 0, the distance of equal embeddings.
        return (first - second).square().sum(1).clamp(min=1e-12).sqrt()

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        return Prediction(f"distance {float(self.select(target, output, data, inputs)):.4g}", {})


class Component(Quantity):
    """One component of an embedding (N, D)."""

    kind: ClassVar[TargetQuantity] = "raw"

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        names = tuple(f"component {index + 1}" for index in range(output.shape[1]))
        index = int(output[0].abs().argmax()) if choice is None else index_of(choice, names, "component")
        return Target(self.kind, index, names[index], f"{names[index]} of the embedding")

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        return Prediction(f"{target.name} = {float(output[0, target.index]):.4g}", {})


class ItemScore(Component):
    """The score (N, 1) of an item for a user."""

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        return Target(self.kind, 0, "score", "the score of the item for the user")


class Region(Quantity):
    """The mean logit of a class (N, classes, H, W) over the pixels that are predicted as this class."""

    kind: ClassVar[TargetQuantity] = "mask"

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        classes, predicted = data.schema.target.classes, output[0].argmax(0).flatten()  # (H·W,)
        largest = int(predicted.bincount(minlength=len(classes))[1:].argmax()) + 1  # other than the background
        index = largest if choice is None else index_of(choice, classes, "class")
        pixels = tuple((predicted == index).nonzero().flatten().tolist())
        region = "its pixels" if pixels else "all pixels"
        return Target(
            self.kind, index, classes[index], f"the mean score (logit) of {classes[index]} over {region}", None, pixels
        )

    def is_score(self, target: Target) -> bool:
        return True

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        scores = output[:, target.index].flatten(1)
        return scores[:, list(target.places)].mean(1) if target.places else scores.mean(1)

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        counts = output[0].argmax(0).flatten().bincount(minlength=output.shape[1])
        shares = probabilities_by_name(data.schema.target.classes, counts / output[0, 0].numel())
        return Prediction(", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share), shares)


class ObjectScore(Quantity):
    """The largest logit of a class over the cells of a grid (N, classes + 4, H, W): of its most certain object."""

    kind: ClassVar[TargetQuantity] = "object"
    reads_chosen = True
    default_name = "Most certain object"

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        return data.schema.target.classes

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        classes = data.schema.target.classes
        best = int(_class_logits(output)[0].argmax())
        index = best if choice is None else index_of(choice, classes, "class")
        return Target(self.kind, index, classes[index], f"{LOGIT} of the most certain {classes[index]}")

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        return _class_logits(output)[:, target.index]

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        shares = probabilities_by_name(data.schema.target.classes, _class_logits(output)[0].sigmoid())
        numbers, scores, boxes = (part[0].tolist() for part in detected(output))
        limit = threshold_of(chosen)
        count = sum(score > limit for score in scores)  # the scores are in descending order
        rows = [[number, *box] for number, box in zip(numbers, boxes, strict=True)][:count]
        objects = image_objects(rows, data.schema.target.classes, scores[:count])
        return Prediction(objects_text(item.name for item in objects), shares, objects)


def _class_logits(output: torch.Tensor) -> torch.Tensor:
    """Return the largest logit of each class over all cells, (N, classes)."""
    logits: torch.Tensor = center_logits(output).flatten(2).amax(2)
    return logits

"""The explained quantity of several outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from netloom.data.targets.fitted_target import FittedClasses, FittedNumbers
from netloom.document import Training
from netloom.explain.core.errors import UnknownChoiceError
from netloom.explain.core.explanation import Prediction, Target, TargetQuantity
from netloom.explain.core.quantities.quantity import LOGIT, Inputs, Quantity, Settings, TargetChoice
from netloom.tasks.chosen_thresholds import output_settings, threshold_of
from netloom.tasks.several_outputs import head_of, head_width

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared


class HeadScore(Quantity):
    """A number or class score of one of several outputs, which are concatenated along the last axis."""

    kind: ClassVar[TargetQuantity] = "head"
    reads_all_outputs = True
    reads_chosen = True

    def phrase(self, target: Target, name: str) -> str:
        return super().phrase(target, name) if self.is_score(target) else f"the predicted **{name}**"

    def request(self, target: Target) -> TargetChoice:
        return target.name

    def names(self, data: Prepared, training: Training) -> tuple[str, ...]:
        names = []
        for part, width in zip(data.schema.target.parts, _widths(data, training), strict=True):
            names.append(part.name)
            names += [f"{part.name}: {name}" for name in part.classes[0 if width > 1 else 1 :]]
        return tuple(names)

    def choose(
        self, choice: TargetChoice, output: torch.Tensor, data: Prepared, inputs: Inputs, training: Training
    ) -> Target:
        """Return the target `name`, or `name: class` for one of its classes."""
        # `Target.places` carries the widths, so that `predict` can split the outputs without the training section.
        names, widths = list[str](), _widths(data, training)
        targets: dict[str, Target] = {}
        for position, (part, start, width) in enumerate(_parts(data, widths)):
            name = part.name
            names.append(name)
            if isinstance(part, FittedNumbers):
                targets[name] = Target(self.kind, start, name, f"{name}, in the units of the data", position, widths)
                continue
            classes = part.classes
            for index, label in enumerate(classes):
                quantity = f"{LOGIT} of {label} ({name})"
                if width > 1 or index:  # a single logit is that of the second class
                    column = start + (index if width > 1 else 0)
                    targets[f"{name}: {label}"] = Target(
                        self.kind, column, f"{name}: {label}", quantity, position, widths
                    )
            best = int(output[0, start : start + width].argmax()) if width > 1 else 1
            targets[name] = targets[f"{name}: {classes[best]}"]
        if choice is None:
            return targets[names[0]]
        if isinstance(choice, int) and 0 <= choice < len(names):
            return targets[names[choice]]
        if isinstance(choice, str) and choice in targets:
            return targets[choice]
        raise UnknownChoiceError(
            f"There is no output {str(choice)[:60]!r}; choose one of {', '.join(list(targets)[:20])}."
        )

    def select(self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs) -> torch.Tensor:
        values, part = output[:, target.index], data.fitted_targets[target.position or 0]
        # Targets are standardized in training; the explained number is in the units of the data.
        return values * part.std[0] + part.mean[0] if isinstance(part, FittedNumbers) else values

    def predict(
        self, target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs, chosen: Settings
    ) -> Prediction:
        texts, probabilities = list[str](), dict[str, float]()
        for position, (part, start, width) in enumerate(_parts(data, target.places)):
            values = output[0, start : start + width]
            if isinstance(part, FittedNumbers):
                texts.append(f"{part.name}: {float(values[0]) * part.std[0] + part.mean[0]:.4g}")
                continue
            positive = float(values[0].sigmoid())
            class_probabilities: list[float] = values.softmax(0).tolist() if width > 1 else [1 - positive, positive]
            limit = threshold_of(output_settings(chosen, position))
            best = class_probabilities.index(max(class_probabilities)) if width > 1 else int(positive > limit)
            texts.append(f"{part.name}: {part.classes[best]}")
            if position == target.position:
                probabilities = dict(zip(part.classes, class_probabilities, strict=True))
        return Prediction(", ".join(texts), probabilities)


def _widths(data: Prepared, training: Training) -> tuple[int, ...]:
    """Return the width of each output."""
    return tuple(head_width(part, head_of(part, training)) for part in data.schema.target.parts)


def _parts(data: Prepared, widths: tuple[int, ...]) -> Iterator[tuple[FittedClasses | FittedNumbers, int, int]]:
    """Yield each target with the start and width of its output in the concatenation."""
    start = 0
    for part, width in zip(data.fitted_targets, widths, strict=True):
        yield part, start, width
        start += width

"""The objective of an attack for each kind of output: the loss of each row, and when a prediction has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netloom.data.preparation.box_decoding import detected
from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.quantities.quantity import Settings
from netloom.explain.core.request import chosen_settings
from netloom.tasks import task
from netloom.tasks.chosen_thresholds import label_thresholds, output_settings, threshold_of
from netloom.training.objectives.average_precision import Matches, average_precisions, matched, mean_average_precision
from netloom.training.objectives.detection_loss import row_losses

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.explain.core.request import Trained

# A regression output counts as changed from this many standard deviations of the training targets.
MIN_MOVE = 0.5
# The scores of numbers; scaled, in standard deviations, where several numbers can have several units
ERROR, SCALED_ERROR = "mean absolute error", "mean absolute error (scaled)"
ERRORS = (ERROR, SCALED_ERROR)
# A segmentation counts as changed when this share of its foreground pixels has another class.
CHANGED_SHARE = 0.5
_IOU = (0.5,)


class AttackTarget:
    """Several classes with one score each: the loss is the cross-entropy, and a prediction changes with its class.

    `chosen` is what was chosen on the validation rows, such as a threshold. `measure` names the score over many rows,
    and `change` says in words what the smallest adversarial example changes. `number` marks regression, and
    `directions` are those in which the output is pushed.
    """

    measure = "accuracy"
    change = "changes the predicted class"
    number = False
    # A regression output is pushed up and down; all others have one direction, away from the prediction.
    directions: tuple[float, ...] = (0.0,)

    def __init__(self, data: Prepared, classes: tuple[str, ...], chosen: Settings) -> None:
        self.data, self.classes, self.chosen = data, classes, chosen

    def truth(self, target: torch.Tensor) -> torch.Tensor:
        """Convert the targets (N, …) of the data to the targets of the loss."""
        return target

    def loss(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Compute the loss of each row, (N,), for outputs (N, …) and targets (N, …)."""
        from torch.nn import functional

        return functional.cross_entropy(output, truth, reduction="none")

    def pushed(self, output: torch.Tensor, sign: float) -> torch.Tensor:
        """Compute the objective (N,) that increases as a regression output moves in the direction `sign`, +1 or -1.

        Raises:
            NotImplementedError: The output is not a number.
        """
        raise NotImplementedError

    def predictions(self, output: torch.Tensor) -> torch.Tensor:
        """Convert outputs to predictions in the form of the targets, (N, …)."""
        return output.argmax(1)

    def score(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Compute the share that is correct in each row, (N,), or for numbers the absolute error in the units of the
        data, or in standard deviations of several numbers; where only all rows together have a score, the values
        (N, …) from which `mean` computes it."""
        return (self.predictions(output) == truth).double().reshape(len(truth), -1).mean(1)

    def differs(self, output: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        """Return which outputs (N, …) have a prediction other than that of `prediction` (1, …), as a mask (N,)."""
        return (self.predictions(output) != self.predictions(prediction)).reshape(len(output), -1).any(1)

    def mean(self, scores: torch.Tensor) -> float:
        """Return the score of all rows from what `score` returns of each, (N, …)."""
        return float(scores.double().mean())

    def means(self, scores: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
        """Return the score of each class of `groups` from what `score` returns of each row, (N, …)."""
        return {name: self.mean(scores[rows]) for name, rows in self.groups(truth).items()}

    def groups(self, truth: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mask (N,) of each class that occurs, by class name."""
        rows_by_class = {name: truth == number for number, name in enumerate(self.classes)}
        return {name: rows for name, rows in rows_by_class.items() if bool(rows.any())}


class Binary(AttackTarget):
    """Two classes with one logit, that of the second class."""

    def loss(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.binary_cross_entropy_with_logits(output[:, 0], truth.float(), reduction="none")

    def predictions(self, output: torch.Tensor) -> torch.Tensor:
        return (output[:, 0].sigmoid() > threshold_of(self.chosen)).long()


class Labels(AttackTarget):
    """Several labels with one logit each: the loss is the mean binary cross-entropy, and a prediction changes with any
    label."""

    measure = "labels right"
    change = "adds or removes a label"

    def loss(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.binary_cross_entropy_with_logits(output, truth.float(), reduction="none").mean(1)

    def predictions(self, output: torch.Tensor) -> torch.Tensor:
        return (output.sigmoid() > output.new_tensor(label_thresholds(self.chosen, output.shape[1]))).float()

    def groups(self, truth: torch.Tensor) -> dict[str, torch.Tensor]:
        rows_by_label = {name: truth[:, number] > 0 for number, name in enumerate(self.classes)}
        return {name: rows for name, rows in rows_by_label.items() if bool(rows.any())}


class Pixels(AttackTarget):
    """A class for each pixel, scores (N, C, H, W): the loss is the mean cross-entropy over the pixels that
    have a class.

    A prediction counts as changed when half of its foreground pixels have another class; if it has no foreground, all
    pixels count.
    """

    measure = "pixels right"
    change = "changes the class of half of the foreground pixels"

    def truth(self, target: torch.Tensor) -> torch.Tensor:
        return target.long()  # masks are stored in bytes

    def loss(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        costs = functional.cross_entropy(output, truth, reduction="none").flatten(1)
        return costs.sum(1) / _labeled(truth)

    def score(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return (self.predictions(output) == truth).flatten(1).sum(1).double() / _labeled(truth)

    def differs(self, output: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        import torch

        previous = self.predictions(prediction)
        is_foreground = (
            previous > 0 if bool((previous > 0).any()) else torch.ones_like(previous, dtype=torch.bool)
        )  # class 0 is the background
        is_changed = (self.predictions(output) != previous) & is_foreground
        return is_changed.flatten(1).sum(1) >= CHANGED_SHARE * is_foreground.sum()

    def groups(self, truth: torch.Tensor) -> dict[str, torch.Tensor]:
        """Group images by their most frequent foreground class."""
        import torch

        counts = torch.stack([(truth == number).flatten(1).sum(1) for number in range(1, len(self.classes))], 1)
        largest = torch.where(counts.any(1), counts.argmax(1) + 1, 0)
        return super().groups(largest)


def _labeled(truth: torch.Tensor) -> torch.Tensor:
    """Return the number of pixels of each mask (N, H, W) that have a class, at least 1; void pixels are below 0."""
    return (truth >= 0).flatten(1).sum(1).clamp(min=1)


class Objects(AttackTarget):
    """The objects in an image: the loss is that of training, and the score over many rows the mean average precision.

    Targets are (N, M, 5) as in `netloom.data.boxes`. A prediction counts as changed when an object is missing or new:
    when it does not match one of the same class at an IoU of 0.5.
    """

    measure = "mAP50"
    change = "removes or adds an object"

    def loss(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return row_losses(output, truth)

    def predictions(self, output: torch.Tensor) -> torch.Tensor:
        import torch

        classes, scores, boxes = detected(output)
        classes = classes.where(scores > threshold_of(self.chosen), -1)
        return torch.cat([classes[..., None].to(boxes.dtype), boxes], dim=2)

    def score(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Return the class, the score and the hit of each detected object, and the class of each true one, from which
        `mean` computes the average precision, (N, K + M, 3)."""
        import torch

        matches = matched(detected(output), truth, _IOU)
        detections = torch.stack([matches.classes.double(), matches.scores.double(), matches.hits[0].double()], dim=2)
        return torch.cat([detections, matches.true.double()[..., None].expand(-1, -1, 3)], dim=1)

    def mean(self, scores: torch.Tensor) -> float:
        if not (averages := self._averages(scores)):
            raise ExplainError(
                "None of the attacked rows has an object, so they have no average precision; attack more."
            )
        return mean_average_precision(averages.values())

    def means(self, scores: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
        averages = self._averages(scores)
        return {name: averages[name] for name in self.groups(truth)}

    def _averages(self, scores: torch.Tensor) -> dict[str, float]:
        """Return the average precision of each class that occurs, by name."""
        count = self.data.target.shape[1]
        detections, true = scores[:, :-count], scores[:, -count:, 0].long()
        matches = Matches(detections[..., 0].long(), detections[..., 1], detections[None, ..., 2] > 0, true)
        each = {name: average_precisions(matches, number) for number, name in enumerate(self.classes)}
        return {name: float(value[0]) for name, value in each.items() if value is not None}

    def differs(self, output: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        previous = self.predictions(prediction).expand(len(output), -1, -1)
        objects = detected(output)
        is_predicted = objects[1] > threshold_of(self.chosen)
        hits = (matched(objects, previous, _IOU).hits[0] & is_predicted).sum(1)
        is_changed: torch.Tensor = (hits != is_predicted.sum(1)) | (hits != (previous[..., 0] >= 0).sum(1))
        return is_changed

    def groups(self, truth: torch.Tensor) -> dict[str, torch.Tensor]:
        rows_by_class = {name: (truth[..., 0] == number).any(1) for number, name in enumerate(self.classes)}
        return {name: rows for name, rows in rows_by_class.items() if bool(rows.any())}


class Numbers(AttackTarget):
    """Regression: the loss is the squared error; a prediction counts as changed when its first number moves by
    `MIN_MOVE`."""

    measure = ERROR
    change = "changes the prediction by half a standard deviation of the target"
    number = True
    directions = (1.0, -1.0)

    def __init__(self, data: Prepared, classes: tuple[str, ...], chosen: Settings) -> None:
        super().__init__(data, classes, chosen)
        target = data.schema.target
        series = len(target.forecast.series) if target.forecast is not None else len(target.number_names)
        self.measure = SCALED_ERROR if series > 1 else ERROR

    def loss(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return (output - truth.reshape(output.shape)).square().flatten(1).sum(1)

    def pushed(self, output: torch.Tensor, sign: float) -> torch.Tensor:
        return sign * output.flatten(1)[:, 0]

    def predictions(self, output: torch.Tensor) -> torch.Tensor:
        return output

    def score(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        truth = truth.reshape(output.shape)
        is_scaled = self.measure == SCALED_ERROR  # as outputs and targets are
        differences = output - truth if is_scaled else self.data.restore(output) - self.data.restore(truth)
        return differences.abs().flatten(1).mean(1).double()

    def differs(self, output: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        # Outputs are standardized like the targets.
        return (output - prediction).flatten(1)[:, 0].abs() >= MIN_MOVE

    def groups(self, truth: torch.Tensor) -> dict[str, torch.Tensor]:
        return {}


class OutputHead(AttackTarget):
    """One of several concatenated outputs: columns `start` to `start + width`."""

    def __init__(self, target: AttackTarget, output_index: int, start: int, width: int) -> None:
        super().__init__(target.data, target.classes, target.chosen)
        self.target, self.output_index, self.start, self.width = target, output_index, start, width
        self.measure, self.change = target.measure, target.change
        self.number, self.directions = target.number, target.directions

    def _of(self, output: torch.Tensor) -> torch.Tensor:
        return output[:, self.start : self.start + self.width]

    def truth(self, target: torch.Tensor) -> torch.Tensor:
        values = target[:, self.output_index]
        return values.unsqueeze(1) if self.number else values.long()

    def loss(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return self.target.loss(self._of(output), truth)

    def pushed(self, output: torch.Tensor, sign: float) -> torch.Tensor:
        return self.target.pushed(self._of(output), sign)

    def predictions(self, output: torch.Tensor) -> torch.Tensor:
        return self.target.predictions(self._of(output))

    def score(self, output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return self.target.score(self._of(output), truth)

    def differs(self, output: torch.Tensor, prediction: torch.Tensor) -> torch.Tensor:
        return self.target.differs(self._of(output), self._of(prediction))

    def groups(self, truth: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.target.groups(truth)


# Keyed by `Task.attacked`.
ATTACK_TARGETS: dict[str, type[AttackTarget]] = {
    "class": AttackTarget,
    "binary": Binary,
    "labels": Labels,
    "pixels": Pixels,
    "objects": Objects,
    "number": Numbers,
}


def attack_target(trained: Trained, output: str = "") -> AttackTarget:
    """Return the target of an attack; `output` names one of several outputs, by default the first.

    Raises:
        UnknownChoiceError: The output does not exist.
    """
    data, chosen_task = trained.data, task(trained.project.training.objective)
    if data.schema.target.parts:
        return _output_head(trained, output)
    if output:
        raise UnknownChoiceError(f"There is no output {output[:60]!r} to choose: this network has one.")
    return ATTACK_TARGETS[chosen_task.attacked](data, data.schema.target.classes, chosen_settings(trained))


def _output_head(trained: Trained, output: str) -> OutputHead:
    from netloom.training.objectives.several_outputs import SeveralOutputs, view

    objective = SeveralOutputs().described(trained.project.training, trained.data.schema)
    names = [part.name for part in objective.parts]
    name = output or names[0]
    if name not in names:
        raise UnknownChoiceError(f"There is no output {name[:60]!r}; choose one of {', '.join(names)}.")
    position = names.index(name)
    part, spec = objective.parts[position], trained.data.schema.target.parts[position]
    chosen = output_settings(chosen_settings(trained), position)
    target = ATTACK_TARGETS[part.objective.task.attacked](view(trained.data, position), spec.classes, chosen)
    return OutputHead(target, position, part.start, part.width)


def attacked_output(trained: Trained, choice: Any) -> str:
    """Return the output that a target choice belongs to, such as "shape" for "shape: circle"; empty if there is only
    one."""
    if not isinstance(choice, str):
        return ""
    names = [part.name for part in trained.data.schema.target.parts]
    return next((name for name in names if choice == name or choice.startswith(f"{name}: ")), "")

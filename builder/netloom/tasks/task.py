"""The base class of tasks: a declaration, without torch, of what a network is trained to do.

Validation, training, explanations, exports, the pages and the command line read these declarations; none of them
compares the name of a task. The losses and metrics on tensors are in `training/objectives`, one file per task.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from netloom.data.schema import Schema, TargetKind, TargetSpec
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.answers import PREDICTION, AnswerPart, structure_part
from netloom.tasks.metrics import higher_is_better
from netloom.tasks.outputs import ExpectedOutput, LogitSpec
from netloom.tasks.true_labels import TrueLabel

# What one probability of a prediction is for
ConfidenceUnit = Literal["", "row", "label", "word", "pixel", "object"]
DecisionUnit = Literal["rows", "words", "pixels", "outputs"]
# Why a task cannot be attacked if its predictions are not classes, labels, pixels, objects or numbers
NO_ATTACK = (
    "attacks support predictions of classes, labels, pixels, objects or numbers, but this network predicts something "
    "else; train it for classification or regression."
)


@dataclass(frozen=True)
class Problem:
    """Why a task does not match the data or its own settings, with an optional fix.

    Args:
        code: The code of the issue.
        message: One sentence for users.
        fix: The label of the button, or "".
        training: Changes to the training section that the fix makes.
        options: Changes to the data options that the fix makes.
        severity: Whether it prevents a run.
    """

    code: str
    message: str
    fix: str = ""
    training: Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None
    severity: Literal["error", "warning"] = "error"


class Task:
    """The declaration of what a network is trained to do.

    Subclasses are discovered: one class per file of this package.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    order: ClassVar[int]  # the place in lists

    # The data.
    target: ClassVar[TargetKind | None]  # the kind of target that it learns from; None: it does not use a target

    # The outputs.
    probabilities: ClassVar[tuple[LogitSpec | None, ...]] = ()  # by output; None: its values are not logits
    activations: ClassVar[str] = ""  # those it applies to outputs itself, as a clause; "": a last layer can do so
    reads: ClassVar[str] = "one Output"  # the end of a message about the number of Outputs
    equal_widths: ClassVar[bool] = False  # whether all outputs are vectors of one length
    joins_outputs: ClassVar[bool] = False  # whether its loss reads all outputs side by side
    as_head: ClassVar[bool] = False  # whether it can be the task of one of several outputs

    image_to_vector: ClassVar[str] = "Flatten"  # the layer by which most of its templates make a vector of an image

    # The loss and the metrics.
    metrics: ClassVar[Mapping[str, str]]  # those on the curves, with their titles
    monitors: ClassVar[tuple[str, ...]] = ()  # the metrics that can select the best weights; (): "loss" and all others
    proportions: ClassVar[tuple[str, ...]] = ()  # shares of rows that are each right or wrong as a whole
    scale: ClassVar[str] = ""  # a sentence on the unit of the curves, if the test metrics have another
    settings: ClassVar[tuple[str, ...]] = ()  # fields of the training section that change the loss
    rl_settings: ClassVar[tuple[str, ...]] = ()  # fields of the reinforcement-learning section that it reads
    supports_sample_weights: ClassVar[bool] = True
    tunes_threshold: ClassVar[bool] = False  # whether something is chosen after training, on the validation rows

    # How it is trained.
    trainer: ClassVar[str] = "supervised"  # its trainer by the name in training/trainers/registry
    environment: ClassVar[bool] = False  # learned by acting, and measured in episodes
    alternating: ClassVar[bool] = False  # parts of the network learn in turn, each by a loss of its own
    augments_batch: ClassVar[bool] = False  # a batch is changed before it goes through the network
    paired_views: ClassVar[bool] = False  # this change makes two rows of each row, which belong together

    # What its predictions are.
    reconstructs_input: ClassVar[bool] = False  # the prediction is the input itself
    generates_input: ClassVar[bool] = False  # the prediction is a new example
    per_class_scores: ClassVar[bool] = False  # an output has a score for each class of the target
    two_classes: ClassVar[bool] = False  # one logit, for the second of two classes
    per_label_scores: ClassVar[bool] = False  # an output has a score for each label, or for the second of two classes
    scores_items: ClassVar[bool] = False  # only the order of the scores matters
    monitored_numbers: ClassVar[tuple[str, ...]] = ()  # keys of a prediction with a number to compare in use
    action_values: ClassVar[bool] = False  # the scores of actions are expected returns
    explainable_prediction: ClassVar[bool] = True  # a prediction for one row is meaningful without other rows
    learns_from_teacher: ClassVar[bool] = False  # its loss also reads the outputs of an earlier run
    taught_by: ClassVar[str] = ""  # what outputs that run must have, if it learns from one
    student: ClassVar[str] = ""  # the name of the task by which another network learns from its outputs; "": by none
    exits_early: ClassVar[bool] = False  # whether a row can leave the network at an earlier layer that is sure of it

    decision_unit: ClassVar[DecisionUnit] = "rows"  # what has one of the `decisions` of a prediction
    in_target_units: ClassVar[bool] = False  # the output is the target itself, standardized
    confidence_unit: ClassVar[ConfidenceUnit] = ""  # what a probability is for, or a number; "": not calibrated
    has_row_confidence: ClassVar[bool] = True  # whether a row has one confidence, by which a prediction can abstain
    confidence_meaning: ClassVar[str] = ""  # which predictions are right, in sentences, if it needs an explanation
    calibrated_from: ClassVar[float] = 0.0  # the score from which objects are calibrated
    not_calibrated: ClassVar[str] = ""  # why there is nothing to calibrate, as a sentence

    # Why predictions cannot be corrected with a label, where `true_label` is None
    not_corrected: ClassVar[str] = (
        "The predictions of this network cannot be corrected with a label, so its inputs cannot be collected."
    )

    # Explanations.
    explained: ClassVar[str] = ""  # the explained quantity by its name in explain/core/targets; "": nothing
    not_explained: ClassVar[str] = ""  # why nothing can be explained, as the end of a sentence
    explains_distance: ClassVar[bool] = False  # the explained number is quadratic in the outputs
    explains_many_outputs: ClassVar[bool] = False  # the explained number reads more than one number of the outputs
    attacked: ClassVar[str] = ""  # what an attack changes, by its name in explain/robustness/attack_targets
    not_attacked: ClassVar[str] = NO_ATTACK

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        """Return the Outputs that the main network needs, in order; None if another rule checks them."""
        return None

    def reading(self, schema: Schema) -> str:
        """Return the first half of a message about the number of Outputs."""
        return f"This objective needs {self.reads}"

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        """Yield problems with the data or the settings, other than the kind of target."""
        return iter(())

    def accepts(self, target: TargetSpec) -> bool:
        """Return whether a target of the right kind meets further needs of the task, such as two classes."""
        return True

    def read_settings(self, training: Training) -> tuple[str, ...]:
        """Return those of `settings` that have an effect, given the others."""
        return self.settings

    def output_probabilities(self, schema: Schema | None, training: Training) -> tuple[LogitSpec | None, ...]:
        """Return how each output becomes probabilities."""
        return self.probabilities

    def higher_is_better(self, metric: str) -> bool:
        """Return whether a larger value of a metric is an improvement."""
        return higher_is_better(metric)

    def headline_metric(self, metrics: Collection[str]) -> str:
        """Return the metric that summarizes an evaluation with these metrics: a proportion if there is one. "" if none
        of them is declared by the task."""
        return next((name for name in (*self.proportions, *self.metrics) if name in metrics), "")

    def is_proportion(self, metric: str) -> bool:
        """Return whether a metric is a proportion of rows, each of which is correct or not."""
        return metric in self.proportions

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        """Return the parts of a prediction for one row, for the model server and its clients."""
        return (structure_part("prediction", {}, "The prediction"),)

    def decisions(self, answer: Mapping[str, Any]) -> list[Any]:
        """Return the decisions of a prediction for one row, each of which two networks can agree on, one for each of
        `decision_unit`; [] if it consists of numbers."""
        prediction = answer["prediction"]
        return [prediction] if isinstance(prediction, str) else []

    def answer_text(self, answer: Mapping[str, Any]) -> str:
        """Return a prediction for one row in words; "" if its own values say it, as texts and numbers do."""
        return ""

    def monitored_values(self, answer: Mapping[str, Any], schema: Schema) -> dict[str, float | str]:
        """Return the numbers and categories of a prediction for one row by name, whose distributions are compared in
        use. A prediction from a log can lack other keys than `prediction`."""
        prediction = answer["prediction"]
        itself = {PREDICTION: prediction} if isinstance(prediction, (str, int, float)) else {}
        return {**itself, **{name: answer[name] for name in self.monitored_numbers if name in answer}}

    def true_label(self, schema: Schema) -> TrueLabel | None:
        """Return the kind of the labels that measure predictions in use; None if one label does not measure one."""
        return None

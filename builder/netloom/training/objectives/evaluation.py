"""The result of an evaluation: metrics that every task has, and typed parts that tasks combine.

A part is plain JSON, because it is saved, sent to a browser and printed by the command line. Parts with several forms
have a `kind`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import Discriminator, TypeAdapter
from typing_extensions import TypedDict  # pydantic asks for it below Python 3.12

from netloom.core.plain_json import JsonObject
from netloom.data.quality.severe_findings import Caveat

# One row of a table of scores, such as those of a class: its name and numbers by column.
ScoreRow: TypeAlias = dict[str, str | bool | int | float | None]
# The steps of a table of errors by series and step.
MAX_STEPS = 8
HORIZON_HEADING = "Mean absolute error of each series at each step, in its own unit; largest scaled error first"
# The metric of images from a GAN; images from a decoder are not evaluated.
LIKENESS = "likeness"
# A picture (C, H, W) with values from 0 to 1.
Picture: TypeAlias = list[list[list[float]]]


class Residuals(TypedDict):
    """The true and the predicted numbers of all rows."""

    target: list[float]
    predicted: list[float]


class RateCurves(TypedDict):
    """The ROC curve and the precision-recall curve; empty if the rows have only one class."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]
    precision: NotRequired[list[float]]
    recall: NotRequired[list[float]]


class Separation(RateCurves):
    """The scores of two kinds of rows, and the threshold between them.

    `names` are the names of both kinds, and `score` the name of the score if it is not the error of a row.
    """

    usual: list[float]
    unusual: list[float]
    threshold: float
    names: NotRequired[list[str]]
    score: NotRequired[str]


class Embedding(TypedDict):
    """Embeddings on two principal axes, with the label of each row."""

    x: list[float]
    y: list[float]
    names: list[str]


class PicturePart(TypedDict):
    """A picture (C, H, W) with values from 0 to 1."""

    kind: Literal["picture"]
    title: str
    values: Picture


class ClassesPart(TypedDict):
    """A mask (H, W) of class numbers."""

    kind: Literal["classes"]
    title: str
    values: list[list[int]]


class BoxesPart(TypedDict):
    """A picture (C, H, W), and the class and box of each object in it (objects, 5) as in `netloom.data.boxes`, with the
    scores of predicted objects."""

    kind: Literal["boxes"]
    title: str
    values: Picture
    boxes: list[list[float]]
    scores: NotRequired[list[float]]


class TagsPart(TypedDict):
    """Words, each with its tag."""

    kind: Literal["tags"]
    title: str
    words: list[str]
    values: list[str]


class SeriesPart(TypedDict):
    """A series (T, channels) and its reconstruction."""

    kind: Literal["series"]
    title: str
    values: list[list[float]]
    other: list[list[float]]


class ColumnsPart(TypedDict):
    """The columns of a row and their reconstruction."""

    kind: Literal["columns"]
    title: str
    values: dict[str, Any]
    other: dict[str, Any]


PanelPart: TypeAlias = Annotated[
    PicturePart | ClassesPart | BoxesPart | TagsPart | SeriesPart | ColumnsPart, Discriminator("kind")
]


class Panel(TypedDict):
    """An example next to the output of the network for it."""

    row: int
    caption: str
    parts: list[PanelPart]
    group: NotRequired[str]


# "return" is a keyword, so it cannot be a name in a class body.
PlayedEpisode = TypedDict(
    "PlayedEpisode",
    {
        "seed": int,
        "return": float,
        "ended": bool,
        "seen": list[Any],
        "actions": list[int],
        "scores": list[list[float]],
    },
)
"""An episode step by step: observations (T, …), actions (T,), and the scores (T, actions) that chose them."""


class PlayedEpisodes(TypedDict):
    """The returns of an agent and of random actions per episode, and some episodes of the agent for display."""

    drawing: str
    actions: list[str]
    values: bool
    returns: list[float]
    random_returns: list[float]
    shown: list[PlayedEpisode]


class OutputEvaluation(TypedDict):
    """The metrics of one of several outputs."""

    name: str
    objective: str
    weight: float
    metrics: dict[str, float]
    classes: tuple[str, ...]
    confusion: list[list[int]] | None
    report: list[ScoreRow] | None
    residuals: Residuals | None
    separation: Separation | None


@dataclass(frozen=True)
class ClassReport:
    """The scores of each class (`rows`) and the confusion matrix: true classes down, predicted ones across."""

    classes: tuple[str, ...]
    confusion: list[list[int]]
    rows: list[ScoreRow]


@dataclass(frozen=True)
class ScoreTable:
    """A table of scores, such as those of each tag or of each step."""

    rows: list[ScoreRow]


@dataclass(frozen=True)
class ResidualPlot:
    """The residuals of numbers."""

    values: Residuals


@dataclass(frozen=True)
class SeparationPlot:
    """The scores of two kinds of rows."""

    values: Separation


@dataclass(frozen=True)
class EmbeddingMap:
    """The embeddings of the rows."""

    values: Embedding


@dataclass(frozen=True)
class SampleImages:
    """Groups of pictures by title. `judged`: they have a metric, as those of a GAN have."""

    groups: dict[str, list[Picture]]
    judged: bool


@dataclass(frozen=True)
class PanelList:
    """Examples beside the outputs of the network. `classes` color the pixels of masks and the boxes of objects."""

    panels: list[Panel]
    classes: tuple[str, ...]


# A part of an evaluation that is drawn or printed; which an evaluation has depends on the task.
EvaluationPart: TypeAlias = (
    ClassReport | ScoreTable | ResidualPlot | SeparationPlot | EmbeddingMap | SampleImages | PanelList
)


@dataclass(frozen=True)
class Worst:
    """One of the rows with the largest loss.

    `confidence` is the probability of the prediction. `correct` is set where the texts of a correct prediction and of
    its target differ.
    """

    row: int
    loss: float
    target: str
    predicted: str
    confidence: float | None
    correct: bool = False

    @property
    def is_mistake(self) -> bool:
        """Whether the prediction is wrong; for numbers, every deviation from the target is."""
        return not self.correct and self.predicted != self.target


@dataclass(frozen=True)
class Reference:
    """The metrics of a baseline predictor, named by `title`, on the rows of an evaluation."""

    title: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """The results of a trained network on one split. The parts that are set depend on the task."""

    split: str
    rows: int
    metrics: dict[str, float]
    # The unit of errors and residuals, as a sentence.
    unit: str = ""
    classes: tuple[str, ...] = ()
    confusion: list[list[int]] | None = None
    report: list[ScoreRow] | None = None
    # The scores of a second output, such as those of each kind of entity, or of each step of a horizon.
    parts_report: list[ScoreRow] | None = None
    # The mean absolute error of each forecast series (a row) at each step (a column such as "+1"), in the unit of the
    # series; the series with the largest scaled error first.
    horizon_errors: list[ScoreRow] | None = None
    residuals: Residuals | None = None
    worst: list[Worst] = field(default_factory=list)
    # `classes` color the pixels of masks and the boxes of objects.
    panels: list[Panel] = field(default_factory=list)
    separation: Separation | None = None
    episodes: PlayedEpisodes | None = None
    # Pictures in groups, such as those that were generated and those of the data.
    samples: dict[str, list[Picture]] = field(default_factory=dict)
    embedding: Embedding | None = None
    outputs: list[OutputEvaluation] | None = None
    # The baseline to beat, and the 95% confidence interval (low, high) of each metric that has one.
    reference: Reference | None = None
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    # The metrics that are shares of these rows, which do not depend on each other.
    proportions: list[str] = field(default_factory=list)
    # Findings of the data quality check that invalidate these metrics, such as leakage.
    caveats: list[Caveat] = field(default_factory=list)

    @property
    def parts(self) -> list[EvaluationPart]:
        """The parts in the order in which they are shown; empty if the metrics are everything, as for texts."""
        parts: list[EvaluationPart] = []
        if self.report is not None:
            matrix = self.confusion
            parts.append(ScoreTable(self.report) if matrix is None else ClassReport(self.classes, matrix, self.report))
        if self.parts_report is not None:
            parts.append(ScoreTable(self.parts_report))
        if self.residuals is not None:
            parts.append(ResidualPlot(self.residuals))
        if self.separation is not None:
            parts.append(SeparationPlot(self.separation))
        if self.embedding is not None:
            parts.append(EmbeddingMap(self.embedding))
        if self.samples:
            parts.append(SampleImages(self.samples, LIKENESS in self.metrics))
        if self.panels:
            parts.append(PanelList(self.panels, self.classes))
        return parts

    @property
    def mistakes(self) -> list[Worst]:
        """The wrong predictions among the rows with the largest loss, largest loss first."""
        return [item for item in self.worst if item.is_mistake]

    @property
    def most_confident_mistake(self) -> Worst | None:
        """The mistake with the largest confidence; without confidences, that with the largest loss."""
        return max(self.mistakes, key=lambda item: item.confidence or 0.0, default=None)  # the first of equal ones

    @property
    def horizon_table(self) -> list[ScoreRow]:
        """`horizon_errors` with at most `MAX_STEPS` evenly spaced steps, among them the first and the last."""
        rows = self.horizon_errors or []
        name, *steps = rows[0] if rows else ("",)
        count = min(len(steps), MAX_STEPS)
        positions = [round(index * (len(steps) - 1) / max(count - 1, 1)) for index in range(count)]
        return [{key: row[key] for key in (name, *(steps[index] for index in positions))} for row in rows]

    def as_json(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Evaluation:
        """Return the evaluation from the result of `as_json`.

        Raises:
            ValueError: it is not one; the message names the key.
        """
        return _adapter().validate_python(value)


@cache
def _adapter() -> TypeAdapter[Evaluation]:
    return TypeAdapter(Evaluation)

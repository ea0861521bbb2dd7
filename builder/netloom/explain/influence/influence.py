"""Which rows of the training data taught a network an answer, and which of them may be labelled wrongly.

TracInCP, Pruthi and others 2020, https://arxiv.org/abs/2002.08484: along the way of training, at every checkpoint, the
learning rate times the product of the gradients of two rows' losses says how far a step on the one lowers the loss of
the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.explain.core.cost import measured
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explanation import Level, Verdict
from netloom.explain.core.row_predictions import said_of
from netloom.explain.dataset.checkpoint_path import Stage, Trained, kept_of, way
from netloom.explain.evidence.model_check import ModelCheck, model_check
from netloom.explain.evidence.verdict import with_model
from netloom.explain.influence.influence_validation import Tried, judged, relearn
from netloom.training.weight_files import read_weights

if TYPE_CHECKING:
    import torch

    from netloom.explain.influence.per_sample_gradients import Rows

URL = "https://arxiv.org/abs/2002.08484"
SHOWN = 10
MOST_ROWS = 20_000
# Beyond this many multiplications, the last weights alone are looked at.
MOST_FLOPS = 4e12
# Objectives beside those by class whose answers are yes or no, so that there is a loss against the answer itself.
Against = Literal["answer", "truth"]


@dataclass(frozen=True)
class Lesson:
    """A row of the training data: its influence, its label, and what the network says of it today, how surely."""

    row: int
    influence: float
    loss: float
    label: str
    says: str
    sure: float | None


@dataclass(frozen=True)
class Influence:
    """What taught a network its answer to one example. `lessons_for` lowered the loss of it most, the strongest first,
    `lessons_against` raised it. `influences` are those of all `rows` that were looked at, of `training_rows`. `model`
    says in a few words what is wrong with the network itself."""

    row: int
    answer: str
    label: str
    against: Against
    lessons_for: tuple[Lesson, ...]
    lessons_against: tuple[Lesson, ...]
    stages: tuple[Stage, ...]
    looked_by: str
    rows: np.ndarray
    influences: np.ndarray
    training_rows: int
    loss: float
    tried: Tried | None
    level: Level
    verdict: str
    weights: str = ""
    seconds: float = 0.0
    model: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return plain_values(self)


@dataclass(frozen=True)
class Suspects:
    """All rows that were looked at, by how far they taught themselves alone: what is learned by heart, against what
    other rows say, stands first. `self_influence` and `loss` are in that order, as `rows` are."""

    rows: np.ndarray
    self_influence: np.ndarray
    loss: np.ndarray
    first: tuple[Lesson, ...]
    stages: tuple[Stage, ...]
    looked_by: str
    training_rows: int
    sentence: str
    weights: str = ""
    seconds: float = 0.0
    labels: tuple[str, ...] = field(default=())
    says: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return plain_values(self)


def obstacle(trained: Trained) -> str:
    """Why no rows can be named for this network, in a sentence; empty where they can."""
    objective = trained.objective
    if objective.task.environment:
        return "This agent learned by acting and not from the rows of a dataset, so there are no training examples."
    if objective.task.alternating or objective.task.paired_views:
        return "The loss is defined for a whole batch, and TracInCP needs the loss of single rows."
    return ""


def influence(
    trained: Trained,
    row_or_raw: int | Mapping[str, Any],
    *,
    against: Against | None = None,
    folder: Path | None = None,
    checkpoint: str = "",
    most: int = SHOWN,
    seed: int = 0,
    progress: Any = None,
) -> Influence:
    """The rows of the training data that taught a network its answer to an example.

    `against` says of which loss: that of what the network answers, or of the example's true label; left out, of the
    answer where it is one of several classes, else of the truth. `folder` is the run's, where its weights along the way
    are kept, and the result too; `checkpoint` says which weights are used, "best" or "last". `progress` is told the
    share that is done; what it raises ends the work.

    Raises:
        ExplainError: the network has no loss of single rows, there is no such row, or a raw row has no true label.
        DataError: the raw row lacks something, or holds what the data cannot take.
    """
    from netloom.explain.core import cache
    from netloom.explain.core.examples import read

    started = perf_counter()
    refuse(trained)
    inputs, example = read(trained.data, row_or_raw)
    chosen = _against(trained, example.row, against)
    weights = cache.weights_hash(trained.model)
    version = 2 if trained.data.schema.target.type.is_per_pixel else 1  # of how it is told
    asked: dict[str, Any] = {"influence": version, "row": example.row, "against": chosen, "most": most, "seed": seed}
    asked |= {"used": checkpoint}
    name = cache.key(weights, inputs, asked | {"way": kept_of(folder)})
    before = cache.load_as(Influence, folder, name) if folder else None
    if before is not None:
        return before
    found = _influence(trained, inputs, example.row, chosen, way(trained, folder, checkpoint), most, seed, progress)
    judged_by = with_model(Verdict(found["level"], found["verdict"]), _quality(trained, weights))
    found |= {"level": judged_by.level, "verdict": judged_by.sentence, "model": judged_by.model}
    made = Influence(**found, label=example.target, weights=weights, seconds=perf_counter() - started)
    if folder:
        cache.save(folder, name, made)
    return made


def suspects(
    trained: Trained, *, folder: Path | None = None, checkpoint: str = "", most: int = 60, progress: Any = None
) -> Suspects:
    """The training rows in the order in which their labels may be wrong. As with `influence`; `most` are told in words.

    Raises:
        ExplainError: the network has no loss of single rows.
    """
    from netloom.explain.core import cache

    started = perf_counter()
    refuse(trained)
    weights = cache.weights_hash(trained.model)
    name = cache.key(weights, {}, {"suspects": 1, "most": most, "used": checkpoint, "way": kept_of(folder)})
    before = cache.load_as(Suspects, folder, name) if folder else None
    if before is not None:
        return before
    stages = way(trained, folder, checkpoint)
    work, rows = _begun(trained, progress, len(stages))
    work.simplify(rows)
    work.expect(len(rows) * len(stages))
    total, losses = np.zeros(len(rows)), np.zeros(len(rows))
    for stage, path in stages:
        _take(work, trained, path)
        squared, loss = work.squares(rows)
        total += stage.learning_rate * squared
        losses += loss / len(stages)
    total *= work.counts(rows)
    _take(work, trained, None)
    order = np.argsort(-total, kind="stable")
    told = _told(trained, work, rows[order])
    lessons = [
        Lesson(int(rows[place]), float(total[place]), float(losses[place]), *told[number])
        for number, place in enumerate(order[:most])
    ]
    quality = _quality(trained, weights)
    made = Suspects(
        rows[order],
        total[order],
        losses[order],
        tuple(lessons),
        tuple(stage for stage, _ in stages),
        _looked_by(work),
        len(trained.data.split["train"]),
        f"{quality.sentence if quality else ''} {_told_of(len(stages))}".strip(),
        weights,
        perf_counter() - started,
        tuple(label for label, _, _ in told),
        tuple(says for _, says, _ in told),
    )
    if folder:
        cache.save(folder, name, made)
    return made


def _quality(trained: Trained, weights: str) -> ModelCheck | None:
    """Whether the network is worth believing: what taught one at chance taught it nothing."""
    return model_check(trained.project, trained.model, trained.data, weights, measured(trained.project).totals.flops)


def refuse(trained: Trained) -> None:
    """Raises:
    ExplainError: the network has no loss of single rows.
    """
    reason = obstacle(trained)
    if reason:
        raise ExplainError(f"Influential training examples cannot be computed: {reason}")


def plain_values(found: Any) -> dict[str, Any]:
    """A dataclass as plain JSON values."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(found).items()}


def _influence(
    trained: Trained,
    inputs: dict[str, torch.Tensor],
    row: int,
    against: Against,
    stages: list[tuple[Stage, Path | None]],
    most: int,
    seed: int,
    progress: Any,
) -> dict[str, Any]:
    work, rows = _begun(trained, progress, len(stages))
    values = [inputs[name] for name in work.fields]
    answer, target = _aimed(trained, work, values, row, against)
    work.expect(len(rows) * len(stages))
    found = np.zeros(len(rows))
    for stage, path in stages:
        _take(work, trained, path)
        products, _ = work.along(rows, work.gradient(values, target))
        found += stage.learning_rate * products
    found *= work.counts(rows)
    _take(work, trained, None)
    order = np.argsort(-found, kind="stable")
    sides = (
        [place for place in order[:most] if found[place] > 0],
        [place for place in order[::-1][:most] if found[place] < 0],
    )
    losses = _losses(work, rows, np.array([*sides[0], *sides[1]], dtype=np.int64))
    lessons = []
    for side in sides:
        told = _told(trained, work, rows[np.array(side, dtype=np.int64)])
        lessons.append(
            tuple(
                Lesson(int(rows[place]), float(found[place]), losses[int(place)], *words)
                for place, words in zip(side, told, strict=True)
            )
        )
    rate = float(np.mean([stage.learning_rate for stage, _ in stages]))
    loss = float(work.losses(work.weights, values, target)[0])
    tried = relearn(work, values, target, rows, sides, rate, seed)
    level, verdict = judged(tried, loss, len(stages))
    return {
        "row": row,
        "answer": answer,
        "against": against,
        "lessons_for": lessons[0],
        "lessons_against": lessons[1],
        "stages": tuple(stage for stage, _ in stages),
        "looked_by": _looked_by(work),
        "rows": rows,
        "influences": found,
        "training_rows": len(trained.data.split["train"]),
        "loss": loss,
        "tried": tried,
        "level": level,
        "verdict": verdict,
    }


def _losses(work: Rows, rows: np.ndarray, places: np.ndarray) -> dict[int, float]:
    """The loss of rows today, by their place."""
    import torch

    if not len(places):
        return {}
    with torch.no_grad():
        found = work.priced(work.answers(rows[places]), work.targets(rows[places]))
    return {int(place): float(value) for place, value in zip(places, found, strict=True)}


def _against(trained: Trained, row: int, against: Against | None) -> Against:
    """Whether an example's loss is that of the answer or of the truth."""
    by_class = trained.objective.task.per_class_scores and trained.data.schema.target.type.is_class
    answered = by_class or trained.objective.task.per_label_scores
    chosen: Against = against or ("answer" if answered else "truth")
    if chosen == "answer" and not answered:
        raise ExplainError(
            "The loss with respect to the prediction is defined for classes only; use the loss with respect to the "
            "label (truth)."
        )
    if chosen == "truth" and row < 0:
        raise ExplainError("A custom input has no label; choose a row of the dataset.")
    return chosen


def _begun(trained: Trained, progress: Any, stages: int) -> tuple[Rows, np.ndarray]:
    """What looks at rows, and the rows of the training data that are looked at."""
    from netloom.compile.logit_network import with_logits
    from netloom.explain.influence.per_sample_gradients import Rows

    objective = trained.objective.configured(trained.project.training, trained.data, "cpu")
    scorer = with_logits(trained.project, trained.model, trained.data.schema)
    work = Rows(scorer, objective, trained.data, trained.fields, progress)
    rows = trained.data.split["train"].numpy()
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    if measured(trained.project).totals.flops * 6 * len(rows) * stages > MOST_FLOPS:
        work.narrow()
    return work, rows


def _looked_by(work: Rows) -> str:
    every = [name for name, _ in work.model.named_parameters()]
    count = sum(value.numel() for value in work.weights.values())
    if work.names[0] == every[0] or len({name.rpartition(".")[0] for name in work.names}) > 1:
        return f"all {count:,} parameters"
    return f"the {count:,} parameters of {work.names[-1].rpartition('.')[0]}"


def _aimed(
    trained: Trained, work: Rows, values: list[torch.Tensor], row: int, against: Against
) -> tuple[str, torch.Tensor]:
    """The network's answer in words, and what the example's loss is taken against, (1, …)."""
    import torch

    from netloom.training.objectives.objective import joined

    with torch.no_grad():
        output = joined(work.model(*values))
    inputs = dict(zip(work.fields, values, strict=True))
    answer = said_of(trained, output, inputs)[0][0]
    if against == "truth":
        return answer, work.targets(np.array([row]))
    if not trained.objective.task.per_class_scores:
        classes = trained.data.schema.target.classes
        binary = trained.objective.task.two_classes  # of which a threshold may have been chosen
        said = torch.tensor([[answer == classes[1]]]) if binary else output > 0
        return answer, said.to(work.goal.dtype).reshape(1, *work.goal.shape[1:])
    return answer, output.argmax(1).to(work.goal.dtype)


def _told(trained: Trained, work: Rows, rows: np.ndarray) -> list[tuple[str, str, float | None]]:
    """Of each row its label, what the network says, and how surely."""
    if not len(rows):
        return []
    said = []
    for start in range(0, len(rows), 512):
        some = rows[start : start + 512]
        inputs = dict(zip(work.fields, work.inputs(some), strict=True))
        said += said_of(trained, work.answers(some), inputs)
    return [(trained.data.target_text(int(row))[:200], *one) for row, one in zip(rows, said, strict=True)]


def _take(work: Rows, trained: Trained, path: Path | None) -> None:
    """The weights of a checkpoint, or those in use."""
    work.take(read_weights(path) if path is not None else trained.model.state_dict())


def _told_of(stages: int) -> str:
    way = f"{stages} checkpoints" if stages > 1 else "1 checkpoint, so early training is not covered"
    return (
        f"Based on {way}. A row with a much higher self-influence than others was memorized: its label may be wrong, "
        "or it is rare or difficult. Check each row before you change it."
    )

"""Whether a network knows a concept that people name by rows, where, and for which answers it uses it.

TCAV, Kim and others 2018, https://arxiv.org/abs/1711.11279: at a node, the direction from other rows towards those of
the concept; the score of a class is the share of its rows whose answer rises along that direction. A score alone says
nothing, so it is held against that of many random concepts, and the direction against rows that it was not made from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.explain.concepts.concept_activation_vectors import (
    MOST_CLASS,
    Told,
    activations,
    chance_alone,
    direction_of,
    gradients_by,
    halves,
    spread,
)
from netloom.explain.core.cost import measured
from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.nodes import InnerNode, acting_nodes, find
from netloom.explain.core.run import Question, Trained, subject_of
from netloom.explain.evidence.model_check import model_check
from netloom.modalities.encoding.cells import as_text

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.explain.core.explanation import Target

URL = "https://arxiv.org/abs/1711.11279"
FEWEST, MOST_CONCEPT, MOST_OTHERS = 12, 300, 1_000
MOST_NODES, MOST_TARGETS, MOST_SEARCHED = 4, 10, 50_000
KNOWN, SURE = 0.65, 0.05
# Cohen calls less than this not even a small effect.
FELT = 0.2
# What changes nothing that a concept could be looked for in.
PASSING = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "Identity", "Flatten", "Reshape", "Embedding")
Word = Literal["for", "against", "unused", "absent"]
WORDS: dict[Word, str] = {
    "for": "increases the score",
    "against": "decreases the score",
    "unused": "encoded, little effect",
    "absent": "not encoded",
}


@dataclass(frozen=True)
class Wanted:
    """A concept as people choose it: the rows of a class or with a label (`name`), those whose column `name` lies from
    `low` to `high` or is `text`, those in which the word `text` stands, or row numbers."""

    kind: Literal["class", "column", "word", "rows"]
    name: str = ""
    text: str = ""
    low: float | None = None
    high: float | None = None
    rows: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        if self.kind == "class":
            return f"class {self.name}"
        if self.kind == "word":
            return f"the word {self.text!r}"
        if self.kind == "rows":
            return f"{len(self.rows)} chosen rows"
        if self.text:
            return f"{self.name} is {self.text}"
        low = f"{self.low:g} ≤ " if self.low is not None else ""
        return f"{low}{self.name}" + (f" ≤ {self.high:g}" if self.high is not None else "")


@dataclass(frozen=True)
class ConceptScore:
    """A concept at a node for an answer. `score` is the mean of `scores`, one for each set of other rows; `low` to
    `high` holds 95 % of those of random concepts, `p` says how likely chance alone is (two-sided, for all tests of the
    table together). `accuracy` is on rows that were held out, beside that of random concepts. `strength`: how far the
    answer moves when the node goes from rows without to rows with the concept, in standard deviations of the answer.
    """

    node: str
    title: str
    target: str
    score: float
    scores: tuple[float, ...]
    random: tuple[float, ...]
    low: float
    high: float
    p: float
    accuracy: float
    random_accuracy: float
    strength: float
    word: Word

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        accuracy = f"accuracy {self.accuracy:.0%}, random rows {self.random_accuracy:.0%}"
        if self.word == "absent":
            return f"{self.title} does not encode the concept: {accuracy}."
        effect = (
            f"TCAV score {self.score:.0%} (random concepts {self.low:.0%} to {self.high:.0%}, p = {self.p:.2g}), "
            f"strength {self.strength:+.2f} σ"
        )
        if self.word == "unused":
            return f"{self.title} encodes the concept ({accuracy}), with little effect on {self.target}: {effect}."
        verb = "increases" if self.word == "for" else "decreases"
        return f"In {self.title}, the concept {verb} the score of {self.target}: {effect}; {accuracy}."


@dataclass(frozen=True)
class Concepts:
    """A concept at several nodes for several answers. `rows` are those of the concept, as far as they were used;
    `model` says what is wrong with the network itself."""

    concept: str
    rows: tuple[int, ...]
    found: int
    others: int
    repeats: int
    scores: tuple[ConceptScore, ...]
    weights: str = ""
    seconds: float = 0.0
    model: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values, with each verdict in words."""
        shown = asdict(self)
        for one, score in zip(shown["scores"], self.scores, strict=True):
            one["sentence"] = score.sentence
        return shown


def obstacle(trained: Trained) -> str:
    """Why no concepts can be looked for in this network, in a sentence; empty where they can."""
    from netloom.explain.core.requirements import nothing_to_explain

    if reason := nothing_to_explain(trained.project):
        return reason
    if trained.data.schema.target.type.is_per_position:
        return "TCAV needs a single score, and this network has one for every position of a text."
    if trained.data.schema.target.type.is_action:
        return "TCAV needs rows of a dataset, and this agent was trained on steps of episodes."
    return "" if usual_nodes(trained) else "This network does not have a layer before its output."


def usual_nodes(trained: Trained) -> list[InnerNode]:
    """The nodes that are looked at where none are chosen: a few through which everything passes, from first to last."""
    from netloom.compile.logit_network import with_logits

    every = acting_nodes(trained.project, with_logits(trained.project, trained.model, trained.data.schema))
    known = [node for node in every[:-1] if node.cut and node.type not in PASSING] or every[:-1]
    if len(known) <= MOST_NODES:
        return known
    return [known[place] for place in np.unique(np.linspace(0, len(known) - 1, MOST_NODES).round().astype(int))]


def numbers(text: str) -> tuple[int, ...]:
    """Row numbers as people write them: 3, 8, 20-60.

    Raises:
        ExplainError: it is something else.
    """
    found: list[int] = []
    for part in text.replace(";", ",").replace("–", "-").split(","):
        if not part.strip():
            continue
        match = re.fullmatch(r"\s*(\d{1,12})(?:\s*-\s*(\d{1,12}))?\s*", part)
        if match is None:
            raise ExplainError(f"Write rows as 3, 8, 20-60; received {part.strip()[:40]!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last - first >= MOST_SEARCHED:
            raise ExplainError(f"The range {first}-{last} has too many rows; use at most {MOST_SEARCHED:,}.")
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


def rows_of(data: Prepared, wanted: Wanted) -> np.ndarray:
    """The numbers of the rows that a concept is made of, in order.

    Raises:
        ExplainError: there is no such class, column or row.
    """
    rows, target = data.schema.rows, data.schema.target
    if wanted.kind == "rows":
        odd = [row for row in wanted.rows if not 0 <= row < rows]
        if odd:
            raise UnknownChoiceError(f"There is no row {odd[0]}; the dataset has rows 0 to {rows - 1}.")
        return np.unique(np.array(wanted.rows, dtype=np.int64))
    if wanted.kind == "class":
        if wanted.name not in target.classes or not target.type.is_label_set:
            raise UnknownChoiceError(
                f"There is no class {wanted.name[:60]!r}; choose one of {', '.join(target.classes[:20])}."
            )
        number = target.classes.index(wanted.name)
        on = data.target[:, number] > 0 if target.type.is_multi_label else data.target == number
        found: np.ndarray = on.nonzero()[:, 0].numpy()
        return found
    return np.array([row for row in range(min(rows, MOST_SEARCHED)) if _fits(data, row, wanted)], dtype=np.int64)


def concepts(
    trained: Trained,
    wanted: Wanted,
    *,
    nodes: Sequence[str] = (),
    targets: Sequence[str] = (),
    repeats: int = 20,
    seed: int = 0,
    folder: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> Concepts:
    """Look for a concept at nodes, by their paths, and say for which targets it counts; left out, at a few nodes and
    for all classes (the first ten). `repeats` directions are found, each against other rows, and as many random ones.

    Raises:
        ExplainError: too few rows have the concept, or lack it; there is no such node, class or row.
    """
    from netloom.explain.core import cache

    started = perf_counter()
    if reason := obstacle(trained):
        raise ExplainError(f"Concepts cannot be tested in this network: {reason}")
    places = [find(trained.project, trained.model, path) for path in nodes] or usual_nodes(trained)
    names = list(targets) or _targets(trained)
    weights = cache.weights_hash(trained.model)
    asked = {"concept": asdict(wanted), "nodes": [node.path for node in places], "targets": names}
    name = cache.key(weights, {}, asked | {"repeats": repeats, "seed": seed})
    before = cache.load_as(Concepts, folder, name) if folder else None
    if before is not None:
        return before
    rows = rows_of(trained.data, wanted)
    sides = _sides(trained.data, rows, seed)
    told = Told(progress, len(places) * (len(sides[0]) + len(sides[1]) + MOST_CLASS * len(names) + 20 * repeats))
    scores: list[ConceptScore] = []
    for node in places:
        scores += _at(trained, node, names, sides, repeats, seed, told)
    scores = [_judged(score, len(scores)) for score in scores]
    quality = model_check(trained.project, trained.model, trained.data, weights, measured(trained.project).totals.flops)
    made = Concepts(
        wanted.title,
        tuple(int(row) for row in sides[0]),
        len(rows),
        len(sides[1]),
        repeats,
        tuple(scores),
        weights,
        perf_counter() - started,
        quality.sentence if quality else "",
    )
    if folder:
        cache.save(folder, name, made)
    return made


def _fits(data: Prepared, row: int, wanted: Wanted) -> bool:
    raw = data.row(row)
    if wanted.kind == "word":
        words = " ".join(value for value in map(as_text, raw.values()) if isinstance(value, str))
        return re.search(rf"(?<!\w){re.escape(wanted.text)}(?!\w)", words, re.IGNORECASE) is not None
    if wanted.name not in raw:
        raise UnknownChoiceError(f"There is no column {wanted.name[:60]!r}; choose one of {', '.join(list(raw)[:20])}.")
    value = raw[wanted.name]
    if wanted.text:
        return str(value).strip().lower() == wanted.text.strip().lower()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    above = wanted.low is None or number >= wanted.low
    return above and (number <= wanted.high if wanted.high is not None else number == number)


def _sides(data: Prepared, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Some rows with the concept and some without."""
    others = np.setdiff1d(np.arange(data.schema.rows), rows)
    if len(rows) < FEWEST:
        raise ExplainError(f"Only {len(rows)} rows have this concept, and TCAV needs {FEWEST}; define it more widely.")
    if len(others) < FEWEST:
        raise ExplainError(
            f"Only {len(others)} rows lack this concept, and TCAV needs {FEWEST}; define it more narrowly."
        )
    random = np.random.default_rng(seed)
    found = [
        random.choice(side, min(len(side), most), replace=False)
        for side, most in ((rows, MOST_CONCEPT), (others, MOST_OTHERS))
    ]
    return np.sort(found[0]), np.sort(found[1])


def _targets(trained: Trained) -> list[str]:
    from netloom.explain.core.targets import askable

    target = trained.data.schema.target
    names = askable(trained.data, trained.project.training) or target.classes
    return list(names[:MOST_TARGETS]) or [""]


def _at(
    trained: Trained,
    node: InnerNode,
    names: list[str],
    sides: tuple[np.ndarray, np.ndarray],
    repeats: int,
    seed: int,
    told: Told,
) -> list[ConceptScore]:
    """The scores at one node."""
    from netloom.explain.core.activation_hook import tap

    data = trained.data
    first, _, _ = subject_of(trained.project, trained.model, data, Question("", int(sides[0][0]), names[0] or None))
    tapped = tap(first, node)
    having, lacking = (activations(first, tapped, rows, told) for rows in sides)
    scale = float(np.concatenate([having, lacking]).std()) or 1.0
    having, lacking = having / scale, lacking / scale
    random = np.random.default_rng(seed)
    own = [direction_of(having, lacking, random) for _ in range(repeats)]
    told(10 * repeats)
    every = np.concatenate([having, lacking])
    chance = [direction_of(*halves(every, min(len(having), len(lacking)), random), random) for _ in range(repeats)]
    told(10 * repeats)
    found = []
    for name in names:
        target = _target(trained, int(sides[0][0]), name)
        slopes = gradients_by(first, tapped, target, _rows_for(data, name, seed), told) * scale
        deviation = spread(first, target, sides, told)
        scores, others = (
            [float((slopes @ direction > 0).mean()) for direction, _, _ in those] for those in (own, chance)
        )
        moved = [float((slopes @ direction).mean()) * gap for direction, _, gap in own]
        low, high = np.percentile(others, [2.5, 97.5])
        found.append(
            ConceptScore(
                node.path,
                node.title,
                target.name,
                float(np.mean(scores)),
                tuple(scores),
                tuple(others),
                float(low),
                float(high),
                chance_alone(scores, others),
                float(np.mean([accuracy for _, accuracy, _ in own])),
                float(np.mean([accuracy for _, accuracy, _ in chance])),
                float(np.mean(moved)) / deviation,
                "absent",
            )
        )
    return found


def _judged(score: ConceptScore, tests: int) -> ConceptScore:
    """The score with its word, and p for all tests together."""
    p = min(1.0, score.p * tests)
    word: Word = "for" if score.strength > 0 else "against"
    if score.accuracy < KNOWN or score.accuracy <= score.random_accuracy:
        word = "absent"
    elif p > SURE or abs(score.strength) < FELT or (score.score > 0.5) != (score.strength > 0):
        word = "unused"
    return replace(score, p=p, word=word)


def _target(trained: Trained, row: int, name: str) -> Target:
    asked = Question("", row, name or None)
    subject, _, _ = subject_of(trained.project, trained.model, trained.data, asked)
    return replace(subject.target, places=())


def _rows_for(data: Prepared, name: str, seed: int) -> np.ndarray:
    """Rows of the class that is asked for, of the test split where there are enough; else any rows of it."""
    rows = data.split["test"].numpy()
    target = data.schema.target
    if target.type.is_label_set and name in target.classes:
        every = rows_of(data, Wanted("class", name))
        tested = np.intersect1d(rows, every)
        rows = tested if len(tested) >= FEWEST or not len(every) else every
    random = np.random.default_rng(seed)
    return np.sort(random.choice(rows, min(len(rows), MOST_CLASS), replace=False))

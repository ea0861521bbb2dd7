"""What a network goes by over many examples: attributions of a bounded sample of a split, taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from builder.explain.axes import Axes, axes_of
from builder.explain.base import ExplainError, UnknownChoiceError, registry
from builder.explain.columns import by_column
from builder.explain.explanation import Target
from builder.explain.portion import portion
from builder.explain.run import Progress, Question, Trained, applicable, methods
from builder.explain.spans import spans_of
from builder.explain.summing import Part, parts_of, strongest

if TYPE_CHECKING:
    import torch

    from builder.explain.target import Asked
    from builder.train import TrainedRun, Worst

Which = Literal["train", "validation", "test", "worst"]
WHICH: tuple[Which, ...] = ("test", "validation", "train", "worst")
# How many rows are looked at: of the method that takes many at once, and of those that take one after the other.
ROWS, ROWS_ALONE = 256, 48
BATCHED = "integrated_gradients"
# The maps of single rows are handed out up to so many numbers.
MOST_NUMBERS = 400_000
CONVERGED = 0.01


@dataclass(frozen=True)
class Row:
    """One of the explained rows: which answer was explained, the truth, and the parts of it that were strongest; of the
    worst also the loss, and what was said."""

    row: int
    explained: str
    truth: str
    loss: float | None = None
    said: str = ""
    tops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overall:
    """Attributions over `rows`, chosen by `seed` of the `there` that there are.

    `parts` are features, words, steps, or spans of long series, the one that matters most first; there are none of
    pictures. `maps` hold the mean signed attribution and `sizes` the mean of its size by field and group, (groups, …),
    for all but words; those of long series have a place for each span, which `spans` names, and
    `axes` say what theirs stand for.
    `groups` names the answers that were explained, `counts` says how many rows each has. `each` (N, …) are the maps of
    the single rows, where they are few. `converged` is the share of rows whose parts add up to 1 % (None: no promise).
    """

    method: str
    title: str
    which: str
    there: int
    seed: int
    quantity: str
    rows: tuple[Row, ...]
    parts: tuple[Part, ...]
    groups: tuple[str, ...]
    counts: tuple[int, ...]
    maps: dict[str, np.ndarray]
    sizes: dict[str, np.ndarray]
    each: dict[str, np.ndarray]
    spans: dict[str, tuple[str, ...]] = field(default_factory=dict)
    axes: dict[str, Axes] = field(default_factory=dict)
    converged: float | None = None
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """How many rows, of which, and how far they can be relied on."""
        which = "rows with the greatest loss" if self.which == "worst" else f"{self.which} rows"
        chance = f", chosen by chance (seed {self.seed})" if len(self.rows) < self.there else ""
        told = f"{self.title} of {self.quantity}, over {len(self.rows)} of {self.there} {which}{chance}."
        if self.converged is None:
            return told
        return f"{told} The parts add up within {CONVERGED:.0%} in {self.converged:.0%} of them."

    def as_json(self) -> dict[str, Any]:
        """All of it in plain JSON values, but the points and maps of single rows."""
        maps = {name: values.tolist() for name, values in self.maps.items()}
        sizes = {name: values.tolist() for name, values in self.sizes.items()}
        about = {
            "method": self.method,
            "title": self.title,
            "which": self.which,
            "there": self.there,
            "seed": self.seed,
        }
        about |= {"sentence": self.sentence, "quantity": self.quantity, "converged": self.converged}
        groups = dict(zip(self.groups, self.counts, strict=True))
        rows = [asdict(row) for row in self.rows]
        found = {"groups": groups, "parts": self.table(), "maps": maps, "sizes": sizes, "spans": self.spans}
        return {**about, **found, "rows": rows}

    def table(self) -> list[dict[str, Any]]:
        """A row for each part, as for a CSV file."""
        return [
            {"field": part.field, "part": part.name, "mean size": part.mean, "mean": part.signed, "times": part.count}
            | {f"mean size: {name}": part.by_group.get(name) for name in self.groups}
            for part in self.parts
        ]


def overall(
    trained: TrainedRun,
    which: Which = "test",
    *,
    method: str = "",
    target: Asked = None,
    rows: int | None = None,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Overall:
    """Attributions over the rows of a split, or over those on which the network is most wrong on the test split.

    Each row explains the network's own answer to it, unless `target` asks for one class or output. Kept in `folder`.

    Raises:
        ExplainError: the method does not fit, or there are no such rows.
    """
    from builder.explain import kept

    started = perf_counter()
    name = method or _first(trained)
    worst = _worst(trained) if which == "worst" else {}
    chosen, there = _sample(trained, which, list(worst), rows or usual_rows(trained, name), seed)
    asked = {"overall": which, "version": 4, "method": name, "target": target, "rows": chosen, "seed": seed}
    key = kept.key(kept.weights_hash(trained.model), {"data": _fingerprint(trained)}, asked)
    before = kept.load_as(Overall, folder, key) if folder else None
    if before is not None:
        return before
    targets, values, error = _attributions(trained, name, chosen, target, seed, progress)
    found = _summed_up(trained, name, targets, values, chosen)
    listed = tuple(
        replace(row, loss=worst[row.row].loss, said=worst[row.row].predicted) if row.row in worst else row
        for row in found.rows
    )
    converged = None if error is None else float((error <= CONVERGED).mean())
    found = replace(found, which=which, there=there, seed=seed, rows=listed, converged=converged)
    found = replace(found, quantity=_quantity(targets), seconds=perf_counter() - started)
    if folder:
        kept.save(folder, key, found)
    return found


def usual_rows(trained: Trained, method: str) -> int:
    """How many rows are looked at if none are said: fewer of masks and written answers, which take long, and by methods
    that take one row after the other."""
    alone = method != BATCHED or trained.data.schema.target.kind in ("mask", "sequence")
    return ROWS_ALONE if alone else ROWS


def _first(trained: Trained) -> str:
    """The method that takes many rows at once, where it fits; else the first that does and tells of the input."""
    known = {item.name: item for item in methods(trained)}
    if known[BATCHED].available:
        return BATCHED
    fitting = [item.name for item in known.values() if item.available and not item.layered]
    if not fitting:
        raise ExplainError(f"This network cannot be explained: {known[BATCHED].reason}")
    return fitting[0]


def _worst(trained: TrainedRun) -> dict[int, Worst]:
    from builder.train import evaluate

    return {worst.row: worst for worst in evaluate(trained, "test").worst}


def _sample(trained: Trained, which: Which, worst: list[int], most: int, seed: int) -> tuple[list[int], int]:
    """At most so many rows by their numbers, and how many there are."""
    if trained.data.schema.target.kind == "action":
        raise ExplainError(
            "What an agent learns from are its own steps, of which no split is kept; look at one of them."
        )
    if which not in WHICH:
        raise UnknownChoiceError(f"There are no rows named {str(which)[:40]!r}; choose one of {', '.join(WHICH)}.")
    if which == "worst":
        if not worst:
            raise ExplainError("No rows with the greatest loss are known for this kind of answer; choose a split.")
        return worst[:most], len(worst)
    listed = trained.data.split[which].numpy()
    if not len(listed):
        raise ExplainError(f"The {which} split has no rows; choose another.")
    if len(listed) > most:
        listed = np.sort(np.random.default_rng(seed).choice(listed, most, replace=False))
    return [int(row) for row in listed], len(trained.data.split[which])


def _fingerprint(trained: Trained) -> torch.Tensor:
    import torch

    return torch.frombuffer(bytearray(trained.data.fingerprint.encode()) or bytearray(b"-"), dtype=torch.uint8)


def _attributions(
    trained: Trained, method: str, rows: list[int], asked: Asked, seed: int, progress: Progress | None
) -> tuple[list[Target], dict[str, np.ndarray], np.ndarray | None]:
    """The target of each row, its attributions (N, …) by field, and how far each row's parts are off."""
    if method not in registry():
        raise UnknownChoiceError(f"There is no method {method[:60]!r}; choose one of {', '.join(registry())}.")
    obstacle = applicable(trained.project, trained.model, method)
    if obstacle:
        raise ExplainError(f"{registry()[method].title} cannot explain this network: {obstacle}")
    targets, values, errors = (
        _together(trained, rows, asked, progress)
        if method == BATCHED
        else _one_by_one(trained, method, rows, asked, seed, progress)
    )
    return targets, by_column(trained.data, values), errors


def _together(
    trained: Trained, rows: list[int], asked: Asked, progress: Progress | None
) -> tuple[list[Target], dict[str, np.ndarray], np.ndarray]:
    """Integrated Gradients of as many rows at once as there is room for, whatever is explained of each."""
    from builder.explain.batched import AT_ONCE, integrated
    from builder.explain.subject import Subject

    inputs = _inputs(trained, rows)
    targets = _targets(trained, inputs, asked)
    found: dict[str, np.ndarray] = {}
    errors, done = np.zeros(len(rows)), 0
    subject = Subject(trained.project, trained.model, trained.data, _taken(inputs, [0]), targets[0])
    # Rows of the same target stand together, so that they are looked up in the answer at once.
    first = {target: place for place, target in reversed(list(enumerate(targets)))}
    order, most = sorted(range(len(rows)), key=lambda place: first[targets[place]]), min(subject.rows, AT_ONCE)
    for start in range(0, len(order), most):
        part = order[start : start + most]
        subject.turn(_taken(inputs, part), targets[part[0]])
        subject.done, subject.expected = 0, 0
        subject.progress = portion(progress, done, len(part), len(rows))
        values, errors[part] = integrated(subject, [targets[place] for place in part])
        for name, value in values.items():
            found.setdefault(name, np.zeros((len(rows), *value.shape[1:])))[part] = value
        done += len(part)
    return targets, found, errors


def _inputs(trained: Trained, rows: list[int]) -> dict[str, torch.Tensor]:
    """What goes into the network, (N, …) by field; of texts that it writes, its own and not the true one."""
    import torch

    from builder.explain.examples import read, written_by_itself

    if trained.data.schema.target.kind != "sequence":
        return {name: values[rows] for name, values in trained.data.inputs.items()}
    each = [
        written_by_itself(trained.project, trained.model, trained.data, *read(trained.data, row))[0] for row in rows
    ]
    return {name: torch.cat([one[name] for one in each]) for name in each[0]}


def _taken(inputs: dict[str, torch.Tensor], places: list[int]) -> dict[str, torch.Tensor]:
    return {name: values[places] for name, values in inputs.items()}


def _targets(trained: Trained, inputs: dict[str, torch.Tensor], asked: Asked) -> list[Target]:
    """What is explained of each row."""
    import torch

    from builder.explain.run import answers
    from builder.explain.target import choose

    training, found = trained.project.training, []
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, 64):
        some = _taken(inputs, list(range(start, min(start + 64, rows))))
        with torch.no_grad():
            output = answers(trained.project, trained.model, some)
        for place in range(len(output)):
            one = {name: values[place : place + 1] for name, values in some.items()}
            found.append(choose(asked, output[place : place + 1], trained.data, one, training.objective, training))
    return found


def _one_by_one(
    trained: Trained, method: str, rows: list[int], asked: Asked, seed: int, progress: Progress | None
) -> tuple[list[Target], dict[str, np.ndarray], np.ndarray | None]:
    from builder.explain.run import subject_of

    explainer = registry()[method].model_validate({})
    targets, found = [], dict[str, list[np.ndarray]]()
    for place, row in enumerate(rows):
        question = Question(method, row, asked, seed, progress=portion(progress, place, 1, len(rows)))
        subject, _, _ = subject_of(trained.project, trained.model, trained.data, question, explainer.baseline)
        result = explainer.run(subject)
        if not result.attributions:
            raise ExplainError(f"{explainer.title} tells nothing of the input, so there is nothing to take together.")
        targets.append(subject.target)
        for name, values in result.attributions.items():
            found.setdefault(name, []).append(values)
    return targets, {name: np.stack(values) for name, values in found.items()}, None


def _quantity(targets: Sequence[Target]) -> str:
    said = {target.quantity for target in targets}
    return said.pop() if len(said) == 1 else "each row's own answer"


def _summed_up(
    trained: Trained, method: str, targets: Sequence[Target], values: dict[str, np.ndarray], rows: list[int]
) -> Overall:
    data, names = trained.data, [target.name for target in targets]
    groups = tuple(sorted(set(names), key=names.count, reverse=True))
    members = [np.array([one == name for one in names]) for name in groups]
    whole = {spec.name: spec for spec in data.schema.inputs if spec.name in values and spec.kind != "tokens"}
    tops, parts = strongest(data, values, rows), parts_of(data, values, rows, names)
    every = {
        spec.name: spans
        for spec, about in zip(data.schema.inputs, data.preprocess["fields"], strict=True)
        if spec.name in whole and (spans := spans_of(spec, about))
    }
    values = values | {name: spans.summed(values[name])[:, :, None] for name, spans in every.items()}
    maps = {name: np.stack([values[name][mask].mean(0) for mask in members]) for name in whole}
    sizes = {name: np.stack([np.abs(values[name][mask]).mean(0) for mask in members]) for name in whole}
    small = sum(values[name].size for name in whole) <= MOST_NUMBERS
    listed = tuple(
        Row(row, name, data.target_text(row), tops=top) for row, name, top in zip(rows, names, tops, strict=True)
    )
    return Overall(
        method=method,
        title=registry()[method].title,
        which="",
        there=0,
        seed=0,
        quantity="",
        rows=listed,
        parts=parts,
        groups=groups,
        counts=tuple(int(mask.sum()) for mask in members),
        maps=maps,
        sizes=sizes,
        each={name: values[name].astype(np.float32) for name in whole} if small else {},
        spans={name: spans.names for name, spans in every.items()},
        axes=axes_of(data),
    )

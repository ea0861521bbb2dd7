"""What a network goes by over many examples: attributions of a bounded sample of a split, taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.explain.core.axes import Axes, axes_of
from netloom.explain.core.cost import measured
from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.explainer import registry
from netloom.explain.core.explanation import Target
from netloom.explain.core.options import explainer_of, written
from netloom.explain.core.run import Progress, Trained, methods
from netloom.explain.core.segments import spans_of
from netloom.explain.dataset.aggregation import (
    Part,
    maps_of_nodes,
    parts_of,
    parts_of_nodes,
    strongest,
    strongest_of_nodes,
)
from netloom.explain.dataset.sample_attributions import BATCHED, Gathered, gather
from netloom.explain.evidence.model_check import model_check

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.explain.core.targets import Asked
    from netloom.runs import TrainedRun
    from netloom.training import Worst

Which = Literal["train", "validation", "test", "worst"]
WHICH: tuple[Which, ...] = ("test", "validation", "train", "worst")
# How many rows are looked at: of the method that takes many at once, and of those that take one after the other.
ROWS, ROWS_ALONE = 256, 48
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
    `compared` says what the rows were compared with, `model` what is wrong with the model, `about` of which layer or
    neuron the parts are, and `options` are those of the method.
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
    compared: str = ""
    model: str = ""
    about: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """How many rows, of which, and how far they can be relied on."""
        which = "rows with the largest loss" if self.which == "worst" else f"{self.which} rows"
        chance = f" sampled with seed {self.seed}" if len(self.rows) < self.there else ""
        within = f" in {self.about}" if self.about else ""
        compared = f", compared with {self.compared}" if self.compared else ""
        rows = f"{len(self.rows)} of {self.there} {which}{chance}"
        warned = f" {self.model}" if self.model else ""
        told = f"{self.title} of {self.quantity}{within}{compared}, over {rows}.{warned}"
        if self.converged is None:
            return told
        return f"{told} The completeness error is at most {CONVERGED:.0%} in {self.converged:.0%} of them."

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
        about |= {"compared": self.compared, "about": self.about, "options": self.options}
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
    **options: Any,
) -> Overall:
    """Attributions over the rows of a split, or over those on which the network is most wrong on the test split.

    Each row explains the network's own answer to it, unless `target` asks for one class or output. `options` are those
    of the method, as for `explain`; a method that looks at a layer looks at the same one in all rows, and at the same
    neuron, that which is farthest from zero on average if none is asked for. Kept in `folder`.

    Raises:
        ExplainError: the method does not fit, or there are no such rows.
    """
    from netloom.explain.core import cache

    started = perf_counter()
    name = method or _first(trained)
    worst = _worst(trained) if which == "worst" else {}
    chosen, there = _sample(trained, which, list(worst), rows or usual_rows(trained.data, name), seed)
    asked = {"overall": which, "version": 5, "method": name, "target": target, "rows": chosen, "seed": seed}
    asked["options"] = {option: _hashed(value) for option, value in sorted(options.items())}
    weights = cache.weights_hash(trained.model)
    key = cache.key(weights, {"data": _fingerprint(trained)}, asked)
    before = cache.load_as(Overall, folder, key) if folder else None
    if before is not None:
        return before
    explainer = explainer_of(name, options)
    gathered = gather(trained, explainer, chosen, target, seed, progress)
    found = _summed_up(trained, name, gathered, chosen)
    listed = tuple(
        replace(row, loss=worst[row.row].loss, said=worst[row.row].predicted) if row.row in worst else row
        for row in found.rows
    )
    error = gathered.errors
    converged = None if error is None else float((error <= CONVERGED).mean())
    found = replace(found, which=which, there=there, seed=seed, rows=listed, converged=converged)
    found = replace(found, compared=gathered.compared, about=gathered.about, options=written(explainer))
    quality = model_check(trained.project, trained.model, trained.data, weights, measured(trained.project).totals.flops)
    found = replace(found, model=quality.sentence if quality else "")
    found = replace(found, quantity=_quantity(gathered.targets), seconds=perf_counter() - started)
    if folder:
        cache.save(folder, key, found)
    return found


def usual_rows(data: Prepared, method: str) -> int:
    """How many rows are looked at if none are said: fewer of masks and written answers, which take long, and by methods
    that take one row after the other."""
    kind = data.schema.target.type
    alone = method != BATCHED or kind.is_per_pixel or kind.is_text
    return ROWS_ALONE if alone else ROWS


def _first(trained: Trained) -> str:
    """The method that takes many rows at once, where it fits; else the first that does and tells of the input."""
    known = {item.name: item for item in methods(trained)}
    if known[BATCHED].available:
        return BATCHED
    fitting = [item.name for item in known.values() if item.available and not item.layered]
    if not fitting:
        raise ExplainError(f"No method supports this network: {known[BATCHED].reason}")
    return fitting[0]


def _worst(trained: TrainedRun) -> dict[int, Worst]:
    from netloom.runs import evaluate

    return {worst.row: worst for worst in evaluate(trained, "test").worst}


def _sample(trained: Trained, which: Which, worst: list[int], most: int, seed: int) -> tuple[list[int], int]:
    """At most so many rows by their numbers, and how many there are."""
    if trained.data.schema.target.type.is_action:
        raise ExplainError(
            "An agent generates its examples while it acts, so there is no split to aggregate over; explain single "
            "steps instead."
        )
    if which not in WHICH:
        raise UnknownChoiceError(f"There are no rows named {str(which)[:40]!r}; choose one of {', '.join(WHICH)}.")
    if which == "worst":
        if not worst:
            raise ExplainError("The rows with the largest loss are not known for this task; choose a split.")
        return worst[:most], len(worst)
    listed = trained.data.split[which].numpy()
    if not len(listed):
        raise ExplainError(f"The {which} split does not have rows; choose another split.")
    if len(listed) > most:
        listed = np.sort(np.random.default_rng(seed).choice(listed, most, replace=False))
    return [int(row) for row in listed], len(trained.data.split[which])


def _fingerprint(trained: Trained) -> torch.Tensor:
    import torch

    return torch.frombuffer(bytearray(trained.data.fingerprint.encode()) or bytearray(b"-"), dtype=torch.uint8)


def _hashed(value: Any) -> Any:
    """An option as part of the question; a baseline of one's own may be a picture, which JSON cuts short."""
    if not isinstance(value, dict):
        return value
    return {
        name: sha256(np.asarray(one).tobytes()).hexdigest() if isinstance(one, np.ndarray) else one
        for name, one in value.items()
    }


def _quantity(targets: Sequence[Target]) -> str:
    said = {target.quantity for target in targets}
    return said.pop() if len(said) == 1 else "the prediction of each row"


def _summed_up(trained: Trained, method: str, gathered: Gathered, rows: list[int]) -> Overall:
    values = gathered.values
    data, names = trained.data, [target.name for target in gathered.targets]
    groups = tuple(sorted(set(names), key=names.count, reverse=True))
    members = [np.array([one == name for one in names]) for name in groups]
    whole = {spec.name: spec for spec in data.schema.inputs if spec.name in values and not spec.is_tokens}
    tops, parts = strongest(data, values, rows), parts_of(data, values, rows, names)
    if gathered.nodes:
        tops, parts = strongest_of_nodes(gathered.nodes), parts_of_nodes(gathered.nodes, names)
    every = {
        spec.name: spans
        for spec, encoder in zip(data.schema.inputs, data.fields, strict=True)
        if spec.name in whole and (spans := spans_of(spec, encoder))
    }
    values = values | {name: spans.summed(values[name])[:, :, None] for name, spans in every.items()}
    maps = {name: np.stack([values[name][mask].mean(0) for mask in members]) for name in whole}
    sizes = {name: np.stack([np.abs(values[name][mask]).mean(0) for mask in members]) for name in whole}
    for path, one in maps_of_nodes(gathered.nodes).items():
        maps[path] = np.stack([one[mask].mean(0) for mask in members])
        sizes[path] = np.stack([np.abs(one[mask]).mean(0) for mask in members])
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

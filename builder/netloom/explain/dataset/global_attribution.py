"""Global attribution: attributions of a sample of rows, aggregated over a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.explain.computation import methods
from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.explainer import registry
from netloom.explain.core.explanation import Target
from netloom.explain.core.network.cost import measure_network
from netloom.explain.core.options import explainer_of, plain_options
from netloom.explain.core.parts.axes import Axes, axes_of
from netloom.explain.core.parts.segments import segments_of
from netloom.explain.core.request import Progress, Trained
from netloom.explain.dataset.aggregation import (
    FeatureSummary,
    layer_maps,
    strongest_features,
    strongest_units,
    summarize_features,
    summarize_layers,
)
from netloom.explain.dataset.sample_attributions import BATCHED_METHOD, SampleAttributions, attribute_rows
from netloom.explain.evidence.model_check import model_check

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.explain.core.targets import TargetLike
    from netloom.runs import TrainedRun
    from netloom.training import Worst

RowChoice = Literal["train", "validation", "test", "worst"]
ROW_CHOICES: tuple[RowChoice, ...] = ("test", "validation", "train", "worst")
# The default number of rows for the batched method, and for methods that explain one row at a time.
ROWS, SLOW_METHOD_ROWS = 256, 48
# Maps of single rows are returned up to this total number of values.
MAX_MAP_NUMBERS = 400_000
CONVERGED = 0.01
GLOBAL = "global"  # the beginning of the names of cached results


@dataclass(frozen=True)
class ExplainedRow:
    """One explained row: the explained target, the label, and the top features; for "worst" rows also loss and
    prediction."""

    row: int
    target: str
    label: str
    loss: float | None = None
    prediction: str = ""
    top_features: tuple[str, ...] = ()


@dataclass(frozen=True)
class GlobalAttributions:
    """Attributions over `rows`, sampled with `seed` from the `available_rows` available rows.

    `parts` are features, tokens, steps or segments of long series, in descending order of the mean magnitude, without
    pixels. `maps` holds the mean attribution and `magnitudes` the mean magnitude by field and group, (groups, …),
    except for tokens; long series have one position per segment, named in `spans`, and `axes` describes them. `groups`
    names the explained targets, with `counts` rows each. `row_maps` (N, …) holds the maps of single rows if they are
    small. `converged` is the share of rows with a completeness error of at most 1% (None if the method is not
    complete). `baseline` describes the baseline, `model` the problems of the model, `layer` the layer or neuron, and
    `options` the options of the method.
    """

    method: str
    title: str
    row_choice: str
    available_rows: int
    seed: int
    quantity: str
    rows: tuple[ExplainedRow, ...]
    parts: tuple[FeatureSummary, ...]
    groups: tuple[str, ...]
    counts: tuple[int, ...]
    maps: dict[str, np.ndarray]
    magnitudes: dict[str, np.ndarray]
    row_maps: dict[str, np.ndarray]
    spans: dict[str, tuple[str, ...]] = field(default_factory=dict)
    axes: dict[str, Axes] = field(default_factory=dict)
    converged: float | None = None
    baseline: str = ""
    model: str = ""
    layer: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """The method, the sample and its completeness in words."""
        row_kind = "rows with the largest loss" if self.row_choice == "worst" else f"{self.row_choice} rows"
        sampling = f" sampled with seed {self.seed}" if len(self.rows) < self.available_rows else ""
        layer = f" in {self.layer}" if self.layer else ""
        compared = f", compared with {self.baseline}" if self.baseline else ""
        counts = f"{len(self.rows)} of {self.available_rows} {row_kind}{sampling}"
        warning = f" {self.model}" if self.model else ""
        text = f"{self.title} of {self.quantity}{layer}{compared}, over {counts}.{warning}"
        if self.converged is None:
            return text
        return f"{text} The completeness error is at most {CONVERGED:.0%} in {self.converged:.0%} of them."

    def as_json(self) -> JsonObject:
        """Return plain JSON values, without the points and maps of single rows."""
        maps = {name: values.tolist() for name, values in self.maps.items()}
        magnitudes = {name: values.tolist() for name, values in self.magnitudes.items()}
        header: JsonObject = {
            "method": self.method,
            "title": self.title,
            "row_choice": self.row_choice,
            "available_rows": self.available_rows,
            "seed": self.seed,
        }
        header |= {"sentence": self.sentence, "quantity": self.quantity, "converged": self.converged}
        header |= {"baseline": self.baseline, "layer": self.layer, "options": self.options}
        groups = dict(zip(self.groups, self.counts, strict=True))
        rows = [asdict(row) for row in self.rows]
        body: JsonObject = {
            "groups": groups,
            "parts": self.table(),
            "maps": maps,
            "magnitudes": magnitudes,
            "spans": self.spans,
        }
        return {**header, **body, "rows": rows}

    def table(self) -> list[JsonObject]:
        """Return one table row for each feature, as for a CSV file."""
        return [
            {
                "field": part.field,
                "part": part.name,
                "mean size": part.mean,
                "mean": part.signed,
                "times": part.count,
                **{f"mean size: {name}": part.by_group.get(name) for name in self.groups},
            }
            for part in self.parts
        ]


def global_attribution(
    trained: TrainedRun,
    choice: RowChoice = "test",
    *,
    method: str = "",
    target: TargetLike = None,
    rows: int | None = None,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> GlobalAttributions:
    """Aggregate attributions over the rows of a split, or over the test rows with the largest loss ("worst").

    Each row explains its own prediction, unless `target` selects one class or output. `options` are those of the
    method, as for `explain`. Layer methods use the same layer and neuron for all rows, by default the neuron with the
    largest mean magnitude. The result is cached in `folder`.

    Raises:
        ExplainError: The method does not support the network, or the rows do not exist.
    """
    from netloom.explain.core import cache

    start = perf_counter()
    name = method or _default_method(trained)
    largest_losses = _largest_losses(trained) if choice == "worst" else {}
    row_numbers, row_count = _sample_rows(
        trained, choice, list(largest_losses), rows or default_row_count(trained.data, name), seed
    )
    # Increase the version whenever the same question may lead to another result.
    question = {"overall": choice, "version": 5, "method": name, "target": target, "rows": row_numbers, "seed": seed}
    question["options"] = {option: _hash_arrays(value) for option, value in sorted(options.items())}
    weights = cache.weights_hash(trained.model)
    key = cache.stored_name(GLOBAL, weights, cache.key(weights, {"data": _fingerprint(trained)}, question))
    cached = cache.load_as(GlobalAttributions, folder, key) if folder else None
    if cached is not None:
        return cached
    explainer = explainer_of(name, options)
    samples = attribute_rows(trained, explainer, row_numbers, target, seed, progress)
    result = _aggregate(trained, name, samples, row_numbers)
    explained_rows = tuple(
        replace(row, loss=largest_losses[row.row].loss, prediction=largest_losses[row.row].predicted)
        if row.row in largest_losses
        else row
        for row in result.rows
    )
    error = samples.errors
    converged = None if error is None else float((error <= CONVERGED).mean())
    result = replace(
        result, row_choice=choice, available_rows=row_count, seed=seed, rows=explained_rows, converged=converged
    )
    result = replace(result, baseline=samples.baseline, layer=samples.layer, options=plain_options(explainer))
    check_model = model_check(
        trained.project, trained.model, trained.data, weights, measure_network(trained.project).totals.flops
    )
    result = replace(result, model=check_model.sentence if check_model else "")
    result = replace(result, quantity=_common_quantity(samples.targets), seconds=perf_counter() - start)
    if folder:
        cache.save(folder, key, result)
    return result


def default_row_count(data: Prepared, method: str) -> int:
    """Return the default number of rows: fewer for slow tasks (masks, generated text) and for unbatched methods."""
    target_type = data.schema.target.type
    is_slow = method != BATCHED_METHOD or target_type.is_per_pixel or target_type.is_text
    return SLOW_METHOD_ROWS if is_slow else ROWS


def _default_method(trained: Trained) -> str:
    """Return the batched method if available, otherwise the first available method that explains the input."""
    methods_by_name = {item.name: item for item in methods(trained)}
    if methods_by_name[BATCHED_METHOD].available:
        return BATCHED_METHOD
    available = [item.name for item in methods_by_name.values() if item.available and not item.explains_layer]
    if not available:
        raise ExplainError(f"No method supports this network: {methods_by_name[BATCHED_METHOD].reason}")
    return available[0]


def _largest_losses(trained: TrainedRun) -> dict[int, Worst]:
    from netloom.runs import evaluate

    return {worst.row: worst for worst in evaluate(trained, "test").worst}


def _sample_rows(
    trained: Trained, choice: RowChoice, worst: list[int], max_rows: int, seed: int
) -> tuple[list[int], int]:
    """Return at most `max_rows` row numbers, and the number of available rows."""
    if trained.data.schema.target.type.is_action:
        raise ExplainError(
            "An agent generates its examples while it acts, so there is no split to aggregate over; explain single "
            "steps instead."
        )
    if choice not in ROW_CHOICES:
        raise UnknownChoiceError(
            f"There are no rows named {str(choice)[:40]!r}; choose one of {', '.join(ROW_CHOICES)}."
        )
    if choice == "worst":
        if not worst:
            raise ExplainError("The rows with the largest loss are not known for this task; choose a split.")
        return worst[:max_rows], len(worst)
    rows = trained.data.split[choice].numpy()
    if not len(rows):
        raise ExplainError(f"The {choice} split does not have rows; choose another split.")
    if len(rows) > max_rows:
        rows = np.sort(np.random.default_rng(seed).choice(rows, max_rows, replace=False))
    return [int(row) for row in rows], len(trained.data.split[choice])


def _fingerprint(trained: Trained) -> torch.Tensor:
    import torch

    # `cache.key` hashes tensors, and `frombuffer` rejects an empty buffer.
    return torch.frombuffer(bytearray(trained.data.fingerprint.encode()) or bytearray(b"-"), dtype=torch.uint8)


def _hash_arrays(value: Any) -> Any:
    """Replace the arrays of an option by hashes for the cache key, because a custom baseline may be a large image."""
    if not isinstance(value, dict):
        return value
    return {
        name: sha256(np.asarray(item).tobytes()).hexdigest() if isinstance(item, np.ndarray) else item
        for name, item in value.items()
    }


def _common_quantity(targets: Sequence[Target]) -> str:
    quantities = {target.quantity for target in targets}
    return quantities.pop() if len(quantities) == 1 else "the prediction of each row"


def _aggregate(trained: Trained, method: str, samples: SampleAttributions, rows: list[int]) -> GlobalAttributions:
    """Aggregate the attributions of rows by feature and by target."""
    values = samples.values
    data, names = trained.data, [target.name for target in samples.targets]
    groups = tuple(name for name, _ in Counter(names).most_common())
    group_masks = [np.array([group_of_row == name for group_of_row in names]) for name in groups]
    mapped = {spec.name: spec for spec in data.schema.inputs if spec.name in values and not spec.is_tokens}
    top_features, parts = strongest_features(data, values, rows), summarize_features(data, values, rows, names)
    if samples.nodes:
        top_features, parts = strongest_units(samples.nodes), summarize_layers(samples.nodes, names)
    segments = {
        spec.name: spans
        for spec, encoder in zip(data.schema.inputs, data.fields, strict=True)
        if spec.name in mapped and (spans := segments_of(spec, encoder))
    }
    values = values | {name: spans.summed(values[name])[:, :, None] for name, spans in segments.items()}
    maps = {name: np.stack([values[name][mask].mean(0) for mask in group_masks]) for name in mapped}
    magnitudes = {name: np.stack([np.abs(values[name][mask]).mean(0) for mask in group_masks]) for name in mapped}
    for path, layer_map in layer_maps(samples.nodes).items():
        maps[path] = np.stack([layer_map[mask].mean(0) for mask in group_masks])
        magnitudes[path] = np.stack([np.abs(layer_map[mask]).mean(0) for mask in group_masks])
    has_single_maps = sum(values[name].size for name in mapped) <= MAX_MAP_NUMBERS
    explained_rows = tuple(
        ExplainedRow(row, name, data.target_text(row), top_features=top)
        for row, name, top in zip(rows, names, top_features, strict=True)
    )
    return GlobalAttributions(
        method=method,
        title=registry()[method].title,
        row_choice="",
        available_rows=0,
        seed=0,
        quantity="",
        rows=explained_rows,
        parts=parts,
        groups=groups,
        counts=tuple(int(mask.sum()) for mask in group_masks),
        maps=maps,
        magnitudes=magnitudes,
        row_maps={name: values[name].astype(np.float32) for name in mapped} if has_single_maps else {},
        spans={name: spans.names for name, spans in segments.items()},
        axes=axes_of(data),
    )

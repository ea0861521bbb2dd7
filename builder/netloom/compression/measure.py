"""Measures variants beside the original: in one process, alternating between them, on the same held-out rows."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.compression.conditional_graph import left_early
from netloom.compression.method import CompressionError, Method, Variant, file_methods, registry, unavailable_reason
from netloom.compression.report import Measured, Report
from netloom.compression.timing import Network, Times, peak_memory, times
from netloom.compression.verdicts import LOSS, Comparison, loss_of, with_verdicts
from netloom.core.text import plain
from netloom.export import ExportError
from netloom.export.onnx_network import OnnxNetwork, joined_logits
from netloom.runs.prediction.trained_run import answers
from netloom.runs.resources.energy import joules, watts
from netloom.store.run_summary import Compressed
from netloom.tasks import metric
from netloom.training.streaming import evaluation_rows, take
from netloom.training.weights.initialization import RUN
from netloom.validation.output_scales import scales

if TYPE_CHECKING:
    import torch

    from netloom.runs import TrainedRun
    from netloom.training import Evaluation

MAX_ROWS, BATCH = 2_000, 64
# Rows whose predictions are compared one by one; a text is generated for each of them
AGREEMENT_ROWS = 300
# Predictions of single rows that are timed
REPEATS = 100
# Predictions that the energy is given for
ENERGY_ROWS = 1_000
ORIGINAL = "original"


def measure(
    trained: TrainedRun,
    methods: Sequence[str | Method] | None = None,
    *,
    runs: Sequence[TrainedRun] = (),
    threads: int = 1,
    repeats: int = REPEATS,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[Report, list[Variant]]:
    """Compress a run by some methods, and measure the variants. By default, by all that need no training.

    Args:
        methods: Methods, or their names.
        runs: Runs that were made from this one or learned from it, which are measured beside the variants.

    Raises:
        CompressionError: there is no such method, no method fits the run, or a smaller run reads other data.
    """
    chosen = file_methods() if methods is None else [_method(item) for item in methods]
    if reason := unavailable_reason(trained.objective.task):
        raise CompressionError(reason)
    if any(run.project.data != trained.project.data for run in runs):
        raise CompressionError("A smaller run reads other data than the original; measure runs of the same data.")
    # A drawn student can read further fields, or read them in another order.
    fields = list(dict.fromkeys([*trained.fields, *(name for run in runs for name in run.fields)]))
    variants, failures = _compressed(trained, chosen, progress)
    subjects = [
        _subject(trained),
        *(_variant_subject(trained, item, threads) for item in variants),
        *(_run_subject(run, trained, fields) for run in runs),
    ]
    networks = [subject.load() for subject in subjects]
    rows = evaluation_rows(trained.data, "test")[:MAX_ROWS]
    inputs = take(trained.data, fields, rows.numpy())
    tensors = [inputs[name] for name in fields]
    costs = _costs(subjects, networks, tensors, repeats, threads)
    progress(0.8)
    outputs = [_outputs(network, tensors) for network in networks]
    evaluations = [
        trained.objective.evaluate(output, trained.data, rows, "test", trained.calibration) for output in outputs
    ]
    name, scores = _scores(trained, evaluations, outputs, rows)
    few = {field: values[:AGREEMENT_ROWS] for field, values in inputs.items()}
    decisions = [_decisions(trained, network, fields, few) for network in networks]
    lost = [_lost_classes(evaluations[0], evaluation) for evaluation in evaluations]
    measured = _measured(subjects, costs, scores, outputs, decisions, lost)
    measured = [
        replace(item, output_scores=_output_scores(trained, name, evaluations[0], evaluation))
        for item, evaluation in zip(measured, evaluations, strict=True)
    ]
    measured = with_verdicts(measured, Comparison(trained, name, outputs, rows))
    return _report(trained, name, len(rows), threads, measured, failures), variants


def _report(
    trained: TrainedRun,
    metric_name: str,
    rows: int,
    threads: int,
    measured: Sequence[Measured],
    failures: Sequence[tuple[str, str]],
) -> Report:
    task = trained.objective.task
    return Report(
        metric_name,
        metric(metric_name).title,
        task.higher_is_better(metric_name),
        rows,
        threads,
        tuple(measured),
        tuple(failures),
        min(BATCH, rows),
        watts(),
        task.decision_unit,
    )


def _compressed(
    trained: TrainedRun, methods: Sequence[Method], progress: Callable[[float], None]
) -> tuple[list[Variant], list[tuple[str, str]]]:
    """Return the variants, and the methods that do not fit with the reason."""
    variants, failures = [], []
    for index, method in enumerate(methods, 1):
        try:
            variant = method.compress(trained)
            _check_that_it_runs(trained, variant)
            variants.append(variant)
        except (CompressionError, ExportError) as error:
            failures.append((method.name, str(error)))
        progress(0.5 * index / len(methods))
    return variants, failures


def _check_that_it_runs(trained: TrainedRun, variant: Variant) -> None:
    """Raise a CompressionError if ONNX Runtime cannot compute the outputs of a variant for two test rows."""
    inputs = take(trained.data, trained.fields, evaluation_rows(trained.data, "test")[:2].numpy())
    try:
        OnnxNetwork(variant.content, 1).outputs([inputs[name] for name in trained.fields])
    except Exception as error:  # the errors of ONNX Runtime have no common base class
        reason = str(error).strip()[:200]
        raise CompressionError(f"ONNX Runtime cannot run this variant: {reason}.") from error


def _method(item: str | Method) -> Method:
    if isinstance(item, Method):
        return item
    if item not in registry():
        raise CompressionError(f"There is no method {item[:40]!r}; choose from {', '.join(registry())}.")
    return registry()[item]


@dataclass(frozen=True)
class _Subject:
    """What is measured: its name, and its size in bytes. `load` returns the network with logits (N, …) as outputs,
    for the fields of the run and then those that only others read. `leaves` returns which rows (N,) of inputs leave
    early. `run` is the id of a smaller run."""

    name: str
    title: str
    size: int
    note: str
    load: Callable[[], Network]
    leaves: Callable[[Sequence[torch.Tensor]], np.ndarray] | None = None
    run: str = ""
    saves_size_only: bool = False


def _subject(trained: TrainedRun) -> _Subject:
    note = "The network as it was trained, in float32."
    return _Subject(ORIGINAL, "PyTorch", _bytes(trained), note, lambda: _in_pytorch(trained, trained.fields))


def _variant_subject(trained: TrainedRun, variant: Variant, threads: int) -> _Subject:
    count = len(trained.fields)
    leaves = (lambda tensors: left_early(variant.content, tensors[:count], threads)) if variant.leaves_early else None
    return _Subject(
        variant.method,
        variant.title,
        variant.size,
        variant.note,
        lambda: _session(trained, variant.content, threads),
        leaves,
        saves_size_only=variant.saves_size_only,
    )


def _run_subject(trained: TrainedRun, original: TrainedRun, fields: Sequence[str]) -> _Subject:
    """Return the description of a run that was made from the original or learned from it. Its network is called with
    all `fields`."""
    if trained.run is None:
        raise CompressionError("A smaller run has to be saved before it is measured beside the original.")
    start = trained.run.about.start
    note = start.note if isinstance(start, Compressed) else ""
    if not note and original.run is not None and trained.project.training.teacher == f"{RUN}{original.run.id}":
        note = "Learned from this run by knowledge distillation."
    epochs = trained.project.training.epochs
    trained_for = f"Trained for {epochs} epoch{'s' * (epochs > 1)} as a run." if epochs else "A run without training."
    name, note = f"run:{trained.run.id}", f"{note} {trained_for}".strip()
    title = plain(trained.run.title)
    return _Subject(name, title, _bytes(trained), note, lambda: _in_pytorch(trained, fields), run=trained.run.id)


def _bytes(trained: TrainedRun) -> int:
    return sum(value.nbytes for value in trained.model.state_dict().values())


def _in_pytorch(trained: TrainedRun, fields: Sequence[str]) -> Network:
    """Return the network of a run, with logits (N, …) as outputs, for the tensors of `fields`.

    Not its scorer: logits of classes are unique up to a constant only, so those of all variants have to be computed in
    the same way.
    """
    # A copy, so that its weights count as memory like those of a file
    model, how = copy.deepcopy(trained.model), scales(trained.project, trained.data.schema)
    positions = [list(fields).index(name) for name in trained.fields]

    def run(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        outputs = model(*(tensors[position] for position in positions))
        return joined_logits(outputs if isinstance(outputs, tuple) else (outputs,), how)

    return run


def _session(trained: TrainedRun, content: bytes, threads: int) -> Network:
    """Return the network of an ONNX file, with logits (N, …) as outputs."""
    network, how = OnnxNetwork(content, threads), scales(trained.project, trained.data.schema)
    count = len(trained.fields)
    return lambda tensors: joined_logits(network.outputs(tensors[:count]), how)


@dataclass(frozen=True)
class _Costs:
    """The costs of all networks, and for each of them the memory in bytes and the share of rows that leave early."""

    times: Times
    memory: list[int | None]
    left_early: list[float | None]


def _costs(
    subjects: Sequence[_Subject],
    networks: Sequence[Network],
    tensors: Sequence[torch.Tensor],
    repeats: int,
    threads: int,
) -> _Costs:
    """Measure networks that are loaded already, and load each once more to see how much memory it takes."""
    import torch

    batch = [tensor[:BATCH] for tensor in tensors]

    def work(subject: _Subject) -> Network:
        network = subject.load()
        with torch.no_grad():
            network(batch)
        return network

    return _Costs(
        times(networks, tensors, repeats, threads, BATCH),
        peak_memory(partial(work, subject) for subject in subjects),
        [None if subject.leaves is None else float(subject.leaves(tensors).mean()) for subject in subjects],
    )


def _outputs(network: Network, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    import torch

    with torch.no_grad():
        return torch.cat(
            [
                network([tensor[start : start + BATCH] for tensor in tensors])
                for start in range(0, len(tensors[0]), BATCH)
            ]
        )


def _decisions(
    trained: TrainedRun, network: Network, fields: Sequence[str], inputs: Mapping[str, torch.Tensor]
) -> list[Any]:
    """Return the decisions of the predictions for encoded rows (N, …) by field, one after the other."""

    def output_of(arrays: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return _outputs(network, [arrays[name] for name in fields])

    decisions = trained.objective.task.decisions
    return [decision for answer in answers(trained, inputs, output_of) for decision in decisions(answer)]


def _scores(
    trained: TrainedRun, evaluations: Sequence[Evaluation], outputs: Sequence[torch.Tensor], rows: torch.Tensor
) -> tuple[str, list[float]]:
    """Return the metric by which the networks are compared, and its value for each of them."""
    name = trained.objective.task.headline_metric(evaluations[0].metrics)
    values = [evaluation.metrics[name] for evaluation in evaluations] if name else []
    if values and not math.isnan(values[0]):
        return name, values
    # Metrics that need more than the outputs of rows, such as those of whole lists, or that these rows do not define
    return LOSS, [loss_of(trained, output, rows) for output in outputs]


def _output_scores(
    trained: TrainedRun, headline: str, original: Evaluation, evaluation: Evaluation
) -> tuple[tuple[str, float], ...]:
    """Return the metric of each of several outputs by name, without the `headline` and those that the rows do not
    define."""
    names = trained.objective.output_metrics(original.metrics)
    known = [name for name in names if name != headline and not math.isnan(original.metrics[name])]
    return tuple((name, evaluation.metrics[name]) for name in known)


def _measured(
    subjects: Sequence[_Subject],
    costs: _Costs,
    scores: Sequence[float],
    outputs: Sequence[torch.Tensor],
    decisions: Sequence[list[Any]],
    lost: Sequence[tuple[tuple[str, float], ...]],
) -> list[Measured]:
    """Return the measurements of the original and of each variant, without verdicts."""
    spread = float(outputs[0].float().std()) or 1.0
    measured: list[Measured] = []
    for index, (subject, output) in enumerate(zip(subjects, outputs, strict=True)):
        p50, p95 = np.percentile(costs.times.rows[index], [50, 95])
        batch_p50, batch_p95 = np.percentile(costs.times.batches[index], [50, 95])
        measured.append(
            Measured(
                subject.name,
                subject.title,
                subject.size,
                float(p50),
                float(p95),
                scores[index],
                _agreement(decisions[0], decisions[index]),
                float((output.float() - outputs[0].float()).square().mean().sqrt()) / spread,
                "original",
                subject.note,
                lost[index],
                subject.run,
                float(batch_p50),
                float(batch_p95),
                ENERGY_ROWS * joules(float(costs.times.cpu_s[index])),
                costs.memory[index],
                costs.left_early[index],
                saves_size_only=subject.saves_size_only,
            )
        )
    return measured


def _agreement(original: list[Any], compressed: list[Any]) -> float | None:
    if not original:
        return None
    equal = [bool(first == second) for first, second in zip(original, compressed, strict=True)]
    return sum(equal) / len(equal)


def _lost_classes(original: Evaluation, compressed: Evaluation) -> tuple[tuple[str, float], ...]:
    """Return the classes whose recall falls, and by how much, the largest loss first."""
    if not original.report or not compressed.report or "recall" not in original.report[0]:
        return ()
    losses = [
        (str(next(iter(before.values()))), float(before["recall"] or 0) - float(after["recall"] or 0))
        for before, after in zip(original.report, compressed.report, strict=True)
    ]
    return tuple(item for item in sorted(losses, key=lambda item: -item[1]) if item[1] > 0)

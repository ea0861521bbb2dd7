"""Collects what is known about a run for its model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from netloom import runs
from netloom.core.text import duration, number, plain, size
from netloom.document.training_settings import describe_field
from netloom.export.formats.mermaid import flowchart
from netloom.export.formats.svg import draw
from netloom.export.model_card.card import ModelCard, Score, Statement, Table
from netloom.export.model_card.evidence import evidence
from netloom.export.model_card.markdown import markdown
from netloom.runs.history.setting_titles import choice_titles
from netloom.runs.prediction.slices import Slice, slices
from netloom.runs.resources import energy
from netloom.store import StoreError
from netloom.store.run_summary import RunSummary
from netloom.tasks import METRICS, metric
from netloom.training.chance import score_notes
from netloom.training.weights.weight_files import CheckpointError
from netloom.validation import analyze

if TYPE_CHECKING:
    from netloom.runs import TrainedRun
    from netloom.store import Run, RunArtifacts, Store
    from netloom.training import Evaluation

MAX_CLASSES, MAX_SLICES, MAX_LAYERS = 50, 20, 100
# The settings of every training; others are listed if they differ from their default.
ALWAYS = ("objective", "optimizer", "learning_rate", "batch_size", "epochs", "seed", "schedule")
CALIBRATED = "applied to predictions, fitted on the validation rows; the metrics are those without it"
SLICES_NOTE = "Rows of the test split by their values, the largest difference from the other rows first."
TESTED_NOTE = (
    "A slice is marked as worse if Fisher's exact test, or a jackknife of blocks of rows that depend on each other, "
    "corrected for the number of slices, gives p < 0.05."
)

NOT_EVALUATED = "The metrics of these weights were not measured; netloom evaluate and netloom card measure them."
NOT_SLICED = "Scores by slice of the test rows were not measured for this card; netloom card measures them."


def export_card(store: Store, trained: TrainedRun) -> str:
    """Return the model card of a run as Markdown, from what is stored, so that an export does not wait for it; "" if
    the run is not stored, or if a variant is exported, whose metrics are others."""
    if trained.run is None or trained.variant:
        return ""
    return markdown(collect(store, trained, measure=False))


def collect(
    store: Store, trained: TrainedRun, statement: Statement | None = None, *, measure: bool = True
) -> ModelCard:
    """Return the model card of a run of the store, with a statement or the stored one.

    Without `measure`, the card has the stored metrics only, and says what is missing.

    Raises:
        CheckpointError: the evaluated weights or the file of the evaluation are damaged.
        StoreError: the run is not stored.
    """
    run = trained.run
    if run is None:
        raise StoreError("A model card needs a run that was saved; train with netloom train or save=True.")
    artifacts, project, task = store.artifacts(run.id), trained.project, trained.objective.task
    evaluation = runs.evaluation(store, run.id) or runs.evaluate(trained) if measure else _stored(store, run)
    parts = slices(trained) if measure else []
    dataset = artifacts.data_card()
    findings = dataset.get("findings")
    target = trained.data.schema.target
    return ModelCard(
        name=plain(project.name) or "A network",
        summary=summary_of(task.summary, plain(target.name)),
        task=task.name,
        task_title=task.title,
        statement=statement or Statement.from_json(artifacts.card_statement()),
        dataset=plain(str(dataset.get("name", project.data.dataset))),
        dataset_id=plain(project.data.dataset),
        split=evaluation.split if evaluation else "test",
        scores=tuple(_scores(evaluation)) if evaluation else (),
        unit=plain(evaluation.unit) if evaluation else "",
        missing=() if measure else ((NOT_SLICED,) if evaluation else (NOT_EVALUATED, NOT_SLICED)),
        reference=evaluation.reference.title if evaluation and evaluation.reference else "",
        caveats=tuple(map(plain, score_notes(evaluation))) if evaluation else (),
        tables=tuple(table for table in (_classes(evaluation, trained), _slices(parts)) if table.rows),
        data=tuple(_data(dataset, trained)),
        findings=tuple(plain(str(finding)) for finding in (findings if isinstance(findings, list) else ())),
        architecture=tuple(_architecture(trained)),
        training=tuple(_training(trained, run)),
        environment=tuple(_environment(artifacts)),
        drawing=draw(project),
        flowchart=flowchart(project),
        layers=_layers(trained),
        evidence=evidence(trained, artifacts),
        warnings=tuple(plain(warning.message) for warning in run.summary.warnings),
    )


def summary_of(summary: str, target: str) -> str:
    """Return what a task does, with the name of its target, unless the sentence has it."""
    return f"{summary}: {target}." if target and target not in summary.split() else f"{summary}."


def _stored(store: Store, run: Run) -> Evaluation | None:
    """Return the stored evaluation; None if there is none, or it is damaged."""
    with suppress(CheckpointError):
        return runs.evaluation(store, run.id)
    return None


def _scores(evaluation: Evaluation) -> Iterator[Score]:
    reference = evaluation.reference.metrics if evaluation.reference else {}
    for name, value in evaluation.metrics.items():
        described, interval = metric(name), evaluation.intervals.get(name)
        yield Score(
            name,
            described.title,
            value,
            described.written(value),
            f"{described.written(interval[0])} to {described.written(interval[1])}" if interval else "",
            described.written(reference[name]) if name in reference else "",
        )


def _classes(evaluation: Evaluation | None, trained: TrainedRun) -> Table:
    """Return the scores of each class or part, with the interval of its recall where independent rows are counted."""
    from netloom.training.uncertainty import wilson

    report = (evaluation.report if evaluation else None) or []
    if not report:
        return Table("", (), ())
    is_independent = not trained.data.raw.has_dependent_rows
    counted = is_independent and all("recall" in row and "examples" in row for row in report)
    rows = []
    for row in report[:MAX_CLASSES]:
        cells = [_cell(value) for value in row.values()]
        if counted:
            low, high = wilson(float(row["recall"] or 0), int(row["examples"] or 0)) if row["examples"] else (0.0, 1.0)
            cells.append(f"{low:.1%} to {high:.1%}")
        rows.append(tuple(cells))
    titles = [
        METRICS[name].class_title or METRICS[name].title if name in METRICS else name.replace("_", " ").capitalize()
        for name in report[0]
    ]
    header = titles + ["Recall, 95% CI"] * counted
    more = len(report) - MAX_CLASSES
    first = next(iter(report[0]))  # says what the rows of the table are
    title = "Examples" if first == "row" else f"Scores by {first.replace('_', ' ')}"
    return Table(title, tuple(header), tuple(rows), f"and {more:,} more" if more > 0 else "")


def _slices(parts: list[Slice]) -> Table:
    rows = []
    for part in parts[:MAX_SLICES]:
        described = metric(part.metric)
        interval = " to ".join(described.written(bound) for bound in part.interval) if part.interval else ""
        rows.append(
            (
                plain(f"{part.field}: {part.value}"),
                f"{part.rows:,}",
                described.written(part.score),
                interval,
                described.written(part.rest),
                "worse" if part.is_worse else "",
            )
        )
    title = metric(parts[0].metric).title if parts else ""
    header = ("Slice", "Rows", title, "95% CI", "Other rows", "Verdict")
    is_tested = any(part.p is not None for part in parts)
    return Table("Scores by slice", header, tuple(rows), f"{SLICES_NOTE} {TESTED_NOTE}" if is_tested else SLICES_NOTE)


def _data(dataset: Mapping[str, Any], trained: TrainedRun) -> Iterator[tuple[str, str]]:
    data = trained.data
    yield "Rows", f"{data.schema.rows:,}"
    yield "Split", ", ".join(f"{len(rows):,} {name}" for name, rows in data.split.items())
    yield (
        "Input",
        "; ".join(
            f"{plain(field.name)} ({field.kind}, {' × '.join(map(str, field.shape))})"
            for field in data.schema.inputs
            if field.name in trained.fields
        ),
    )
    if data.schema.target.name:
        yield "Target", f"{plain(data.schema.target.name)} ({data.schema.target.kind.replace('_', ' ')})"
    if dataset.get("source"):
        yield "Source", plain(str(dataset["source"]))
    yield "Fingerprint (SHA-256)", data.fingerprint


def _architecture(trained: TrainedRun) -> Iterator[tuple[str, str]]:
    totals = analyze(trained.project).context.totals
    yield "Layers", f"{totals.layers:,}"
    yield "Parameters", f"{totals.parameters:,} ({totals.trainable:,} trainable)"
    yield "FLOPs per example", f"{totals.flops:,}"
    yield "Size of the weights in float32", size(4 * totals.parameters)


def _layers(trained: TrainedRun) -> Table:
    """Return the layers of the main network in their order, with the shapes of one example and their parameters."""
    context = analyze(trained.project).context
    rows = []
    for key in context.order[:MAX_LAYERS]:
        node, facts = context.network.nodes[key], context.nodes.get(key)
        shapes = "; ".join(str(spec) for spec in facts.outputs.values()) if facts else ""
        rows.append(
            (plain(node.title or key), plain(node.type), plain(shapes), f"{facts.parameters:,}" if facts else "")
        )
    more = len(context.order) - MAX_LAYERS
    header = ("Layer", "Type", "Output", "Parameters")
    return Table("Layers", header, tuple(rows), f"and {more:,} more" if more > 0 else "")


def _training(trained: TrainedRun, run: Run) -> Iterator[tuple[str, str]]:
    if origin := run.about.start.sentence:
        yield "Origin", plain(origin)
    training = trained.project.training
    changed = training.model_dump(mode="json", exclude_defaults=True)
    for name in dict.fromkeys((*ALWAYS, *changed)):
        described = describe_field(name)
        if described.title:
            text = _setting(changed.get(name, getattr(training, name)))
            yield described.title, choice_titles(name).get(text, text)
    yield "Calibration", CALIBRATED if trained.applied is not None else "none"
    yield from _effort(run.summary, run)


def _effort(summary: RunSummary, run: Run) -> Iterator[tuple[str, str]]:
    if run.started_at and run.ended_at:
        yield "Duration", duration((run.ended_at - run.started_at).total_seconds())
    if sentence := energy.sentence(summary):
        yield "Energy", sentence


def _environment(artifacts: RunArtifacts) -> Iterator[tuple[str, str]]:
    yield "Run", artifacts.run_id
    for name, value in artifacts.environment().items():
        yield name.replace("_", " ").capitalize(), plain(str(value))


def _setting(value: object) -> str:
    """Return a setting in words, also one that consists of several, by their names."""
    if isinstance(value, Mapping):
        parts = {plain(str(name)).replace("_", " "): part for name, part in value.items() if part not in (None, "", {})}
        return ", ".join(
            f"{name} ({_setting(part)})" if isinstance(part, Mapping) else f"{name} {_setting(part)}"
            for name, part in parts.items()
        )
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_setting, value))
    return _cell(value)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) else plain(str(value if value is not None else ""))

"""What was measured of a run beyond its metrics, as sections of its model card: calibration, robustness, explanations.

Only stored results are read, so that a card does not wait for them; a section without any says how to measure it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.calibration.stored_measures import MEASURES, PartMeasures, StoredMeasures, stored_measures
from netloom.core.text import number, plain
from netloom.explain.core import cache
from netloom.explain.dataset.global_attribution import GLOBAL, GlobalAttributions
from netloom.explain.robustness.robustness import ROBUSTNESS, Robustness
from netloom.export.model_card.card import Section
from netloom.runs.prediction.applied_calibration import AppliedCalibration, current, run_weights_checksum
from netloom.training.weights.weight_files import CheckpointError

if TYPE_CHECKING:
    from netloom.runs import TrainedRun
    from netloom.store import RunArtifacts

SHOWN_PARTS = 8
Facts = Iterator[tuple[str, str]]


def evidence(trained: TrainedRun, artifacts: RunArtifacts) -> tuple[Section, ...]:
    """Return the sections on calibration, robustness and explanations."""
    task, run = trained.objective.task, artifacts.run_id[:8]
    folder, weights = artifacts.local_directory(), cache.weights_hash(trained.model)
    calibration = "" if task.confidence_unit else task.not_calibrated
    robustness = "" if task.attacked else f"This network cannot be attacked: {task.not_attacked}"
    explanations = "" if task.explained else f"The predictions cannot be explained: {task.not_explained}."
    return (
        _section("Calibration", _calibration(artifacts), calibration, f"netloom calibrate {run} --dry-run"),
        _section("Robustness", _robustness(folder, weights), robustness, f"netloom robustness {run}"),
        _section("Explanations", _explanations(folder, weights), explanations, f"netloom explain {run} --over test"),
    )


def _section(title: str, facts: Facts, reason: str, command: str) -> Section:
    measured = tuple(facts)
    return Section(title, measured, "" if measured else plain(reason) or f"Not measured; {command} measures it.")


def _calibration(artifacts: RunArtifacts) -> Facts:
    with suppress(CheckpointError, FileNotFoundError):
        stored = stored_measures(artifacts, run_weights_checksum(artifacts))
        if stored is None:
            return
        for part in stored.parts:
            yield from _part(part, stored.method)
        yield "Predictions", _use(stored, current(artifacts))


def _use(stored: StoredMeasures, applied: AppliedCalibration | None) -> str:
    """Return whether predictions use the calibration that was measured."""
    if applied is None:
        return "do not use this calibration"
    return "use this calibration" if stored.describes(applied) else "use another calibration, which was measured before"


def _part(part: PartMeasures, method: str) -> Facts:
    name = f"{plain(part.name)}: " if part.name else ""
    for key, title in MEASURES.items():
        if key in part.before:
            after = f", after calibration ({plain(method)}) {number(part.after[key])}" if key in part.after else ""
            yield f"{name}{title}", f"{number(part.before[key])}{after}, on {part.rows:,} test rows"
    reasons = [
        *([] if part.threshold is None else [f"below a confidence of {number(part.threshold)}"]),
        *([] if part.familiarity is None else [f"below a familiarity of {number(part.familiarity)}"]),
    ]
    if reasons:
        measured = "" if part.answered is None else f"; it answers {part.answered:.1%} of the test rows"
        measured += "" if part.risk is None else f" with a risk of {part.risk:.1%}"
        yield f"{name}Abstention", f"{' or '.join(reasons)}{measured}"
    if part.covered and part.set_level is not None:
        covered = ", ".join(f"{share:.1%}" for share in part.covered)
        size = "" if part.set_size is None else f", with {number(part.set_size)} classes on average"
        kind = "Prediction sets" if part.set_size is not None else "Prediction intervals"
        yield f"{name}{kind}", f"cover {covered} of the test rows{size}; chosen for {part.set_level:.0%}"


def _robustness(folder: Path, weights: str) -> Facts:
    """Yield the newest result of each attack and output."""
    seen = set()
    for result in cache.stored_results(Robustness, folder, ROBUSTNESS, weights):
        title = " ".join(filter(None, (result.title, result.output)))
        if title in seen:
            continue
        seen.add(title)
        scores = ", ".join(
            f"{number(score)} at {number(strength)}"
            for strength, score in zip(result.strengths, result.scores, strict=True)
        )
        yield (
            plain(title),
            plain(
                f"{result.measure} {scores} (strength in {result.unit}), on {result.rows:,} {result.split} rows. "
                f"{result.verdict.sentence}"
            ),
        )


def _explanations(folder: Path, weights: str) -> Facts:
    """Yield the newest global attribution of each method, with its largest parts."""
    seen = set()
    for result in cache.stored_results(GlobalAttributions, folder, GLOBAL, weights):
        if result.title in seen:
            continue
        seen.add(result.title)
        parts = ", ".join(f"{part.name} {number(part.mean)}" for part in result.parts[:SHOWN_PARTS])
        yield plain(result.title), plain(f"{result.sentence}{f' Mean magnitude: {parts}.' if parts else ''}")

"""The explanation of one example at every checkpoint of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.core.plain_json import JsonObject
from netloom.explain.comparison import Agreement, color_bounds, comparable_parts, explanation_agreement
from netloom.explain.computation import explain
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explanation import Explanation
from netloom.explain.core.progress import partial_progress
from netloom.explain.core.request import Progress
from netloom.explain.core.targets import TargetLike
from netloom.store import RunArtifacts

if TYPE_CHECKING:
    from netloom.runs import TrainedRun
    from netloom.runs.history.weight_history import SavedWeights


@dataclass(frozen=True)
class Frame:
    """The explanation at one checkpoint, and its agreement with that of the final weights."""

    name: str
    label: str
    epoch: int | None
    step: int
    explanation: Explanation
    agreement: Agreement

    @property
    def probability(self) -> float | None:
        """The predicted probability of the explained class; None if the prediction has no probabilities."""
        return self.explanation.prediction.probabilities.get(self.explanation.target.name)


@dataclass(frozen=True)
class Trajectory:
    """All frames in the order of training. `bounds` are the limits of their shared color scale, by field or node."""

    frames: tuple[Frame, ...]
    bounds: dict[str, float]

    @property
    def final(self) -> Frame:
        """The frame of the final weights."""
        return self.frames[-1]

    def table(self) -> list[JsonObject]:
        """Return one table row for each frame: prediction, explained score, agreement and faithfulness."""
        return [
            {
                "checkpoint": frame.name,
                "epoch": frame.epoch,
                "step": frame.step,
                "prediction": frame.explanation.prediction.text,
                "probability": frame.probability,
                "score": frame.explanation.score,
                "rank_correlation": frame.agreement.spearman,
                "top_features_in_common": f"{frame.agreement.overlap} of {frame.agreement.top}",
                "random_orders_as_faithful": faithful.chance
                if (faithful := frame.explanation.proofs.faithfulness)
                else None,
            }
            for frame in self.frames
        ]


def explain_trajectory(
    trained: TrainedRun,
    folder: Path,
    method: str,
    row_or_raw: int | Mapping[str, Any],
    *,
    target: TargetLike = None,
    seed: int = 0,
    progress: Progress | None = None,
    saved_checkpoints: Sequence[SavedWeights] | None = None,
    **options: Any,
) -> Trajectory:
    """Explain an example at each checkpoint of a run.

    All frames explain one target: `target`, or by default the prediction of the last weights. Explanations are cached
    in the folder of the run.

    Raises:
        ExplainError: There are fewer than two checkpoints, or the method does not support the network.
    """
    from netloom.runs.history.weight_history import saved_weights
    from netloom.runs.prediction.trained_run import with_weights

    checkpoints = list(
        saved_weights(RunArtifacts.in_directory(folder)) if saved_checkpoints is None else saved_checkpoints
    )
    if len(checkpoints) < 2:
        raise ExplainError(
            "This run has only one checkpoint, so there is nothing to compare. Train for two epochs or more; "
            "checkpoints are then kept during training."
        )
    explanations: dict[str, Explanation] = {}
    # The last first: its prediction is the target of the others.
    for index, checkpoint in enumerate([checkpoints[-1], *checkpoints[:-1]]):
        explanations[checkpoint.name] = explain(
            with_weights(trained, RunArtifacts.in_directory(folder), checkpoint.name),
            method,
            row_or_raw,
            target=next(iter(explanations.values())).target if explanations else target,
            seed=seed,
            folder=folder,
            checkpoint=checkpoint.name,
            progress=partial_progress(progress, index, 1, len(checkpoints)),
            **options,
        )
        if progress is not None:
            progress((index + 1) / len(checkpoints))
    last = explanations[checkpoints[-1].name]
    frames = tuple(_frame(checkpoint, explanations[checkpoint.name], last) for checkpoint in checkpoints)
    return Trajectory(
        frames, color_bounds([comparable_parts(frame.explanation) for frame in frames], frames[-1].explanation.axes)
    )


def _frame(checkpoint: SavedWeights, explanation: Explanation, last: Explanation) -> Frame:
    # Only the correlation and the overlap are shown.
    agreement = explanation_agreement(explanation, last, chance=False)
    return Frame(checkpoint.name, checkpoint.label, checkpoint.epoch, checkpoint.step, explanation, agreement)

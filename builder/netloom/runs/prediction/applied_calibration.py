"""The calibration that was chosen for a run: the file `calibration.json`, which changes its predictions.

It belongs to weights, which their checksum names. With other weights, the predictions are not calibrated.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from netloom.core.plain_json import JsonObject
from netloom.data.preparation.calibrated import is_of_objects
from netloom.runs.history import weight_history
from netloom.store import DamagedArtifactError, RunArtifacts
from netloom.tasks.task import ConfidenceUnit
from netloom.training.objectives.calibrated_part import Family
from netloom.training.weights.weight_files import CheckpointError, digest, read_weights, recorded

VERSION: Final = 1
Share = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Curve:
    """An increasing curve from a probability `x` to the calibrated one, linear between its points."""

    x: tuple[Share, ...]
    y: tuple[Share, ...]


@dataclass(frozen=True)
class Scaling:
    """A map of logits: `scale` times the logits plus `shift`, with one number for all classes or one for each; or, if
    there are `curves`, a map of the probability of each class."""

    method: str
    scale: tuple[Finite, ...] = (1.0,)
    shift: tuple[Finite, ...] = (0.0,)
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Abstention:
    """The confidence below which the network abstains, and for which risk or coverage it was chosen."""

    threshold: Share
    target: Literal["risk", "coverage"]
    value: Share


@dataclass(frozen=True)
class ConformalSet:
    """Prediction sets that contain the true class with a probability of 1 − `alpha`; see `set_members`."""

    kind: Literal["lac", "aps"]
    alpha: Share
    threshold: Finite


@dataclass(frozen=True)
class ConformalInterval:
    """Intervals that contain each true number with a probability of 1 − `alpha`: from the prediction minus `below` to
    the prediction plus `above`, in the units of the data, one for each number."""

    kind: Literal["absolute", "signed"]
    alpha: Share
    below: tuple[Finite, ...]
    above: tuple[Finite, ...]


@dataclass(frozen=True)
class OutOfDistribution:
    """The score below which an input is unlike the training data; see `known_score`."""

    kind: Literal["softmax", "energy"]
    threshold: Finite


@dataclass(frozen=True)
class PartCalibration:
    """The calibration of one output."""

    family: Family
    unit: ConfidenceUnit
    axis: int
    scaling: Scaling | None = None
    abstention: Abstention | None = None
    conformal: ConformalSet | None = None
    interval: ConformalInterval | None = None
    out_of_distribution: OutOfDistribution | None = None

    @property
    def answer_keys(self) -> tuple[str, ...]:
        """The keys that it adds to a prediction, see `netloom.data.preparation.calibrated`; `reason` only where the
        network abstains."""
        if self.family == "numbers":
            return ("interval",) if self.interval else ()
        if is_of_objects(self.as_json()):
            return ()  # the scores of the objects are calibrated in their place
        has_key = {
            "confidence": True,
            "familiarity": self.out_of_distribution,
            "prediction_set": self.conformal,
            "abstained": self.abstention or self.out_of_distribution,
            "reason": self.abstention or self.out_of_distribution,
        }
        return tuple(name for name, is_added in has_key.items() if is_added)

    def as_json(self) -> JsonObject:
        """Return what `netloom.data.preparation.calibrated` reads, as plain JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class AppliedCalibration:
    """The calibration of the outputs of a run by the name of their target, "" if there is one, for `weights`, the
    checksum of its weights.

    `settings` are the decision thresholds on calibrated probabilities, as `Objective.calibrate` returns them.
    """

    version: Literal[1]
    weights: str
    parts: dict[str, PartCalibration]
    settings: dict[str, Finite] = field(default_factory=dict)

    @property
    def answer_keys(self) -> tuple[str, ...]:
        """The keys that it adds to a prediction; those of several outputs are within their part of it."""
        return self.parts[""].answer_keys if "" in self.parts else ()

    @property
    def checksum(self) -> str:
        """A checksum of all that changes predictions."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def parts_json(self) -> dict[str, JsonObject]:
        """Return the calibration of each output as plain JSON."""
        return {name: part.as_json() for name, part in self.parts.items()}


def weights_checksum(path: Path) -> str:
    """Return the checksum of a file of weights; that of its tensors if the file does not contain one.

    Raises:
        CheckpointError: it is damaged.
        FileNotFoundError: there is no such file.
    """
    return recorded(path) or digest(read_weights(path))


def run_weights_checksum(artifacts: RunArtifacts, checkpoint: str = "") -> str:
    """Return the checksum of the weights of a run, by default of those with which it predicts.

    Raises:
        CheckpointError: they are damaged, or there are no such weights.
        FileNotFoundError: the run has no checkpoint yet.
    """
    name = checkpoint or artifacts.project().training.checkpoint
    return weights_checksum(weight_history.weights_path(artifacts, name))


def save(artifacts: RunArtifacts, calibration: AppliedCalibration) -> None:
    """Save the calibration of a run, which predicts with it from now on.

    Raises:
        ValueError: it is not valid, such as with a threshold that is not finite.
        OSError: it cannot be written.
    """
    value = asdict(calibration)
    _adapter().validate_python(value)
    artifacts.save_calibration(value)


def applied(artifacts: RunArtifacts, weights: Path) -> AppliedCalibration | None:
    """Return the calibration of a run; None if there is none for these weights.

    Raises:
        CheckpointError: the file is damaged, or of a later version.
    """
    try:
        value = artifacts.calibration()
        if value is None:
            return None
        calibration = _adapter().validate_python(value)
    except (DamagedArtifactError, ValidationError):
        raise CheckpointError(
            f"The file {artifacts.calibration_file} is damaged, or was written by a later version of Netloom; "
            "calibrate the run again, or reset its calibration."
        ) from None
    return calibration if calibration.weights == weights_checksum(weights) else None


def current(artifacts: RunArtifacts) -> AppliedCalibration | None:
    """Return the calibration for the weights with which a run predicts by default; None if there is none for them.

    Raises:
        CheckpointError: a file is damaged.
        FileNotFoundError: the run has no weights.
    """
    return applied(artifacts, weight_history.weights_path(artifacts, artifacts.project().training.checkpoint))


@cache
def _adapter() -> TypeAdapter[AppliedCalibration]:
    return TypeAdapter(AppliedCalibration)

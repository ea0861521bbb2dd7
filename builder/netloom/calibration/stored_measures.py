"""The measures of the last calibration of a run, stored with it for its model card, whether it was applied or not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from netloom.calibration.report import CalibrationReport, PartReport
from netloom.calibration.settings import NONE
from netloom.runs.prediction.applied_calibration import AppliedCalibration, PartCalibration
from netloom.store import DamagedArtifactError, RunArtifacts

VERSION: Final = 2  # the first one does not have whether unfamiliar inputs abstain
MEASURES = {"ece": "Expected calibration error", "brier": "Brier score", "log_loss": "Log loss (NLL)"}
_Settings: TypeAlias = tuple[str, float | None, float | None, float | None]
_Value = Annotated[float, Field(allow_inf_nan=True)]


@dataclass(frozen=True)
class PartMeasures:
    """The measures of one output on `rows` test rows.

    Args:
        name: The name of the target, "" if there is one.
        before: `MEASURES` of the probabilities of the network, and `after` those of calibrated ones; {} for numbers.
        threshold: The confidence below which the network abstains, with the share of answered rows and their risk.
        familiarity: The score below which it abstains because the input is unlike the training data.
        set_level: The level of prediction sets or intervals, with the share of rows that are covered, and the mean
            number of classes of a set.
    """

    name: str
    unit: str
    rows: int
    before: dict[str, _Value] = field(default_factory=dict)
    after: dict[str, _Value] = field(default_factory=dict)
    threshold: _Value | None = None
    answered: _Value | None = None
    risk: _Value | None = None
    set_level: _Value | None = None
    covered: tuple[_Value, ...] = ()
    set_size: _Value | None = None
    familiarity: _Value | None = None

    def settings(self, method: str) -> _Settings:
        """Return the method if probabilities are mapped, the thresholds, and the level of sets or intervals."""
        return method if self.after else NONE, self.threshold, self.set_level, self.familiarity


@dataclass(frozen=True)
class StoredMeasures:
    """The measures of the outputs of a run with `weights`, their checksum."""

    version: Literal[1, 2]
    weights: str
    method: str
    parts: tuple[PartMeasures, ...]

    def describes(self, applied: AppliedCalibration) -> bool:
        """Return whether these are the measures of a calibration: whether its method and thresholds are the same."""
        compared = 3 if self.version == 1 else 4
        return all(
            part.name in applied.parts
            and part.settings(self.method)[:compared] == _settings_of(applied.parts[part.name])[:compared]
            for part in self.parts
        )


def store_measures(artifacts: RunArtifacts, report: CalibrationReport) -> None:
    """Store the measures of a calibration in the folder of its run."""
    applied = report.applied
    parts = tuple(_measures(part, applied.parts.get(part.name)) for part in report.parts)
    artifacts.save_calibration_measures(asdict(StoredMeasures(VERSION, applied.weights, report.method, parts)))


def stored_measures(artifacts: RunArtifacts, weights: str) -> StoredMeasures | None:
    """Return the stored measures of weights, by their checksum; None without any, and for a damaged file."""
    try:
        value = artifacts.calibration_measures()
        measures = None if value is None else _adapter().validate_python(value)
    except (DamagedArtifactError, ValidationError):
        return None
    return measures if measures is not None and measures.weights == weights else None


def _settings_of(part: PartCalibration) -> _Settings:
    conformal = part.conformal or part.interval
    method = part.scaling.method if part.scaling else NONE
    return (
        method,
        part.abstention.threshold if part.abstention else None,
        1 - conformal.alpha if conformal else None,
        part.out_of_distribution.threshold if part.out_of_distribution else None,
    )


def _measures(part: PartReport, chosen: PartCalibration | None) -> PartMeasures:
    before, after = (
        {name: measured.measures[name] for name in MEASURES if name in measured.measures} if measured else {}
        for measured in (part.before, part.after)
    )
    abstention = chosen.abstention if chosen else None
    conformal = (chosen.conformal or chosen.interval) if chosen else None
    covered: tuple[float, ...] = ()
    if part.sets is not None:
        covered = (part.sets.coverage,)
    elif part.interval is not None:
        covered = part.interval.coverage
    return PartMeasures(
        part.name,
        part.unit,
        part.tested,
        before,
        after,
        threshold=abstention.threshold if abstention else None,
        answered=part.selected.coverage if part.selected else None,
        risk=part.selected.risk if part.selected else None,
        set_level=1 - conformal.alpha if conformal else None,
        covered=covered,
        set_size=part.sets.mean_size if part.sets else None,
        familiarity=chosen.out_of_distribution.threshold if chosen and chosen.out_of_distribution else None,
    )


@cache
def _adapter() -> TypeAdapter[StoredMeasures]:
    return TypeAdapter(StoredMeasures)

"""Settings that were changed while a run trained, which its document does not tell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netloom.store import Run
    from netloom.store.run_summary import ChangedSetting, RunSummary

_NAMES = {"learning_rate": "learning rate", "schedule": "learning-rate schedule"}


@dataclass(frozen=True)
class SettingChange:
    """A setting that was changed after `step` steps, in epoch `epoch` (counted from 0), at `at` seconds since 1970."""

    setting: str
    old: float | str
    new: float | str
    step: int
    epoch: int
    at: float

    def as_json(self) -> ChangedSetting:
        return {
            "setting": self.setting,
            "old": self.old,
            "new": self.new,
            "step": self.step,
            "epoch": self.epoch,
            "at": self.at,
        }

    @property
    def short(self) -> str:
        return f"{_NAMES[self.setting]} {_text(self.old)} → {_text(self.new)}"

    def sentence(self) -> str:
        return (
            f"The {_NAMES[self.setting]} was changed from {_text(self.old)} to {_text(self.new)} during the run, at "
            f"step {self.step:,} (epoch {self.epoch + 1})."
        )


def changes_of(run: Run) -> list[SettingChange]:
    """The changes of a run, the earliest first."""
    return [SettingChange(**item) for item in run.summary.get("changes", [])]


def _text(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class ChangeLog:
    """The changes of a run that trains. Those after its checkpoint are gone with what was trained after it."""

    def __init__(self, run: Run, step: int) -> None:
        self._changes = [change for change in changes_of(run) if change.step <= step]

    def add(self, setting: str, old: float | str, new: float | str, step: int, epoch: int) -> None:
        if old != new:
            self._changes.append(SettingChange(setting, old, new, step, epoch, time.time()))

    def facts(self) -> RunSummary:
        """What a run's summary holds of it."""
        return {"changes": [change.as_json() for change in self._changes]} if self._changes else {}

"""Settings that were changed during a run, which its document does not show."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from netloom.store.run_summary import RunSummary, SettingChange

if TYPE_CHECKING:
    from netloom.store import Run

_NAMES = {"learning_rate": "learning rate", "schedule": "learning-rate schedule"}


def change_label(change: SettingChange) -> str:
    """Return a change as a short label, such as "learning rate 0.01 → 0.001"."""
    return f"{_NAMES[change.setting]} {_text(change.old)} → {_text(change.new)}"


def change_sentence(change: SettingChange) -> str:
    return (
        f"The {_NAMES[change.setting]} was changed from {_text(change.old)} to {_text(change.new)} during the "
        f"run, at step {change.step:,} (epoch {change.epoch + 1})."
    )


class ChangeLog:
    """The changes during a run. A resumed run discards those after its checkpoint, like the training after it."""

    def __init__(self, run: Run, step: int) -> None:
        self._changes = [change for change in run.summary.changes if change.step <= step]

    def add(self, setting: str, old: float | str, new: float | str, step: int, epoch: int) -> None:
        if old == new:
            return
        self._changes.append(SettingChange(setting=setting, old=old, new=new, step=step, epoch=epoch, at=time.time()))

    def facts(self) -> RunSummary:
        """Return the part of the run's summary that contains the changes."""
        return RunSummary(changes=tuple(self._changes)) if self._changes else RunSummary()


def _text(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

"""The progress of a run in a terminal: one line that is rewritten, or one line per epoch if the output is a file."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netloom.cli.command import FAILED, INTERRUPTED, Context, Failure
from netloom.cli.text import measures, metrics_table
from netloom.core.text import between, plain
from netloom.tasks.training_losses import TRAINING_LOSSES

if TYPE_CHECKING:
    from netloom.store import Points, Run, Store
    from netloom.store.run_summary import RunSummary

POLL_S = 0.2


def follow(store: Store, run_id: str, context: Context, progress: Progress | None = None) -> tuple[Run, bool]:
    """Show a run until it ends. Ctrl-C stops the run, which saves its weights; a second Ctrl-C only stops watching.

    Args:
        store: The store of the run.
        run_id: The id of the run.
        context: Where its progress is shown.
        progress: The result of `progress_after` for a run that has trained before; by default, everything is shown.

    Returns:
        The ended run, and whether it was interrupted.
    """
    from netloom.runs import stop

    progress = progress or Progress(context)
    try:
        return _follow_to_end(store, run_id, progress), False
    except KeyboardInterrupt:
        progress.close()
        stop(store, run_id)
        context.note("Stopping. The weights are being saved and evaluated.")
    return _follow_to_end(store, run_id, progress), True


def progress_after(store: Store, run: Run, context: Context) -> Progress:
    """Return a progress without the epochs, warnings and notes of a run up to now, before it is resumed."""
    return Progress(context, store.points(run.id).last, run.summary)


def report_run(store: Store, run: Run, context: Context, *, is_interrupted: bool) -> int:
    """Write the result of an ended run. Returns the exit code.

    Raises:
        Failure: the run failed.
    """
    from netloom.runs import evaluation
    from netloom.training.chance import score_notes

    result = evaluation(store, run.id)
    metrics = result.metrics if result else {}
    value: dict[str, Any] = {
        "run": run.id,
        "project": run.project_id,
        "state": run.state,
        "reason": run.reason,
        "epochs": run.epoch,
        "steps": run.step,
        "test": metrics,
        "reference": asdict(result.reference) if result and result.reference else None,
        "intervals": result.intervals if result else {},
        "caveats": [asdict(caveat) for caveat in result.caveats] if result else [],
        "folder": str(store.artifacts(run.id).local_directory()),
    }
    if run.state == "failed":
        if context.json:
            context.answer({**value, "error": run.reason}, "")
            context.note(plain(run.reason))
            return FAILED
        raise Failure(f"The run failed: {run.reason}")
    test = f"\n{metrics_table(result)}" if result and metrics else ""
    notes = [f"! {plain(sentence)}" for sentence in score_notes(result)] if result else []
    context.answer(value, "\n".join([f"{run.id} {run.state}{test}", *notes]))
    return INTERRUPTED if is_interrupted else 0


def _follow_to_end(store: Store, run_id: str, progress: Progress) -> Run:
    from netloom.runs import ACTIVE, refresh

    while True:
        run = refresh(store, run_id)
        progress.show(run, store.points(run_id, progress.last))
        if run.state not in ACTIVE:
            progress.close()
            return run
        time.sleep(POLL_S)


class Progress:
    """The line with the state, the losses and the remaining time of a run.

    Points up to `last`, and the warnings and notes of the summary `shown`, are not shown.
    """

    def __init__(self, context: Context, last: int = 0, shown: RunSummary | None = None) -> None:
        self.last = last
        self._context = context
        self._live = sys.stderr.isatty() and not context.json
        self._loss = ""
        self._validation = ""
        self._width = 0
        self._warnings_shown = len(shown.warnings) if shown else 0
        self._notes_shown = set(shown.notes) if shown else set[str]()

    def show(self, run: Run, points: Points) -> None:
        """Add new points; rewrite the line, or write one line per completed epoch."""
        self.last = points.last
        monitored = run.summary.monitored_split
        epochs: dict[int, dict[str, float]] = {}
        losses: dict[int, str] = {}
        for epoch, split, name, value in zip(points.epoch, points.split, points.name, points.value, strict=True):
            if name in TRAINING_LOSSES:
                self._loss = f"  loss {value:.4g}"
            elif split == monitored:
                epochs.setdefault(epoch, {})[name] = value
            elif name == "loss":
                losses[epoch] = f"  loss {value:.4g}"
        for epoch, values in epochs.items():
            self._validation = f"  {monitored} {measures(values)}"
            if not self._live:
                name = f"epoch {epoch + 1}" if run.total_steps else "before training"
                self._context.note(f"{name}{losses.get(epoch, self._loss)}{self._validation}")
        for warning in run.summary.warnings[self._warnings_shown :]:
            self.close()
            self._context.note(plain(f"{warning.severity.capitalize()}: {warning.message} {warning.fix}"))
            self._warnings_shown += 1
        # By their text: the notes of a resumed run replace those before
        for note in [note for note in run.summary.notes if note not in self._notes_shown]:
            self.close()
            self._context.note(plain(note))
            self._notes_shown.add(note)
        if self._live:
            self._rewrite(run)

    def close(self) -> None:
        """End the line, so that other output starts on a new one."""
        if self._width:
            print(file=sys.stderr, flush=True)
            self._width = 0

    def _rewrite(self, run: Run) -> None:
        eta = run.summary.eta_range_s if run.state == "running" else None
        remaining = f"  {between(*eta)} left" if eta else ""
        percent = f" {run.step / run.total_steps:4.0%}" if run.total_steps else ""
        # Cut, because "\r" returns only to the start of the last row of a line that wraps.
        line = f"{run.state}{percent}{self._loss}{self._validation}{remaining}"[: _columns() - 1]
        # Padded to overwrite the rest of a longer line.
        print("\r" + line.ljust(self._width), end="", file=sys.stderr, flush=True)
        self._width = len(line)


def _columns() -> int:
    return shutil.get_terminal_size().columns

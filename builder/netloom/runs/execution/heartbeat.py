"""The heartbeat of a run: the progress and the summary that its worker sends to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.runs.resources.energy import Meter
from netloom.runs.resources.usage import resource_usage
from netloom.store.run_summary import RunSummary

if TYPE_CHECKING:
    from netloom.runs.execution.curve_logger import CurveLogger
    from netloom.runs.execution.summary_logger import SummaryLogger
    from netloom.runs.execution.throughput_monitor import ThroughputMonitor
    from netloom.store import Run, Store
    from netloom.training.diagnostics.observer import Observer


class Heartbeat:
    """Sends what the callbacks of a run have collected, with the use of resources and energy."""

    def __init__(
        self,
        store: Store,
        run: Run,
        curves: CurveLogger,
        summary: SummaryLogger,
        throughput: ThroughputMonitor,
        observer: Observer,
    ) -> None:
        self._store, self._run_id, self._claim = store, run.id, run.claim
        self._curves, self._summary, self._throughput, self._observer = curves, summary, throughput, observer
        self._meter = Meter(run.summary)

    def send(self, *, is_last: bool = False) -> None:
        """Send the pending points, and then a heartbeat with the progress and the summary: the store never counts an
        epoch whose points it does not have, also when this process is killed. The last one has the measured energy."""
        epoch, step = self._throughput.epoch, self._throughput.step
        self._curves.write()
        self._summary.update(resource_usage())
        self._summary.update(self._meter.stop() if is_last else self._meter.read())
        self._summary.update(self._throughput.measure())
        self._summary.update(RunSummary(warnings=tuple(self._observer.notices)))
        self._store.heartbeat(self._run_id, holding=self._claim, epoch=epoch, step=step, summary=self._summary.facts)

"""Files that leave Netloom, as jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from netloom import export
from netloom.export.trackers import zipped
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request
from netloom.runs.history.comparison import as_csv, table


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written into the run's folder as `stored`, how it is called by whom it is handed to, and how its
    answers compare with the app's."""

    stored: str
    name: str
    verdict: str


@dataclass(frozen=True)
class Export(Request[ExportedFile], kind="export", lane="long"):
    """A trained network in a format, compared with the app's own answers."""

    weights: RunWeights
    format: str

    def compute(self, context: Context) -> ExportedFile:
        trained = context.run(self.weights)
        name = export.filename(trained, self.format)
        _, dot, suffix = name.partition(".")
        file = context.store.artifacts(self.weights.run_id).export_file(f"export{dot}{suffix}")
        report = export.export(trained, self.format, file)
        return ExportedFile(report.path.name, name, report.verdict())


@dataclass(frozen=True)
class RunArchive(Request[np.ndarray], kind="run_archive"):
    """The curves of runs for another program, or their results as a table. The answer has the bytes of the file.

    `stamp` tells runs that have changed from what they were.
    """

    runs: tuple[str, ...]
    format: Literal["csv", "tensorboard", "mlflow"]
    stamp: str

    def compute(self, context: Context) -> np.ndarray:
        listed = [context.store.run(run_id) for run_id in self.runs]
        if self.format == "csv":
            content = as_csv(table(context.store, listed)).encode()
        else:
            content = zipped(context.store, listed, self.format)
        return np.frombuffer(content, dtype=np.uint8)

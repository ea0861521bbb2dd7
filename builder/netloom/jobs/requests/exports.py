"""Jobs for files that leave Netloom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from netloom import export
from netloom.export.model_card import export_card
from netloom.export.trackers import zipped
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request
from netloom.runs.history.comparison import as_csv, table


@dataclass(frozen=True)
class ExportedFile:
    """A file in the folder of the run, `stored`, with its name for the user, and how its predictions differ from those
    of the app."""

    stored: str
    name: str
    verdict: str


@dataclass(frozen=True)
class Export(Request[ExportedFile], kind="export", lane="long"):
    """The export of a trained network in a format, compared with the predictions of the app, with the runtime of the
    format if `with_runtime` is set."""

    weights: RunWeights
    format: str
    with_runtime: bool = False

    def compute(self, context: Context) -> ExportedFile:
        trained = context.run(self.weights)
        name = export.filename(trained, self.format)
        _, dot, suffix = name.partition(".")
        file = context.store.artifacts(self.weights.run_id).export_file(f"export{dot}{suffix}")
        card = export_card(context.store, trained)
        home = context.home if self.with_runtime else None
        report = export.export(trained, self.format, file, card, runtime_home=home)
        return ExportedFile(report.path.name, name, report.verdict())


@dataclass(frozen=True)
class RunArchive(Request[np.ndarray], kind="run_archive"):
    """The curves of runs for another program, or their metrics as a table. The answer has the bytes of the file.

    `stamp` distinguishes changed runs.
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

"""Jobs for the page that tries a run: predictions while a person types, generated texts and images, and predictions for
the rows of a file."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.data.tables.raw_rows import summarize_warnings
from netloom.explain.core.serialization import dumps, loads
from netloom.jobs.loaded_runs import RunWeights
from netloom.jobs.request import Context, Request
from netloom.modalities.encoding.cells import RawRow
from netloom.runs.prediction.batch_prediction import as_csv, as_json_lines, cell_text, predict_rows, table_row
from netloom.runs.prediction.latent_samples import LatentSamples, latent_size, sample_latents
from netloom.runs.prediction.live_prediction import LivePrediction, predict_live
from netloom.runs.prediction.sampling import Sampling
from netloom.runs.prediction.text_generation import GeneratedText, generate
from netloom.sandbox import read_batch

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

# A preview of a text at most this often: more would only fill the connection.
PREVIEW_EVERY_S = 0.05
# The rows of a batch that the page shows.
SHOWN = 100
# The share of the work that reading a file is.
READING = 0.5
# The beginning of the names of files with predictions, and how long they can be downloaded.
BATCH, KEPT_S = "batch-", 24 * 3600


@dataclass(frozen=True)
class Predict(Request[LivePrediction], kind="predict"):
    """The prediction of a run for a raw row."""

    weights: RunWeights
    row: RawRow

    def compute(self, context: Context) -> LivePrediction:
        return predict_live(context.run(self.weights), self.row)


@dataclass(frozen=True)
class Generate(Request[GeneratedText], kind="generate"):
    """A text that a run generates from a raw row; previews are the text so far."""

    weights: RunWeights
    row: RawRow
    sampling: Sampling
    length: int

    def compute(self, context: Context) -> GeneratedText:
        return generate_with_previews(context, context.run(self.weights), self.row, self.sampling, self.length)


def generate_with_previews(
    context: Context, trained: TrainedRun, row: RawRow, sampling: Sampling, length: int
) -> GeneratedText:
    """Return the text that a run generates from a raw row; previews are the text so far."""
    text, shown_at = GeneratedText("", 0, False), 0.0
    for text in generate(trained, row, sampling, length):
        context.progress(text.tokens / length)  # where a canceled job ends
        if time.monotonic() - shown_at >= PREVIEW_EVERY_S:
            context.preview(text)
            shown_at = time.monotonic()
    return text


@dataclass(frozen=True)
class LatentSize(Request[int], kind="latent_size"):
    """The number of latent variables from which a run generates images; 0 if it does not."""

    weights: RunWeights

    def compute(self, context: Context) -> int:
        return latent_size(context.run(self.weights))


@dataclass(frozen=True)
class SampleLatents(Request[LatentSamples], kind="sample_latents"):
    """Images that a run generates from latent variables, as in `sample_latents`."""

    weights: RunWeights
    seed: int
    count: int
    first: tuple[float, ...] = ()

    def compute(self, context: Context) -> LatentSamples:
        return sample_latents(context.run(self.weights), self.seed, self.count, self.first)


@dataclass(frozen=True)
class BatchResult:
    """The predictions for a file: the number of rows, the first of them for display, notes on what had to be assumed,
    and the files in the folder of the run. `first_rows` has the raw rows of those for display, see `row_of_batch`."""

    rows: int
    shown: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    csv: str
    json_lines: str
    first_rows: str


@dataclass(frozen=True)
class PredictFile(Request[BatchResult], kind="predict_file", lane="long"):
    """The predictions of a run for the rows of a file. `stored` is the name of the file in the folder of the run,
    `name` its name for people."""

    weights: RunWeights
    stored: str
    name: str

    def compute(self, context: Context) -> BatchResult:
        trained, artifacts = context.run(self.weights), context.store.artifacts(self.weights.run_id)
        content = artifacts.export_file(self.stored).read_bytes()
        file = read_batch(content, self.name, trained.preprocess.to_json(), _part(context.progress, 0, READING))
        predictions = predict_rows(trained, file.rows, _part(context.progress, READING, 1))
        answers = file.annotated(predictions)
        written = {}
        _remove_old(artifacts.local_directory())
        for suffix, text in (("csv", as_csv(file.rows, answers)), ("jsonl", as_json_lines(file.rows, answers))):
            # Other weights, or another calibration, are another file.
            path = artifacts.export_file(f"{BATCH}{self.key(context.home)}.{suffix}")
            path.write_text(text, encoding="utf-8", newline="")
            written[suffix] = path.name
        first, text_of = file.rows[:SHOWN], trained.objective.task.answer_text
        first_rows = artifacts.export_file(f"{BATCH}{self.key(context.home)}.rows")
        _write_first_rows(first_rows, first)
        return BatchResult(
            rows=len(file.rows),
            shown=tuple(_shown(row, answer, text_of(answer)) for row, answer in zip(first, answers, strict=False)),
            notes=(*file.notes, *summarize_warnings(answers)),
            csv=written["csv"],
            json_lines=written["jsonl"],
            first_rows=first_rows.name,
        )


def row_of_batch(first_rows: Path, number: int) -> RawRow:
    """Return one of the first raw rows of a file with predictions, from 0.

    Raises:
        OSError: the file is not there any more.
    """
    with zipfile.ZipFile(first_rows) as archive:
        return dict(loads(dict[str, Any], archive.read(str(number))))


def _write_first_rows(path: Path, rows: Sequence[RawRow]) -> None:
    # One member per row, so that a page reads the row that a person selects, and not up to a hundred images
    with zipfile.ZipFile(path, "w") as archive:
        for number, row in enumerate(rows):
            archive.writestr(str(number), dumps(row))


def _part(progress: Callable[[float], None], start: float, end: float) -> Callable[[float], None]:
    """Return the callback of a part of the work, from `start` to `end` of the whole."""
    return lambda share: progress(start + share * (end - start))


def _remove_old(folder: Path) -> None:
    """Remove the predictions for earlier files, which nobody can download any more."""
    for path in folder.glob(f"{BATCH}*"):
        if time.time() - path.stat().st_mtime > KEPT_S:
            path.unlink(missing_ok=True)


def _shown(row: RawRow, answer: dict[str, Any], text: str) -> dict[str, Any]:
    """Return a row of the table on the page: the prediction, or its `text` if it has one, before the inputs, which can
    be many columns; texts are not longer than a cell."""
    answer = {**answer, "prediction": text} if text else answer
    cells = {name: cell_text(value) for name, value in table_row(row, answer).items()}
    cells = {name: value for name, value in cells.items() if name not in row} | cells
    return {name: value[:200] if isinstance(value, str) else value for name, value in cells.items()}

"""A data folder with a trained run of a table, and the lines that a server logs of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netloom
from netloom.core.plain_json import Json
from netloom.data import add_file
from netloom.document import DataChoice, Training, updated
from netloom.monitoring import LogSettings, RequestLog
from netloom.runs import TrainedRun
from netloom.runs.prediction.trained_run import calibration_checksum_of, checksum_of
from tests.cli.conftest import console
from tests.networks import chain

MODEL = "cancer"

__all__ = ["console"]


@dataclass(frozen=True)
class Watched:
    """A data folder, and its run."""

    home: Path
    trained: TrainedRun

    @property
    def run_id(self) -> str:
        assert self.trained.run is not None
        return self.trained.run.id

    @property
    def classes(self) -> tuple[str, ...]:
        return self.trained.data.schema.target.classes

    def rows(self, count: int, seed: int = 0, shift: float = 0.0) -> tuple[list[dict[str, Any]], list[str]]:
        """Held-out rows with replacement and their labels; each value moved by a multiple of its deviation."""
        data = self.trained.data
        held = np.concatenate([data.split[name].numpy() for name in ("validation", "test")])
        places = np.random.default_rng(seed).choice(held, count)
        raw = [{name: float(value) for name, value in data.row(int(index)).items()} for index in places]
        deviations = {name: float(np.std([row[name] for row in raw])) for name in raw[0]}
        moved = [{name: value + shift * deviations[name] for name, value in row.items()} for row in raw]
        return moved, [self.classes[int(data.target[int(index)])] for index in places]

    def log(
        self,
        rows: list[dict[str, Any]],
        labels: Sequence[Any] | None = None,
        settings: LogSettings | None = None,
        model: str = MODEL,
        served: TrainedRun | None = None,
    ) -> None:
        """Log rows as a server does."""
        served = served or self.trained
        request_log = RequestLog(self.home, model, settings or LogSettings())
        try:
            answers = netloom.predict(served, rows)
            for number, (row, answer) in enumerate(zip(rows, answers, strict=True)):
                name = f"{request_log.lost}x{id(rows):x}n{number}"
                body = request_log.encode(row.keys(), [row], [answer])
                checksums = checksum_of(served), calibration_checksum_of(served)
                request_log.write(name, self.run_id, f"{model}/1", 1.5, body, *checksums)
                if labels is not None:
                    assert request_log.add_label(name, 1, labels[number])
        finally:
            request_log.close()


def columns_run(home: Path, rows: int = 300) -> Watched:
    """A run that predicts a width in thousands and a height in hundredths."""
    random = np.random.default_rng(0)
    x, noise = random.normal(size=rows), random.normal(size=(rows, 2))
    width, height = 1000 * (x + 0.1 * noise[:, 0]), 0.01 * (2 * x + 0.1 * noise[:, 1])
    lines = [f"{a!r},{b!r},{c!r}" for a, b, c in zip(x.tolist(), width.tolist(), height.tolist(), strict=True)]
    columns: Json = {name: {"role": "target"} for name in ("width", "height")}
    options: dict[str, Json] = {"task": "regression", "columns": columns}
    info = add_file("\n".join(["x,width,height", *lines]).encode(), "sizes.csv", home, options=options)
    training = Training(objective="regression", epochs=3, device="cpu")
    start = ("Input", {"field": "features", "kind": "vector", "shape": [1]})
    project = chain(start, ("Linear", {"units": 2}), data=DataChoice(dataset=info.name), training=training)
    return Watched(home, netloom.train(project, save=True, home=home))


@pytest.fixture(scope="package")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    home = tmp_path_factory.mktemp("monitored")
    project = netloom.open_project("breast_cancer")
    project = project.model_copy(update={"training": updated(project.training, {"epochs": 3})})
    return Watched(home, netloom.train(project, seed=1, device="cpu", save=True, home=home))


@pytest.fixture
def watched(trained_home: Watched) -> Watched:
    """The data folder, without logs of other tests."""
    import shutil

    shutil.rmtree(trained_home.home / "serving", ignore_errors=True)
    return trained_home

"""The time from the files of MNIST to a trained LeNet: reading, preparing and training."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from netloom.document import DataChoice, Project, Training

BUDGET_S, ACCURACY = 90.0, 0.985
EPOCHS = 3


@dataclass(frozen=True)
class Reading:
    """The accuracy on the test rows, and the wall-clock and CPU time in seconds.

    `load` is the load average of the machine over the last minute.
    """

    rows: int
    accuracy: float
    clock_s: float
    cpu_s: float
    preparing_cpu_s: float
    load: float


def measure_pictures(folder: Path) -> Reading:
    """Train a LeNet on the images of a folder, as a worker does, in a temporary data folder.

    Raises:
        DataError: the folder does not have images of 28 × 28 in ten classes.
    """
    from netloom.compile import module
    from netloom.data import DataError, prepare
    from netloom.data.uploads import add_file
    from netloom.runs.prediction.trained_run import TrainedRun, evaluate
    from netloom.training import OBJECTIVES
    from netloom.training.loop import SupervisedTrainer

    start, cpu_start = time.monotonic(), time.process_time()
    with TemporaryDirectory(prefix="netloom-bench-") as home:
        info = add_file(folder, folder.name, Path(home))
        project = lenet(DataChoice(dataset=info.name, validation=0.05))
        data = prepare(project.data, Path(home))
        if data.schema.inputs[0].shape != (1, 28, 28) or len(data.schema.target.classes) != 10:
            raise DataError(f"{folder} does not contain MNIST: images of 28 × 28 in ten classes.")
        prepared_s = time.process_time() - cpu_start
        field = data.schema.inputs[0].name
        trainer = SupervisedTrainer(
            module(project), OBJECTIVES["classification"], data, [field], project.training, "cpu"
        )
        trainer.fit()
        accuracy = evaluate(TrainedRun(project, "", trainer.best_model(), data)).metrics["accuracy"]
    clock_s, cpu_s = time.monotonic() - start, time.process_time() - cpu_start
    return Reading(len(data.raw), accuracy, clock_s, cpu_s, prepared_s, os.getloadavg()[0])


def lenet(data: DataChoice) -> Project:
    """Return LeNet-5 with ReLU, max pooling and twice the filters."""
    from netloom.cli.bench.tasks import chain

    project = chain(
        data,
        ("Input", {"field": "image", "kind": "image", "shape": [1, 28, 28]}),
        ("Conv2d", {"filters": 12, "kernel_size": 5, "padding": 0}),
        ("ReLU", {}),
        ("MaxPool2d", {}),
        ("Conv2d", {"filters": 32, "kernel_size": 5, "padding": 0}),
        ("ReLU", {}),
        ("MaxPool2d", {}),
        ("Flatten", {}),
        ("Linear", {"units": 120}),
        ("ReLU", {}),
        ("Linear", {"units": 10}),
    )
    training = Training(epochs=EPOCHS, batch_size=128, learning_rate=4e-3, schedule="one_cycle", device="cpu")
    return project.model_copy(update={"training": training})

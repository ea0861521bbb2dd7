"""Other libraries that train PyTorch networks, on the small network where overhead per step counts most.

Each trains as its documentation shows, with the same network, batches, shuffling and Adam, and computes loss and
accuracy on the validation split after each epoch. Further output, logs and checkpoints are switched off. Libraries that
allow it are also measured with fused Adam, which is not their default.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from netloom.cli.bench.tasks import Task

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

EVALUATION_BATCH = 512
Run = Callable[[], Any]


@dataclass(frozen=True)
class Peer:
    """A library to compare with.

    Attributes:
        package: its import name.
        promised: how many times faster Netloom must be; None for no promise.
        make: returns a function that trains a task on its splits, on a device ("cpu" or "cuda").
    """

    title: str
    package: str
    promised: float | None
    make: Callable[[Task, dict[str, Any], str], Run]


def installed() -> list[Peer]:
    """Return the installed libraries; `pip install -e ".[peers]"` installs all."""
    return [peer for peer in PEERS if find_spec(peer.package) is not None]


def prepare_run(peer: Peer, task: Task, data: Prepared, device: str = "cpu") -> Run:
    """Prepare the training of a task with a library on a device. Returns the function that trains."""
    import torch

    torch.manual_seed(0)
    field = data.schema.inputs[0].name
    splits = {part: (data.inputs[field][rows], data.target[rows]) for part, rows in data.split.items()}
    with silence_libraries():
        run = peer.make(task, splits, device)

    def quietly() -> None:
        with silence_libraries():
            run()

    return quietly


@contextmanager
def silence_libraries() -> Iterator[None]:
    """Suppress warnings and log messages of the libraries."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def _lightning(task: Task, splits: dict[str, Any], device: str, fused: bool = False) -> Run:
    import lightning
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, TensorDataset

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = task.twin()

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            loss = cross_entropy(self.model(batch[0]), batch[1])
            self.log("loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
            answer = self.model(batch[0])
            self.log("validation_loss", cross_entropy(answer, batch[1]))
            self.log("accuracy", (answer.argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=task.project.training.learning_rate, fused=fused or None)

    train_loader = DataLoader(TensorDataset(*splits["train"]), task.project.training.batch_size, shuffle=True)
    validation_loader = DataLoader(TensorDataset(*splits["validation"]), EVALUATION_BATCH)
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        accelerator={"cuda": "gpu"}.get(device, device),
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    module = Module()
    return lambda: trainer.fit(module, train_loader, validation_loader)


def _skorch(task: Task, splits: dict[str, Any], device: str, fused: bool = False) -> Run:
    import torch
    from skorch import NeuralNetClassifier
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    training = task.project.training
    net = NeuralNetClassifier(
        task.twin,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=fused or None,
        lr=training.learning_rate,
        batch_size=training.batch_size,
        iterator_train__shuffle=True,
        iterator_valid__batch_size=EVALUATION_BATCH,
        train_split=predefined_split(Dataset(*splits["validation"])),
        max_epochs=task.epochs,
        device=device,
        verbose=0,
    )
    return lambda: net.fit(*splits["train"])


def _keras(task: Task, splits: dict[str, Any], device: str) -> Run:
    os.environ["KERAS_BACKEND"] = "torch"  # read when Keras is first imported
    import keras

    if keras.backend.backend() != "torch":
        raise RuntimeError("Keras was imported before with another backend than torch.")
    layers, training = keras.layers, task.project.training
    keras_device = "cpu:0" if device == "cpu" else "gpu:0"  # by default, Keras takes a GPU that it finds
    with keras.device(keras_device):
        model = keras.Sequential(
            [
                layers.Input((1, 8, 8)),
                layers.Flatten(),
                layers.Dense(128, activation="relu"),
                layers.Dropout(0.2),
                layers.Dense(64, activation="relu"),
                layers.Dense(10),
            ]
        )
    model.compile(
        optimizer=keras.optimizers.Adam(training.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    (x, y), validation = (
        [part.numpy() for part in splits["train"]],
        tuple(part.numpy() for part in splits["validation"]),
    )

    def run() -> None:
        with keras.device(keras_device):
            model.fit(
                x,
                y,
                batch_size=training.batch_size,
                epochs=task.epochs,
                validation_data=validation,
                validation_batch_size=EVALUATION_BATCH,
                verbose=0,
            )

    return run


PEERS = (
    Peer("Lightning", "lightning", 3.0, _lightning),
    Peer("Lightning, Adam fused", "lightning", None, partial(_lightning, fused=True)),
    Peer("skorch", "skorch", 2.0, _skorch),
    Peer("skorch, Adam fused", "skorch", None, partial(_skorch, fused=True)),
    Peer("Keras on torch", "keras", 2.0, _keras),
)

"""The trainer class of each task, and the construction of a trainer from a project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.compile import input_fields, module
from netloom.training.errors import TrainingError
from netloom.training.loop import SupervisedTrainer
from netloom.training.objectives import OBJECTIVES
from netloom.training.speed.device import choose
from netloom.training.trainer import Trainer
from netloom.training.weights.initialization import load_start

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.document import Project
    from netloom.tasks.task import Task


def adversarial() -> type[Trainer]:
    from netloom.training.trainers.adversarial import AdversarialTrainer

    return AdversarialTrainer


def dqn() -> type[Trainer]:
    from netloom.training.reinforcement.dqn import DQNTrainer

    return DQNTrainer


def reinforce() -> type[Trainer]:
    from netloom.training.reinforcement.reinforce import ReinforceTrainer

    return ReinforceTrainer


def ppo() -> type[Trainer]:
    from netloom.training.reinforcement.ppo import PPOTrainer

    return PPOTrainer


def distributed() -> type[Trainer]:
    from netloom.training.trainers.distributed import DistributedTrainer

    return DistributedTrainer


# By the `trainer` of a task. All but the supervised trainer are imported on use, because a run needs only one.
TRAINERS: dict[str, Callable[[], type[Trainer]]] = {
    "supervised": lambda: SupervisedTrainer,
    "adversarial": adversarial,
    "dqn": dqn,
    "reinforce": reinforce,
    "ppo": ppo,
}


def trainer_for(task: Task, *, is_distributed: bool = False) -> type[Trainer]:
    """Return the trainer class for a task, on one machine or distributed.

    Raises:
        TrainingError: the task does not support distributed training.
    """
    trainer = TRAINERS[task.trainer]()
    if not is_distributed:
        return trainer
    if trainer is not SupervisedTrainer:
        raise TrainingError(f"{task.title} supports only one worker; set the number of workers to 1.")
    return distributed()


def build_trainer(
    project: Project,
    source: str,
    data: Prepared,
    initial_weights: Path | None = None,
    *,
    is_distributed: bool = False,
) -> Trainer:
    """Build the trainer of a project at its start, with weights from its seed on its device.

    Args:
        source: The generated code of the project.
        initial_weights: A file of weights that replace the random ones where they match.
        is_distributed: Whether this process is one rank of a process group.

    Raises:
        StartError: none of the initial weights matches.
        TrainingError: a setting does not match the network, the objective or the device.
        ValueError: the device is not available.
    """
    import torch

    from netloom.compile.logit_network import with_logits

    training = project.training
    torch.manual_seed(training.seed)  # before `module`, whose constructors draw the initial weights
    objective, model = OBJECTIVES[training.objective], module(source)
    if initial_weights is not None:
        load_start(project, model, initial_weights)
    # Losses and metrics need logits, also of a network that ends in softmax or sigmoid.
    model = with_logits(project, model, data.schema)
    kind = trainer_for(objective.task, is_distributed=is_distributed)
    return kind(model, objective, data, input_fields(project), training, choose(training.device))

"""Every template reaches the metric that it states."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from netloom.compile import module, source
from netloom.data import Prepared, bigram_entropy, prepare
from netloom.document import Project
from netloom.runs import evaluate
from netloom.runs.prediction.trained_run import TrainedRun
from netloom.templates import Template, templates
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.registry import build_trainer


class Reaching(Callback):
    """Stops training as soon as the best weights reach the template's stated metric. It evaluates when the validation
    metric reaches it, and seven times in any case, as not every metric is measured on the validation rows."""

    def __init__(self, template: Template, project: Project, text: str) -> None:
        self._template, self._project, self._text = template, project, text
        epochs = project.training.epochs
        self._looks = {-(-epochs * eighth // 8) for eighth in range(1, 8)}
        self._measured: dict[str, float] = {}
        self._reached = False

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        if split == "validation":
            self._measured = values

    def on_epoch_end(self, loop: Trainer) -> None:
        measured = self._measured.get(self._template.metric)
        promising = measured is not None and is_reached(self._template, measured, loop.data)
        if loop.epoch not in self._looks and not (promising and loop.best.epoch == loop.epoch - 1):
            return
        with torch.random.fork_rng():  # so that the evaluation does not change the random numbers of the run
            model = module(self._text)
            model.load_state_dict(loop.best.weights)
            self._reached = reaches(self._template, TrainedRun(self._project, self._text, model.eval(), loop.data))

    def should_continue(self, loop: Trainer) -> bool:
        return not self._reached


def reaches(template: Template, trained: TrainedRun) -> bool:
    reached = evaluate(trained).metrics[template.metric]
    print(f"{template.name}: {template.metric} {reached:.4f}")
    return is_reached(template, reached, trained.data)


def is_reached(template: Template, reached: float, data: Prepared) -> bool:
    if template.below_bigram_entropy:
        return reached < bigram_entropy(data)
    assert template.at_least is not None
    return reached >= template.at_least


def at_its_figure(name: str, home: Path | None = None, *, whole: bool = False) -> TrainedRun:
    """A template, trained until it reaches its stated metric, or to the end."""
    template = templates()[name]
    training = template.project.training.model_copy(update={"device": "cpu"})
    project = template.project.model_copy(update={"training": training})
    text, start = source(project), time.process_time()
    trainer = build_trainer(project, text, prepare(project.data, home))
    trainer.fit(Callback() if whole else Reaching(template, project, text))
    assert time.process_time() - start < 120
    trained = TrainedRun(project, text, trainer.best_model(), trainer.data)
    assert reaches(template, trained)
    return trained


# Tested in test_adversarial, so that it is trained only once.
ELSEWHERE = "digits_gan"
# These take nine tenths of the total time: `pytest -m long` trains them. (A small detector learns in test_detection.)
COSTLY = (
    "cartpole_dqn",
    "cartpole_ppo",
    "cartpole_reinforce",
    "cbf_fcn",
    "commands_joint",
    "dates_gru",
    "dates_transformer",
    "digits_autoencoder",
    "digits_cnn",
    "digits_denoising",
    "digits_lenet",
    "digits_resnet",
    "digits_vae",
    "digits_vit",
    "intents_experts",
    "intents_linear_attention",
    "intents_lstm",
    "intents_mamba",
    "intents_transformer",
    "molecules_gcn",
    "paraphrases_siamese",
    "parts_multimodal",
    "pulses_anomaly",
    "ratings_bpr",
    "ratings_ncf",
    "requests_tagger",
    "reviews_gru",
    "reviews_lstm",
    "same_digits_contrastive",
    "same_digits_siamese",
    "scenes_labels",
    "shapes_detector",
    "shapes_mobilenet",
    "shapes_residual",
    "shapes_simclr",
    "shapes_two_outputs",
    "shapes_unet",
    "sine_own_cell",
    "sine_tcn",
    "spoken_cnn",
    "spoken_gru",
    "tales",
    "tales_gpt",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in templates() if name not in (*COSTLY, ELSEWHERE)])
def test_template_reaches_its_stated_metric(name: str, home: Path) -> None:
    at_its_figure(name, home)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", COSTLY)
def test_costly_template_reaches_its_stated_metric(name: str, home: Path) -> None:
    at_its_figure(name, home)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", list(templates()))
def test_fully_trained_template_reaches_its_stated_metric(name: str, home: Path) -> None:
    """The metric that was reached during training still holds at the end."""
    at_its_figure(name, home, whole=True)

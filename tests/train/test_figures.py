"""Speed against a hand-written loop, and every template against the figure that it states."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import pytest
import torch
from torch import nn
from torch.nn import functional

from builder.compile import module, source
from builder.data import Prepared, bigram_entropy, prepare
from builder.graph import Project
from builder.templates import Template, templates
from builder.train import evaluate
from builder.train.loop import Loop, Watch, begin
from builder.train.trained import TrainedRun
from tests.networks import digits_mlp
from tests.train.runs import loop

EPOCHS = 12


def by_hand(inputs: torch.Tensor, target: torch.Tensor) -> float:
    """Seconds that a plain loop over preloaded tensors takes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    start = time.process_time()
    for _ in range(EPOCHS):
        model.train()
        order = torch.randperm(len(target))
        for rows in torch.tensor_split(order, tuple(range(64, len(order), 64))):
            loss = functional.cross_entropy(model(inputs[rows]), target[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return time.process_time() - start


@pytest.mark.alone
def test_training_is_as_fast_as_a_hand_written_loop(home: Path) -> None:
    document = digits_mlp(epochs=EPOCHS, device="cpu")
    data = prepare(document.data, home)
    rows = data.split["train"]
    inputs, target = data.inputs["image"][rows], data.target[rows]
    ratios = []
    for _ in range(5):
        made = loop(document, home)
        start = time.process_time()
        made.run(Watch())
        ours = time.process_time() - start
        ratios.append(by_hand(inputs, target) / ours)
    assert median(ratios) >= 0.8, ratios


class Reaching(Watch):
    """Ends a training as soon as the best weights so far reach a template's figure. It looks each time that they reach
    it on the validation rows, and eight times in any case, as not all is measured there."""

    def __init__(self, template: Template, project: Project, text: str) -> None:
        self._template, self._project, self._text = template, project, text
        epochs = project.training.epochs
        self._looks = {-(-epochs * eighth // 8) for eighth in range(1, 8)}
        self._measured: dict[str, float] = {}
        self._reached = False

    def record(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        if split == "validation":
            self._measured = values

    def epoch_done(self, loop: Loop) -> None:
        measured = self._measured.get(self._template.metric)
        promising = measured is not None and enough(self._template, measured, loop.data)
        if loop.epoch not in self._looks and not (promising and loop.best.epoch == loop.epoch - 1):
            return
        with torch.random.fork_rng():  # so that what is drawn afterwards is what would have been drawn
            model = module(self._text)
            model.load_state_dict(loop.best.weights)
            self._reached = reaches(self._template, TrainedRun(self._project, self._text, model.eval(), loop.data))

    def poll(self, loop: Loop) -> bool:
        return not self._reached


def reaches(template: Template, trained: TrainedRun) -> bool:
    reached = evaluate(trained).metrics[template.metric]
    print(f"{template.name}: {template.metric} {reached:.4f}")
    return enough(template, reached, trained.data)


def enough(template: Template, reached: float, data: Prepared) -> bool:
    if template.below_bigram_entropy:
        return reached < bigram_entropy(data)
    assert template.at_least is not None
    return reached >= template.at_least


def at_its_figure(name: str, home: Path | None = None, *, whole: bool = False) -> TrainedRun:
    """A template that was trained until its figure is reached, or to its end."""
    template = templates()[name]
    training = template.project.training.model_copy(update={"device": "cpu"})
    project = template.project.model_copy(update={"training": training})
    text, start = source(project), time.process_time()
    made = begin(project, text, prepare(project.data, home))
    made.run(Watch() if whole else Reaching(template, project, text))
    assert time.process_time() - start < 120
    found = TrainedRun(project, text, made.best_model(), made.data)
    assert reaches(template, found)
    return found


# Its figure is seen to where its pictures are judged, so that it is trained once.
ELSEWHERE = "digits_gan"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in templates() if name != ELSEWHERE])
def test_template_reaches_its_figure(name: str, home: Path) -> None:
    at_its_figure(name, home)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", list(templates()))
def test_template_ends_at_its_figure(name: str, home: Path) -> None:
    """What was reached on the way is still there at the end."""
    at_its_figure(name, home, whole=True)

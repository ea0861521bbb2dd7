"""Predictions for the same few validation rows after each epoch, stored in the folder of the run.

The file holds one JSON object per line: first the rows, then the predictions after each epoch.
Images are base64-encoded bytes with their shape; nothing here is an image file or code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from netloom.data.boxes import predicted_objects, present
from netloom.data.targets.numbers import numbers_text
from netloom.document import write_bytes
from netloom.modalities.encoding.tokenization import PAD, last_places
from netloom.training.diagnostics.budget import Budget
from netloom.training.diagnostics.prediction_cards import (
    LETTERS,
    OBJECTS,
    POINTS,
    Card,
    CardJson,
    ExampleCard,
    ExampleJson,
    ImageCard,
    InputCard,
    MaskCard,
    NumbersCard,
    ObjectsCard,
    SeriesCard,
    TargetCard,
    TextCard,
)
from netloom.training.objectives.objective import joined

if TYPE_CHECKING:
    import torch

    from netloom.data import Example, Prepared
    from netloom.store import RunArtifacts
    from netloom.tasks import Task
    from netloom.training.trainer import Trainer

ROWS, PICTURES, TEXTS = 8, 12, 2
# At `MOST` epochs, every second one is removed. The first `FREE` epochs are stored at any cost, later ones while the
# predictions take at most this share of the CPU time.
MOST, FREE, SHARE = 200, 12, 0.002
# Texts continued by a language model: tokens, time limit in seconds, and sampling temperature.
WRITTEN, WRITING_S, TEMPERATURE = 100, 0.4, 0.7


class EpochPredictions(TypedDict):
    """The predictions for all rows after an epoch; "said" is their key in the files of all versions."""

    step: int
    epoch: int
    said: list[CardJson]


@dataclass(frozen=True)
class Predictions:
    """`rows` are the examples, each with its input and true target; `epochs` the predictions after each epoch."""

    rows: list[ExampleJson]
    epochs: list[EpochPredictions]


class PredictionHistory:
    """Predicts the rows after each epoch. For a resumed run, entries after the step of the loop are removed first."""

    def __init__(self, artifacts: RunArtifacts, trainer: Trainer) -> None:
        self._path = artifacts.predictions
        self._chosen = choose_rows(trainer.data, trainer.objective.task)
        earlier = read_samples(artifacts)
        epochs = [epoch for epoch in earlier.epochs if epoch["step"] <= trainer.step] if earlier else []
        rows = earlier.rows if earlier else [self._describe(trainer, row) for row in self._chosen.tolist()]
        self._count, self._epoch_interval = len(epochs), 1
        self._write(rows, epochs)
        self._budget = Budget(SHARE)

    @staticmethod
    def _describe(trainer: Trainer, row: int) -> ExampleJson:
        # An image generated from noise is unrelated to the row of the data with the same number.
        if trainer.objective.task.alternating:
            return ExampleCard(row, "").to_json()
        card = describe_row(trainer.data, row)
        if trainer.objective.task.scores_items:  # a score is not a rating, so their difference has no meaning
            card = replace(card, target=None)
        return card.to_json()

    def on_epoch_end(self, trainer: Trainer, *, last: bool) -> None:
        """Predict the rows, unless it exceeds the budget or this epoch is skipped."""
        start = time.process_time()
        is_over_budget = self._count >= FREE and not self._budget.left()
        if not last and (is_over_budget or trainer.epoch % self._epoch_interval):
            return
        line: EpochPredictions = {
            "step": trainer.step,
            "epoch": trainer.epoch,
            "said": [card.to_json() for card in predict_rows(trainer, self._chosen)],
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._count += 1
        if self._count >= MOST:
            self._thin()
        self._budget.spend(time.process_time() - start)

    def _thin(self) -> None:
        first, *epochs = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]
        remaining = epochs[::2]
        self._count, self._epoch_interval = len(remaining), self._epoch_interval * 2
        self._write(first["rows"], remaining)

    def _write(self, rows: list[ExampleJson], epochs: list[EpochPredictions]) -> None:
        lines = [json.dumps(line) for line in ({"rows": rows}, *epochs)]
        write_bytes(self._path, ("\n".join(lines) + "\n").encode())


def read_samples(artifacts: RunArtifacts) -> Predictions | None:
    """Return the predictions of a run so far, or None. Ignores an incomplete last line."""
    try:
        text = artifacts.predictions.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    first, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
    return Predictions(json.loads(first)["rows"], [json.loads(line) for line in lines]) if first else None


def choose_rows(data: Prepared, task: Task) -> torch.Tensor:
    """Return the rows to predict: evenly spread over the monitored split, and equal in every run of the same data."""
    import torch

    rows = data.split[data.monitored_split]
    count = TEXTS if data.schema.target.type.continues_text else PICTURES if task.generates_input else ROWS
    return rows[torch.linspace(0, len(rows) - 1, min(count, len(rows))).long()]


def describe_row(data: Prepared, row: int) -> ExampleCard:
    """Return a row for display: its input and true target."""
    target, true = data.schema.target, ""
    shown: TargetCard | None = None
    # A text has more than one correct continuation, and a recorded action need not be the best one.
    if not target.type.continues_text and not target.type.is_action:
        true = data.target_text(row)[:LETTERS]
    if target.type.is_number:
        shown = NumbersCard(data.restore(data.target[row]).flatten().tolist()[:POINTS])
    elif target.type.is_per_pixel:
        shown = MaskCard.of(data.target[row].numpy(), target.classes)
    elif target.type.is_boxes:
        shown = ObjectsCard(present(data.target[row].numpy()).round(4).tolist()[:OBJECTS], target.classes)
    return ExampleCard(row, true, _input(data.example(row)), shown)


def predict_rows(trainer: Trainer, rows: torch.Tensor) -> Sequence[Card]:
    """Return the predictions of the network for these rows. Leaves the network and the random numbers unchanged."""
    data, objective = trainer.data, trainer.objective
    inputs = {name: data.inputs[name][rows] for name in trainer.fields}
    with _undisturbed(trainer):

        def answer(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
            return joined(trainer.model(*[batch[name].to(trainer.device) for name in trainer.fields])).float().cpu()

        if data.schema.target.type.continues_text:
            (name,) = trainer.fields[:1]
            return [
                TextCard(text)
                for text in _written_on(data, inputs[name], lambda tokens: answer({**inputs, name: tokens}))
            ]
        texts = objective.generate_texts(answer, data, inputs)
        if texts is not None:
            return [TextCard(text[:LETTERS]) for text in texts]
        answers = objective.answers(answer(inputs), data, inputs)
        if objective.task.scores_items:
            return [TextCard(f"score {prediction['prediction']:.3g}") for prediction in answers]
        return [_card(prediction, data) for prediction in answers]


@contextmanager
def _undisturbed(trainer: Trainer) -> Iterator[None]:
    """Use evaluation mode without gradients, and restore the mode and the random numbers."""
    import torch

    numbers, was_training = torch.get_rng_state(), trainer.model.training
    on_gpu = trainer.device.startswith("cuda")
    gpu = torch.cuda.get_rng_state_all() if on_gpu else []
    trainer.model.eval()
    try:
        with torch.no_grad(), trainer.averaged_weights():
            yield
    finally:
        trainer.model.train(was_training)
        torch.set_rng_state(numbers)
        if on_gpu:
            torch.cuda.set_rng_state_all(gpu)


def _written_on(data: Prepared, prompts: torch.Tensor, answer: Callable[[torch.Tensor], torch.Tensor]) -> list[str]:
    """Continue rows of tokens (N, T), token by token, by sampling from the network."""
    import torch

    ends = last_places(prompts.numpy())
    texts = [row[: int(end) + 1].tolist() for row, end in zip(prompts, ends, strict=True)]
    starts, length = [len(text) for text in texts], prompts.shape[1]
    # A fixed seed, so that a text changes between epochs only because the network has changed.
    dice, until = torch.Generator().manual_seed(0), time.monotonic() + WRITING_S
    for _ in range(WRITTEN):
        windows = [text[-length:] for text in texts]  # the network has a fixed context of T tokens
        padded = torch.tensor([window + [PAD] * (length - len(window)) for window in windows])
        scores = answer(padded)  # (N, T, vocabulary)
        # The prediction of the next token is at the last token, before the padding.
        positions = torch.tensor([len(window) - 1 for window in windows])
        shares = (scores[torch.arange(len(texts)), positions] / TEMPERATURE).softmax(1)
        for text, token in zip(texts, torch.multinomial(shares, 1, generator=dice).flatten().tolist(), strict=True):
            text.append(token)
        if time.monotonic() > until:
            break
    return [data.decode(torch.tensor(text[start:])) for text, start in zip(texts, starts, strict=True)]


def _card(answer: Mapping[str, Any], data: Prepared) -> Card:
    """Return a prediction as a card."""
    prediction, target = answer["prediction"], data.schema.target
    if target.type.is_boxes:
        return ObjectsCard.of(predicted_objects(prediction, target.classes), target.classes)
    if isinstance(prediction, str):
        share = answer.get("probabilities", {}).get(prediction)
        error = f" · error {answer['error']:.3g}" if "error" in answer else ""
        return TextCard(f"{prediction[:LETTERS]}{error}", share)
    if target.forecast is not None and isinstance(prediction, dict):
        steps = [value for series in prediction.values() for value in series]
        return TextCard(numbers_text(target, steps))
    if isinstance(prediction, dict):
        return TextCard(_columns(prediction))
    if isinstance(prediction, list) and not prediction:
        return TextCard("none")
    if isinstance(prediction, list) and isinstance(prediction[0], str):
        apart = ", " if target.type.is_multi_label else " "
        return TextCard(apart.join(prediction)[:LETTERS])
    values = np.asarray(prediction, dtype=np.float64)
    if "classes" in answer:
        return MaskCard.of(values, tuple(answer["classes"]))
    if values.ndim == 3:
        scale = next((data.image_field(spec.name).unit_scale for spec in data.schema.inputs if spec.is_image), 1.0)
        return ImageCard.of(values.transpose(1, 2, 0) * scale)
    if values.ndim == 2:
        return SeriesCard.of(values)
    return NumbersCard(values.flatten()[:POINTS].tolist())


def _input(example: Example) -> InputCard | None:
    """Return the input as a card."""
    if example.image is not None:
        return ImageCard.of(np.asarray(example.image, dtype=np.float64))
    if example.series is not None:
        return SeriesCard.of(np.asarray(example.series, dtype=np.float64))
    if example.text or example.tokens:
        return TextCard((example.text or " ".join(example.tokens))[-LETTERS:])
    return TextCard(_columns(example.columns)) if example.columns else None


def _columns(values: Mapping[str, Any]) -> str:
    values_by_name = [
        f"{name}: {f'{value:.4g}' if isinstance(value, float) else value}" for name, value in values.items()
    ]
    return ", ".join(values_by_name)[:LETTERS]

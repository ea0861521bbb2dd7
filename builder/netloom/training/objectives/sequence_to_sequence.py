"""Sequence to sequence: a text generated from a text, token by token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from netloom.modalities.encoding.tags import IGNORE
from netloom.modalities.encoding.text_fields import token_encoder, write, written
from netloom.tasks import seq2seq
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.evaluation import Evaluation, Reference, Worst
from netloom.training.objectives.losses import StepCrossEntropy
from netloom.training.objectives.objective import NOTHING, WORST, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

SHOWN = 30
Ask = Callable[[Mapping[str, "torch.Tensor"]], "torch.Tensor"]


class SequenceToSequence(StepCrossEntropy):
    """Cross-entropy over logits (N, T, vocabulary) and tokens (N, T); ignores positions after the end.

    Training uses teacher forcing (https://doi.org/10.1162/neco.1989.1.2.270). The exact match metric does not: it
    counts texts that were generated without any error.
    """

    task = seq2seq.SequenceToSequence()

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.token_by_position(data, rows)

    def reference(self, data: Prepared, rows: torch.Tensor, split: str) -> Reference | None:
        """Add the share of rows whose target is the most frequent one of the training rows."""
        reference = super().reference(data, rows, split)
        if reference is None:
            return None
        # The best constant answer: a token-wise baseline is hardly ever right as a whole.
        answers, counts = data.target[data.split["train"]].unique(dim=0, return_counts=True)  # type: ignore[no-untyped-call]
        exact = (data.target[rows] == answers[counts.argmax()]).all(1).float().mean()
        return replace(reference, metrics={"exact_match": float(exact), **reference.metrics})

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        """Evaluate outputs with teacher forcing; `extend_evaluation` adds generated texts."""
        from torch.nn import functional

        target = data.target[rows]
        losses = functional.cross_entropy(output.transpose(1, 2), target, ignore_index=IGNORE, reduction="none")
        mask = target != IGNORE
        by_row = losses.sum(1) / mask.sum(1)
        answers = _texts(output.argmax(2), data)
        worst = by_row.argsort(descending=True)[:WORST].tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "token_accuracy": float((output.argmax(2) == target)[mask].float().mean()),
                "loss": float(losses.sum() / mask.sum()),
            },
            worst=[
                Worst(int(rows[i]), float(by_row[i]), data.target_text(int(rows[i])), answers[i], None) for i in worst
            ],
        )

    def extend_evaluation(
        self,
        evaluation: Evaluation,
        output: torch.Tensor,
        ask: Ask,
        data: Prepared,
        rows: torch.Tensor,
    ) -> Evaluation:
        """Add the texts generated for `rows` to the result of `evaluate`."""
        answers = self.generate_texts(ask, data, {name: values[rows] for name, values in data.inputs.items()})
        numbers = rows.tolist()
        generated = dict(zip(numbers, answers, strict=True))
        lines = [
            {
                "row": row,
                "source": str(data.row(row)[data.schema.inputs[0].name]),
                "expected": data.target_text(row),
                "answered": answer,
                "exact": data.target_text(row) == answer,
            }
            for row, answer in generated.items()
        ]
        exact = sum(bool(line["exact"]) for line in lines) / len(lines)
        return replace(
            evaluation,
            metrics={"exact_match": exact, **evaluation.metrics},
            report=sorted(lines, key=lambda line: bool(line["exact"]))[:SHOWN],  # wrong ones first
            worst=[replace(item, predicted=generated[item.row]) for item in evaluation.worst],
        )

    def generate_texts(self, ask: Ask, data: Prepared, inputs: Mapping[str, torch.Tensor]) -> list[str]:
        """Generate a text for each row of `inputs`, from the network's own previous tokens."""
        import torch

        decoder_field = data.schema.inputs[-1]
        tokens = write(
            decoder_field.shape[0],
            len(inputs[decoder_field.name]),
            lambda so_far: ask({**inputs, decoder_field.name: torch.from_numpy(so_far.copy())}).numpy(),
        )
        return _texts(torch.from_numpy(tokens), data)


def _texts(tokens: torch.Tensor, data: Prepared) -> list[str]:
    """Return tokens (N, T) as texts."""
    vocabulary = token_encoder(data.fields[-1]).vocabulary
    return [written(vocabulary, line) for line in tokens.tolist()]

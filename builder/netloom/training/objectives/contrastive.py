"""Contrastive learning (SimCLR): embeddings without labels.

Chen, Kornblith, Norouzi and Hinton, A simple framework for contrastive learning, https://arxiv.org/abs/2002.05709
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from netloom.data.preparation.calibrated import Decoding
from netloom.tasks import contrastive
from netloom.training.objectives.evaluation import Embedding, Evaluation, Reference
from netloom.training.objectives.objective import NOTHING, Objective, Scores, Settings

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared, Schema
    from netloom.document import Training

# Limits of the training rows for kNN and the linear probe, and of the points on a map of embeddings.
KNOWN, MAPPED = 10_000, 600
_PROBE_STEPS = 300


class Contrastive(Objective):
    """NT-Xent loss over embeddings (2·N, D); rows 2i and 2i + 1 are two augmented views of an example.

    Labels are not used for training. If the data has classes, they evaluate the embeddings: by kNN (cosine) and by a
    linear probe, both on the embeddings of the training rows.
    """

    task = contrastive.Contrastive()
    temperature, neighbors = 0.5, 5

    def described(self, training: Training, schema: Schema) -> Self:
        described = copy.copy(self)
        described.temperature, described.neighbors = training.contrastive_temperature, training.neighbors
        return described

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        return self.described(training, data.schema)

    def target(self, data: Prepared) -> torch.Tensor:
        """Return row indices, as targets are not used for training."""
        import torch

        return torch.arange(len(next(iter(data.inputs.values()))))

    def prepare_batch(
        self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return two augmented views of each row, in consecutive rows."""
        if self.change is None:
            return [value.repeat_interleave(2, 0) for value in inputs], target.repeat_interleave(2)
        first_view, second_view = (self.change.view(inputs, target, (*seed, view)) for view in (0, 1))
        return [interleaved(a, b) for a, b in zip(first_view, second_view, strict=True)], target.repeat_interleave(2)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nt_xent(output, self.temperature).mean()

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        import torch

        alike = similarities(output)  # (2·N, 2·N)
        partner = torch.arange(len(output), device=output.device) ^ 1  # 0 ↔ 1, 2 ↔ 3, …
        return Scores(
            {
                "loss": nt_xent(output, self.temperature).sum(),
                "view_accuracy": (alike.argmax(1) == partner).sum(),
            },
            len(output),
        )

    def reference(self, data: Prepared, rows: torch.Tensor, split: str) -> Reference | None:
        """Return the score of the majority class, if the data has classes."""
        if not data.schema.target.type.is_class:
            return None
        most = data.target[data.split["train"]].bincount().argmax()
        share = float((data.target[rows] == most).float().mean())
        return Reference("Majority class", {"knn_accuracy": share, "probe_accuracy": share})

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        return Evaluation(split=split, rows=len(rows), metrics={"spread": spread(output)})

    def extend_evaluation(
        self,
        evaluation: Evaluation,
        output: torch.Tensor,
        ask: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
        data: Prepared,
        rows: torch.Tensor,
    ) -> Evaluation:
        import torch

        classes = data.schema.target.classes
        if not data.schema.target.type.is_class:
            return replace(evaluation, embedding=mapped(output, ["all"] * len(output)))
        train_rows = data.split["train"][:KNOWN]
        bank = ask({name: values[train_rows] for name, values in data.inputs.items()})
        raw = [torch.cat([v[at].flatten(1).float() for v in data.inputs.values()], dim=1) for at in (train_rows, rows)]
        labels, truth = data.target[train_rows], data.target[rows]
        chance = float(labels.bincount(minlength=len(classes)).max()) / len(labels)
        voted = knn(output, bank, labels, len(classes), self.neighbors)
        probed = probe(bank, labels, output)
        return replace(
            evaluation,
            metrics={
                "knn_accuracy": float((voted == truth).float().mean()),
                "probe_accuracy": float((probed == truth).float().mean()),
                "input_knn_accuracy": float(
                    (knn(raw[1], raw[0], labels, len(classes), self.neighbors) == truth).float().mean()
                ),
                "chance": chance,
                **evaluation.metrics,
            },
            classes=classes,
            embedding=mapped(output, [classes[number] for number in truth.tolist()]),
        )

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        return {"kind": "embedding"}


def interleaved(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Interleave the rows of two tensors (N, …), (2·N, …)."""
    import torch

    return torch.stack([first, second], dim=1).flatten(0, 1)


def similarities(output: torch.Tensor) -> torch.Tensor:
    """Return the cosine similarities of all pairs of rows, (N, N); the diagonal is lower than any of them."""
    import torch
    from torch.nn import functional

    unit = functional.normalize(output.float(), dim=1)
    diagonal = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    return (unit @ unit.T).masked_fill(diagonal, -1e9)


def nt_xent(output: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the loss of each view (2·N,): cross-entropy of its partner among all other views, by cosine similarity."""
    import torch
    from torch.nn import functional

    partner = torch.arange(len(output), device=output.device) ^ 1
    return functional.cross_entropy(similarities(output) / temperature, partner, reduction="none")


def spread(output: torch.Tensor) -> float:
    """Return the effective rank as a share of the dimensions: exp of the entropy of the variances along the
    principal axes. Near 1/D, the embeddings have collapsed."""
    import torch
    from torch.nn import functional

    unit = functional.normalize(output.double(), dim=1)
    shares = torch.linalg.svdvals(unit - unit.mean(0)).square()
    shares = shares / shares.sum().clamp(min=1e-300)  # also if all embeddings are equal
    entropy = -(shares * shares.clamp(min=1e-300).log()).sum()
    return float(entropy.exp() / output.shape[1])


def knn(queries: torch.Tensor, bank: torch.Tensor, labels: torch.Tensor, classes: int, count: int) -> torch.Tensor:
    """Return the majority class (N,) of the `count` nearest rows of the bank, by cosine; the nearer one in ties.

    scikit-learn breaks ties by the order of classes, and takes twice as long.
    """
    import torch
    from torch.nn import functional

    bank_unit, predictions = functional.normalize(bank.float(), dim=1), []
    for part in functional.normalize(queries.float(), dim=1).split(1_024):  # type: ignore[no-untyped-call]
        near, positions = (part @ bank_unit.T).topk(min(count, len(bank_unit)), dim=1)
        votes = functional.one_hot(labels[positions], classes).float()
        # Similarities only break ties: those of all neighbors add up to at most ¼, and a vote counts 1.
        predictions.append((votes * (1 + near.unsqueeze(2) / (4 * count))).sum(1).argmax(1))
    return torch.cat(predictions)


def probe(bank: torch.Tensor, labels: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    """Return the classes (N,) predicted by a linear classifier, trained on the embeddings of the bank;
    deterministic."""
    import torch
    from sklearn.linear_model import LogisticRegression

    if len(labels.unique()) == 1:  # type: ignore[no-untyped-call]
        return labels[:1].expand(len(queries))
    middle, scale = bank.mean(0), bank.std(0).clamp(min=1e-6)
    # scikit-learn minimizes ½ |w|² + C Σ loss. This C makes it the mean loss + 0.001 |w|² for any number of rows.
    model = LogisticRegression(C=500 / len(bank), max_iter=_PROBE_STEPS)
    model.fit(((bank - middle) / scale).numpy(), labels.numpy())
    return torch.from_numpy(model.predict(((queries - middle) / scale).numpy()))


def mapped(output: torch.Tensor, names: list[str]) -> Embedding:
    """Return embeddings on their first two principal axes, with the label of each row."""
    import torch

    few = output[:MAPPED].double()
    _, _, axes = torch.linalg.svd(few - few.mean(0), full_matrices=False)
    flat = (few - few.mean(0)) @ axes[:2].T
    second = flat[:, 1] if flat.shape[1] > 1 else torch.zeros(len(flat))
    return {"x": flat[:, 0].tolist(), "y": second.tolist(), "names": names[:MAPPED]}

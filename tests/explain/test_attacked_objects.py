"""Adversarial attacks on detectors, compared with the gradient of the loss and with the evaluation of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from netloom.data.boxes import ImageObject, overlap
from netloom.explain import ExplainError
from netloom.explain.robustness.attack import METHODS, Attack
from netloom.explain.robustness.robustness import find_adversarial_example, robustness
from netloom.runs import evaluate
from netloom.tasks import metric
from netloom.training.objectives.detection_loss import row_losses
from tests.calibration.examples import detector


def test_fgsm_steps_along_the_gradient_of_the_training_loss() -> None:
    run = detector()
    rows = run.data.split["test"][:4]
    attack = Attack(run, "fgsm", 0)
    flat = attack.space.flat({name: run.data.inputs[name][rows] for name in attack.space.parts})
    truth = run.data.target[rows]
    start = flat.clone().requires_grad_(True)
    loss = row_losses(run.model(*attack.space.fields(start).values()), truth).sum()
    (gradient,) = torch.autograd.grad(loss, start)
    expected = attack.space.bound(flat + 0.03 * gradient.sign())
    changed = attack.changed(flat, truth, torch.full((len(rows),), 0.03))
    # A gradient of about 0 can have another sign by rounding
    assert ((changed - expected).abs() < 1e-6).double().mean() > 0.99
    with torch.no_grad():
        before, after = (
            row_losses(run.model(*attack.space.fields(values).values()), truth) for values in (flat, changed)
        )
    assert bool((after > before).all())


def test_the_average_precision_without_an_attack_is_that_of_the_evaluation() -> None:
    run = detector()
    report = robustness(run, "fgsm", rows=10_000, strengths=(0.02,))
    evaluation = evaluate(run)
    assert report.rows == evaluation.rows
    assert report.measure == metric("map_50").title
    assert report.scores[0] == pytest.approx(evaluation.metrics["map_50"], abs=1e-9)
    assert report.random_scores[0] == report.scores[0]
    by_class = {str(row["class"]): row["map_50"] for row in evaluation.report or [] if row["map_50"] is not None}
    assert {name: values[0] for name, values in report.by_class.items()} == pytest.approx(by_class)
    classes = run.data.schema.target.classes
    target = run.data.target[run.data.split["test"]][..., 0]
    assert report.counts == {
        name: int((target == number).any(1).sum()) for number, name in enumerate(classes) if name in report.counts
    }


def test_attacks_do_more_harm_than_noise_and_more_with_more_strength() -> None:
    run = detector()
    fgsm, pgd = (robustness(run, method, rows=32) for method in METHODS)
    for report in (fgsm, pgd):
        assert (np.diff(report.scores) <= 0.05).all()
        assert report.scores[0] - report.scores[-1] > 0.2
        assert report.random_scores[-1] - report.scores[-1] > 0.1
    assert all(b <= a + 0.03 for a, b in zip(fgsm.scores, pgd.scores, strict=True))
    assert pgd.half_strength is not None
    assert np.interp(pgd.half_strength, pgd.strengths, pgd.scores) == pytest.approx(pgd.scores[0] / 2, rel=0.05)


def unmatched(first: Sequence[ImageObject], second: Sequence[ImageObject]) -> int:
    """Return how many objects of either side match none of the other."""
    free = list(second)
    for item in sorted(first, key=lambda item: -(item.score or 0)):
        same = [other for other in free if other.number == item.number and overlap(item.box, other.box) >= 0.5]
        if same:
            free.remove(max(same, key=lambda other: overlap(item.box, other.box)))
    return len(first) + len(second) - 2 * (len(second) - len(free))


@pytest.mark.parametrize("method", METHODS)
def test_the_smallest_change_removes_or_adds_an_object(method: str) -> None:
    run = detector()
    counts = (run.data.target[..., 0] >= 0).sum(1)
    rows = [row for row in run.data.split["test"].tolist() if counts[row]][:2]
    rows.append(next(row for row in run.data.split["test"].tolist() if not counts[row]))
    for row in rows:
        attack = find_adversarial_example(run, row, method)
        assert attack.min_strength is not None
        assert bool(attack.before.objects) == bool(counts[row])
        assert unmatched(attack.before.objects, attack.after.objects) > 0
        assert unmatched(attack.before.objects, attack.before.objects) == 0
        before, after = attack.values["image"], attack.changed["image"]
        assert np.abs(after - before).max() <= attack.min_strength + 1e-5
        assert after.min() >= -1e-6
        assert after.max() <= 1 + 1e-6
        assert attack.change == "removes or adds an object"


def test_rows_without_objects_are_refused() -> None:
    run = detector()
    empty = replace(run, data=replace(run.data, target=torch.full_like(run.data.target, -1)))
    with pytest.raises(ExplainError, match="None of the attacked rows has an object"):
        robustness(empty, "fgsm", rows=8, strengths=(0.1,))

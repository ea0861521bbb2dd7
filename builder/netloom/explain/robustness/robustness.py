"""Adversarial robustness: gradient attacks on the rows of a split, and on one example. See `attack` for the methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.explanation import Prediction, Verdict
from netloom.explain.core.network.cost import measure_network
from netloom.explain.evidence.model_check import model_check
from netloom.explain.evidence.verdict import with_model
from netloom.explain.robustness.attack import MAX_STRENGTH, METHODS, Attack, find_least_strength
from netloom.explain.robustness.attack_targets import ERRORS

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.request import Progress, Trained

ROWS, BATCH_SIZE = 200, 64
# In brightness (True) and in standard deviations (False).
STRENGTHS = {
    True: (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3),
    False: (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
}


ROBUSTNESS = "robustness"  # the beginning of the names of cached results


@dataclass(frozen=True)
class Robustness:
    """The effect of an attack on `rows` rows of a split at each of the `strengths`, which are in `unit`.

    `scores` are shares of correct predictions, mean average precisions of objects, or mean absolute errors for
    regression: in the units of the data, or in standard deviations of several numbers. `measure` names them, and
    `output` the attacked output if there are several. `random_scores` holds the scores under random changes of the same
    strength. `by_class` splits the scores by true class, with `counts` rows each. `half_strength` is the strength at
    which half of the initial score is left, such as when half of the initially correct predictions are wrong, or None.
    `scales` is the size of a strength of 1 in the units of the data, by column.
    """

    method: str
    title: str
    split: str
    rows: int
    unit: str
    measure: str
    strengths: tuple[float, ...]
    scores: tuple[float, ...]
    random_scores: tuple[float, ...]
    by_class: dict[str, tuple[float, ...]]
    counts: dict[str, int]
    half_strength: float | None
    scales: dict[str, float]
    verdict: Verdict
    weights: str = ""
    checkpoint: str = ""
    seconds: float = 0.0
    output: str = ""

    @property
    def shares(self) -> bool:
        """Whether the scores are shares of correct predictions rather than errors of numbers."""
        return self.measure not in ERRORS


@dataclass(frozen=True)
class AdversarialExample:
    """The smallest change of one example that an attack finds to change its prediction.

    `min_strength` is the strength at which the prediction changes from `before` to `after`; None if none up to
    `max_strength` does, and `after` is then the prediction at `max_strength`. `change` says in words what counts as a
    change. `values` and `changed` are the inputs before and after by field, in the units of the data: images (C, H, W),
    series (T, D), and for a table a value by column.
    """

    method: str
    title: str
    row: int
    unit: str
    min_strength: float | None
    max_strength: float
    before: Prediction
    after: Prediction
    values: dict[str, Any]
    changed: dict[str, Any]
    change: str = ""


def robustness(
    trained: Trained,
    method: str = "fgsm",
    *,
    split: str = "test",
    rows: int = ROWS,
    strengths: Sequence[float] = (),
    seed: int = 0,
    output: str = "",
    folder: Path | None = None,
    checkpoint: str = "",
    progress: Progress | None = None,
) -> Robustness:
    """Attack `rows` rows of a split, sampled with `seed`, at each of the strengths.

    `output` names one of several outputs, by default the first. The result is cached in `folder`, the folder of the
    run. `progress` receives the fraction done; an exception from it cancels the work.

    Raises:
        ExplainError: The method, output or split does not exist, or the network cannot be attacked.
    """
    import torch

    from netloom.explain.core import cache

    start = perf_counter()
    attack = Attack(trained, method, seed, output)
    if split not in trained.data.split or not len(trained.data.split[split]):
        raise UnknownChoiceError(
            f"There is no split {split[:40]!r} with rows; choose one of {', '.join(trained.data.split)}."
        )
    # Strength 0 is the score without an attack, from which `half` is measured.
    steps = tuple(sorted({0.0, *map(float, strengths)})) if strengths else STRENGTHS[attack.pictures]
    if not all(0 <= step < float("inf") for step in steps):
        raise ExplainError("Attack strengths must be finite numbers of at least 0.")
    weights = cache.weights_hash(trained.model)
    row_numbers = trained.data.split[split]
    row_numbers = row_numbers[torch.randperm(len(row_numbers), generator=torch.Generator().manual_seed(seed))[:rows]]
    inputs = {name: trained.data.inputs[name][row_numbers] for name in attack.space.parts}
    question = {"robustness": method, "strengths": steps, "seed": seed, "split": split, "loss": attack.target.measure}
    question |= {"output": output} if output else {}
    name = cache.stored_name(ROBUSTNESS, weights, cache.key(weights, inputs, question))
    cached = cache.load_as(Robustness, folder, name) if folder else None
    if cached is not None:
        return replace(cached, checkpoint=checkpoint)
    result = _attack_rows(attack, inputs, attack.target.truth(trained.data.target[row_numbers]), steps, progress)
    flops = measure_network(trained.project).totals.flops
    check_model = model_check(trained.project, trained.model, trained.data, weights, flops)
    # A network at chance appears robust against any attack.
    result = replace(result, verdict=with_model(result.verdict, check_model))
    result = replace(
        result, split=split, output=output, weights=weights, checkpoint=checkpoint, seconds=perf_counter() - start
    )
    if folder:
        cache.save(folder, name, result)
    return result


def find_adversarial_example(
    trained: Trained,
    row_or_raw: int | Mapping[str, Any],
    method: str = "fgsm",
    *,
    output: str = "",
    progress: Progress | None = None,
) -> AdversarialExample:
    """Find the smallest change of one example that changes its prediction; `output` is as for `robustness`.

    Raises:
        ExplainError: The method, output or row does not exist, or the network cannot be attacked.
        DataError: The raw row lacks a field, or has a value that the data cannot encode.
    """
    from netloom.explain.core.examples import read_example

    attack = Attack(trained, method, 0, output)
    inputs, example = read_example(trained.data, row_or_raw)
    inputs = {name: inputs[name] for name in attack.space.parts}
    least, changed = find_least_strength(attack, attack.space.flat(inputs), progress)
    after = attack.space.fields(changed)
    return AdversarialExample(
        method=method,
        title=METHODS[method].title,
        row=example.row,
        unit=attack.space.unit,
        min_strength=least,
        max_strength=MAX_STRENGTH[attack.pictures],
        before=attack.predicted(inputs),
        after=attack.predicted(after),
        values=attack.space.shown(inputs),
        changed=attack.space.shown(after),
        change=attack.target.change,
    )


def _attack_rows(
    attack: Attack,
    inputs: Mapping[str, torch.Tensor],
    truth: torch.Tensor,
    strengths: tuple[float, ...],
    progress: Progress | None,
) -> Robustness:
    """Attack all rows, by field (N, …), at all strengths in batches of `BATCH_SIZE`."""
    import torch

    flat, target = attack.space.flat(inputs), attack.target
    attacked: list[list[torch.Tensor]] = [[] for _ in strengths]
    at_random: list[list[torch.Tensor]] = [[] for _ in strengths]
    for step, start, share in _batches(len(strengths), len(flat)):
        if progress is not None:
            progress(share)
        batch = slice(start, start + BATCH_SIZE)
        strength = torch.full((len(flat[batch]),), strengths[step])
        changed = attack.changed(flat[batch], truth[batch], strength)
        random = attack.at_random(flat[batch], strength, step * len(flat) + start)
        with torch.no_grad():
            attacked[step].append(target.score(attack.output(changed), truth[batch]))
            at_random[step].append(target.score(attack.output(random), truth[batch]))
    scores = [torch.cat(parts) for parts in attacked]
    mean_scores = tuple(map(target.mean, scores))
    random_scores = tuple(target.mean(torch.cat(parts)) for parts in at_random)
    by_class = [target.means(values, truth) for values in scores]
    return Robustness(
        method=attack.method,
        title=METHODS[attack.method].title,
        split="",
        rows=len(flat),
        unit=attack.space.unit,
        measure=target.measure,
        strengths=strengths,
        scores=mean_scores,
        random_scores=random_scores,
        by_class={name: tuple(means[name] for means in by_class) for name in by_class[0]},
        counts={name: int(is_class.sum()) for name, is_class in target.groups(truth).items()},
        half_strength=None if target.number else _halving_strength(strengths, mean_scores),
        scales=attack.space.scales,
        verdict=_verdict(attack, mean_scores, random_scores, len(flat)),
    )


def _batches(strengths: int, rows: int) -> Iterator[tuple[int, int, float]]:
    """Yield the index of a strength, the first row of a batch, and the fraction done before it."""
    starts = range(0, rows, BATCH_SIZE)
    for strength_index in range(strengths):
        for number, start in enumerate(starts):
            yield strength_index, start, (strength_index * len(starts) + number) / (strengths * len(starts))


def _halving_strength(strengths: tuple[float, ...], share: tuple[float, ...]) -> float | None:
    """Interpolate the strength at which the share of correct predictions crosses half of its initial value."""
    half = share[0] / 2
    for index in range(1, len(share)):
        if share[index] <= half < share[index - 1]:
            part = (share[index - 1] - half) / (share[index - 1] - share[index])
            return float(np.interp(part, [0, 1], strengths[index - 1 : index + 1]))
    return None


def has_misleading_gradients(
    scores: Sequence[float], random_scores: Sequence[float], rows: int, *, are_errors: bool
) -> bool:
    """Return whether random changes do clearly more harm than an attack at some strength.

    That is 2% of an error, or two points of a share and more than two of the `rows`, as single ones can differ by
    chance.
    """
    if are_errors:
        return any(error < 0.98 * random for error, random in zip(scores, random_scores, strict=True))
    least = max(0.02, 2 / rows)
    return any(random - share < -least for share, random in zip(scores, random_scores, strict=True))


def _verdict(attack: Attack, scores: tuple[float, ...], random_scores: tuple[float, ...], rows: int) -> Verdict:
    """Judge how tight the curve is: an attack finds one harmful change, not the worst one."""
    if has_misleading_gradients(scores, random_scores, rows, are_errors=attack.target.number):
        return Verdict(
            "poor",
            "Random noise does more harm than the attack at some strength, so its gradients are misleading (gradient "
            "masking) and the network appears more robust than it is. Try PGD.",
        )
    return METHODS[attack.method].tightness

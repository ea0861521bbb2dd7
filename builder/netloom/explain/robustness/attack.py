"""Gradient attacks: small changes of the input that change the prediction.

FGSM: Goodfellow et al. 2014, https://arxiv.org/abs/1412.6572. PGD: Madry et al. 2017, https://arxiv.org/abs/1706.06083.
Captum implements both. It gets a loss per row, because its default loss, −log of the output, expects probabilities: for
a negative logit, the gradient has the wrong sign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.explanation import Prediction, Verdict
from netloom.explain.robustness.attack_targets import OutputHead, attack_target
from netloom.tasks import task

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.explain.core.request import Progress, Trained

PGD_STEPS = 10


@dataclass(frozen=True)
class AttackMethod:
    """A method of attack. `tightness` judges how close the curve is to the worst possible change."""

    title: str
    summary: str
    tightness: Verdict


BOUND = "An attack gives an upper bound of the robustness"
METHODS = {
    "fgsm": AttackMethod(
        "FGSM",
        "one step along the sign of the gradient; fast, but weaker than PGD",
        Verdict("caution", f"{BOUND}. FGSM takes a single step; PGD is usually stronger."),
    ),
    "pgd": AttackMethod(
        "PGD",
        "ten small steps along the sign of the gradient, projected to the strength ε; slower, but stronger",
        Verdict("good", f"{BOUND}. PGD with ten steps is close to the strongest known attacks."),
    ),
}
# The largest strength for one example, in brightness (True) and in standard deviations (False), the number of
# strengths in the coarse search, and the number of intervals in the bisection between two of them.
MAX_STRENGTH, TRIES, BISECTION_STEPS = {True: 1.0, False: 4.0}, 41, 256


def unavailable_reason(trained: Trained) -> str:
    """Return why a network cannot be attacked, as a sentence; empty if it can."""
    from netloom.explain.core.requirements import not_inspectable
    from netloom.explain.robustness.continuous_inputs import unchangeable_reason

    if reason := not_inspectable(trained.model) or unchangeable_reason(trained.project, trained.data):
        return reason
    chosen_task = task(trained.project.training.objective)
    return "" if chosen_task.attacked else chosen_task.not_attacked


class Attack:
    """A gradient attack on a private copy of a network.

    Rows are flat vectors (N, D) in the steps of `continuous_inputs.InputSpace`. `output` names one of several outputs.

    Raises:
        ExplainError: The method or output does not exist, or the network cannot be attacked.
    """

    def __init__(self, trained: Trained, method: str, seed: int, output: str = "") -> None:
        from netloom.compile.logit_network import with_logits
        from netloom.explain.robustness.continuous_inputs import BRIGHTNESS, InputSpace

        if method not in METHODS:
            raise UnknownChoiceError(f"There is no attack {method[:40]!r}; choose one of {', '.join(METHODS)}.")
        if reason := unavailable_reason(trained):
            raise ExplainError(f"This network cannot be attacked: {reason}")
        self.method, self.seed, self.trained = method, seed, trained
        self.space = InputSpace(trained.project, trained.data)
        self.pictures = self.space.unit == BRIGHTNESS
        self.target, self.output_name = attack_target(trained, output), output
        scorer = with_logits(trained.project, trained.model, trained.data.schema)
        self.model: nn.Module = deepcopy(scorer).to("cpu").float().eval().requires_grad_(False)

    def output(self, flat: torch.Tensor) -> torch.Tensor:
        """Compute the outputs (N, …) for flat rows (N, D); several outputs are concatenated."""
        from netloom.training.objectives.objective import joined

        inputs = self.space.fields(flat)
        outputs = self.model(*[inputs[name] for name in self.space.arguments])
        answer: torch.Tensor = (
            joined(outputs)
            if isinstance(self.target, OutputHead)
            else outputs[0]
            if isinstance(outputs, tuple)
            else outputs
        )
        return answer + 0.0 * flat.sum()  # gives a network that ignores its input a gradient of 0

    def changed(
        self,
        flat: torch.Tensor,
        truth: torch.Tensor,
        strength: torch.Tensor,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Attack flat rows (N, D) with a strength for each row, (N,), away from the targets `truth` (N, …).

        The result has shape (N, D). `loss` replaces the loss of the target, which the attack increases.
        """
        from captum.robust import FGSM, PGD

        from netloom.explain.core.library_warnings import mute_captum

        radius, mask = strength.reshape(-1, 1), self.space.free.float()
        if not bool(radius.any()):
            return flat.clone()
        mute_captum()
        attack = (FGSM if self.method == "fgsm" else PGD)(self.output, loss or self.target.loss)
        attack.bound = self.space.bound
        # A confident network has small gradients, and Captum treats those below its threshold as zero.
        (attack if self.method == "fgsm" else attack.fgsm).zero_thresh = 0.0
        values = flat.clone()
        if self.method == "fgsm":
            perturbed = attack.perturb(values, radius, truth, mask=mask)
        else:
            # Steps of 2.5·ε/n reach the boundary of the ε-ball from any start and still move along it (Madry et al.
            # 2017).
            step_size = 2.5 * radius / PGD_STEPS
            perturbed = attack.perturb(values, radius, step_size, PGD_STEPS, truth, mask=mask)
        # Features that are not attacked keep their exact values despite rounding in Captum.
        changed: torch.Tensor = perturbed.detach().where((radius > 0) & self.space.free, flat)
        return changed

    def at_random(self, flat: torch.Tensor, strength: torch.Tensor, batch_offset: int) -> torch.Tensor:
        """Add the strength (N,) with a random sign to each value of flat rows (N, D).

        `batch_offset` seeds the random generator of each batch differently.
        """
        import torch

        coin = torch.Generator().manual_seed(self.seed * 1_000_003 + batch_offset)
        # A corner of the L∞ ball of radius ε, where FGSM ends, too, so that both changes have the same size
        signs = torch.randint(0, 2, flat.shape, generator=coin) * 2.0 - 1.0
        radius = strength.reshape(-1, 1)
        return self.space.bound(flat + signs * radius * self.space.free).where((radius > 0) & self.space.free, flat)

    def predicted(self, inputs: Mapping[str, torch.Tensor]) -> Prediction:
        """Return the prediction for one example in words."""
        import torch

        from netloom.explain.core.request import chosen_settings
        from netloom.explain.core.targets import choose, predict

        training = self.trained.project.training
        with torch.no_grad():
            output = self.output(self.space.flat(inputs))
        chosen = chosen_settings(self.trained)
        target = choose(self.output_name or None, output, self.trained.data, inputs, training, chosen)
        return predict(target, output, self.trained.data, inputs, chosen)


def find_least_strength(
    attack: Attack, flat: torch.Tensor, progress: Progress | None
) -> tuple[float | None, torch.Tensor]:
    """Find the smallest strength that changes the prediction, and the attacked row (1, D).

    The search tries geometrically spaced strengths, then bisects between the last that fails and the first that
    succeeds with Captum. A regression output is pushed in both directions. If no strength succeeds, the result is None
    and the row at the largest strength.
    """
    import torch

    with torch.no_grad():
        output = attack.output(flat)
    directions = attack.target.directions
    attempts = [
        _search_direction(attack, flat, output, direction, progress, index / len(directions))
        for index, direction in enumerate(directions)
    ]
    successes = [pair for pair in attempts if pair[0] is not None]
    return min(successes, key=lambda pair: float(pair[0] or 0)) if successes else attempts[0]


def _search_direction(
    attack: Attack,
    flat: torch.Tensor,
    prediction: torch.Tensor,
    direction: float,
    progress: Progress | None,
    share: float,
) -> tuple[float | None, torch.Tensor]:
    """Search in one direction of the output, -1 or +1; 0 for classes."""
    import torch

    target = attack.target

    def same(output: torch.Tensor, **_: Any) -> bool:
        """Return whether the prediction is unchanged, in the form of Captum's `correct_fn`."""
        return not bool(target.differs(output, prediction).any())

    # The attack moves away from the network's own prediction, which need not be the label.
    truth = target.predictions(prediction)

    # Captum calls it like the loss of the other outputs, but a number is pushed without a target.
    def loss(output: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return target.pushed(output, direction)

    def at(line: torch.Tensor, strength: float) -> torch.Tensor:
        strengths = torch.tensor([strength])
        return attack.changed(line, truth, strengths, loss if target.number else None)

    if progress is not None:
        progress(share)
    strengths = MAX_STRENGTH[attack.pictures] * torch.logspace(-3.5, 0, TRIES)
    # One batch for all strengths: each row has its own radius.
    repeated = flat.expand(TRIES, -1), truth.expand(TRIES, *truth.shape[1:])
    lines = attack.changed(*repeated, strengths, loss if target.number else None)
    with torch.no_grad():
        differs = target.differs(attack.output(lines), prediction)
    if not bool(differs.any()):
        return None, lines[-1:]
    first = int(differs.nonzero()[0])
    low = float(strengths[first - 1]) if first else 0.0
    return _bisect(attack, flat, low, float(strengths[first]), lines[first : first + 1], at, same)


def _bisect(
    attack: Attack, flat: torch.Tensor, low: float, high: float, line: torch.Tensor, at: Any, same: Any
) -> tuple[float, torch.Tensor]:
    """Bisect between a strength that fails and one that succeeds."""
    import torch
    from captum.robust import MinParamPerturbation

    finder = MinParamPerturbation(
        attack.output, at, "strength", low, high, (high - low) / BISECTION_STEPS, mode="binary", correct_fn=same
    )
    with torch.no_grad():
        nearest, strength = finder.evaluate(flat)
    return (high, line) if strength is None else (float(strength), nearest.detach())

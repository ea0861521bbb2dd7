"""Attacks by the gradient: what comes in is changed by a little so that the answer changes by much.

FGSM: Goodfellow and others 2014, https://arxiv.org/abs/1412.6572. PGD: Madry and others 2017,
https://arxiv.org/abs/1706.06083. Both by Captum, which is given a loss per row: its own default raises accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.explanation import Prediction
from netloom.explain.robustness.attack_targets import One, aim_of
from netloom.tasks import task

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.explain.core.run import Progress, Trained

METHODS = {
    "fgsm": ("FGSM", "one step along the sign of the gradient; fast, but weaker than PGD"),
    "pgd": ("PGD", "ten small steps along the sign of the gradient, projected to the strength ε; slower, but stronger"),
}
PGD_STEPS = 10
# The largest strength at which one example is attacked, in brightness and in standard deviations; how many are tried
# on the way there, and how finely the least is then told.
LARGEST, TRIES, FINE = {True: 1.0, False: 4.0}, 41, 256


def refusal(trained: Trained) -> str:
    """Why a network cannot be attacked so, in a sentence; empty where it can."""
    from netloom.explain.robustness.continuous_inputs import obstacle

    if reason := obstacle(trained.project, trained.data):
        return reason
    attacked = task(trained.project.training.objective)
    return "" if attacked.attacked else attacked.not_attacked


class Attack:
    """A private copy of a network, and how it is attacked: rows are one line of numbers each, see `continuous`."""

    def __init__(self, trained: Trained, method: str, seed: int, output: str = "") -> None:
        from netloom.compile.logit_network import with_logits
        from netloom.explain.robustness.continuous_inputs import BRIGHTNESS, Space

        if method not in METHODS:
            raise UnknownChoiceError(f"There is no attack {method[:40]!r}; choose one of {', '.join(METHODS)}.")
        if reason := refusal(trained):
            raise ExplainError(f"This network cannot be attacked: {reason}")
        self.method, self.seed, self.trained = method, seed, trained
        self.space = Space(trained.project, trained.data)
        self.pictures = self.space.unit == BRIGHTNESS
        self.aim, self.asked = aim_of(trained, output), output
        scorer = with_logits(trained.project, trained.model, trained.data.schema)
        self.model: nn.Module = deepcopy(scorer).to("cpu").float().eval().requires_grad_(False)

    def output(self, flat: torch.Tensor) -> torch.Tensor:
        """The network's answers (N, …) to lines (N, D); several outputs side by side."""
        from netloom.training.objectives.objective import joined

        inputs = self.space.fields(flat)
        found = self.model(*[inputs[name] for name in self.space.arguments])
        answer: torch.Tensor = (
            joined(found) if isinstance(self.aim, One) else found[0] if isinstance(found, tuple) else found
        )
        return answer + 0.0 * flat.sum()  # a network that does not look at what comes in has no gradient else

    def changed(
        self,
        flat: torch.Tensor,
        truth: torch.Tensor,
        strength: torch.Tensor,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Lines (N, D) under attack, each at its own strength (N,), away from what is true (N, …)."""
        from captum.robust import FGSM, PGD

        from netloom.explain.core.library_warnings import mute_captum

        radius, mask = strength.reshape(-1, 1), self.space.free.float()
        if not bool(radius.any()):
            return flat.clone()
        mute_captum()
        attack = (FGSM if self.method == "fgsm" else PGD)(self.output, loss or self.aim.loss)
        attack.bound = self.space.bound
        # A network that is sure has small gradients, and Captum takes small ones for none.
        (attack if self.method == "fgsm" else attack.fgsm).zero_thresh = 0.0
        line = flat.clone()
        if self.method == "fgsm":
            found = attack.perturb(line, radius, truth, mask=mask)
        else:
            pace = 2.5 * radius / PGD_STEPS
            found = attack.perturb(line, radius, pace, PGD_STEPS, truth, mask=mask)
        # What is not attacked keeps its very bits.
        kept: torch.Tensor = found.detach().where((radius > 0) & self.space.free, flat)
        return kept

    def at_random(self, flat: torch.Tensor, strength: torch.Tensor, place: int) -> torch.Tensor:
        """Lines (N, D) each of whose values goes up or down by the strength, as a coin says."""
        import torch

        coin = torch.Generator().manual_seed(self.seed * 1_000_003 + place)
        signs = torch.randint(0, 2, flat.shape, generator=coin) * 2.0 - 1.0
        radius = strength.reshape(-1, 1)
        return self.space.bound(flat + signs * radius * self.space.free).where((radius > 0) & self.space.free, flat)

    def predicted(self, inputs: Mapping[str, torch.Tensor]) -> Prediction:
        """The network's answer to one example in words."""
        import torch

        from netloom.explain.core.targets import choose, predict

        training = self.trained.project.training
        with torch.no_grad():
            output = self.output(self.space.flat(inputs))
        target = choose(self.asked or None, output, self.trained.data, inputs, training)
        return predict(target, output, self.trained.data, inputs)


def search(attack: Attack, flat: torch.Tensor, progress: Progress | None) -> tuple[float | None, torch.Tensor]:
    """The least strength found, and the line (1, D) at it; None, and the line at the largest, where none is enough.

    First strengths in equal ratios, then Captum's search by halves between the last that fails and the first that does
    not. A number is pushed both up and down.
    """
    import torch

    with torch.no_grad():
        own = attack.output(flat)
    ways = attack.aim.ways
    found = [_one_way(attack, flat, own, way, progress, place / len(ways)) for place, way in enumerate(ways)]
    enough = [pair for pair in found if pair[0] is not None]
    return min(enough, key=lambda pair: float(pair[0] or 0)) if enough else found[0]


def _one_way(
    attack: Attack, flat: torch.Tensor, own: torch.Tensor, way: float, progress: Progress | None, begun: float
) -> tuple[float | None, torch.Tensor]:
    import torch

    aim = attack.aim

    def same(output: torch.Tensor, **_: Any) -> bool:
        """Whether the answer is still what it was, as Captum asks it."""
        return not bool(aim.differs(output, own).any())

    truth = aim.said(own)

    def loss(output: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return aim.pushed(output, way)

    def at(line: torch.Tensor, strength: float) -> torch.Tensor:
        where = torch.tensor([strength])
        return attack.changed(line, truth, where, loss if aim.number else None)

    if progress is not None:
        progress(begun)
    strengths = LARGEST[attack.pictures] * torch.logspace(-3.5, 0, TRIES)
    many = flat.expand(TRIES, -1), truth.expand(TRIES, *truth.shape[1:])
    lines = attack.changed(*many, strengths, loss if aim.number else None)
    with torch.no_grad():
        there = aim.differs(attack.output(lines), own)
    if not bool(there.any()):
        return None, lines[-1:]
    first = int(there.nonzero()[0])
    low = float(strengths[first - 1]) if first else 0.0
    return _refined(attack, flat, low, float(strengths[first]), lines[first : first + 1], at, same)


def _refined(
    attack: Attack, flat: torch.Tensor, low: float, high: float, line: torch.Tensor, at: Any, same: Any
) -> tuple[float, torch.Tensor]:
    """Between a strength that is too little and one that is enough."""
    import torch
    from captum.robust import MinParamPerturbation

    finder = MinParamPerturbation(
        attack.output, at, "strength", low, high, (high - low) / FINE, mode="binary", correct_fn=same
    )
    with torch.no_grad():
        nearest, strength = finder.evaluate(flat)
    return (high, line) if strength is None else (float(strength), nearest.detach())

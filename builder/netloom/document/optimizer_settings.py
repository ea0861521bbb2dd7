"""Optimizers and schedules by the names that a document gives them: what each is called, and what can be set of it.

`netloom.training.optimizers` and `netloom.training.schedules` make them; pages, the command line and the document's own
checks read them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Setting:
    """A number or a switch of an optimizer or a schedule. Where `above` is true, `low` itself is refused."""

    title: str
    help: str
    low: float = 0.0
    high: float = 1.0
    above: bool = False
    whole: bool = False
    switch: bool = False

    def problem(self, value: object) -> str:
        """Why a value is refused; nothing where it is taken."""
        if self.switch:
            return "" if isinstance(value, bool) else "takes true or false"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "takes a number"
        if self.whole and value != int(value):
            return "takes a whole number"
        if value < self.low or value > self.high or (self.above and value == self.low):
            return (
                f"takes a number {'above' if self.above else 'from'} {self.low:g} {'up ' * self.above}to {self.high:g}"
            )
        return ""


@dataclass(frozen=True)
class Choice:
    """An optimizer or a schedule. `settings` are the names of what can be set, with what they are if they are not.

    `torch` is the class in torch.optim, `rate` the learning rate that it is usually given.
    """

    title: str
    help: str
    settings: Mapping[str, float | bool] = field(default_factory=dict)
    torch: str = ""
    rate: float = 1e-3
    fused: bool = False


_BETAS = {"beta1": 0.9, "beta2": 0.999}

OPTIMIZERS: dict[str, Choice] = {
    "adam": Choice("Adam", "A good start for most networks", {**_BETAS, "epsilon": 1e-8, "amsgrad": False}, "Adam",
                   fused=True),
    "adamw": Choice("AdamW", "Adam whose weight decay does not depend on the gradient; usual for Transformers",
                    {**_BETAS, "epsilon": 1e-8, "amsgrad": False}, "AdamW", fused=True),
    "sgd": Choice("SGD with momentum", "Plain steps down the gradient, with a memory of the steps before; for pictures",
                  {"momentum": 0.9, "nesterov": False, "dampening": 0.0}, "SGD", rate=0.01, fused=True),
    "rmsprop": Choice("RMSprop", "Steps divided by the recent size of the gradient",
                      {"smoothing": 0.99, "epsilon": 1e-8, "momentum": 0.0, "centered": False}, "RMSprop"),
    "nadam": Choice("NAdam", "Adam with Nesterov's momentum",
                    {**_BETAS, "epsilon": 1e-8, "momentum_decay": 0.004, "decoupled": False}, "NAdam", rate=0.002),
    "radam": Choice("RAdam", "Adam that needs no warm-up", {**_BETAS, "epsilon": 1e-8, "decoupled": False}, "RAdam"),
    "adamax": Choice("Adamax", "Adam by the greatest recent gradient", {**_BETAS, "epsilon": 1e-8}, "Adamax",
                     rate=0.002),
    "adagrad": Choice("Adagrad", "Steps that get smaller where gradients have been large; for rare words and items",
                      {"epsilon": 1e-10, "rate_decay": 0.0, "initial": 0.0}, "Adagrad", rate=0.01, fused=True),
    "adadelta": Choice("Adadelta", "Needs hardly a learning rate: leave it at 1", {"smoothing": 0.9, "epsilon": 1e-6},
                       "Adadelta", rate=1.0),
    "asgd": Choice("ASGD", "Averaged stochastic gradient descent",
                   {"decay_term": 1e-4, "power": 0.75, "average_from": 1_000_000}, "ASGD", rate=0.01),
    "rprop": Choice("Rprop", "Looks at the gradient's sign alone; for batches that hold all rows",
                    {"shrink": 0.5, "grow": 1.2, "step_least": 1e-6, "step_most": 50.0}, "Rprop", rate=0.01),
    "adafactor": Choice("Adafactor", "Needs far less memory than Adam; for large Transformers",
                        {"beta2_decay": -0.8, "clip_update": 1.0}, "Adafactor", rate=0.01),
    "muon": Choice("Muon", "Turns every step of a hidden layer's matrix into an orthogonal one; AdamW learns the rest",
                   {"momentum": 0.95, "nesterov": True, "iterations": 5, **_BETAS, "epsilon": 1e-8}, "Muon"),
}  # fmt: skip

SCHEDULES: dict[str, Choice] = {
    "constant": Choice("Constant", "The learning rate stays"),
    "cosine": Choice("Cosine to zero", "Falls along half a cosine", {"end": 0.0}),
    "one_cycle": Choice("One cycle: up, then down", "Rises over the first part, then falls to almost nothing",
                        {"rise": 0.3, "begin": 0.04}),
    "linear": Choice("Linear", "Falls along a straight line", {"end": 0.0}),
    "step": Choice("Steps", "Falls at once, every so many epochs", {"every": 10, "drop": 0.1}),
    "exponential": Choice("Exponential", "Falls by the same factor after every epoch", {"per_epoch": 0.95}),
    "polynomial": Choice("Polynomial", "Falls to zero, first fast and then slowly", {"curve": 2.0}),
    "cosine_restarts": Choice("Cosine with restarts", "Falls along half a cosine, again and again",
                              {"first": 5, "longer": 2, "end": 0.0}),
    "plateau": Choice("When the loss stops falling", "Falls when the validation loss has not got better for a while",
                      {"drop": 0.5, "patience": 3, "threshold": 1e-4, "end": 0.0}),
}  # fmt: skip

# What each name means, wherever it stands.
SETTINGS: dict[str, Setting] = {
    "beta1": Setting("Memory of the gradient (β₁)", "The share of the mean gradient that is kept from step to step",
                     high=0.99999),
    "beta2": Setting("Memory of its size (β₂)", "The share of the mean squared gradient that is kept", high=0.9999999),
    "epsilon": Setting("Epsilon", "Keeps a division from going wild where gradients are tiny", 0, 1, above=True),
    "amsgrad": Setting("AMSGrad", "Never forgets the greatest gradient", switch=True),
    "momentum": Setting("Momentum", "The share of the last step that is kept", high=0.99999),
    "nesterov": Setting("Nesterov", "Looks ahead along the momentum", switch=True),
    "dampening": Setting("Dampening", "How far a new gradient is held back; 0 with Nesterov"),
    "smoothing": Setting("Smoothing", "The share of the mean squared gradient that is kept", high=0.99999),
    "centered": Setting("Centred", "Takes the mean gradient away before its size is measured", switch=True),
    "momentum_decay": Setting("Momentum decay", "How fast the momentum comes to its own"),
    "decoupled": Setting("Decoupled weight decay", "Weight decay apart from the gradient, as AdamW does", switch=True),
    "rate_decay": Setting("Rate decay", "How the learning rate falls with the number of steps"),
    "initial": Setting("Initial sum", "The sum of squared gradients at the start", high=1e6),
    "decay_term": Setting("Decay term", "How fast steps get smaller"),
    "power": Setting("Power", "Of the number of steps, for steps that get smaller", high=10),
    "average_from": Setting("Average from step", "The step from which weights are averaged", high=1e9, whole=True),
    "shrink": Setting("Shrink", "What a step is multiplied by where the gradient turns round", 0, 0.999, above=True),
    "grow": Setting("Grow", "What a step is multiplied by where it does not", 1, 10, above=True),
    "step_least": Setting("Least step", "No step is smaller", 0, 1, above=True),
    "step_most": Setting("Greatest step", "No step is larger", 0, 1e6, above=True),
    "beta2_decay": Setting("Memory of its size", "How this memory grows with the steps, as a power", -1, 0),
    "clip_update": Setting("Update clip", "The greatest size of an update", 1, 1e6),
    "iterations": Setting("Iterations", "Of Newton and Schulz, that make a matrix orthogonal", 1, 99, whole=True),
    "end": Setting("At the end", "The share of the learning rate that is left"),
    "rise": Setting("Rises for", "The share of the run in which it rises", 0, 0.99, above=True),
    "begin": Setting("At the start", "The share of the learning rate with which it begins", 0, 1, above=True),
    "every": Setting("Every … epochs", "How many epochs lie between two falls", 1, 10_000, whole=True),
    "drop": Setting("Falls to", "The share that is left after each fall", 0, 1, above=True),
    "per_epoch": Setting("Left after an epoch", "The share that is left after each epoch", 0, 1, above=True),
    "curve": Setting("Power", "1 is a straight line", 0, 10, above=True),
    "first": Setting("First stretch in epochs", "Then it starts again", 1, 10_000, whole=True),
    "longer": Setting("Each longer by", "How many times as long as the one before every stretch is", 1, 10, whole=True),
    "patience": Setting("Patience in epochs", "How many epochs may pass without a better loss", 0, 10_000, whole=True),
    "threshold": Setting("Better by", "The share by which a loss has to be lower to count as better"),
}  # fmt: skip


def checked(values: Mapping[str, float | bool], choices: Mapping[str, Choice]) -> None:
    """Refuse what none of these has, and what is out of bounds. What another one has is kept for when it is chosen.

    Raises:
        ValueError: a sentence that names the setting.
    """
    known = {name for choice in choices.values() for name in choice.settings}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"there is no setting {name!r}; there are {', '.join(sorted(known))}")
        problem = SETTINGS[name].problem(value)
        if problem:
            raise ValueError(f"{name} {problem}, received {value!r}")

"""Optimizers and learning rate schedules by their names in a document, with their titles and settings.

The modules `optimizers` and `schedules` of `netloom.training.optimization` construct them; pages, command line and the
validation of documents read these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netloom.core.field_errors import FieldValueError, unknown_name


@dataclass(frozen=True)
class Setting:
    """A number or a switch of an optimizer or a schedule. If `above` is true, the bound `low` is exclusive."""

    title: str
    help: str
    low: float = 0.0
    high: float = 1.0
    above: bool = False
    whole: bool = False
    switch: bool = False

    def problem(self, value: object) -> str:
        """Why a value is invalid; empty if it is valid."""
        if self.switch:
            return "" if isinstance(value, bool) else "must be true or false"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "must be a number"
        if self.whole and value != int(value):
            return "must be a whole number"
        if value < self.low or value > self.high or (self.above and value == self.low):
            edge = "above" if self.above else "from"
            return f"must be a number {edge} {self.low:g} {'up ' * self.above}to {self.high:g}"
        return ""


@dataclass(frozen=True)
class Choice:
    """An optimizer or a schedule. `settings` are the names of its settings with their defaults.

    `torch` is the class in torch.optim, `rate` the usual learning rate.
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
    "sgd": Choice("SGD with momentum", "Stochastic gradient descent; usual for image models",
                  {"momentum": 0.9, "nesterov": False, "dampening": 0.0}, "SGD", rate=0.01, fused=True),
    "rmsprop": Choice("RMSprop", "Scales steps by a moving average of squared gradients",
                      {"smoothing": 0.99, "epsilon": 1e-8, "momentum": 0.0, "centered": False}, "RMSprop"),
    "nadam": Choice("NAdam", "Adam with Nesterov momentum",
                    {**_BETAS, "epsilon": 1e-8, "momentum_decay": 0.004, "decoupled": False}, "NAdam", rate=0.002),
    "radam": Choice("RAdam", "Rectified Adam, which needs no warmup", {**_BETAS, "epsilon": 1e-8, "decoupled": False},
                    "RAdam"),
    "adamax": Choice("Adamax", "Adam with the infinity norm", {**_BETAS, "epsilon": 1e-8}, "Adamax",
                     rate=0.002),
    "adagrad": Choice("Adagrad", "Smaller steps for parameters with large past gradients; for sparse features",
                      {"epsilon": 1e-10, "lr_decay": 0.0, "initial_accumulator_value": 0.0}, "Adagrad", rate=0.01,
                      fused=True),
    "adadelta": Choice("Adadelta", "Adapts its step size; leave the learning rate at 1",
                       {"smoothing": 0.9, "epsilon": 1e-6}, "Adadelta", rate=1.0),
    "asgd": Choice("ASGD", "Averaged stochastic gradient descent",
                   {"lambd": 1e-4, "alpha": 0.75, "t0": 1_000_000}, "ASGD", rate=0.01),
    "rprop": Choice("Rprop", "Uses only the sign of the gradient; for full-batch training",
                    {"eta_minus": 0.5, "eta_plus": 1.2, "min_step": 1e-6, "max_step": 50.0}, "Rprop", rate=0.01),
    "adafactor": Choice("Adafactor", "Needs far less memory than Adam; for large Transformers",
                        {"beta2_decay": -0.8, "clip_threshold": 1.0}, "Adafactor", rate=0.01),
    "muon": Choice("Muon", "Orthogonalizes the updates of hidden weight matrices; AdamW updates the rest",
                   {"momentum": 0.95, "nesterov": True, "ns_steps": 5, **_BETAS, "epsilon": 1e-8}, "Muon"),
}  # fmt: skip

SCHEDULES: dict[str, Choice] = {
    "constant": Choice("Constant", "The learning rate stays the same"),
    "cosine": Choice("Cosine annealing", "Decreases along half a cosine", {"end_factor": 0.0}),
    "one_cycle": Choice("One cycle", "Rises in the first part of the run, then decreases to almost 0",
                        {"pct_start": 0.3, "start_factor": 0.04}),
    "linear": Choice("Linear", "Decreases linearly", {"end_factor": 0.0}),
    "step": Choice("Step", "Multiplies the learning rate by a factor every few epochs",
                   {"step_size": 10, "gamma": 0.1}),
    "exponential": Choice("Exponential", "Multiplies the learning rate by a factor after every epoch",
                          {"decay_rate": 0.95}),
    "polynomial": Choice("Polynomial", "Decreases to 0 as a power of the remaining steps", {"power": 2.0}),
    "cosine_restarts": Choice("Cosine with warm restarts", "Decreases along half a cosine, then restarts",
                              {"first_cycle": 5, "cycle_mult": 2, "end_factor": 0.0}),
    "plateau": Choice("Reduce on plateau", "Decreases when the validation loss has stopped improving",
                      {"gamma": 0.5, "patience": 3, "threshold": 1e-4, "end_factor": 0.0}),
}  # fmt: skip

# The settings by name; a name has the same meaning in all optimizers and schedules.
SETTINGS: dict[str, Setting] = {
    "beta1": Setting("β₁ (momentum)", "Decay of the moving average of the gradient",
                     high=0.99999),
    "beta2": Setting("β₂", "Decay of the moving average of the squared gradient", high=0.9999999),
    "epsilon": Setting("Epsilon (ε)", "Added to the denominator for numerical stability", 0, 1, above=True),
    "amsgrad": Setting("AMSGrad", "Uses the maximum of past squared gradients", switch=True),
    "momentum": Setting("Momentum", "Share of the previous step that is added to the next", high=0.99999),
    "nesterov": Setting("Nesterov", "Nesterov momentum: evaluates the gradient ahead of the step", switch=True),
    "dampening": Setting("Dampening", "Reduces the weight of a new gradient; 0 with Nesterov"),
    "smoothing": Setting("Smoothing (α)", "Decay of the moving average of the squared gradient", high=0.99999),
    "centered": Setting("Centered", "Normalizes by the variance of the gradient", switch=True),
    "momentum_decay": Setting("Momentum decay", "Decay of the momentum schedule"),
    "decoupled": Setting("Decoupled weight decay", "Applies weight decay separately from the gradient, as in AdamW",
                         switch=True),
    "lr_decay": Setting("LR decay", "Decay of the learning rate per step"),
    "initial_accumulator_value": Setting("Initial accumulator", "Initial sum of squared gradients", high=1e6),
    "lambd": Setting("Decay term", "Decay of the step size (λ)"),
    "alpha": Setting("Power", "Exponent of the step size decay (α)", high=10),
    "t0": Setting("Average from step", "First step of weight averaging", high=1e9, whole=True),
    "eta_minus": Setting("Shrink factor (η⁻)", "Multiplies the step when the sign of the gradient changes",
                      0, 0.999, above=True),
    "eta_plus": Setting("Growth factor (η⁺)", "Multiplies the step when the sign of the gradient stays",
                        1, 10, above=True),
    "min_step": Setting("Minimum step", "Lower limit of the step size", 0, 1, above=True),
    "max_step": Setting("Maximum step", "Upper limit of the step size", 0, 1e6, above=True),
    "beta2_decay": Setting("β₂ decay", "Exponent of the decay of β₂ over the steps", -1, 0),
    "clip_threshold": Setting("Update clip", "Maximum size of an update", 1, 1e6),
    "ns_steps": Setting("Iterations", "Newton–Schulz iterations that orthogonalize a matrix", 1, 99, whole=True),
    "end_factor": Setting("Final factor", "Final learning rate, as a share of the learning rate"),
    "pct_start": Setting("Rising share", "Share of the run in which the learning rate rises", 0, 0.99, above=True),
    "start_factor": Setting("Initial factor", "Initial learning rate, as a share of the learning rate",
                            0, 1, above=True),
    "step_size": Setting("Step size in epochs", "Number of epochs between two decreases", 1, 10_000, whole=True),
    "gamma": Setting("Factor (γ)", "Multiplies the learning rate at each decrease", 0, 1, above=True),
    "decay_rate": Setting("Factor (γ)", "Multiplies the learning rate after each epoch", 0, 1, above=True),
    "power": Setting("Power", "Exponent of the decay; 1 is linear", 0, 10, above=True),
    "first_cycle": Setting("First cycle in epochs", "Number of epochs before the first restart", 1, 10_000, whole=True),
    "cycle_mult": Setting("Cycle multiplier", "Multiplies the length of the cycle after each restart",
                          1, 10, whole=True),
    "patience": Setting("Patience in epochs", "Number of epochs without improvement before the learning rate decreases",
                        0, 10_000, whole=True),
    "threshold": Setting("Threshold", "Minimum relative decrease of the loss that counts as improvement"),
}  # fmt: skip


def checked(values: Mapping[str, float | bool], choices: Mapping[str, Choice]) -> None:
    """Refuse unknown settings and values out of bounds. Settings of another choice are kept until it is selected.

    Raises:
        ValueError: No choice has such a setting.
        FieldValueError: A value is out of bounds.
    """
    names = {name for choice in choices.values() for name in choice.settings}
    for name, value in values.items():
        if name not in names:
            raise ValueError(unknown_name(name, sorted(names), "setting", "this section"))
        problem = SETTINGS[name].problem(value)
        if problem:
            raise FieldValueError(name, problem, value)

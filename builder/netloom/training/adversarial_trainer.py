"""Two networks that learn in turns: a generator, which makes pictures, and a discriminator, which tells them apart.

The generative adversarial network of https://arxiv.org/abs/1406.2661 with its non-saturating loss and the moments of
https://arxiv.org/abs/1511.06434. To the loop, `Turns` looks like one optimizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netloom.training.frechet_distance import features, frechet
from netloom.training.objectives.objective import EVALUATION_BATCH
from netloom.training.optimizers import ChainedOptimizer, clip_gradient, optimizer

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.document import Training

BETAS = (0.5, 0.999)
NETWORKS = ("generator", "discriminator")


def discriminator_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """−log D(x) − log(1 − D(G(z))), from the logits of real and of generated pictures, each averaged."""
    from torch.nn import functional

    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def generator_loss(fake: torch.Tensor) -> torch.Tensor:
    """−log D(G(z)), from the logits of generated pictures, averaged."""
    from torch.nn import functional

    return functional.softplus(-fake).mean()


class Turns:
    """Trains the parts `generator` and `discriminator` of `model`, each with an optimizer of its own.

    Raises:
        ValueError: the model lacks one of the two, or all weights of one are frozen.
    """

    def __init__(self, model: nn.Module, training: Training) -> None:
        self.generator, self.discriminator = (_part(model, name) for name in NETWORKS)
        self._clip_value = training.gradient_clip_value
        names = {id(part): name for name, part in model.named_children()}
        self.optimizers = [_optimizer(training, part, names[id(part)]) for part in (self.generator, self.discriminator)]
        self._auxiliary: list[list[Any]] = [
            [module for module in part.modules() if hasattr(module, "auxiliary_loss")]
            for part in (self.generator, self.discriminator)
        ]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for one in self.optimizers for group in one.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for one in self.optimizers:
            one.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {name: one.state_dict() for name, one in zip(NETWORKS, self.optimizers, strict=True)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, one in zip(NETWORKS, self.optimizers, strict=True):
            one.load_state_dict(state[name])

    def step(self, noise: torch.Tensor, real: torch.Tensor, clip: float | None) -> torch.Tensor:
        """A step of each, first of the discriminator. Returns the sum of both losses; `noise` only lends its shape."""
        import torch

        fake = self.generator(torch.randn_like(noise))
        first = self.discriminate(fake.detach(), real, clip)
        return first + self.generate(fake, clip)

    def discriminate(self, fake: torch.Tensor, real: torch.Tensor, clip: float | None) -> torch.Tensor:
        """Half a step: the discriminator learns to tell real from generated pictures, both (N, C, H, W)."""
        loss = discriminator_loss(self.discriminator(real), self.discriminator(fake))
        self._descend(1, loss, clip)
        return loss.detach()

    def generate(self, fake: torch.Tensor, clip: float | None) -> torch.Tensor:
        """The other half: the generator, which made `fake`, learns to have it taken for real."""
        held = [weight for weight in self.discriminator.parameters() if weight.requires_grad]
        for weight in held:
            weight.requires_grad_(False)
        try:
            loss = generator_loss(self.discriminator(fake))
        finally:
            for weight in held:
                weight.requires_grad_(True)
        self._descend(0, loss, clip)
        return loss.detach()

    def measure(self, noise: torch.Tensor, real: torch.Tensor) -> dict[str, float]:
        """The measures of both networks in evaluation mode; `loss` is how far generated pictures are from real ones."""
        import torch

        parts = (self.generator, self.discriminator)
        was_training = [part.training for part in parts]
        for part in parts:
            part.eval()
        with torch.no_grad():
            fake = _answers(self.generator, noise)
            said, wrong = _answers(self.discriminator, real), _answers(self.discriminator, fake)
        for part, training in zip(parts, was_training, strict=True):
            part.train(training)
        return {
            "loss": frechet(features(fake), features(real)),
            "generator_loss": float(generator_loss(wrong)),
            "discriminator_loss": float(discriminator_loss(said, wrong)),
            "told_apart": float(((said > 0).double().mean() + (wrong < 0).double().mean()) / 2),
        }

    def _descend(self, place: int, loss: torch.Tensor, clip: float | None) -> None:
        one = self.optimizers[place]
        for module in self._auxiliary[place]:
            if module.auxiliary_loss is not None:
                loss, module.auxiliary_loss = loss + module.auxiliary_loss, None
        one.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_gradient([weight for group in one.param_groups for weight in group["params"]], clip, self._clip_value)
        one.step()


def _answers(network: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """What a network says to rows (N, …), a few at a time."""
    import torch

    starts = range(0, len(rows), EVALUATION_BATCH)
    return torch.cat([network(rows[start : start + EVALUATION_BATCH]) for start in starts])


def _part(model: nn.Module, name: str) -> nn.Module:
    """The one part of a compiled model that is made from the network of this name."""
    found = [part for part in model.children() if type(part).__name__.lower() == name]
    if len(found) != 1:
        raise ValueError(
            f"A generative adversarial network is made of a network named generator and one named discriminator; "
            f"found {len(found)} with the name {name}."
        )
    return found[0]


def _optimizer(training: Training, part: nn.Module, name: str) -> torch.optim.Optimizer | ChainedOptimizer:
    if not any(weight.requires_grad for weight in part.parameters()):
        raise ValueError(f"All weights of the {type(part).__name__.lower()} are frozen or it has none; let some learn.")
    made = optimizer(training, part, name)
    chosen = training.optimizer_settings
    for group in made.param_groups:
        if "betas" in group:
            # With 0.9, the mean of past gradients lags behind the other network.
            group["betas"] = (chosen.get("beta1", BETAS[0]), chosen.get("beta2", BETAS[1]))
    return made

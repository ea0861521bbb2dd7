"""Adversarial training: alternating steps of a generator and a discriminator.

The GAN of https://arxiv.org/abs/1406.2661 with the non-saturating loss and the Adam betas of
https://arxiv.org/abs/1511.06434.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from netloom.tasks.training_losses import ALTERNATING_LOSS
from netloom.training.auxiliary_losses import AuxiliaryLosses
from netloom.training.frechet_distance import features, frechet
from netloom.training.gan_losses import discriminator_loss, generator_loss
from netloom.training.loop import SupervisedTrainer
from netloom.training.objectives.objective import EVALUATION_BATCH
from netloom.training.optimization.optimizers import ChainedOptimizer, clip_gradient
from netloom.training.optimization.optimizers import optimizer as make_optimizer
from netloom.training.targets import MixedTargets, Targets, WeightedTargets

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.document import Training

BETAS = (0.5, 0.999)


class AdversarialTrainer(SupervisedTrainer):
    """Trains the networks `generator` and `discriminator` of `model`, each with its own loss and optimizer.

    A batch is noise, the only input, and real images, the targets (N, C, H, W).

    Raises:
        ValueError: the model lacks one of the two networks, or one has no trainable weights.
    """

    uses_sample_weights = False
    why_not_compiled = "torch.compile is off: networks with alternating updates are not compiled."

    def make_optimizer(self) -> ChainedOptimizer:
        self.generator, self.discriminator = (_part(self.model, name) for name in ("generator", "discriminator"))
        self._auxiliary_losses = {
            part: AuxiliaryLosses(part.modules()) for part in (self.generator, self.discriminator)
        }
        names = {id(part): name for name, part in self.model.named_children()}
        self._optimizers = {
            part: _optimizer(self.training, part, names[id(part)]) for part in (self.generator, self.discriminator)
        }
        return ChainedOptimizer(
            {
                "generator": self._optimizers[self.generator],
                "discriminator": self._optimizers[self.discriminator],
            }
        )

    def auxiliary_modules(self) -> Iterable[nn.Module]:
        return ()  # `_minimize` adds those of each network to its own loss

    def train_step(self, inputs: list[torch.Tensor], targets: Targets) -> torch.Tensor:
        """Take a step of the discriminator, then of the generator. Returns the sum of both losses."""
        import torch

        if isinstance(targets, MixedTargets | WeightedTargets):
            raise TypeError("A GAN does not support mixed or weighted targets.")
        noise = torch.randn_like(inputs[0])  # (N, …), new in each step; the noise of the data only has the shape
        fake = self.generator(noise)  # (N, C, H, W)
        loss = self.train_discriminator(fake.detach(), targets)  # detached: this step does not change the generator
        loss = loss + self.train_generator(fake)
        if self.ema is not None:
            self.ema.update()
        return loss

    def train_discriminator(self, fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Train the discriminator on real and generated images, both (N, C, H, W). Returns its loss."""
        loss = discriminator_loss(self.discriminator(real), self.discriminator(fake))
        self._minimize(loss, self.discriminator)
        return loss.detach()

    def train_generator(self, fake: torch.Tensor) -> torch.Tensor:
        """Train the generator so that the discriminator classifies its images `fake` as real. Returns its loss."""
        # The gradient passes through the discriminator, but gradients of its weights would be computed and discarded.
        frozen = [weight for weight in self.discriminator.parameters() if weight.requires_grad]
        for weight in frozen:
            weight.requires_grad_(False)
        try:
            loss = generator_loss(self.discriminator(fake))
        finally:
            for weight in frozen:
                weight.requires_grad_(True)
        self._minimize(loss, self.generator)
        return loss.detach()

    def compute_metrics(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> dict[str, float]:
        """Return the metrics of both networks in evaluation mode; `loss` is the Fréchet distance to real images."""
        import torch

        networks = (self.generator, self.discriminator)
        was_training = [network.training for network in networks]
        for network in networks:
            network.eval()
        with torch.no_grad():
            fake = _outputs(self.generator, inputs[0])
            real_logits, fake_logits = _outputs(self.discriminator, targets), _outputs(self.discriminator, fake)
        for network, training in zip(networks, was_training, strict=True):
            network.train(training)
        # The balanced accuracy of the discriminator: 0.5 if it cannot tell generated images from real ones
        right = ((real_logits > 0).double().mean() + (fake_logits < 0).double().mean()) / 2
        return {
            "loss": frechet(features(fake), features(targets)),
            "generator_loss": float(generator_loss(fake_logits)),
            "discriminator_loss": float(discriminator_loss(real_logits, fake_logits)),
            "told_apart": float(right),
        }

    @property
    def training_loss_name(self) -> str:
        return ALTERNATING_LOSS

    def _minimize(self, loss: torch.Tensor, network: nn.Module) -> None:
        """Run backward, clip and step for one of the networks."""
        optimizer = self._optimizers[network]
        optimizer.zero_grad(set_to_none=True)
        loss = self._auxiliary_losses[network].add_to(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        clip_gradient(weights, self.training.gradient_clip, self.training.gradient_clip_value)
        optimizer.step()


def _outputs(network: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Return the outputs of a network for rows (N, …), computed in batches."""
    import torch

    starts = range(0, len(rows), EVALUATION_BATCH)
    return torch.cat([network(rows[start : start + EVALUATION_BATCH]) for start in starts])


def _part(model: nn.Module, name: str) -> nn.Module:
    """Return the only submodule of a compiled model whose network has this name.

    Raises:
        ValueError: there is none, or more than one.
    """
    submodules = [part for part in model.children() if type(part).__name__.lower() == name]
    if len(submodules) != 1:
        raise ValueError(
            f"A GAN needs one network named generator and one named discriminator; this project has {len(submodules)} "
            f"named {name}."
        )
    return submodules[0]


def _optimizer(training: Training, part: nn.Module, name: str) -> torch.optim.Optimizer | ChainedOptimizer:
    if not any(weight.requires_grad for weight in part.parameters()):
        raise ValueError(f"The {type(part).__name__.lower()} has no trainable weights; unfreeze some of its layers.")
    optimizer = make_optimizer(training, part, name)
    chosen = training.optimizer_settings
    for group in optimizer.param_groups:
        if "betas" in group:
            # With β₁ = 0.9, the mean of past gradients lags behind the other network; 0.5 stabilizes the training of
            # GANs: https://arxiv.org/abs/1511.06434.
            group["betas"] = (chosen.get("beta1", BETAS[0]), chosen.get("beta2", BETAS[1]))
    return optimizer

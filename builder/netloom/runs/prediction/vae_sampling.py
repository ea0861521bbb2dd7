"""Samples of a variational autoencoder: outputs for z ~ N(0, 1), its prior, instead of the latent vector of the
encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from netloom.layers import module_layer
from netloom.training.objectives.adversarial import most_shown, shown
from netloom.training.objectives.evaluation import Picture
from netloom.training.streaming import take

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Prepared
    from netloom.training import Objective

SEED = 0


def sample_images(
    objective: Objective,
    model: nn.Module,
    data: Prepared,
    fields: Sequence[str],
    output: Callable[[dict[str, torch.Tensor]], torch.Tensor],
    rows: torch.Tensor,
) -> dict[str, list[Picture]]:
    """Return generated images next to those of `rows`, as in `Evaluation.samples`. Empty if the network cannot
    generate: it has no latent vector, or its output also depends on the input, such as through a skip connection."""
    import torch

    latent = latent_layers(objective, model, data)
    if not latent:
        return {}
    field = data.image_field(data.fields[0].name)
    every, count = len(data.target), most_shown(data.schema.inputs[0].shape)
    chosen = rows[torch.arange(count) % len(rows)]
    names = list(dict.fromkeys([*fields, field.name]))
    real_inputs, other_inputs = (
        take(data, names, at.numpy()) for at in (chosen, (chosen + max(1, every // 2)) % every)
    )
    # The same noise with two sets of inputs: equal outputs depend on the noise alone.
    answers = []
    for inputs in (real_inputs, other_inputs):
        with from_prior(latent):
            answers.append(output(inputs))
    if not torch.equal(*answers):
        return {}
    return {"Generated from noise": shown(answers[0], field), "From the data": shown(real_inputs[field.name], field)}


def latent_layers(objective: Objective, model: nn.Module, data: Prepared) -> list[nn.Module]:
    """Return the layers that sample a latent vector, if the network reconstructs images from it; else an empty list."""
    task = objective.task
    if not task.reconstructs_input or task.tunes_threshold or not data.schema.inputs[0].is_image:
        return []
    return [module for module in model.modules() if module_layer(module).samples_latent]


@contextmanager
def from_prior(latent: list[nn.Module]) -> Iterator[None]:
    """Context in which these layers output z ~ N(0, 1), the same at each use; the random state of torch is
    unchanged."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    with with_latents(latent, lambda shape: torch.randn(shape, generator=generator)):
        yield


@contextmanager
def with_latents(latent: Sequence[nn.Module], values: Callable[[torch.Size], torch.Tensor]) -> Iterator[None]:
    """Context in which these layers output the latent vectors that `values` returns for the shape of their output."""

    def replaced(_layer: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return values(output.shape).to(output)

    with ExitStack() as stack:
        for layer in latent:
            stack.enter_context(layer.register_forward_hook(replaced))
        yield

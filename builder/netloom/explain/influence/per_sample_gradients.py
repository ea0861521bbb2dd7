"""Losses of single rows, and their gradients with respect to the weights.

The network is a private copy in evaluation mode, so rows are independent and the gradient of a sum of losses is the sum
of the gradients of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from netloom.data import Prepared
from netloom.explain.core.context import Progress
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.library_warnings import mute_mapping
from netloom.training.objectives.objective import joined
from netloom.training.streaming import take

if TYPE_CHECKING:
    from netloom.training.objectives import Objective

MAX_BATCH = 128
# The memory limit for a batch of per-row gradients, each of which is as large as all weights.
GRADIENT_BYTES = 64 * 2**20
Weights = dict[str, torch.Tensor]


@contextmanager
def math_attention() -> Iterator[None]:
    """Use the math kernel for attention, because the fused kernels do not support double backward or `vmap`.

    PyTorch has one selection of kernels for all threads. The first thread that enters selects the math kernel, and the
    last one that leaves restores the previous selection; no thread waits for another.
    """
    mute_mapping()
    _MATH_ATTENTION.enter()
    try:
        yield
    finally:
        _MATH_ATTENTION.leave()


class _MathAttentionUsers:
    """Count the threads that need the math kernel. The lock is held only while the selection changes."""

    def __init__(self) -> None:
        self._lock, self._users, self._chosen = Lock(), 0, ExitStack()

    def enter(self) -> None:
        """Select the math kernel for the first user."""
        with self._lock:
            if not self._users:
                self._chosen.enter_context(sdpa_kernel([SDPBackend.MATH]))
            self._users += 1

    def leave(self) -> None:
        """Restore the previous selection after the last user."""
        with self._lock:
            self._users -= 1
            if not self._users:
                self._chosen.close()


_MATH_ATTENTION = _MathAttentionUsers()


class PerSampleGradients:
    """Losses and gradients of rows by row number, under the weights that were loaded last.

    `names` are the weights with respect to which gradients are computed. `forward_mode` is True while forward-mode
    differentiation is used, which is faster; it becomes False when an operation supports backward mode only.

    Raises:
        ExplainError: The network has no trainable weights.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, data: Prepared, fields: list[str], progress: Progress | None
    ) -> None:
        learned = {name for name, weight in model.named_parameters() if weight.requires_grad}
        if not learned:
            raise ExplainError("This network does not have trainable weights, so no training example influenced it.")
        self.model = deepcopy(model).to("cpu", torch.float32).eval()
        self.objective, self.data, self.fields, self.progress = objective, data, fields, progress
        self.goal = objective.loss_targets(data)
        self.names = [name for name, _ in self.model.named_parameters() if name in learned]
        self.done = self.expected = 0
        self._single, self._mapped, self.forward_mode = False, True, True

    def take(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Load a state dictionary, such as that of a checkpoint."""
        self.model.load_state_dict(dict(weights))

    def narrow(self) -> None:
        """Use only the weights of the last layer, whose inputs are the features of the whole network."""
        owner = self._last
        self.names = [name for name in self.names if name.rpartition(".")[0] == owner]

    def expect_rows(self, rows: int) -> None:
        """Add rows to the total, from which `progress` gets its fraction."""
        self.expected += rows

    def passed(self, rows: int) -> None:
        """Report finished rows; an exception from `progress` cancels the work."""
        self.done += rows
        if self.progress is not None:
            self.progress(min(1.0, self.done / self.expected) if self.expected else 0.0)

    def inputs(self, rows: np.ndarray) -> list[torch.Tensor]:
        """Return the inputs (N, …) of rows in the order of the network's arguments."""
        fields = take(self.data, self.fields, rows)
        return [fields[name] for name in self.fields]

    def targets(self, rows: np.ndarray) -> torch.Tensor:
        """Return the targets (N, …) of rows; the input itself for an autoencoder."""
        for name in self.fields:
            if self.goal is self.data.inputs[name]:
                return take(self.data, [name], rows)[name]
        return self.goal[torch.from_numpy(rows.astype(np.int64, copy=False))]

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """Return the weight of each row's loss in training, (N,).

        It is the row's share of the mean loss, scaled to the mean 1, times its sample weight.
        """
        targets = self.targets(rows)
        mass = np.array([float(self.objective.mass(targets[index : index + 1])) for index in range(len(rows))])
        mass /= max(float(mass.mean()), 1e-12)
        if self.data.weights is not None and self.objective.task.supports_sample_weights:
            mass *= self.data.weights[torch.from_numpy(rows)].numpy()
        return mass

    @property
    def weights(self) -> Weights:
        """The detached weights in `names`."""
        parameters = dict(self.model.named_parameters())
        return {name: parameters[name].detach() for name in self.names}

    def answers(self, rows: np.ndarray) -> torch.Tensor:
        """Compute the outputs (N, …) of rows in batches of `MAX_BATCH`."""
        parts = []
        with torch.no_grad():
            for start in range(0, len(rows), MAX_BATCH):
                parts.append(joined(self.model(*self.inputs(rows[start : start + MAX_BATCH]))))
        return torch.cat(parts)

    def losses(self, weights: Weights, inputs: list[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
        """Compute the loss of each row, (N,), differentiable with respect to `weights`."""
        return self.row_losses(joined(functional_call(self.model, weights, tuple(inputs))), targets)

    def row_losses(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Compute the loss of each output separately, (N,)."""
        loss: Callable[..., torch.Tensor] = self.objective.loss
        if self._mapped:
            try:
                return vmap(lambda answer, target: loss(answer.unsqueeze(0), target.unsqueeze(0)))(output, targets)
            except (RuntimeError, ValueError, NotImplementedError):
                self._mapped = False  # this loss has data-dependent control flow, which `vmap` does not support
        return torch.stack(
            [loss(output[index : index + 1], targets[index : index + 1]) for index in range(len(output))]
        )

    def gradient(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> Weights:
        """Compute the gradient of the summed loss of rows with respect to the weights."""
        leaves = {name: value.clone().requires_grad_() for name, value in self.weights.items()}
        gradients = torch.autograd.grad(
            self.losses(leaves, inputs, targets).sum(), list(leaves.values()), allow_unused=True
        )
        return {
            name: torch.zeros_like(leaf) if value is None else value
            for (name, leaf), value in zip(leaves.items(), gradients, strict=True)
        }

    def along(self, rows: np.ndarray, direction: Weights) -> tuple[np.ndarray, np.ndarray]:
        """Compute the dot product of each row's gradient with a direction in weight space, (N,), and each row's loss,
        (N,).

        The products are directional derivatives, so no per-row gradient is stored.
        """
        parts, losses = [], []
        for start in range(0, len(rows), MAX_BATCH):
            batch = rows[start : start + MAX_BATCH]
            products, batch_losses = self._moved(self.inputs(batch), self.targets(batch), direction)
            parts.append(products.detach().double())
            losses.append(batch_losses.detach().double())
            self.passed(len(batch))
        return torch.cat(parts).numpy(), torch.cat(losses).numpy()

    def _moved(
        self, inputs: list[torch.Tensor], targets: torch.Tensor, direction: Weights
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute `along` for one batch in forward mode.

        The fallback uses double backward: Σ uᵢ·lossᵢ has a gradient that is linear in u, so the derivative of its
        product with the direction with respect to u is the result.
        """
        if self.forward_mode:
            try:
                with math_attention(), torch.no_grad():
                    # Forward mode: the derivative of every loss along the direction in one pass
                    tangents = {name: direction[name] for name in self.weights}
                    primal_and_tangent: Any = jvp(
                        lambda weights: self.losses(weights, inputs, targets), (self.weights,), (tangents,)
                    )
                return primal_and_tangent[1], primal_and_tangent[0]
            except (RuntimeError, NotImplementedError):
                self.forward_mode = False
        leaves = {name: value.clone().requires_grad_() for name, value in self.weights.items()}
        mix = torch.ones(len(targets), requires_grad=True)  # u of the docstring
        with math_attention():
            losses = self.losses(leaves, inputs, targets)
            gradients = torch.autograd.grad(
                (losses * mix).sum(), list(leaves.values()), create_graph=True, allow_unused=True
            )
            pairs = [
                (value, direction[name]) for name, value in zip(leaves, gradients, strict=True) if value is not None
            ]
            total = torch.stack([(value * tangent).sum() for value, tangent in pairs]).sum()
            (products,) = torch.autograd.grad(total, mix)
        return products, losses

    def learned(
        self,
        sets: np.ndarray,
        rate: float,
        steps: int,
        values: list[torch.Tensor],
        target: torch.Tensor,
        *,
        at_once: bool = True,
    ) -> np.ndarray:
        """Return the loss of an example, (K,), after training on each of K sets of rows (K, size), each on its own
        copy.

        `at_once` trains as many copies in parallel as `GRADIENT_BYTES` allows, if the network supports `vmap`.
        """
        size = sum(value.numel() for value in self.weights.values()) * 4  # float32
        max_sets = int(np.clip(min(GRADIENT_BYTES // size, MAX_BATCH // sets.shape[1]), 1, len(sets)))
        # `vmap` does not support the fused kernels of recurrent layers.
        at_once = at_once and not any(isinstance(part, nn.RNNBase) for part in self.model.modules())
        losses = list[np.ndarray]()
        for start in range(0, len(sets), max_sets):
            chunk = sets[start : start + max_sets]
            if at_once:
                try:
                    losses.append(self._learned_at_once(chunk, rate, steps, values, target))
                    continue
                except (RuntimeError, ValueError, NotImplementedError):
                    at_once = False  # another operation that `vmap` does not support
            losses += [self._learned(rows, rate, steps, values, target) for rows in chunk]
        return np.concatenate(losses)

    def _learned_at_once(
        self, sets: np.ndarray, rate: float, steps: int, values: list[torch.Tensor], target: torch.Tensor
    ) -> np.ndarray:
        targets = self.targets(sets.ravel())
        # (K · size, …) -> (K, size, …)
        inputs = [value.reshape(*sets.shape, *value.shape[1:]) for value in self.inputs(sets.ravel())]
        targets = targets.reshape(*sets.shape, *targets.shape[1:])
        weights = {name: value.expand(len(sets), *value.shape) for name, value in self.weights.items()}

        def loss(weights: Weights, target: torch.Tensor, *rows: torch.Tensor) -> torch.Tensor:
            return self.losses(weights, list(rows), target).mean()

        with math_attention():
            for _ in range(steps):
                gradients: Weights = vmap(grad(loss))(weights, targets, *inputs)
                weights = {name: value - rate * gradients[name] for name, value in weights.items()}
            with torch.no_grad():
                example_losses: torch.Tensor = vmap(
                    lambda sample_weights: self.losses(sample_weights, values, target)[0]
                )(weights)
        losses: np.ndarray = example_losses.double().numpy()
        return losses

    def _learned(
        self, rows: np.ndarray, rate: float, steps: int, values: list[torch.Tensor], target: torch.Tensor
    ) -> np.ndarray:
        inputs, targets, weights = self.inputs(rows), self.targets(rows), self.weights
        for _ in range(steps):
            leaves = {name: value.detach().clone().requires_grad_() for name, value in weights.items()}
            loss = self.losses(leaves, inputs, targets).mean()
            gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            weights = {
                name: leaf.detach() - (rate * value if value is not None else 0.0)
                for (name, leaf), value in zip(leaves.items(), gradients, strict=True)
            }
        with torch.no_grad():
            return self.losses(weights, values, target)[:1].double().numpy()

    def simplify(self, rows: np.ndarray) -> None:
        """Fall back to the last layer if it is linear and `vmap` does not support the network, as with recurrent
        layers."""
        some = rows[:2]
        try:
            if any(isinstance(part, nn.RNNBase) for part in self.model.modules()):
                raise NotImplementedError
            self._at_once(self.inputs(some), self.targets(some))
        except (RuntimeError, ValueError, NotImplementedError):
            self._single = True
            if isinstance(self.model.get_submodule(self._last), nn.Linear):
                self.narrow()

    def squares(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the squared norm of each row's gradient, (N,), and each row's loss, (N,)."""
        size = sum(value.numel() for value in self.weights.values()) * 4  # float32
        max_rows = int(np.clip(GRADIENT_BYTES // size, 1, MAX_BATCH))
        is_last_only = all(name.rpartition(".")[0] == self._last for name in self.names)
        is_linear = is_last_only and isinstance(self.model.get_submodule(self._last), nn.Linear)
        method = self._of_linear if is_linear else self._sample_by_sample if self._single else self._at_once
        parts, losses = [], []
        for start in range(0, len(rows), max_rows):
            batch = rows[start : start + max_rows]
            squared, batch_losses = method(self.inputs(batch), self.targets(batch))
            parts.append(squared.double())
            losses.append(batch_losses.double())
            self.passed(len(batch))
        return torch.cat(parts).numpy(), torch.cat(losses).numpy()

    @property
    def _last(self) -> str:
        return self.names[-1].rpartition(".")[0]

    def _of_linear(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the squared gradient norm of each row for a linear layer, (N,), and its loss, (N,), in one pass.

        The gradient of a row is the outer product of its output gradient and its input (Goodfellow 2015,
        https://arxiv.org/abs/1510.01799).
        """
        calls: list[tuple[torch.Tensor, torch.Tensor]] = []
        layer = self.model.get_submodule(self._last)
        hook = layer.register_forward_hook(lambda _, layer_inputs, out: calls.append((layer_inputs[0], out)))
        try:
            losses = self.row_losses(joined(self.model(*inputs)), targets)
        finally:
            hook.remove()
        output_gradients = torch.autograd.grad(losses.sum(), [out for _, out in calls])
        rows = len(targets)
        # A row's gradient is the sum over its positions t and calls, so outer products are summed before the norm.
        matrices = [
            torch.einsum("nto,nti->noi", g.reshape(rows, -1, g.shape[-1]), a.detach().reshape(rows, -1, a.shape[-1]))
            for g, (a, _) in zip(output_gradients, calls, strict=True)
        ]
        total = torch.stack(matrices).sum(0).flatten(1).square().sum(1)
        if f"{self._last}.bias" in self.names:
            biases = torch.stack([g.reshape(rows, -1, g.shape[-1]).sum(1) for g in output_gradients]).sum(0)
            total = total + biases.square().sum(1)
        return total.detach(), losses.detach()

    def _sample_by_sample(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        squared, losses = [], []
        for index in range(len(targets)):
            row, target = [value[index : index + 1] for value in inputs], targets[index : index + 1]
            squared.append(torch.stack([value.square().sum() for value in self.gradient(row, target).values()]).sum())
            with torch.no_grad():
                losses.append(self.losses(self.weights, row, target)[0])
        return torch.stack(squared), torch.stack(losses)

    def _at_once(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def loss(weights: Weights, target: torch.Tensor, *row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            answer = joined(functional_call(self.model, weights, tuple(value.unsqueeze(0) for value in row)))
            value = self.objective.loss(answer, target.unsqueeze(0))
            return value, value.detach()

        # The weights are shared, and every row gets its own gradient:
        # https://docs.pytorch.org/tutorials/intermediate/per_sample_grads.html
        in_dims = (None, 0, *(0 for _ in inputs))
        with math_attention():
            gradients_and_losses: tuple[Weights, torch.Tensor] = vmap(grad(loss, has_aux=True), in_dims=in_dims)(
                self.weights, targets, *inputs
            )
        gradients, losses = gradients_and_losses
        squared: Any = sum(value.flatten(1).square().sum(1) for value in gradients.values())
        return squared, losses

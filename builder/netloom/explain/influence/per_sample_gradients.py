"""The loss of single rows of the data, and its gradient by the network's weights.

Rows do not touch each other: the network is a private copy in evaluation mode, so that the gradient of a sum of losses
is the sum of the gradients of each.
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
# How much the gradients of rows, which are as large as all weights for each of them, may take at once.
GRADIENT_BYTES = 64 * 2**20
Weights = dict[str, torch.Tensor]


@contextmanager
def math_attention() -> Iterator[None]:
    """Attention by its formula: the fast kernels cannot be differentiated twice, nor mapped over rows.

    PyTorch holds one choice of kernels for all threads. The first thread that needs the formula chooses it, and the
    last one puts back what was chosen before; nobody waits for another.
    """
    mute_mapping()
    _MATH_ATTENTION.enter()
    try:
        yield
    finally:
        _MATH_ATTENTION.leave()


class _MathAttentionUsers:
    """How many threads need attention by its formula. The lock is held for the change of the choice alone."""

    def __init__(self) -> None:
        self._lock, self._users, self._chosen = Lock(), 0, ExitStack()

    def enter(self) -> None:
        with self._lock:
            if not self._users:
                self._chosen.enter_context(sdpa_kernel([SDPBackend.MATH]))
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._chosen.close()


_MATH_ATTENTION = _MathAttentionUsers()


class PerSampleGradients:
    """Losses and gradients of rows by their numbers, under the weights that were taken last.

    `names` are the weights by which gradients are taken. `forward_mode`: whether directions are carried forward beside
    the values, which is faster; it ends where the network has something that can be differentiated backwards alone.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, data: Prepared, fields: list[str], progress: Progress | None
    ) -> None:
        learned = {name for name, weight in model.named_parameters() if weight.requires_grad}
        if not learned:
            raise ExplainError("Nothing in this network was learned, so no row of the data taught it anything.")
        self.model = deepcopy(model).to("cpu", torch.float32).eval()
        self.objective, self.data, self.fields, self.progress = objective, data, fields, progress
        self.goal = objective.goal(data)
        self.names = [name for name, _ in self.model.named_parameters() if name in learned]
        self.done = self.expected = 0
        self._single, self._mapped, self.forward_mode = False, True, True

    def take(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Use other weights, such as those of a checkpoint."""
        self.model.load_state_dict(dict(weights))

    def narrow(self) -> None:
        """Look at the weights of the last part of the network alone: that of a classifier sees all that it knows."""
        owner = self._last
        self.names = [name for name in self.names if name.rpartition(".")[0] == owner]

    def expect_rows(self, rows: int) -> None:
        """Say how many rows more are going to be looked at, so that `progress` can tell a share."""
        self.expected += rows

    def passed(self, rows: int) -> None:
        """Tell that rows were looked at; what `progress` raises ends the work."""
        self.done += rows
        if self.progress is not None:
            self.progress(min(1.0, self.done / self.expected) if self.expected else 0.0)

    def inputs(self, rows: np.ndarray) -> list[torch.Tensor]:
        """The rows' inputs (N, …) in the order of the network's arguments."""
        fields = take(self.data, self.fields, rows)
        return [fields[name] for name in self.fields]

    def targets(self, rows: np.ndarray) -> torch.Tensor:
        """What the rows' losses are taken against, (N, …)."""
        for name in self.fields:
            if self.goal is self.data.inputs[name]:
                return take(self.data, [name], rows)[name]
        return self.goal[torch.from_numpy(rows.astype(np.int64, copy=False))]

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """How much each row's own loss counts in training, (N,), 1 on average."""
        targets = self.targets(rows)
        mass = np.array([float(self.objective.mass(targets[index : index + 1])) for index in range(len(rows))])
        mass /= max(float(mass.mean()), 1e-12)
        if self.data.weights is not None and self.objective.task.supports_sample_weights:
            mass *= self.data.weights[torch.from_numpy(rows)].numpy()
        return mass

    @property
    def weights(self) -> Weights:
        parameters = dict(self.model.named_parameters())
        return {name: parameters[name].detach() for name in self.names}

    def answers(self, rows: np.ndarray) -> torch.Tensor:
        """The network's answers (N, …)."""
        parts = []
        with torch.no_grad():
            for start in range(0, len(rows), MAX_BATCH):
                parts.append(joined(self.model(*self.inputs(rows[start : start + MAX_BATCH]))))
        return torch.cat(parts)

    def losses(self, weights: Weights, inputs: list[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
        """The loss of each row, (N,), with gradients by `weights`."""
        return self.priced(joined(functional_call(self.model, weights, tuple(inputs))), targets)

    def priced(self, output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of each answer by itself, (N,)."""
        loss: Callable[..., torch.Tensor] = self.objective.loss
        if self._mapped:
            try:
                return vmap(lambda answer, target: loss(answer.unsqueeze(0), target.unsqueeze(0)))(output, targets)
            except (RuntimeError, ValueError, NotImplementedError):
                self._mapped = False  # this loss asks its numbers something, which cannot be done for all at once
        return torch.stack(
            [loss(output[index : index + 1], targets[index : index + 1]) for index in range(len(output))]
        )

    def gradient(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> Weights:
        """The gradient of the sum of some rows' losses."""
        leaves = {name: value.clone().requires_grad_() for name, value in self.weights.items()}
        gradients = torch.autograd.grad(
            self.losses(leaves, inputs, targets).sum(), list(leaves.values()), allow_unused=True
        )
        return {
            name: torch.zeros_like(leaf) if value is None else value
            for (name, leaf), value in zip(leaves.items(), gradients, strict=True)
        }

    def along(self, rows: np.ndarray, direction: Weights) -> tuple[np.ndarray, np.ndarray]:
        """The product of each row's gradient with a direction in the weights, (N,), and each row's loss (N,): how fast
        the losses change when the weights move that way, without the gradient of any single row."""
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
        """As `along`: with the direction carried forward beside the values, which takes two passes forward; else as the
        gradient by u of the direction times the gradient of Σ uᵢ·lossᵢ, which is linear in u."""
        if self.forward_mode:
            try:
                with math_attention(), torch.no_grad():
                    tangents = {name: direction[name] for name in self.weights}
                    primal_and_tangent: Any = jvp(
                        lambda weights: self.losses(weights, inputs, targets), (self.weights,), (tangents,)
                    )
                return primal_and_tangent[1], primal_and_tangent[0]
            except (RuntimeError, NotImplementedError):
                self.forward_mode = False
        leaves = {name: value.clone().requires_grad_() for name, value in self.weights.items()}
        mix = torch.ones(len(targets), requires_grad=True)
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
        """The loss of an example, (K,), after some steps on each of some sets of rows (K, size), each on its own copy
        of the weights. `at_once`: as many sets side by side as there is room for, where the network allows it."""
        size = sum(value.numel() for value in self.weights.values()) * 4
        max_sets = int(np.clip(min(GRADIENT_BYTES // size, MAX_BATCH // sets.shape[1]), 1, len(sets)))
        at_once = at_once and not any(isinstance(part, nn.RNNBase) for part in self.model.modules())
        losses = list[np.ndarray]()
        for start in range(0, len(sets), max_sets):
            chunk = sets[start : start + max_sets]
            if at_once:
                try:
                    losses.append(self._learned_at_once(chunk, rate, steps, values, target))
                    continue
                except (RuntimeError, ValueError, NotImplementedError):
                    at_once = False  # something else that cannot be done for all at once
            losses += [self._learned(rows, rate, steps, values, target) for rows in chunk]
        return np.concatenate(losses)

    def _learned_at_once(
        self, sets: np.ndarray, rate: float, steps: int, values: list[torch.Tensor], target: torch.Tensor
    ) -> np.ndarray:
        targets = self.targets(sets.ravel())
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
                example_losses: torch.Tensor = vmap(lambda own: self.losses(own, values, target)[0])(weights)
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
        """Where the gradients of rows cannot be taken side by side, as in recurrent layers, look at the weights of the
        last layer alone, if it is a linear one."""
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
        """The squared length of each row's gradient, (N,), and each row's loss (N,)."""
        size = sum(value.numel() for value in self.weights.values()) * 4
        max_rows = int(np.clip(GRADIENT_BYTES // size, 1, MAX_BATCH))
        is_last_only = all(name.rpartition(".")[0] == self._last for name in self.names)
        is_linear = is_last_only and isinstance(self.model.get_submodule(self._last), nn.Linear)
        method = self._of_linear if is_linear else self._one_by_one if self._single else self._at_once
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
        """Of a linear layer alone, whose gradient for a row is made of what comes in and what goes back."""
        calls: list[tuple[torch.Tensor, torch.Tensor]] = []
        layer = self.model.get_submodule(self._last)
        hook = layer.register_forward_hook(lambda _, given, out: calls.append((given[0], out)))
        try:
            losses = self.priced(joined(self.model(*inputs)), targets)
        finally:
            hook.remove()
        output_gradients = torch.autograd.grad(losses.sum(), [out for _, out in calls])
        rows = len(targets)
        matrices = [
            torch.einsum("nto,nti->noi", g.reshape(rows, -1, g.shape[-1]), a.detach().reshape(rows, -1, a.shape[-1]))
            for g, (a, _) in zip(output_gradients, calls, strict=True)
        ]
        total = torch.stack(matrices).sum(0).flatten(1).square().sum(1)
        if f"{self._last}.bias" in self.names:
            biases = torch.stack([g.reshape(rows, -1, g.shape[-1]).sum(1) for g in output_gradients]).sum(0)
            total = total + biases.square().sum(1)
        return total.detach(), losses.detach()

    def _one_by_one(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        squared, losses = [], []
        for place in range(len(targets)):
            row, target = [value[place : place + 1] for value in inputs], targets[place : place + 1]
            squared.append(torch.stack([value.square().sum() for value in self.gradient(row, target).values()]).sum())
            with torch.no_grad():
                losses.append(self.losses(self.weights, row, target)[0])
        return torch.stack(squared), torch.stack(losses)

    def _at_once(self, inputs: list[torch.Tensor], targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def loss(weights: Weights, target: torch.Tensor, *row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            answer = joined(functional_call(self.model, weights, tuple(value.unsqueeze(0) for value in row)))
            value = self.objective.loss(answer, target.unsqueeze(0))
            return value, value.detach()

        in_dims = (None, 0, *(0 for _ in inputs))
        with math_attention():
            gradients_and_losses: tuple[Weights, torch.Tensor] = vmap(grad(loss, has_aux=True), in_dims=in_dims)(
                self.weights, targets, *inputs
            )
        gradients, losses = gradients_and_losses
        squared: Any = sum(value.flatten(1).square().sum(1) for value in gradients.values())
        return squared, losses

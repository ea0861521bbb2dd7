"""Recurrent modules with other activations than those of torch.nn, which compute one step after the other in Python."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.nn.recurrent import by_example, by_layer


def recurrent_activation(name: str, x: torch.Tensor) -> torch.Tensor:
    """An activation of a gate or a state; "hard_sigmoid_0.2" has the slope 0.2, "hard_sigmoid" the slope 1/6."""
    if name == "hard_sigmoid_0.2":
        return (0.2 * x + 0.5).clamp(0, 1)
    if name == "linear":
        return x
    result: torch.Tensor = getattr(torch if hasattr(torch, name) else F, name.replace("_", ""))(x)
    return result


class SteppedRecurrent(nn.RNNBase):
    """A recurrent network, step by step: x (N, T, D), states (N, layers · directions · H) -> (N, T, H), (N, H).

    Without initial states it begins with zeros; `final_states` appends the final states to the outputs.
    """

    gates: str  # the mode of torch.nn with the same number of gates

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: str = "tanh",
        gate_activation: str = "sigmoid",
        final_states: bool = False,
        **options: bool | float,
    ) -> None:
        super().__init__(self.gates, input_size, hidden_size, **options)  # type: ignore[arg-type]
        self.activation, self.gate_activation, self.final_states = activation, gate_activation, final_states

    def step(
        self, inputs: torch.Tensor, states: list[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor | None
    ) -> list[torch.Tensor]:
        """The next states (N, H) from the projected inputs (N, gates · H) and the weights of the states."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        suffixes = ("", "_reverse") if self.bidirectional else ("",)
        count = self.num_layers * len(suffixes)
        # Not `len(x)`, which would fix the number of rows of an exported network
        zeros = x.new_zeros(count, x.shape[0], self.hidden_size)
        initial = [by_layer(self, state) for state in states] or [zeros] * (2 if self.mode == "LSTM" else 1)
        finals: list[list[torch.Tensor]] = []
        for layer in range(self.num_layers):
            directions = []
            for suffix in suffixes:
                # One product for the inputs of all steps; a layer without biases has no such attributes.
                names = (f"bias_{kind}_l{layer}{suffix}" for kind in ("ih", "hh"))
                bias_ih, bias_hh = (getattr(self, name, None) for name in names)
                projected = F.linear(x, getattr(self, f"weight_ih_l{layer}{suffix}"), bias_ih).unbind(1)
                weight = getattr(self, f"weight_hh_l{layer}{suffix}")
                current = [state[len(finals)] for state in initial]
                outputs = []
                for inputs in projected[::-1] if suffix else projected:
                    current = self.step(inputs, current, weight, bias_hh)
                    outputs.append(current[0])
                finals.append(current)
                directions.append(torch.stack(outputs[::-1] if suffix else outputs, 1))
            x = torch.cat(directions, 2)
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        last = torch.cat([final[0] for final in finals[-len(suffixes) :]], 1)
        final = [by_example(torch.stack(parts)) for parts in zip(*finals, strict=True)]
        return (x, last, *final) if self.final_states else (x, last)


class SteppedLSTM(SteppedRecurrent):
    """An LSTM with other activations than tanh for its memory and state, or than the sigmoid for its gates.

    https://www.bioinf.jku.at/publications/older/2604.pdf
    """

    gates = "LSTM"

    def step(
        self, inputs: torch.Tensor, states: list[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor | None
    ) -> list[torch.Tensor]:
        state, memory = states
        write, forget, new, read = (inputs + F.linear(state, weight, bias)).chunk(4, 1)
        write, forget, read = (recurrent_activation(self.gate_activation, gate) for gate in (write, forget, read))
        memory = forget * memory + write * recurrent_activation(self.activation, new)
        return [read * recurrent_activation(self.activation, memory), memory]


class SteppedGRU(SteppedRecurrent):
    """A GRU with other activations than tanh and the sigmoid, or that resets its state before the product.

    https://arxiv.org/abs/1406.1078
    """

    gates = "GRU"

    def __init__(
        self, input_size: int, hidden_size: int, reset_after: bool = True, **options: bool | float | str
    ) -> None:
        super().__init__(input_size, hidden_size, **options)  # type: ignore[arg-type]
        self.reset_after = reset_after

    def step(
        self, inputs: torch.Tensor, states: list[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor | None
    ) -> list[torch.Tensor]:
        (state,), size = states, self.hidden_size
        gates_bias, new_bias = (None, None) if bias is None else (bias[: 2 * size], bias[2 * size :])
        gates = inputs[:, : 2 * size] + F.linear(state, weight[: 2 * size], gates_bias)
        reset, keep = recurrent_activation(self.gate_activation, gates).chunk(2, 1)
        if self.reset_after:
            hidden = reset * F.linear(state, weight[2 * size :], new_bias)
        else:
            hidden = F.linear(reset * state, weight[2 * size :], new_bias)
        new = recurrent_activation(self.activation, inputs[:, 2 * size :] + hidden)
        return [(1 - keep) * new + keep * state]


class SteppedRNN(SteppedRecurrent):
    """A plain recurrent network with another activation than tanh and ReLU.

    https://doi.org/10.1207/s15516709cog1402_1
    """

    gates = "RNN_TANH"

    def __init__(
        self, input_size: int, hidden_size: int, nonlinearity: str, final_states: bool = False, **options: bool | float
    ) -> None:
        super().__init__(input_size, hidden_size, nonlinearity, final_states=final_states, **options)  # type: ignore[arg-type]

    def step(
        self, inputs: torch.Tensor, states: list[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor | None
    ) -> list[torch.Tensor]:
        return [recurrent_activation(self.activation, inputs + F.linear(states[0], weight, bias))]

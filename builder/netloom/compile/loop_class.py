"""The classes of generated code that apply a network once for each step along an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from netloom.document import SUBNETWORK, Node
from netloom.layers.subnetwork import Initial, Subnetwork
from netloom.validation import Context

# The attribute of the network that is applied at each step.
CELL = "cell"


def is_loop(node: Node) -> bool:
    """Whether the module of a node applies a network once for each step along an axis."""
    return node.type == SUBNETWORK and node.params.get("along") == "axis"


@dataclass(frozen=True)
class State:
    """A tensor that each step hands to the next one: its name, and the name of the result that is its next value.

    The argument of the class with its shape is named `shape`.
    """

    name: str
    following: str
    initial: Initial
    is_integer: bool

    @property
    def shape(self) -> str:
        """The name of the argument with the shape of the initial value."""
        return f"{self.name}_shape"

    @property
    def buffer(self) -> str:
        """The attribute with the initial value of one example."""
        return f"initial_{self.name}"


@dataclass(frozen=True)
class LoopClass:
    """The class that applies a network once for each step.

    `inputs` are the inputs of the network by name in the order of its `forward`, of which `sliced` receive one step at
    a time; `outputs` are its results.
    """

    name: str
    network: str
    axis: int
    is_reversed: bool
    inputs: tuple[str, ...]
    sliced: tuple[str, ...]
    states: tuple[State, ...]
    outputs: tuple[str, ...]
    sums_auxiliary_losses: bool

    @property
    def source(self) -> str:
        """The Python code of the class."""
        return "\n".join([*self._head(), *self._constructor(), "", *self._forward()])

    @property
    def stored_states(self) -> tuple[State, ...]:
        """The states whose initial value is an attribute instead of an input."""
        return tuple(state for state in self.states if state.initial != "input")

    def _head(self) -> list[str]:
        names = " and ".join(state.name for state in self.states)
        order = "from the last step to the first" if self.is_reversed else "from the first step to the last"
        lines = [f"# {self.network} is applied once for each step along axis {self.axis}, {order}."]
        lines += [f"# Each step hands {names} to the next one."] if names else []
        return [*lines, f"class {self.name}(nn.Module):"]

    def _constructor(self) -> list[str]:
        shapes = "".join(f", {state.shape}: tuple[int, ...]" for state in self.stored_states)
        lines = [
            f"    def __init__(self, {CELL}: nn.Module{shapes}) -> None:",
            "        super().__init__()",
            f"        self.{CELL} = {CELL}",
        ]
        for state in self.stored_states:
            zeros = f"torch.zeros({state.shape}{', dtype=torch.int64' if state.is_integer else ''})"
            lines.append(
                f"        self.{state.buffer} = nn.Parameter({zeros})"
                if state.initial == "learned"
                else f'        self.register_buffer("{state.buffer}", {zeros}, persistent=False)'
            )
        return lines

    def _forward(self) -> list[str]:
        names = _Names(("zip", "reversed", "AuxiliaryLossSum"))
        local = {name: names.free(name) for name in (*self.inputs, *self.outputs)}
        steps = {name: names.free(f"{local[name]}_step") for name in self.sliced}
        results = {name: names.free(f"{local[name]}_steps") for name in self.outputs}
        losses = names.free("losses") if self.sums_auxiliary_losses else ""
        stored = {state.name for state in self.stored_states}
        arguments = [f"{local[name]}: torch.Tensor" for name in self.inputs if name not in stored]
        count = len(self.outputs) + len(self.states)
        result = "torch.Tensor" if count == 1 else f"tuple[{', '.join(['torch.Tensor'] * count)}]"
        rows = f"{local[self.sliced[0]]}.shape[0]"
        lines = [f"    def forward(self, {', '.join(arguments)}) -> {result}:"]
        lines += [
            f"        {local[state.name]} = self.{state.buffer}.expand({rows}, *self.{state.buffer}.shape)"
            for state in self.stored_states
        ]
        lines += [f"        {', '.join(results.values())} = {', '.join(['[]'] * len(results))}"]
        lines += [f"        {losses} = AuxiliaryLossSum(self)"] if losses else []
        received = ", ".join(steps.get(name, local[name]) for name in self.inputs)
        lines += [
            f"        for {', '.join(steps.values())} in {self._steps([local[name] for name in self.sliced])}:",
            f"            {', '.join(local[name] for name in self.outputs)} = self.{CELL}({received})",
        ]
        if self.states:
            before = ", ".join(local[state.name] for state in self.states)
            lines.append(f"            {before} = {', '.join(local[state.following] for state in self.states)}")
        lines += [f"            {results[name]}.append({local[name]})" for name in self.outputs]
        lines += [f"            {losses}.add()", f"        {losses}.assign()"] if losses else []
        order = "[::-1]" if self.is_reversed else ""
        returned = [f"torch.stack({results[name]}{order}, {self.axis})" for name in self.outputs]
        returned += [local[state.name] for state in self.states]
        return [*lines, f"        return {', '.join(returned)}"]

    def _steps(self, sequences: list[str]) -> str:
        """The steps of these variables in the order in which they are processed."""
        parts = [f"{name}.unbind({self.axis})" for name in sequences]
        parts = [f"reversed({part})" for part in parts] if self.is_reversed else parts
        return parts[0] if len(parts) == 1 else f"zip({', '.join(parts)}, strict=True)"


class LoopClasses:
    """The loop classes of a module, each once."""

    def __init__(self) -> None:
        self._by_content: dict[LoopClass, LoopClass] = {}

    def add(
        self, layer: Subnetwork, inner: Context, network: str, has_auxiliary_loss: bool, new_name: Callable[[str], str]
    ) -> LoopClass:
        """The class that applies a network, whose own class is `network`, as the layer says.

        `new_name` returns an unused name for a class like the given one.
        """
        inputs, outputs = dict(layer.interface.inputs), dict(layer.interface.outputs)
        states = tuple(
            State(inputs[port], outputs[layer.states[port]], layer.initial_value(port), spec.dtype == "int")
            for port, spec in inner.step(layer).states.items()
        )
        content = LoopClass(
            "",
            network,
            layer.axis,
            layer.is_reversed,
            tuple(inputs.values()),
            tuple(inputs[port] for port in layer.sliced),
            states,
            tuple(outputs.values()),
            sums_auxiliary_losses=has_auxiliary_loss,
        )
        if content not in self._by_content:
            self._by_content[content] = replace(content, name=new_name(f"{network}Loop"))
        return self._by_content[content]


class _Names:
    """Names of variables that do not collide."""

    def __init__(self, used: Iterable[str]) -> None:
        self.used = set(used)

    def free(self, name: str) -> str:
        """The name, with underscores until no other variable has it."""
        while name in self.used:
            name += "_"
        self.used.add(name)
        return name

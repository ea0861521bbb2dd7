"""The lines of generated code that set the initial weights."""

from __future__ import annotations

import keyword
from collections.abc import Iterable

from netloom.compile.network_classes import NetworkClass
from netloom.document.initialization import Initialization
from netloom.validation import Context
from netloom.validation.initial_weights import count_branches, node_weights, residual_ends
from netloom.validation.weight_matrices import WeightMatrix

_INDENT = " " * 8
# The maximum length of a line of generated code, beyond which a list has a line for each weight.
_LENGTH = 110


def initialization_lines(network_class: NetworkClass, main: Context) -> list[str]:
    """The lines of `__init__` that set the initial weights of a network; empty if all layers keep their defaults.

    Weights with equal statements share a loop.
    """
    context = network_class.context
    statements: dict[tuple[str, ...], list[str]] = {}
    paddings: list[str] = []
    ends: dict[str, tuple[str, ...]] | None = None
    for key in network_class.nodes:
        setting = main.project.initialization(context.name, key)
        if setting is None:
            continue
        ends = residual_ends(context) if ends is None else ends
        scaled = ends.get(key, ()) if setting.residual else ()
        weights = node_weights(context, key)
        for matrix in weights.matrices:
            weight = _attribute(key, matrix.name)
            branches = count_branches(main) if matrix.name in scaled else 1
            statements.setdefault(_statements(setting, matrix, weight, branches), []).append(weight)
            if matrix.padding is not None:
                paddings.append(f"nn.init.zeros_({weight}[{matrix.padding}])")
        if setting.bias == "zeros":
            for name in weights.biases:
                statements.setdefault(("nn.init.zeros_({bias})",), []).append(_attribute(key, name))
    lines = [line for calls, names in statements.items() for line in _loop(calls, names)]
    return [f"{_INDENT}{line}" for line in [*lines, *paddings]]


def _statements(setting: Initialization, matrix: WeightMatrix, weight: str, branches: int) -> tuple[str, ...]:
    """The statements that initialize a weight, written {weight}, of a layer in one of several residual branches."""
    options = setting.options
    root = f"math.sqrt({branches})"
    divided = ("{weight}.data.div_(" + root + ")",) if branches > 1 else ()
    if setting.method == "normal":
        std = f"{options['std']!r} / {root}" if branches > 1 else f"{options['std']!r}"
        return ("nn.init.normal_({weight}, std=" + std + ")",)
    if setting.method == "truncated_normal":
        std = options["std"]
        return ("nn.init.trunc_normal_({weight}, std=" + f"{std!r}, a={-2 * std!r}, b={2 * std!r})", *divided)
    if setting.method == "uniform":
        return ("nn.init.uniform_({weight}, " + f"{-options['bound']!r}, {options['bound']!r})", *divided)
    if setting.method == "zeros":
        return ("nn.init.zeros_({weight})",)
    if setting.method == "identity":
        if matrix.axes == 2:
            return ("nn.init.eye_({weight})",)
        groups = f", groups={weight.rpartition('.')[0]}.groups" if matrix.is_grouped else ""
        return ("nn.init.dirac_({weight}" + groups + ")",)
    if setting.method.startswith("kaiming"):
        # PyTorch reads the fans of (outputs, inputs).
        is_out = (options["fan"] == "out") != matrix.is_transposed
        mode = ', mode="fan_out"' if is_out else ""
        if setting.gain is None:
            return ("nn.init." + setting.method + "_({weight}" + mode + ', nonlinearity="relu")', *divided)
        gain = ("{weight}.data.mul_(" + f"{setting.gain!r})",)
        return ("nn.init." + setting.method + "_({weight}" + mode + ', nonlinearity="linear")', *gain, *divided)
    gain_argument = f", gain={setting.gain!r}" if setting.gain is not None else ""
    return ("nn.init." + setting.method + "_({weight}" + gain_argument + ")", *divided)


def _loop(calls: tuple[str, ...], names: list[str]) -> Iterable[str]:
    variable = "bias" if "{bias}" in calls[0] else "weight"
    if len(names) == 1:
        return [call.replace(f"{{{variable}}}", names[0]) for call in calls]
    head = f"for {variable} in ({', '.join(names)}):"
    heads = [head] if len(_INDENT + head) <= _LENGTH else [f"for {variable} in (", *(f"    {n}," for n in names), "):"]
    return [*heads, *(f"    {call.replace(f'{{{variable}}}', variable)}" for call in calls)]


def _attribute(key: str, name: str) -> str:
    """A parameter of a node as code, such as self.block_1.layers[0].weight."""
    code = f"self.{key}"
    for part in name.split("."):
        if part.isdigit():
            code += f"[{part}]"
        elif part.isidentifier() and not keyword.iskeyword(part):
            code += f".{part}"
        else:  # a name that only code of the author can give
            return f"self.{key}.get_parameter({name!r})"
    return code

"""Which layers each operator of ONNX becomes: one entry of the table each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from builder.compile.importers.onnx.drawing import BATCH, Array, Constant, Drawing, Refusal, Tensor, Value, padded
from builder.compile.importers.onnx.shapes import broadcast_to, reshape

KINDS = {3: "1d", 4: "2d", 5: "3d"}
FAR = 2**31


@dataclass(frozen=True)
class Call:
    """One operator as it is drawn: what goes in, what it is called, and its attributes."""

    type: str
    name: str
    inputs: tuple[Value | None, ...]
    attributes: dict[str, Any]
    draw: Drawing
    opset: int
    wanted: tuple[bool, ...] = (True,)
    feeds: frozenset[str] = frozenset()

    def tensor(self, place: int = 0) -> Tensor:
        value = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(value, Tensor):
            raise Refusal(f"input {place + 1} has to be computed from the network's inputs")
        return value

    def constant(self, place: int) -> Constant | None:
        value = self.inputs[place] if place < len(self.inputs) else None
        if isinstance(value, Tensor):
            raise Refusal(f"input {place + 1} has to be fixed in the file")
        return value

    def weight(self, place: int) -> Array | None:
        found = self.constant(place)
        return None if found is None else found.array

    def needed(self, place: int) -> Array:
        found = self.weight(place)
        if found is None:
            raise Refusal(f"input {place + 1} is missing")
        return found

    def number(self, place: int) -> float | None:
        """A fixed number, or None where there is none."""
        value = self.inputs[place] if place < len(self.inputs) else None
        return value.scalar if isinstance(value, Constant) else None

    def get(self, name: str, default: Any) -> Any:
        value = self.attributes.get(name)
        return default if value is None else value

    def whole(self, place: int, attribute: str) -> list[int] | None:
        """Whole numbers that are an input in newer files and an attribute in older ones."""
        if attribute in self.attributes:
            value = self.attributes[attribute]
            return [value] if isinstance(value, int) else list(value)
        found = self.weight(place)
        return None if found is None else [int(value) for value in found.reshape(-1)]

    def axis(self, default: int = -1, rank: int | None = None) -> int:
        rank = self.tensor().rank if rank is None else rank
        return placed(int(self.get("axis", default)), rank)

    def base(self, place: int) -> str:
        """The name of the module whose weights these are, such as layer1.0.conv1."""
        found = self.inputs[place] if place < len(self.inputs) else None
        name = found.weight if isinstance(found, Constant) else ""
        if name.endswith((".weight", ".bias")) and not name.startswith("onnx::"):
            return name.rpartition(".")[0]
        parts = [part for part in self.name.split("/") if part]
        return ".".join(parts[:-1]) if len(parts) > 1 and self.name.startswith("/") else self.name


Drawer = Callable[[Call], Sequence[Value | None]]
OPERATORS: dict[str, Drawer] = {}


def operator(*names: str) -> Callable[[Drawer], Drawer]:
    def enter(drawer: Drawer) -> Drawer:
        OPERATORS.update(dict.fromkeys(names, drawer))
        return drawer

    return enter


def placed(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise Refusal(f"there is no axis {axis} among {rank}")
    return axis % rank


# One number at a time.


def _activation(kind: str, **fields: tuple[str, Any]) -> Drawer:
    """A layer that keeps the shape; `fields` are its parameters with ONNX's attribute and its default."""

    def drawer(call: Call) -> list[Value]:
        params = {name: call.get(attribute, default) for name, (attribute, default) in fields.items()}
        return [elementwise(call.draw, kind, call.tensor(), call.name, **params)]

    return drawer


def elementwise(draw: Drawing, kind: str, tensor: Tensor, name: str, /, **params: Any) -> Tensor:
    return draw.like(draw.draw(kind, tensor, name, **params), tensor)


OPERATORS |= {
    "Relu": _activation("ReLU"),
    "LeakyRelu": _activation("LeakyReLU", slope=("alpha", 0.01)),
    "Elu": _activation("ELU", alpha=("alpha", 1.0)),
    "Celu": _activation("CELU", alpha=("alpha", 1.0)),
    "Sigmoid": _activation("Sigmoid"),
    "Tanh": _activation("Tanh"),
    "Softplus": _activation("Softplus"),
    "Softsign": _activation("Softsign"),
    "HardSwish": _activation("Hardswish"),
    "Mish": _activation("Mish"),
    "Gelu": _activation("GELU", approximate=("approximate", "none")),
}
for _kind, _name in {
    "Abs": "abs", "Neg": "neg", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Reciprocal": "reciprocal", "Sin": "sin",
    "Cos": "cos", "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan", "Sinh": "sinh", "Cosh": "cosh",
    "Asinh": "asinh", "Erf": "erf", "Sign": "sign", "Floor": "floor", "Ceil": "ceil", "Round": "round",
}.items():  # fmt: skip
    OPERATORS[_kind] = _activation("Function", function=("", _name))


@operator("Selu")
def _selu(call: Call) -> list[Value]:
    if abs(call.get("alpha", 1.6732632) - 1.6732632) > 1e-5 or abs(call.get("gamma", 1.0507010) - 1.0507010) > 1e-5:
        raise Refusal("only SELU with its published constants can be drawn")
    return [elementwise(call.draw, "SELU", call.tensor(), call.name)]


@operator("HardSigmoid")
def _hard_sigmoid(call: Call) -> list[Value]:
    alpha, beta = call.get("alpha", 0.2), call.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return [elementwise(call.draw, "Hardsigmoid", call.tensor(), call.name)]
    scaled = elementwise(call.draw, "ScaleShift", call.tensor(), "", scale=alpha, shift=beta)
    return [elementwise(call.draw, "Clamp", scaled, call.name, low=0.0, high=1.0)]


@operator("Clip")
def _clip(call: Call) -> list[Value]:
    if call.opset < 11:
        low, high = call.get("min", None), call.get("max", None)
    else:
        low, high = call.number(1), call.number(2)
    low = None if low is None or low < -1e9 else low
    high = None if high is None or high > 1e9 else high
    if (low, high) == (0.0, 6.0):
        return [elementwise(call.draw, "ReLU6", call.tensor(), call.name)]
    if low is None and high is None:
        return [call.tensor()]
    return [elementwise(call.draw, "Clamp", call.tensor(), call.name, low=low, high=high)]


@operator("PRelu")
def _prelu(call: Call) -> list[Value]:
    slope = call.needed(1)
    tensor = call.draw.straight(call.tensor())
    if slope.size > 1 and (tensor.rank < 2 or slope.size != tensor.length(1) or slope.size != max(slope.shape)):
        raise Refusal("its slopes have to be one, or one for each channel")
    weights = {"weight": slope.reshape(-1)}
    return [call.draw.draw("PReLU", tensor, call.base(1), per_channel=slope.size > 1, weights=weights)]


@operator("Softmax", "LogSoftmax")
def _softmax(call: Call) -> list[Value]:
    tensor = call.tensor()
    axis = call.axis(-1 if call.opset >= 13 else 1)
    if call.opset < 13 and axis != tensor.rank - 1:
        raise Refusal("before opset 13 it works over several axes at once; export the network with a newer opset")
    inner = call.draw.single(tensor, axis)
    params = {} if inner == len(tensor.spec.shape) - 1 else {"axis": inner}
    return [elementwise(call.draw, call.type if call.type == "Softmax" else "LogSoftmax", tensor, call.name, **params)]


@operator("Identity", "Dropout")
def _same(call: Call) -> list[Value | None]:
    if call.wanted[1:] and any(call.wanted[1:]):
        raise Refusal("the mask of a dropout is random")
    return [call.inputs[0], None]


@operator("Cast", "CastLike")
def _cast(call: Call) -> list[Value]:
    tensor = call.tensor()
    if call.type == "CastLike":
        return [tensor]
    to = int(call.get("to", 1))
    if to == 9:
        if tensor.boolean:
            return [tensor]
        made = elementwise(call.draw, "Compare", tensor, call.name, relation="!=", value=0.0)
        return [replace(made, boolean=True)]
    kind = "float" if to in (1, 10, 11, 16) else "int"
    if tensor.spec.dtype == kind:
        return [replace(tensor, boolean=False)]
    return [elementwise(call.draw, "Cast", tensor, call.name, to=kind)]


# Several tensors, place by place.


def joined(call: Call, kind: str, values: Sequence[Value], ports: str = "abcdefghijklmnop", **params: Any) -> Tensor:
    tensors, axes = call.draw.aligned(values)
    if len({tensor.spec.dtype for tensor in tensors}) > 1 and kind not in ("Where", "Compare"):
        tensors = [
            call.draw.like(call.draw.draw("Cast", tensor, "cast", to="float"), tensor)
            if tensor.spec.dtype == "int"
            else tensor
            for tensor in tensors
        ]
    if len(values) > 2 and kind in ("Add", "Multiply", "Maximum", "Minimum", "Average"):
        params["count"] = len(values)
    made = call.draw.draw(kind, dict(zip(ports, tensors, strict=False)), call.name, **params)
    return Tensor(made.ref, made.spec, axes)


def _scaled(call: Call, tensor: Tensor, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    if (scale, shift) == (1.0, 0.0):
        return tensor
    made = elementwise(call.draw, "ScaleShift", tensor, call.name, scale=scale, shift=shift)
    if (
        tensor.spec.dtype == "int"
        and made.spec.dtype == "float"
        and float(scale).is_integer()
        and float(shift).is_integer()
    ):
        return elementwise(call.draw, "Cast", made, "cast", to="int")
    return made


def _small(number: float | None) -> bool:
    return number is not None and math.isfinite(number) and abs(number) <= 1e9


def _grows(call: Call, tensor: Tensor, place: int) -> bool:
    """Whether the constant makes the result larger than the tensor."""
    other = call.inputs[place]
    if not isinstance(other, Constant):
        return True
    shape = np.broadcast_shapes(tensor.shape, tuple(BATCH if size == BATCH else size for size in other.shape))
    return tuple(shape) != tensor.shape


@operator("Add", "Sub", "Mul", "Div", "Pow", "Sum", "Max", "Min", "Mean")
def _arithmetic(call: Call) -> list[Value]:
    kind, values = call.type, [value for value in call.inputs if value is not None]
    if len(values) == 1:
        return [call.tensor()]
    if len(values) == 2:
        for place in (0, 1):
            number, other = call.number(place), values[1 - place]
            if not isinstance(other, Tensor) or number is None or not _small(number) or _grows(call, other, place):
                continue
            found = _with_number(call, kind, other, number, first=place == 0)
            if found is not None:
                return [found]
    name = {
        **{"Add": "Add", "Sum": "Add", "Mul": "Multiply", "Sub": "Subtract", "Div": "Divide", "Pow": "Power"},
        **{"Max": "Maximum", "Min": "Minimum", "Mean": "Average"},
    }[kind]
    params: dict[str, Any] = {"exponent": None} if name == "Power" else {}
    result: Value = values[0]
    if len(values) <= 2 or name == "Average":
        return [joined(call, name, values, **params)]
    for start in range(1, len(values), 15):
        result = joined(call, name, [result, *values[start : start + 15]], **params)
    return [result]


def _with_number(call: Call, kind: str, tensor: Tensor, number: float, first: bool) -> Tensor | None:
    if kind in ("Add", "Sum"):
        return _scaled(call, tensor, shift=number)
    if kind == "Mul":
        return _scaled(call, tensor, scale=number)
    if kind == "Sub":
        return _scaled(call, tensor, -1.0 if first else 1.0, number if first else -number)
    if kind == "Div" and not first and number and _small(1 / number) and tensor.spec.dtype == "float":
        return _scaled(call, tensor, scale=1 / number)
    if kind == "Div" and first:
        return _scaled(call, elementwise(call.draw, "Function", tensor, call.name, function="reciprocal"), scale=number)
    if kind == "Pow" and not first and abs(number) <= 64:
        if number == 0.5:
            return elementwise(call.draw, "Function", tensor, call.name, function="sqrt")
        return elementwise(call.draw, "Power", tensor, call.name, exponent=number)
    if kind == "Max":
        return elementwise(call.draw, "Clamp", tensor, call.name, low=number, high=None)
    if kind == "Min":
        return elementwise(call.draw, "Clamp", tensor, call.name, low=None, high=number)
    return None


_RELATIONS = {"Less": "<", "LessOrEqual": "<=", "Equal": "==", "GreaterOrEqual": ">=", "Greater": ">"}
_TURNED = {"<": ">", "<=": ">=", "==": "==", ">=": "<=", ">": "<"}


@operator(*_RELATIONS)
def _compare(call: Call) -> list[Value]:
    relation = _RELATIONS[call.type]
    for place in (1, 0):
        number, other = call.number(place), call.inputs[1 - place]
        if isinstance(other, Tensor) and number is not None and _small(number) and not _grows(call, other, place):
            relation = _TURNED[relation] if place == 0 else relation
            made = elementwise(call.draw, "Compare", other, call.name, relation=relation, value=number)
            return [replace(made, boolean=True)]
    values = [value for value in call.inputs if value is not None]
    return [replace(joined(call, "Compare", values, relation=relation), boolean=True)]


@operator("Not")
def _not(call: Call) -> list[Value]:
    return [
        replace(elementwise(call.draw, "ScaleShift", call.tensor(), call.name, scale=-1.0, shift=1.0), boolean=True)
    ]


@operator("And", "Or")
def _and(call: Call) -> list[Value]:
    values = [value for value in call.inputs if value is not None]
    return [replace(joined(call, "Minimum" if call.type == "And" else "Maximum", values), boolean=True)]


@operator("Where")
def _where(call: Call) -> list[Value]:
    values = [value for value in call.inputs if value is not None]
    tensors, axes = call.draw.aligned(values)
    made = call.draw.draw("Where", dict(zip(("condition", "a", "b"), tensors, strict=True)), call.name)
    return [Tensor(made.ref, made.spec, axes)]


# Weights times what comes in.


def linear(call: Call, tensor: Tensor, weight: Array, bias: Array | None, name: str, origin: str = "") -> Tensor:
    """`weight` is (units, features), as PyTorch keeps it."""
    tensor = call.draw.last(tensor)
    if tensor.spec.kind not in ("vector", "sequence", "image"):
        raise Refusal(f"a linear layer does not take {tensor.spec}")
    weights = {"weight": np.ascontiguousarray(weight)} | ({} if bias is None else {"bias": bias.reshape(-1)})
    made = call.draw.draw(
        *("Linear", tensor, name), units=weight.shape[0], bias=bias is not None, weights=weights, weight=origin
    )
    return call.draw.like(made, tensor)


@operator("Gemm")
def _gemm(call: Call) -> list[Value]:
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    weight = call.needed(1)
    if call.get("transA", 0) or weight.ndim != 2 or call.tensor().rank != 2:
        raise Refusal("only rows times fixed weights can be drawn")
    turned = bool(call.get("transB", 0))
    weight = weight if turned else weight.T
    bias = call.weight(2)
    if bias is not None and bias.size not in (1, weight.shape[0]):
        raise Refusal("its constant has to be one number for each unit")
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1) * np.float32(beta), (weight.shape[0],)).copy()
    constant = call.constant(1)
    origin = constant.weight if constant and turned and alpha == 1 else ""
    return [linear(call, call.tensor(), weight * np.float32(alpha), bias, call.base(1), origin)]


@operator("MatMul")
def _matmul(call: Call) -> list[Value]:
    a, b = call.inputs[0], call.inputs[1]
    if isinstance(a, Tensor) and isinstance(b, Constant) and b.array.ndim == 2:
        return [linear(call, a, b.array.T, None, call.base(1))]
    if not isinstance(a, Tensor):
        a = call.draw.constant(_fixed(a), call.tensor(1))
    if not isinstance(b, Tensor):
        b = call.draw.constant(_fixed(b), a)
    return [product(call, a, b)]


def _fixed(value: Value | None) -> Constant:
    if not isinstance(value, Constant):
        raise Refusal("an input is missing")
    return value


def product(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """The matrices of two tensors multiplied."""
    rank = max(a.rank, b.rank)
    if min(a.rank, b.rank) < 2:
        raise Refusal("a product with a single row of numbers cannot be drawn")
    a, b = padded(a, rank), padded(b, rank)
    if a.batch != b.batch or a.batch >= rank - 2:
        raise Refusal("the batch has to be the same axis in front of both matrices")
    ends = [(tensor.axes[-2], tensor.axes[-1]) for tensor in (a, b)]
    if any(len(group) > 1 for pair in ends for group in pair):
        raise Refusal("its matrices are made of more than two axes")
    parts: list[tuple[int, int]] = []
    for axis in range(rank - 2):
        width = max(sum(inner != 0 for inner in tensor.axes[axis]) for tensor in (a, b))
        parts += [(axis, place) for place in range(width)]

    def inner(tensor: Tensor, part: tuple[int, int]) -> int | None:
        group = [axis for axis in tensor.axes[part[0]] if axis != 0]
        return group[part[1]] if part[1] < len(group) else None

    lead = next((one for one in (a, b) if all(inner(one, part) is not None for part in parts)), None)
    if lead is not None:
        parts.sort(key=lambda part: inner(lead, part) or 0)
    made, params = {}, {}
    for port, tensor, (row, column) in zip("ab", (a, b), ends, strict=True):
        last = [row[0] if row else None, column[0] if column else None]
        front = [inner(tensor, part) for part in parts]
        turned = None not in last and [*front, *last[::-1]] == list(range(1, len(tensor.spec.shape)))
        if turned:
            params[f"transpose_{port}"] = True
        made[port] = call.draw.arranged(tensor, [*front, *(last[::-1] if turned else last)])
    result = call.draw.draw("MatMul", made, call.name, **params)
    numbers = {part: number for number, part in enumerate(parts, 1)}
    axes: list[tuple[int, ...]] = []
    for axis in range(rank - 2):
        group = [numbers[part] for part in sorted(parts) if part[0] == axis]
        if axis == a.batch:
            longest = max((a, b), key=lambda tensor: len(tensor.axes[axis]))
            group.insert(longest.axes[axis].index(0), 0)
        axes.append(tuple(group))
    return Tensor(result.ref, result.spec, (*axes, (len(parts) + 1,), (len(parts) + 2,)))


@operator("Einsum")
def _einsum(call: Call) -> list[Value]:
    equation = str(call.get("equation", "")).replace(" ", "")
    tensors = [call.draw.straight(call.tensor(place)) for place in range(len(call.inputs))]
    ports = "abcd" if len(tensors) > 1 else ("in",)
    return [call.draw.draw("Einsum", dict(zip(ports, tensors, strict=False)), call.name, equation=equation)]


# Convolution and pooling.


def _equal(values: Sequence[int], what: str) -> int:
    if len(set(values)) != 1:
        raise Refusal(f"its {what} is {', '.join(map(str, values))}, and the layer has one number for all axes")
    return int(values[0])


def _window(
    call: Call, kernel: Sequence[int], tensor: Tensor, fill: float = 0.0
) -> tuple[Tensor, list[int], list[int]]:
    """The tensor with unequal borders added, the borders that are left, and the strides."""
    axes = len(kernel)
    strides = list(call.get("strides", [1] * axes))
    dilations = list(call.get("dilations", [1] * axes))
    pads = list(call.get("pads", [0] * 2 * axes))
    mode = call.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pads = [0] * 2 * axes
        for place in range(axes):
            length = tensor.length(place + 2)
            reach = (
                (math.ceil(length / strides[place]) - 1) * strides[place] + dilations[place] * (kernel[place] - 1) + 1
            )
            total = max(0, reach - length)
            small, large = total // 2, total - total // 2
            pads[place], pads[place + axes] = (small, large) if mode == "SAME_UPPER" else (large, small)
    elif mode == "VALID":
        pads = [0] * 2 * axes
    if len(pads) != 2 * axes or len(strides) != axes:
        raise Refusal("its numbers do not fit its axes")
    if pads[:axes] != pads[axes:]:
        sides = tuple(value for place in reversed(range(axes)) for value in (pads[place], pads[place + axes]))
        if fill == -math.inf:
            raise Refusal("its borders differ, which a max pool cannot have")
        tensor = call.draw.draw(f"ZeroPad{axes}d", tensor, "pad", sides=sides)
        return tensor, [0] * axes, strides
    return tensor, pads[:axes], strides


@operator("Conv")
def _convolution(call: Call) -> list[Value]:
    tensor, weight, bias = call.draw.straight(call.tensor()), call.needed(1), call.weight(2)
    if tensor.rank not in KINDS or weight.ndim != tensor.rank:
        raise Refusal(f"a convolution over {tensor.rank - 2} axes cannot be drawn")
    kernel = list(weight.shape[2:])
    tensor, pads, strides = _window(call, kernel, tensor)
    dilation = _equal(call.get("dilations", [1] * len(kernel)), "dilation")
    params: dict[str, Any] = {"padding": pads[0]}
    if len(set(pads)) > 1:
        if all(2 * pad == dilation * (length - 1) for pad, length in zip(pads, kernel, strict=True)):
            params = {"same": True}
        else:
            sides = tuple(pad for pad in reversed(pads) for _ in range(2))
            tensor = call.draw.draw(f"ZeroPad{len(kernel)}d", tensor, "pad", sides=sides)
            params = {"padding": 0}
    params |= {"kernel_size": kernel[0]} if len(set(kernel)) == 1 else {"kernel_shape": tuple(kernel)}
    stride = strides[0] if len(set(strides)) == 1 else 1
    made = call.draw.draw(
        *(f"Conv{KINDS[tensor.rank]}", tensor, call.base(1)),
        filters=weight.shape[0],
        stride=stride,
        dilation=dilation,
        groups=int(call.get("group", 1)),
        bias=bias is not None,
        weights={"weight": weight} | ({} if bias is None else {"bias": bias.reshape(-1)}),
        weight=_origin(call),
        **params,
    )
    if len(set(strides)) > 1:
        for place, step in enumerate(strides, 2):
            if step > 1:
                made = call.draw.draw("Slice", made, "stride", axis=place, step=step)
    return [made]


def _origin(call: Call) -> str:
    found = call.constant(1)
    return found.weight if found else ""


@operator("ConvTranspose")
def _transposed(call: Call) -> list[Value]:
    tensor, weight, bias = call.draw.straight(call.tensor()), call.needed(1), call.weight(2)
    kernel = list(weight.shape[2:])
    if tensor.rank not in KINDS or call.get("auto_pad", "NOTSET") != "NOTSET" or call.get("output_shape", []):
        raise Refusal("only explicit borders of one to three axes can be drawn")
    axes, groups = len(kernel), int(call.get("group", 1))
    pads = call.get("pads", [0] * 2 * axes)
    made = call.draw.draw(
        *(f"ConvTranspose{KINDS[tensor.rank]}", tensor, call.base(1)),
        filters=weight.shape[1] * groups,
        kernel_shape=tuple(kernel) if len(set(kernel)) > 1 else (),
        kernel_size=kernel[0],
        stride=_equal(call.get("strides", [1] * axes), "stride"),
        padding=_equal(pads, "padding"),
        output_padding=_equal(call.get("output_padding", [0] * axes), "output padding"),
        dilation=_equal(call.get("dilations", [1] * axes), "dilation"),
        groups=groups,
        bias=bias is not None,
        weights={"weight": weight} | ({} if bias is None else {"bias": bias.reshape(-1)}),
    )
    return [made]


@operator("MaxPool", "AveragePool")
def _pool(call: Call) -> list[Value | None]:
    tensor = call.draw.straight(call.tensor())
    kernel = list(call.get("kernel_shape", []))
    if call.wanted[1:] and any(call.wanted[1:]):
        raise Refusal("the places of its maxima are asked for")
    if tensor.rank not in KINDS or len(kernel) != tensor.rank - 2 or set(call.get("dilations", [1])) != {1}:
        raise Refusal("only plain windows over one to three axes can be drawn")
    most = call.type == "MaxPool"
    tensor, pads, strides = _window(call, kernel, tensor, -math.inf if most else 0.0)
    if not most and any(pads) and not call.get("count_include_pad", 0):
        raise Refusal("its means leave out the border, which the layer cannot; use count_include_pad=True")
    size = _equal(kernel, "window")
    params: dict[str, Any] = {"kernel_size": size, "padding": _equal(pads, "padding")}
    stride = _equal(strides, "stride")
    params |= {"stride": stride} if stride != size else {}
    params |= {"ceil_mode": True} if call.get("ceil_mode", 0) else {}
    made = call.draw.draw(f"{'Max' if most else 'Avg'}Pool{KINDS[tensor.rank]}", tensor, call.name, **params)
    return [made, None]


@operator("GlobalAveragePool", "GlobalMaxPool")
def _global(call: Call) -> list[Value]:
    return [_pooled(call, "Avg" if call.type == "GlobalAveragePool" else "Max", keep=True)]


def _pooled(call: Call, kind: str, keep: bool) -> Tensor:
    tensor = call.draw.straight(call.tensor())
    places = tensor.rank - 2
    if keep and "Conv" in call.feeds:
        return call.draw.draw(f"Adaptive{kind}Pool{KINDS[tensor.rank]}", tensor, call.name, size=1)
    made = call.draw.draw(f"Global{kind}Pool", tensor, call.name)
    return Tensor(made.ref, made.spec, ((0,), (1,), *(((),) * places if keep else ())))


_REDUCTIONS = {
    "ReduceSum": "Sum", "ReduceMin": "Min", "ReduceProd": "Prod", "ReduceLogSumExp": "LogSumExp", "ReduceL1": "Norm",
    "ReduceL2": "Norm", "ReduceMean": "Mean", "ReduceMax": "Max", "ReduceSumSquare": "Sum",
}  # fmt: skip


@operator(*_REDUCTIONS)
def _reduce(call: Call) -> list[Value]:
    tensor, keep = call.tensor(), bool(call.get("keepdims", 1))
    axes = call.whole(1, "axes")
    if axes is None or not axes:
        if call.get("noop_with_empty_axes", 0):
            return [tensor]
        axes = list(range(tensor.rank))
    asked = sorted({placed(axis, tensor.rank) for axis in axes})
    inner = sorted(part for axis in asked for part in tensor.axes[axis])
    if 0 in inner:
        raise Refusal("it would mix the examples of a batch")
    kind = _REDUCTIONS[call.type]
    rest = [axis for axis in range(tensor.rank) if axis not in asked]
    straight = tensor.axes == tuple((axis,) for axis in range(tensor.rank))
    if kind in ("Mean", "Max") and straight and asked == list(range(2, tensor.rank)) and tensor.rank in KINDS:
        return [_pooled(call, "Avg" if kind == "Mean" else "Max", keep)]
    left = [axis for axis in range(len(tensor.spec.shape)) if axis not in inner]
    if call.type == "ReduceSumSquare":
        tensor = elementwise(call.draw, "Function", tensor, "", function="square")
    made = tensor
    if inner and kind in ("Mean", "Max"):
        if len(tensor.spec.shape) == 2:
            made = call.draw.draw("Unsqueeze", made, "unsqueeze", axis=1)
            made = call.draw.draw(kind, made, call.name, axis=2)
            made = call.draw.draw("Squeeze", made, "squeeze", axis=1)
        else:
            for number, axis in enumerate(sorted(inner, reverse=True)):
                if len(made.spec.shape) == 2:
                    made = call.draw.draw("Unsqueeze", made, "unsqueeze", axis=1)
                    made = call.draw.draw(kind, made, call.name, axis=2)
                    made = call.draw.draw("Squeeze", made, "squeeze", axis=1)
                else:
                    made = call.draw.draw(kind, made, call.name if not number else "", axis=axis)
    elif inner:
        params: dict[str, Any] = {"axes": inner}
        if kind == "Norm":
            params["order"] = "L1" if call.type == "ReduceL1" else "L2"
        made = call.draw.draw(kind, made, call.name, **params)
    new = {old: place for place, old in enumerate(left)}
    groups = [
        () if axis in asked else tuple(new[part] for part in tensor.axes[axis])
        for axis in range(tensor.rank)
        if axis in rest or keep
    ]
    return [Tensor(made.ref, made.spec, tuple(groups))]


@operator("ArgMax", "ArgMin")
def _choice(call: Call) -> list[Value]:
    tensor = call.tensor()
    axis = call.axis(0)
    inner = call.draw.single(tensor, axis)
    made = call.draw.draw(call.type, tensor, call.name, axis=inner)
    groups = [tuple(part - (part > inner) for part in group) for group in tensor.axes]
    groups[axis : axis + 1] = [()] if call.get("keepdims", 1) else []
    return [Tensor(made.ref, made.spec, tuple(groups))]


@operator("CumSum")
def _running(call: Call) -> list[Value]:
    if call.get("exclusive", 0) or call.get("reverse", 0):
        raise Refusal("only a plain running total can be drawn")
    tensor = call.tensor()
    inner = call.draw.single(tensor, placed(int(call.needed(1).reshape(-1)[0]), tensor.rank))
    return [elementwise(call.draw, "CumSum", tensor, call.name, axis=inner)]


# Normalisation.


@operator("BatchNormalization")
def _batch_norm(call: Call) -> list[Value | None]:
    tensor = call.draw.straight(call.tensor())
    scale, bias, mean, var = (call.needed(place).reshape(-1) for place in range(1, 5))
    if call.get("training_mode", 0):
        raise Refusal("the file is of a network in training; export it after model.eval()")
    kind = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}.get(tensor.rank)
    if kind is None:
        raise Refusal(f"it does not take {tensor.rank} axes")
    stored = {"weight": scale, "bias": bias, "running_mean": mean, "running_var": var}
    made = call.draw.draw(
        *(f"BatchNorm{kind}", tensor, call.base(1)),
        epsilon=round(float(call.get("epsilon", 1e-5)), 12),
        weights={**stored, "num_batches_tracked": np.zeros((), np.int64)},
    )
    return [made, None, None, None, None]


@operator("LayerNormalization", "RMSNormalization")
def _layer_norm(call: Call) -> list[Value | None]:
    tensor = call.tensor()
    amount = tensor.rank - call.axis(-1)
    tensor = call.draw.last(tensor, amount)
    shape = tuple(tensor.length(axis) for axis in range(tensor.rank - amount, tensor.rank))
    weights = {"weight": np.broadcast_to(call.needed(1), shape).copy()}
    kind = "RMSNorm"
    if call.type == "LayerNormalization":
        kind, bias = "LayerNorm", call.weight(2)
        weights["bias"] = np.zeros(shape, np.float32) if bias is None else np.broadcast_to(bias, shape).copy()
    epsilon = round(float(call.get("epsilon", 1e-5)), 12)
    made = call.draw.draw(kind, tensor, call.base(1), epsilon=epsilon, axes=amount, weights=weights)
    return [call.draw.like(made, tensor), None, None]


@operator("InstanceNormalization")
def _instance_norm(call: Call) -> list[Value]:
    tensor = call.draw.straight(call.tensor())
    if tensor.rank not in KINDS:
        raise Refusal(f"it does not take {tensor.rank} axes")
    scale, bias = call.needed(1).reshape(-1), call.needed(2).reshape(-1)
    learned = bool(np.any(scale != 1) or np.any(bias != 0))
    weights = {"weight": scale, "bias": bias} if learned else None
    epsilon = round(float(call.get("epsilon", 1e-5)), 12)
    kind = f"InstanceNorm{KINDS[tensor.rank]}"
    return [call.draw.draw(kind, tensor, call.base(1), epsilon=epsilon, affine=learned, weights=weights)]


@operator("GroupNormalization")
def _group_norm(call: Call) -> list[Value]:
    tensor = call.draw.straight(call.tensor())
    groups, channels = int(call.get("num_groups", 1)), tensor.length(1)
    weights = {}
    for part, place in (("weight", 1), ("bias", 2)):
        found = call.needed(place).reshape(-1)
        weights[part] = np.repeat(found, channels // found.size)
    epsilon = round(float(call.get("epsilon", 1e-5)), 12)
    return [call.draw.draw("GroupNorm", tensor, call.base(1), groups=groups, epsilon=epsilon, weights=weights)]


@operator("LRN")
def _response_norm(call: Call) -> list[Value]:
    params = {"size": int(call.get("size", 5)), "alpha": round(call.get("alpha", 1e-4), 9)}
    params |= {"beta": round(call.get("beta", 0.75), 9), "k": call.get("bias", 1.0)}
    return [call.draw.draw("LocalResponseNorm", call.draw.straight(call.tensor()), call.name, **params)]


@operator("LpNormalization")
def _unit(call: Call) -> list[Value]:
    if call.get("p", 2) != 2:
        raise Refusal("only the length by squares can be drawn")
    tensor = call.tensor()
    return [elementwise(call.draw, "Normalize", tensor, call.name, axis=call.draw.single(tensor, call.axis()))]


# Shapes.


@operator("Reshape")
def _reshape(call: Call) -> list[Value]:
    asked = call.whole(1, "shape")
    return [reshape(call.draw, call.tensor(), asked or [], bool(call.get("allowzero", 0)))]


@operator("Flatten")
def _flatten(call: Call) -> list[Value]:
    tensor, axis = call.tensor(), int(call.get("axis", 1))
    axis = axis + call.tensor().rank if axis < 0 else axis
    shape = tensor.shape
    return [reshape(call.draw, tensor, [math.prod(shape[:axis]), math.prod(shape[axis:])], False)]


@operator("Transpose")
def _transpose(call: Call) -> list[Value]:
    tensor = call.tensor()
    order = call.get("perm", list(range(tensor.rank))[::-1])
    if sorted(order) != list(range(tensor.rank)):
        raise Refusal("its order does not name each axis once")
    return [replace(tensor, axes=tuple(tensor.axes[axis] for axis in order))]


@operator("Squeeze")
def _squeeze(call: Call) -> list[Value]:
    tensor = call.tensor()
    axes = call.whole(1, "axes")
    if axes is None:
        axes = [axis for axis in range(tensor.rank) if tensor.length(axis) == 1]
    gone = {placed(axis, tensor.rank) for axis in axes}
    if any(tensor.length(axis) != 1 for axis in gone):
        raise Refusal("an axis that goes has to have the length 1, and the batch has to stay")
    return [reshape(call.draw, tensor, [size for axis, size in enumerate(tensor.shape) if axis not in gone], False)]


@operator("Unsqueeze")
def _unsqueeze(call: Call) -> list[Value]:
    tensor = call.tensor()
    axes = call.whole(1, "axes") or []
    rank = tensor.rank + len(axes)
    groups = list(tensor.axes)
    for axis in sorted(placed(axis, rank) for axis in axes):
        groups.insert(axis, ())
    return [replace(tensor, axes=tuple(groups))]


@operator("Expand")
def _expand(call: Call) -> list[Value]:
    asked = [int(size) for size in call.needed(1).reshape(-1)]
    return [broadcast_to(call.draw, call.tensor(), asked, call.name)]


@operator("Concat")
def _concat(call: Call) -> list[Value]:
    values = [value for value in call.inputs if value is not None]
    first = next(value for value in values if isinstance(value, Tensor))
    axis = call.axis(0, first.rank)
    tensors = [
        value if isinstance(value, Tensor) else call.draw.constant(value, first, value.weight) for value in values
    ]
    if axis in (first.batch,):
        raise Refusal("it would mix the examples of a batch")
    ready = []
    for tensor in tensors:
        if tensor.rank != first.rank or tensor.batch != first.batch:
            raise Refusal("the batch is another axis in each of its inputs")
        if any(
            len(group) != 1 for place, group in enumerate(tensor.axes) if place != axis and group and 0 not in group
        ):
            raise Refusal("its axes are made of several")
        ready.append(tensor)
    others = [place for place in range(first.rank) if place not in (axis, first.batch)]
    if len({tensor.axes for tensor in ready}) == 1 and len(first.axes[axis]) == 1:
        inner, axes = first.axes[axis][0], first.axes
    else:
        if any(len(tensor.axes[tensor.batch]) != 1 for tensor in ready):
            raise Refusal("the batch is mixed with another axis")
        ready = [
            call.draw.arranged(
                tensor,
                [
                    tensor.axes[place][0] if tensor.axes[place] else None
                    for place in range(first.rank)
                    if place != first.batch
                ],
            )
            for tensor in ready
        ]
        order = [first.batch, *sorted([*others, axis])]
        numbers = {place: number for number, place in enumerate(order)}
        axes = tuple((numbers[place],) for place in range(first.rank))
        inner = numbers[axis]
    if len(ready) == 1:
        return [Tensor(ready[0].ref, ready[0].spec, axes)]
    made = ready[0]
    for start in range(1, len(ready), 15):
        group = [made, *ready[start : start + 15]]
        params = {"count": len(group)} if len(group) > 2 else {}
        made = call.draw.draw(
            *("Concat", dict(zip("abcdefghijklmnop", group, strict=False)), call.name), axis=inner, **params
        )
    return [Tensor(made.ref, made.spec, axes)]


@operator("Split")
def _split(call: Call) -> list[Value]:
    tensor = call.tensor()
    axis = call.axis(0)
    length, parts = tensor.length(axis), len(call.wanted)
    sizes = call.whole(1, "split")
    if sizes is None:
        each = math.ceil(length / parts)
        sizes = [min(each, length - each * place) for place in range(parts)]
    if sum(sizes) != length or min(sizes) < 1 or len(sizes) != parts:
        raise Refusal("its sizes do not add up")
    if parts == 1:
        return [tensor]
    inner = call.draw.single(tensor, axis)
    if parts > 16:
        starts = np.cumsum([0, *sizes])
        return [_slice(call, tensor, axis, int(a), int(b), 1) for a, b in pairwise(starts)]
    if len(set(sizes)) == 1:
        key = call.draw.node("Chunk", tensor, call.name, axis=inner, count=parts)
    else:
        key = call.draw.node("Split", tensor, call.name, axis=inner, sizes=tuple(sizes))
    return [call.draw.like(call.draw.output(key, letter), tensor) for letter in "abcdefghijklmnop"[:parts]]


def _slice(call: Call, tensor: Tensor, axis: int, start: int, end: int, step: int) -> Tensor:
    length = tensor.length(axis)
    taken = range(length)[slice(start if abs(start) < FAR * 4 else (length if start > 0 else 0), end, step)]
    if taken == range(length):
        return tensor
    if not taken:
        raise Refusal("it leaves nothing")
    inner = call.draw.single(tensor, axis)
    if step < 0:
        made = call.draw.draw("IndexSelect", tensor, call.name, axis=inner, indices=tuple(taken))
    else:
        params: dict[str, Any] = {} if taken[-1] + step >= length else {"end": taken[-1] + 1}
        params |= {"start": taken[0]} if taken[0] else {}
        params |= {"step": step} if step > 1 else {}
        made = call.draw.draw("Slice", tensor, call.name, axis=inner, **params)
    return call.draw.like(made, tensor, tensor.boolean)


@operator("Slice")
def _slices(call: Call) -> list[Value]:
    tensor = call.tensor()
    starts, ends = call.whole(1, "starts") or [], call.whole(2, "ends") or []
    axes = call.whole(3, "axes") or list(range(len(starts)))
    steps = call.whole(4, "steps") or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        tensor = _slice(call, tensor, placed(axis, tensor.rank), start, end, step)
    return [tensor]


@operator("Gather")
def _gather(call: Call) -> list[Value]:
    data, indices = call.inputs[0], call.inputs[1]
    if isinstance(data, Constant) and isinstance(indices, Tensor):
        return [_embedding(call, data, indices)]
    tensor, places = call.tensor(), call.needed(1)
    axis = call.axis(0)
    if not tensor.axes[axis]:  # an axis of length 1 that stands nowhere yet
        if places.ndim == 0:
            return [replace(tensor, axes=(*tensor.axes[:axis], *tensor.axes[axis + 1 :]))]
        raise Refusal("it repeats an axis of length 1")
    inner, length = call.draw.single(tensor, axis), tensor.length(axis)
    if places.size == 0 or places.min() < -length or places.max() >= length:
        raise Refusal("it asks for places that are not there")
    if places.ndim == 0:
        if len(tensor.spec.shape) == 2:
            made = call.draw.draw("Select", tensor, call.name, axis=inner, index=int(places))
        else:
            made = call.draw.draw("Select", tensor, call.name, axis=inner, index=int(places))
        groups = [tuple(part - (part > inner) for part in group) for group in tensor.axes]
        del groups[axis]
        return [Tensor(made.ref, made.spec, tuple(groups))]
    made = call.draw.draw(
        "IndexSelect", tensor, call.name, axis=inner, indices=tuple(int(x) for x in places.reshape(-1))
    )
    found = call.draw.like(made, tensor)
    shape = found.shape
    return [reshape(call.draw, found, [*shape[:axis], *places.shape, *shape[axis + 1 :]], False)]


def _embedding(call: Call, data: Constant, indices: Tensor) -> Tensor:
    if data.array.ndim != 2 or call.get("axis", 0) != 0 or data.array.dtype != np.float32:
        raise Refusal("only rows of a table can be looked up")
    if indices.spec.dtype != "int":
        raise Refusal("it looks up places that are no whole numbers")
    ready = indices
    rank = len(indices.spec.shape)
    if rank != 2:
        ready = call.draw.reshaped(indices, [math.prod(indices.size(axis) for axis in range(1, rank))])
    made = call.draw.draw(
        *("Embedding", ready, call.base(0)),
        vocabulary=data.array.shape[0],
        dim=data.array.shape[1],
        weights={"weight": data.array},
        weight=data.weight,
    )
    if rank != 2:
        made = call.draw.reshaped(made, [*(indices.size(axis) for axis in range(1, rank)), data.array.shape[1]])
    return Tensor(made.ref, made.spec, (*indices.axes, (rank,)))


@operator("GatherElements")
def _elements(call: Call) -> list[Value]:
    tensor, indices = call.tensor(), call.tensor(1)
    tensor, indices = call.draw.straight(tensor), call.draw.straight(indices)
    given = {"in": tensor, "indices": indices}
    return [call.draw.draw("GatherElements", given, call.name, axis=call.axis(0))]


@operator("Pad")
def _pad(call: Call) -> list[Value]:
    tensor = call.draw.straight(call.tensor())
    pads = call.whole(1, "pads") or []
    axes = call.whole(3, "axes") if len(call.inputs) > 3 else None
    if axes is not None:
        full = [0] * 2 * tensor.rank
        for number, axis in enumerate(axes):
            full[placed(axis, tensor.rank)] = pads[number]
            full[placed(axis, tensor.rank) + tensor.rank] = pads[number + len(axes)]
        pads = full
    if len(pads) != 2 * tensor.rank:
        raise Refusal("its borders do not fit its axes")
    if not any(pads):
        return [tensor]
    mode = call.get("mode", "constant")
    value = call.number(2) if len(call.inputs) > 2 else call.get("value", 0.0)
    value = value or 0.0
    rank, lift = tensor.rank, 0
    first = min(axis for axis in range(rank) if pads[axis] or pads[axis + rank])
    if first == 0:
        raise Refusal("it would add examples to the batch")
    while first + lift < 2 or rank + lift < 3:
        lift += 1  # a sequence (N, T, D) is padded along T as an image with one channel
    if rank + lift not in KINDS:
        raise Refusal(f"borders of {rank} axes cannot be drawn")
    ready = call.draw.reshaped(tensor, [*(1,) * lift, *tensor.shape[1:]]) if lift else tensor
    sides = tuple(number for axis in reversed(range(2 - lift, rank)) for number in (pads[axis], pads[axis + rank]))
    kind = {"constant": "ConstantPad" if value else "ZeroPad", "reflect": "ReflectionPad"}
    kind |= {"edge": "ReplicationPad", "wrap": "CircularPad"}
    params: dict[str, Any] = {"padding": sides[0]} if len(set(sides)) == 1 else {"sides": sides}
    params |= {"value": float(value)} if mode == "constant" and value else {}
    if min(sides) < 0 or mode not in kind:
        raise Refusal("its borders are negative or of an unknown kind")
    made = call.draw.draw(f"{kind[mode]}{KINDS[rank + lift]}", ready, call.name, **params)
    if lift:
        made = call.draw.reshaped(made, [made.size(axis) for axis in range(1 + lift, rank + lift)])
    return [made]


@operator("Resize", "Upsample")
def _resize(call: Call) -> list[Value]:
    tensor = call.draw.straight(call.tensor())
    if tensor.rank not in KINDS:
        raise Refusal(f"it does not take {tensor.rank} axes")
    mode, way = call.get("mode", "nearest"), call.get("coordinate_transformation_mode", "half_pixel")
    place = 1 if call.type == "Upsample" else 2
    scales, sizes = call.weight(place), call.weight(3) if len(call.inputs) > 3 else None
    params: dict[str, Any] = {"mode": {"nearest": "nearest", "linear": "linear", "cubic": "bicubic"}.get(mode, mode)}
    if mode == "nearest":
        how = call.get("nearest_mode", "round_prefer_floor")
        if call.type == "Resize" and (way, how) not in (("asymmetric", "floor"),):
            raise Refusal(f"the nearest place is found by {way} and {how}; only asymmetric and floor can be drawn")
    elif way == "align_corners":
        params["align_corners"] = True
    elif way not in ("half_pixel", "pytorch_half_pixel"):
        raise Refusal(f"places are found by {way}, which cannot be drawn")
    if mode == "cubic" and abs(call.get("cubic_coeff_a", -0.75) + 0.75) > 1e-6:
        raise Refusal("its curve is not the one that PyTorch has")
    if scales is not None and scales.size == tensor.rank:
        factors = [float(scale) for scale in scales[2:]]
        if len(set(factors)) == 1 and not (mode != "nearest" and way == "align_corners"):
            params["scale"] = factors[0]
        else:
            params["size"] = tuple(int(tensor.length(axis) * factor) for axis, factor in enumerate(factors, 2))
    elif sizes is not None and sizes.size == tensor.rank:
        params["size"] = tuple(int(size) for size in sizes[2:])
    else:
        raise Refusal("it does not say how large it becomes")
    return [call.draw.draw("Upsample", tensor, call.name, **params)]


@operator("DepthToSpace", "SpaceToDepth")
def _shuffle(call: Call) -> list[Value]:
    tensor, factor = call.draw.straight(call.tensor()), int(call.get("blocksize", 1))
    if call.type == "SpaceToDepth" or call.get("mode", "DCR") != "CRD":
        raise Refusal("only the order CRD, which PyTorch has, can be drawn")
    return [call.draw.draw("PixelShuffle", tensor, call.name, factor=factor)]


# Sequences, step by step.

_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}


@operator("LSTM", "GRU", "RNN")
def _recurrent(call: Call) -> list[Value | None]:
    tensor, size = call.tensor(), int(call.get("hidden_size", 0))
    w, r, b = call.needed(1), call.needed(2), call.weight(3)
    both = call.get("direction", "forward") == "bidirectional"
    if call.get("direction", "forward") == "reverse" or call.get("layout", 0) or tensor.rank != 3:
        raise Refusal("only sequences read forwards, or in both directions, can be drawn")
    if call.type == "GRU" and not call.get("linear_before_reset", 0):
        raise Refusal("its reset gate acts before the product, and PyTorch's acts after it")
    if any(isinstance(value, Tensor) or (value is not None and value.filled) for value in call.inputs[5:7]):
        raise Refusal("it starts from a state that is not zero")
    usual = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}.get(call.type, ["Tanh"])
    functions = call.get("activations", None)
    params: dict[str, Any] = {"hidden_size": size}
    if call.type == "RNN" and functions and set(functions) == {"Relu"}:
        params["nonlinearity"] = "relu"
    elif functions and functions != usual * (1 + both):
        raise Refusal("its gates have other functions than PyTorch's")
    if call.get("clip", None) is not None or call.get("input_forget", 0):
        raise Refusal("its gates are clipped or coupled")
    if call.wanted[2:] and any(call.wanted[2:]):
        raise Refusal("its last memory is asked for, which the layer does not give")
    order, weights = _GATES[call.type], {}

    def sorted_gates(found: Array) -> Array:
        parts = np.split(found, len(order), axis=0)
        return np.ascontiguousarray(np.concatenate([parts[gate] for gate in order]))

    for number, suffix in enumerate(("", "_reverse")[: 1 + both]):
        weights[f"weight_ih_l0{suffix}"] = sorted_gates(w[number])
        weights[f"weight_hh_l0{suffix}"] = sorted_gates(r[number])
        bias = np.zeros(2 * len(order) * size, np.float32) if b is None else b[number]
        weights[f"bias_ih_l0{suffix}"], weights[f"bias_hh_l0{suffix}"] = map(sorted_gates, np.split(bias, 2))
    turned = Tensor(tensor.ref, tensor.spec, (tensor.axes[1], tensor.axes[0], tensor.axes[2]), tensor.boolean)
    ready = call.draw.straight(turned)
    lengths = call.inputs[4] if len(call.inputs) > 4 else None
    if isinstance(lengths, Tensor) or (lengths and lengths.scalar not in (None, float(ready.length(1)))):
        raise Refusal("its sequences differ in length, which the layer cannot know")
    if both:
        params["bidirectional"] = True
    key = call.draw.node(call.type, ready, call.name, weights=weights, **params)
    sequence, state = call.draw.output(key), call.draw.output(key, "state")
    if not both:
        return [
            replace(sequence, axes=((1,), (), (0,), (2,))) if call.wanted[0] else None,
            replace(state, axes=((), (0,), (1,))),
            None,
        ]
    found: list[Value | None] = [None, None, None]
    if call.wanted[0]:
        made = call.draw.reshaped(sequence, [ready.length(1), 2, size])
        found[0] = replace(made, axes=((1,), (2,), (0,), (3,)))
    if call.wanted[1:2] == (True,):
        found[1] = replace(call.draw.reshaped(state, [2, size]), axes=((1,), (0,), (2,)))
    return found


@operator("BiasedMatMul")
def _biased(call: Call) -> list[Value]:
    """A product and what is added to it; files know no operator of this name, the importer makes it."""
    name = call.base(1) if call.base(1) != call.name else call.base(2)
    return [linear(call, call.tensor(), call.needed(1).T, call.needed(2), name)]

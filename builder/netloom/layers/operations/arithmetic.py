"""Elementwise functions, and cumulative operations along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec
from netloom.layers.operations.operation import Axis, OneAxis, broadcast, floats, resolve_axis
from netloom.layers.probability import Probabilities

# Probabilities that are clipped by at most this much, to keep logarithms finite, still count as probabilities
MARGIN = 0.01


class Function(Layer):
    """f(x), elementwise."""

    group = "Tensor operation"
    title = "Function"
    summary = "Applies a function to every value, such as a square root or a sine"
    keywords = (
        *("elementwise", "abs", "exp", "exponential", "log", "logarithm", "sqrt", "square root", "rsqrt", "square"),
        *("sin", "cos", "sign", "reciprocal", "inverse", "negate", "round", "floor", "ceil", "erf"),
    )
    url = "https://docs.pytorch.org/docs/stable/torch.html#pointwise-ops"

    function: Literal[
        "abs",
        "neg",
        "exp",
        "expm1",
        "log",
        "log1p",
        "log2",
        "log10",
        "sqrt",
        "rsqrt",
        "square",
        "reciprocal",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "asinh",
        "erf",
        "sign",
        "floor",
        "ceil",
        "round",
    ] = Field("abs", description="Function to apply")
    least: float | None = Field(
        None,
        ge=-1e9,
        le=1e9,
        description="Values below this limit are raised to it first; a limit above 0 keeps log and sqrt finite",
    )

    @classmethod
    def examples(cls) -> list[Example]:
        smooth = ("neg", "exp", "expm1", "square", "sin", "cos", "atan", "sinh", "cosh", "asinh", "erf")
        stepped = ("abs", "sign", "floor", "ceil", "round")
        positive = ("log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal")
        inputs = {"in": SAMPLES["sequence"]}
        return [
            *(Example({"function": name}, inputs) for name in (*smooth, *stepped)),
            *(Example({"function": name, "least": 0.1}, inputs) for name in positive),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Function", (self.function,), {} if self.least is None else {"least": self.least})

    def brief(self) -> str:
        return self.function

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        probabilities = inputs.get("in")
        if probabilities is None or self.function != ("exp" if probabilities.log else "log"):
            return None
        if self.least is None:
            # exp and log are exact inverses, so the logits stay those of the activation before.
            return replace(probabilities, log=not probabilities.log)
        return (
            replace(probabilities, log=True, removable=False)
            if not probabilities.log and self.least <= MARGIN
            else None
        )


class Power(Layer):
    """x to the power p, or a to the power b; |x| and |a| if `absolute` is on."""

    group = "Tensor operation"
    title = "Power"
    summary = "Raises every value to a constant power or to the power at a second port"
    keywords = ("exponent", "pow", "square", "cube", "root")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.pow.html"

    exponent: float | None = Field(2.0, ge=-64, le=64, description="Exponent; empty: read from a second port")
    absolute: bool = Field(
        False, description="Raise |x| instead of x, as a negative value has no real power such as 0.5"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        vector, sequence = SAMPLES["vector"], SAMPLES["sequence"]
        return [
            Example({}, {"in": vector}),
            Example({"exponent": 1.5, "absolute": True}, {"in": sequence}),
            Example({"exponent": None, "absolute": True}, {"a": sequence, "b": sequence}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in"),) if self.exponent is not None else (Port("a", doc="Base"), Port("b", doc="Exponent"))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        broadcast(list(specs.values()))
        args = () if self.exponent is None else (self.exponent,)
        return Call("Power", args, {"absolute": True} if self.absolute else {})

    def brief(self) -> str:
        return "" if self.exponent is None else f"{self.exponent:g}"


class ScaleShift(Layer):
    """x·scale + shift with constants that are not learned."""

    group = "Tensor operation"
    title = "Scale and shift"
    summary = "Multiplies by a constant and adds another"
    keywords = ("affine", "multiply by", "add constant", "rescale", "offset", "one minus", "temperature")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.add.html"
    is_linear = True

    scale: float = Field(1.0, ge=-1e9, le=1e9, description="Factor, such as 0.1")
    shift: float = Field(0.0, ge=-1e9, le=1e9, description="Constant that is added after scaling")

    @classmethod
    def examples(cls) -> list[Example]:
        params = {"scale": -0.5, "shift": 1.0}
        return [Example(params, {"in": SAMPLES[kind]}) for kind in ("vector", "sequence", "image")]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("ScaleShift", (self.scale, self.shift))

    def brief(self) -> str:
        return f"× {self.scale:g} + {self.shift:g}"


class Clamp(Layer):
    """min(max(x, low), high)."""

    group = "Tensor operation"
    title = "Clamp"
    summary = "Limits every value to a range"
    keywords = ("clip", "limit", "bound", "saturate")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.clamp.html"

    low: float | None = Field(-1.0, ge=-1e9, le=1e9, description="Lower limit; empty: no limit")
    high: float | None = Field(1.0, ge=-1e9, le=1e9, description="Upper limit; empty: no limit")

    @model_validator(mode="after")
    def _limits(self) -> Clamp:
        if self.low is None and self.high is None:
            raise ValueError("a clamp needs a lower or an upper limit, or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise FieldValueError("low", f"must be at most high={self.high:g}", self.low)
        return self

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Clamp", (self.low, self.high))

    def brief(self) -> str:
        return " … ".join("" if limit is None else f"{limit:g}" for limit in (self.low, self.high))

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        probabilities = inputs.get("in")
        is_wide = (self.low is None or self.low <= MARGIN) and (self.high is None or self.high >= 1 - MARGIN)
        return replace(probabilities, removable=False) if probabilities and not probabilities.log and is_wide else None


class Normalize(OneAxis, Layer):
    """x / max(|x|₂, ε) along one axis."""

    group = "Tensor operation"
    title = "L2 normalization"
    summary = "Scales the vectors along one axis to length 1, so that only their direction matters"
    keywords = ("l2", "unit", "normalize", "sphere", "cosine", "embedding")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html"

    epsilon: float = Field(1e-12, gt=0, le=1, description="Lower limit of the divisor, for numerical stability")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        floats(specs)
        return Call("Normalize", (resolve_axis(self.axis, specs["in"]), self.epsilon))


class CumSum(OneAxis, Layer):
    """yₜ = x₁ + … + xₜ along one axis."""

    group = "Tensor operation"
    title = "Cumulative sum"
    summary = "The cumulative sum along one axis"
    keywords = ("cumsum", "prefix", "running", "integrate", "accumulate")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.cumsum.html"
    is_linear = True

    axis: Axis = Field(1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("CumSum", (resolve_axis(self.axis, specs["in"]),))


class CumProd(OneAxis, Layer):
    """yₜ = x₁ · … · xₜ along one axis."""

    group = "Tensor operation"
    title = "Cumulative product"
    summary = "The cumulative product along one axis, such as growth or survival over time"
    keywords = ("cumprod", "prefix", "running", "survival")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.cumprod.html"

    axis: Axis = Field(1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("CumProd", (resolve_axis(self.axis, specs["in"]),))


class CumMax(OneAxis, Layer):
    """yₜ = max(x₁, …, xₜ) along one axis."""

    group = "Tensor operation"
    title = "Cumulative maximum"
    summary = "The maximum so far along one axis"
    keywords = ("cummax", "running", "record", "peak")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.cummax.html"

    axis: Axis = Field(1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("CumMax", (resolve_axis(self.axis, specs["in"]),))


class Difference(OneAxis, Layer):
    """yₜ = xₜ₊₁ − xₜ along one axis, which gets shorter by one."""

    group = "Tensor operation"
    title = "Difference"
    summary = "The difference between each step and the step before it"
    keywords = ("diff", "derivative", "change", "delta", "stationary", "series")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.diff.html"
    is_linear = True

    axis: Axis = Field(1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")
    keep_length: bool = Field(False, description="Prepend a 0, so that the axis keeps its length")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        if specs["in"].size(axis) == 1 and not self.keep_length:
            raise ValueError(
                f"axis {axis} of {specs['in']} has the length 1, but a difference needs at least 2 steps; choose a "
                "longer axis"
            )
        return Call("Difference", (axis,), {"keep_length": True} if self.keep_length else {})

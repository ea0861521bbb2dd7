"""The base class of layers: the fields are the parameters, and methods declare the ports and the PyTorch constructor.

Palette, form, JSON schema, validation, generated code and conformance tests derive from the class of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from netloom.core.field_errors import FieldError, summary
from netloom.layers.author_code import loaded
from netloom.layers.channels import Channels
from netloom.layers.probability import Probabilities

if TYPE_CHECKING:
    from torch import nn

Kind = Literal["vector", "sequence", "image", "volume", "tokens", "any"]
KINDS: tuple[Kind, ...] = ("vector", "sequence", "image", "volume", "tokens")
# The names of kinds in messages and help
KIND_NAMES = {
    "vector": "a vector (N, D)",
    "sequence": "a sequence (N, T, D)",
    "image": "an image (N, C, H, W)",
    "volume": "a volume (N, C, D, H, W)",
    "tokens": "tokens (N, T)",
    "any": "any tensor",
}
# The groups in the order of the palette, with their colors
GROUPS = {
    "Input and output": "#64748b",
    "Network": "#f59e0b",
    "Dense": "#2563eb",
    "Convolution": "#7c3aed",
    "Pooling": "#c026d3",
    "Shape": "#0891b2",
    "Normalization": "#0d9488",
    "Activation": "#ea580c",
    "Text": "#16a34a",
    "Recurrent": "#ca8a04",
    "Attention": "#e11d48",
    "State space and mixture": "#be185d",
    "Vision block": "#9333ea",
    "Graph": "#65a30d",
    "Generative": "#db2777",
    "Signal": "#0284c7",
    "Table": "#a16207",
    "Merge": "#4f46e5",
    "Tensor operation": "#475569",
}


class ParameterError(ValueError):
    """Invalid parameters of a layer: one error per field, or one sentence."""

    def __init__(self, *errors: FieldError | str) -> None:
        super().__init__(*errors)
        self.errors = tuple(
            FieldError((), error, kind="statement") if isinstance(error, str) else error for error in errors
        )

    def __str__(self) -> str:
        return summary(self.errors, "the parameters", limit=4)


@dataclass(frozen=True)
class Port:
    """An input or output of a layer and the kinds of tensor that it accepts; users can give it another `label`."""

    name: str
    kinds: tuple[Kind, ...] = ("any",)
    doc: str = ""
    label: str = ""


@dataclass(frozen=True)
class TensorSpec:
    """The shape and dtype of a tensor, in which None is the batch axis N."""

    shape: tuple[int | None, ...]
    dtype: Literal["float", "int"] = "float"

    @property
    def kind(self) -> Kind:
        """The kind of data that a tensor of this rank and dtype usually holds; "any" if there is none."""
        if self.dtype == "int":
            # Integers of any other rank, such as indices, fit only ports that accept any tensor.
            return "tokens" if len(self.shape) == 2 else "any"
        kinds: dict[int, Kind] = {2: "vector", 3: "sequence", 4: "image", 5: "volume"}
        return kinds.get(len(self.shape), "any")

    @property
    def is_vector(self) -> bool:
        """Whether an example is a vector, (N, D)."""
        return self.kind == "vector"

    @property
    def is_image(self) -> bool:
        """Whether an example is an image, (N, C, H, W)."""
        return self.kind == "image"

    @property
    def is_tokens(self) -> bool:
        """Whether an example is a sequence of vocabulary indices, (N, T), which needs an embedding."""
        return self.kind == "tokens"

    def size(self, axis: int) -> int:
        """The length of an axis other than the batch axis.

        Raises:
            ValueError: The axis does not exist, or it is the batch axis.
        """
        if not -len(self.shape) <= axis < len(self.shape):
            raise ValueError(f"{self} has no axis {axis}; its axes are 0 to {len(self.shape) - 1}")
        length = self.shape[axis]
        if length is None:
            raise ValueError(f"axis {axis} of {self} is the batch axis N, which has no fixed length")
        return length

    def __str__(self) -> str:
        return "(" + ", ".join("N" if length is None else str(length) for length in self.shape) + ")"

    def beside(self, spec: TensorSpec) -> str:
        """The shape, followed by the dtype if the two specs differ only in it."""
        if self.shape != spec.shape or self.dtype == spec.dtype:
            return str(self)
        return f"{self} of {'whole' if self.dtype == 'int' else 'real'} numbers"


# A small tensor of each kind, for the conformance tests.
SAMPLES: dict[Kind, TensorSpec] = {
    "vector": TensorSpec((None, 12)),
    "sequence": TensorSpec((None, 8, 16)),
    "image": TensorSpec((None, 4, 8, 8)),
    "volume": TensorSpec((None, 2, 4, 6, 6)),
    "tokens": TensorSpec((None, 8), "int"),
}


@dataclass(frozen=True)
class Example:
    """Valid parameters and inputs by port for the conformance tests of a layer. Integers are less than `high`."""

    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, TensorSpec] = field(default_factory=dict)
    high: int = 1_000


Literals = int | float | bool | str | None | tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A constructor call, which is both written as source code and executed.

    `target` is "nn.X" for a module of torch.nn, or the name of a class of netloom.nn or of the author's `code` (see
    netloom.layers.author_code). Arguments are literals only, so that a document cannot insert code.
    """

    target: str
    args: tuple[Literals, ...] = ()
    kwargs: Mapping[str, Literals] = field(default_factory=dict)
    code: str = ""

    def source(self) -> str:
        """The call as Python code."""
        # The text is executed later, so nothing but a literal may be written into it.
        for value in (*self.args, *self.kwargs.values()):
            _check_literal(value)
        named = [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.target}({', '.join([*(repr(value) for value in self.args), *named])})"

    def build(self) -> nn.Module:
        """The constructed module, on the current default device of PyTorch."""
        module_class = loaded(self.code, self.target) if self.code else resolve(self.target)
        return module_class(*self.args, **self.kwargs)


def resolve(target: str) -> type[nn.Module]:
    """The module class with the name of a call's target.

    Raises:
        ValueError: Neither torch.nn nor netloom.nn has a module of this name.
    """
    from torch import nn

    import netloom.nn

    head, _, name = target.rpartition(".")
    module_class = getattr(nn, name, None) if head == "nn" else getattr(netloom.nn, name, None) if not head else None
    # torch.nn also has functions and packages, such as nn.init, which a document must not call.
    if not (isinstance(module_class, type) and issubclass(module_class, nn.Module)):
        raise ValueError(f"{target} is not a module of torch.nn or netloom.nn")
    return module_class


def _check_literal(value: Any) -> None:
    if isinstance(value, tuple):
        for part in value:
            _check_literal(part)
    # The exact type: a subclass can define a `__repr__` of its own, which would become code.
    elif not (value is None or type(value) in (int, float, bool, str)):
        raise TypeError(f"{value!r} is not a literal")


class Layer(BaseModel):
    """The base class of layers. A subclass is an entry of the catalog; an instance holds the parameters of a node."""

    # Frozen, because `catalogue.parse` caches layers: nodes with equal parameters share one instance.
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    group: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    keywords: ClassVar[tuple[str, ...]] = ()
    url: ClassVar[str] = ""

    # Whether every output propagates gradients to every input; false for integer outputs and selected indices.
    differentiable: ClassVar[bool] = True
    # Whether PyTorch processes the steps of an input (N, T, D) sequentially, each at the same cost. Validation then
    # extrapolates long sequences from short ones.
    steps_in_turn: ClassVar[bool] = False
    # Whether the author of the document wrote the module, so that it can raise any exception.
    own_code: ClassVar[bool] = False
    # Parts of the module, by their names in it, that keep its initialization, such as position tables: parts without
    # which the layer does not train, or does not start as its paper says.
    own_initialization: ClassVar[tuple[str, ...]] = ()
    # The weights at the ends of the residual branches inside the module.
    residual_weights: ClassVar[tuple[str, ...]] = ()
    # Whether the layer turns arbitrary values into probabilities or their logarithms; `probabilities` returns which.
    makes_probabilities: ClassVar[bool] = False
    # Whether the layer maps each token to a vector, (N, T) -> (N, T, D), at which the gradients of tokens start.
    is_embedding: ClassVar[bool] = False
    # Whether the layer reads tokens only to find padding, so that gradients need not pass it.
    reads_only_padding: ClassVar[bool] = False
    # Which positions query in the attention weights of the module that explanations read; None: it has none to read.
    attention_queries: ClassVar[Literal["steps", "pixels", "summary"] | None] = None
    # Whether the layer divides an image into square patches, whose side is its parameter `patch`.
    divides_into_patches: ClassVar[bool] = False
    # Whether every output is an affine function of the inputs in evaluation mode, whatever the parameters are. Integers
    # count as constants, of which an embedding looks up vectors.
    is_linear: ClassVar[bool] = False
    # Whether the layer combines several inputs by element, or joins them along an axis.
    merges_inputs: ClassVar[bool] = False
    # Whether the output for an image is a feature map (N, C, H, W) of convolutions, in which positions are kept.
    makes_feature_maps: ClassVar[bool] = False
    # Whether each step runs through `top` of several experts; with a single one, the output jumps where it changes.
    routes_to_experts: ClassVar[bool] = False
    # Whether the output is a representation in which to search for concepts; false if it only repeats the input, in
    # another shape if need be, or looks up its tokens.
    makes_representation: ClassVar[bool] = True
    # Whether the output is exactly 0 for small inputs, so that a unit can be 0 for all rows and not learn.
    is_rectifier: ClassVar[bool] = False
    # Whether the slope approaches 0 or is 0 for inputs of large magnitude, at which gradients vanish.
    saturates: ClassVar[bool] = False
    # Whether weight decay applies to the matrices that the module itself holds; false for tables of vectors and norms.
    decays_weights: ClassVar[bool] = True
    # Whether the layer has one matrix with a row per word or unit, which other such layers can share (weight tying).
    supports_weight_tying: ClassVar[bool] = False
    # Whether the layer samples the latent vector of a variational autoencoder.
    samples_latent: ClassVar[bool] = False
    # Whether most networks use the layer, so that the palette shows it first.
    is_common: ClassVar[bool] = False

    @classmethod
    def refusal(cls) -> str:
        """Why this layer is not available on this machine; empty if it is."""
        return ""

    @classmethod
    def is_restricted(cls) -> bool:
        """Whether this layer is not available on some machines, where `refusal` says why."""
        return cls.refusal.__func__ is not Layer.refusal.__func__  # type: ignore[attr-defined]

    @classmethod
    def examples(cls) -> list[Example]:
        """The examples for the conformance tests: by default one for each kind that the first port accepts."""
        ports = cls().inputs()
        kinds: tuple[Kind, ...] = ports[0].kinds if "any" not in ports[0].kinds else ("vector", "sequence", "image")
        return [Example(inputs={port.name: SAMPLES[kind] for port in ports}) for kind in kinds]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        """The constructor call of the module, given the shapes of the inputs by port.

        Raises:
            ValueError: The parameters do not fit these shapes; the message says why.
        """
        raise NotImplementedError

    def non_defaults(self, *names: str) -> dict[str, Literals]:
        """Those of the named parameters that differ from their defaults, as keyword arguments of the module."""
        values = {name: (getattr(self, name), type(self).model_fields[name].default) for name in names}
        return {name: value for name, (value, default) in values.items() if value != default}

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels | None:
        """The layout of the weights by channels, given the shapes of the inputs by port.

        None: the layer has no weights, or no channel that they read or make can be removed.
        """
        return None

    def channel_axis(self, axis: int) -> int:
        """The axis of the channels in the first output (N, …), given their axis in the first input.

        Sequences are (N, steps, channels), except around convolutions, where they are (N, channels, steps).
        """
        kinds = self.outputs()[0].kinds
        if len(kinds) > 1:
            return axis
        return {"sequence": 2, "image": 1, "volume": 1}.get(kinds[0], axis)

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        """The kind of probabilities in the only output, of the shape `out`; None if it does not hold probabilities.

        `inputs` describes the inputs that hold probabilities, by port; `specs` holds the shapes of all inputs.
        """
        return None

    def remark(self) -> str:
        """What the parameters do to the shape that people may not expect, as a sentence; empty if there is nothing."""
        return ""

    def brief(self) -> str:
        """The most important parameters in a few characters, shown in the node on the canvas."""
        return ""

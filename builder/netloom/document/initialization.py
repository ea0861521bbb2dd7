"""Initial values of weights: the setting of a layer or of a network in the document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from netloom.core.plain_json import JsonObject
from netloom.document.base_model import Frozen

Method = Literal[
    "normal",
    "truncated_normal",
    "uniform",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "zeros",
    "identity",
]


@dataclass(frozen=True)
class MethodDescription:
    """A method for forms and help. `options` are the fields of `Initialization` that it reads, with their defaults."""

    title: str
    description: str
    options: Mapping[str, float | str | bool]


METHODS: dict[str, MethodDescription] = {
    "normal": MethodDescription(
        "Normal", "Normal distribution around 0. GPT-2 and BERT use std 0.02", {"std": 0.02, "residual": False}
    ),
    "truncated_normal": MethodDescription(
        "Truncated normal",
        "Normal distribution around 0, cut at two standard deviations, as in vision transformers",
        {"std": 0.02, "residual": False},
    ),
    "uniform": MethodDescription("Uniform", "Uniform between −bound and bound", {"bound": 0.1, "residual": False}),
    "xavier_uniform": MethodDescription(
        "Xavier uniform",
        "Keeps the variance of layers with tanh, sigmoid or no activation (Glorot)",
        {"gain": 1.0, "residual": False},
    ),
    "xavier_normal": MethodDescription(
        "Xavier normal",
        "Keeps the variance of layers with tanh, sigmoid or no activation (Glorot)",
        {"gain": 1.0, "residual": False},
    ),
    "kaiming_uniform": MethodDescription(
        "Kaiming uniform",
        "Keeps the variance of layers with ReLU (He)",
        {"fan": "in", "gain": 2**0.5, "residual": False},
    ),
    "kaiming_normal": MethodDescription(
        "Kaiming normal",
        "Keeps the variance of layers with ReLU (He). ResNet uses it with the fan out",
        {"fan": "in", "gain": 2**0.5, "residual": False},
    ),
    "orthogonal": MethodDescription(
        "Orthogonal",
        "Orthogonal matrices, which keep lengths. Common in recurrent networks and in reinforcement learning",
        {"gain": 1.0, "residual": False},
    ),
    "zeros": MethodDescription("Zeros", "All weights are 0, such as in the last layer of a residual branch", {}),
    "identity": MethodDescription(
        "Identity", "The layer starts by passing its input on, as far as its shape allows", {}
    ),
}
# The fields that only some methods read.
OPTIONS = ("std", "bound", "gain", "fan", "residual")


class Initialization(Frozen):
    """The initial values of the weight matrices of a layer or a network, and of its biases.

    Options that the method does not read must be absent; `options` has the defaults of the others. With `residual`, the
    last layer of each residual branch is divided by the square root of the number of branches in the whole network, as
    in GPT-2 (https://d4mucfpksywv.cloudfront.net/better-language-models/language-models.pdf, section 2.3).
    """

    method: Method
    std: Annotated[float, Field(gt=0, le=100, title="Standard deviation")] | None = None
    bound: Annotated[float, Field(gt=0, le=100, title="Bound")] | None = None
    gain: Annotated[float, Field(gt=0, le=100, title="Gain")] | None = None
    fan: Literal["in", "out"] | None = None
    residual: bool = False
    bias: Literal["zeros", "default"] = "zeros"

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        # The method alone is a setting, too, which is shorter to type.
        return {"method": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _reads_its_options(self) -> Initialization:
        read = METHODS[self.method].options
        for name in OPTIONS:
            if getattr(self, name) not in (None, False) and name not in read:
                known = ", ".join([*read, "bias"])
                raise ValueError(f"the initialization {self.method} has no option {name}; it has {known}")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The values of all options that the method reads."""
        return {
            name: default if getattr(self, name) is None else getattr(self, name)
            for name, default in METHODS[self.method].options.items()
        }

    def to_json(self) -> JsonObject:
        """The setting as JSON, without the fields that have their default."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def sentence(self) -> str:
        """The setting in a few words, such as “normal, std 0.02”."""
        words = [METHODS[self.method].title]
        for name, value in self.options.items():
            if name == "residual":
                words += ["residual branches scaled"] if value else []
            elif getattr(self, name) is not None or name in ("std", "bound"):
                words.append(f"{name} {value if isinstance(value, str) else f'{value:g}'}")
        return ", ".join([*words, *(["default biases"] if self.bias == "default" else [])])

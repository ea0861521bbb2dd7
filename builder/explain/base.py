"""What an explainer is: a class whose fields are its options. A new file in `explainers/` registers itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from builder.explain.explanation import AttentionMaps, Remark

if TYPE_CHECKING:
    from torch import nn

    from builder.explain.subject import Subject
    from builder.graph import Project


class ExplainError(ValueError):
    """What was asked for cannot be explained; the message is one sentence that says why, and what can."""


@dataclass(frozen=True)
class Method:
    """An explainer in a list. Where it is not `available`, `reason` says why."""

    name: str
    title: str
    summary: str
    url: str
    available: bool
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """What an explainer found: attributions (…) by field, without the batch axis, and the steps of its integral.

    `remarks` are judgements of its own, beside those that every explanation gets.
    """

    attributions: dict[str, np.ndarray]
    steps: int | None = None
    attention: AttentionMaps | None = None
    remarks: tuple[Remark, ...] = field(default=())


class Explainer(BaseModel):
    """One method; an instance holds its options.

    `signed`: parts speak for or against the answer, else they only say how much they matter. `adds_up`: the parts
    promise to sum to F(x) − F(baseline). `sums`: their sum can be compared with it at all.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    url: ClassVar[str]
    signed: ClassVar[bool] = True
    adds_up: ClassVar[bool] = False
    sums: ClassVar[bool] = True

    baseline: Literal["usual", "mean", "black"] = Field(
        "usual",
        description="What stands for nothing: the usual background of a picture, the mean of a table or series and "
        "padding for text; for pictures also the mean picture, or black",
    )

    @classmethod
    def obstacle(cls, project: Project, model: nn.Module) -> str:
        """Why this network cannot be explained so, in a sentence; empty where it can."""
        return ""

    def run(self, subject: Subject) -> Result:
        """Explain the subject's answer."""
        raise NotImplementedError


@cache
def registry() -> dict[str, type[Explainer]]:
    """All explainers by name, in the order in which they are offered."""
    import builder.explain.explainers as package

    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    order = {"integrated_gradients": 0, "saliency": 1, "occlusion": 2}
    found = sorted(Explainer.__subclasses__(), key=lambda explainer: order.get(explainer.name, len(order)))
    return {explainer.name: explainer for explainer in found}

"""What an explainer is: a class whose fields are its options. A new file in `explainers/` registers itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from netloom.core.registry import discover
from netloom.explain.core.explanation import AttentionMaps, Remark

if TYPE_CHECKING:
    from torch import nn

    from netloom.document import Project
    from netloom.explain.core.context import Subject


# The headings under which methods are listed, in this order.
GRADIENTS, PERTURBATION, SHAPLEY, LAYERS, ATTENTION = (
    "Gradients",
    "Perturbation",
    "Shapley and surrogates",
    "Layers",
    "Attention",
)
# Each with what its methods do, in plain words.
GROUPS = {
    GRADIENTS: "Follow the slope of the score back to the input.",
    PERTURBATION: "Hide parts of the input and watch the score.",
    SHAPLEY: "Share the score among the features, or fit a simple model around the example.",
    LAYERS: "Look at the units inside the network.",
    ATTENTION: "Read the attention weights of the network.",
}
FIRST = ("integrated_gradients", "saliency", "occlusion")


@dataclass(frozen=True)
class Method:
    """An explainer in a list. Where it is not `available`, `reason` says why."""

    name: str
    title: str
    summary: str
    url: str
    available: bool
    reason: str = ""
    group: str = GRADIENTS
    layered: bool = False


@dataclass(frozen=True)
class Result:
    """What an explainer found: attributions (…) by field, without the batch axis, and the steps of its integral.

    `nodes` are attributions (…) in the shape of a node's output, by its path. `total` is what the parts sum to, where
    that is not the sum of the attributions, and `ground` what stands for F(baseline), where that is not F of the usual
    one. `compared` names what the example was compared with, where that is not a baseline that people chose. `whole`:
    all of the answer passes here, so that the parts can add up to it.
    `repeats` (R, …) by field are independent estimates of a method that draws at random, whose mean the attributions
    are (of a method without signs, the mean before its signs are dropped); `enumerated` says that nothing was drawn, as
    every case was tried.
    `remarks` are judgements of its own, beside those that every explanation gets.
    """

    attributions: dict[str, np.ndarray]
    steps: int | None = None
    attention: AttentionMaps | None = None
    nodes: dict[str, np.ndarray] = field(default_factory=dict)
    total: float | None = None
    ground: float | None = None
    compared: str = ""
    whole: bool = True
    repeats: dict[str, np.ndarray] = field(default_factory=dict)
    enumerated: bool = False
    remarks: tuple[Remark, ...] = field(default=())


class Explainer(BaseModel):
    """One method; an instance holds its options.

    `signed`: parts speak for or against the answer, else they only say how much they matter. `adds_up`: the parts
    promise to sum to F(x) − F(baseline). `sums`: their sum can be compared with it at all. `fits_anyway`: they sum to
    it by construction, however wrong each of them is, so that the sum proves nothing. `of_answer`: they are about F,
    and not about some number within the network. `needs` are what `needs.py` asks of the network. `group` is the
    heading under which it is listed. `layered`: it looks at a node of the graph, the option `node`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    url: ClassVar[str]
    signed: ClassVar[bool] = True
    adds_up: ClassVar[bool] = False
    sums: ClassVar[bool] = True
    fits_anyway: ClassVar[bool] = False
    of_answer: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    group: ClassVar[str] = GRADIENTS
    layered: ClassVar[bool] = False

    @classmethod
    def obstacle(cls, project: Project, model: nn.Module) -> str:
        """Why this network cannot be explained so, in a sentence; empty where it can."""
        from netloom.explain.core.requirements import unmet

        return unmet(cls.needs, project, model)

    def run(self, subject: Subject) -> Result:
        """Explain the subject's answer."""
        raise NotImplementedError


class Comparing(Explainer):
    """A method that compares the example with a baseline, which people can choose."""

    baseline: str | dict[str, Any] = Field(
        "usual",
        description="What the example is compared with: usual, zero, mean, median, class:NAME, black, white, blur, "
        "padding or row:NUMBER, as far as it fits the input, or a row of your own",
    )


class Integrating(Comparing):
    """A method that follows the path from the baseline to the example in steps."""

    n_steps: int = Field(
        0, ge=0, le=4096, description="Steps on the path from the baseline to the example; 0: as many as it needs"
    )


@cache
def registry() -> dict[str, type[Explainer]]:
    """All explainers by name, in the order in which they are offered."""
    return discover(
        Explainer,
        "netloom.explain.attribution",
        "netloom.explain.attention",
        order=lambda kind: (_place(kind.name), list(GROUPS).index(kind.group), kind.name),
    )


def _place(name: str) -> int:
    return FIRST.index(name) if name in FIRST else len(FIRST)

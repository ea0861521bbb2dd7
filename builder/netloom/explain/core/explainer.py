"""The base class of explainers, whose fields are the options. A new file in a folder of `attribution/`, or in
`attention/`, registers itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from netloom.core.delegation import Delegable
from netloom.core.registry import discover
from netloom.explain.core.explanation import AttentionMaps, Remark

if TYPE_CHECKING:
    from torch import nn

    from netloom.document import Project
    from netloom.explain.core.context import ExplanationContext


# The headings of the list of methods, in this order.
GRADIENTS, PERTURBATION, SHAPLEY, ATTENTION, LAYERS = (
    "Gradient",
    "Perturbation",
    "Shapley & surrogate",
    "Attention",
    "Layer",
)
# What the methods of each group do, in plain words.
GROUPS = {
    GRADIENTS: "Follow the slope of the score back to the input.",
    PERTURBATION: "Hide parts of the input and watch the score.",
    SHAPLEY: "Share the score among the features, or fit a simple model around the example.",
    ATTENTION: "Read the attention weights of the network.",
    LAYERS: "Look at the units inside the network.",
}
FIRST_METHODS = ("integrated_gradients", "saliency", "occlusion", "layer_conductance")


@dataclass(frozen=True)
class Method:
    """An explainer in a list; if it is not `available`, `reason` says why."""

    name: str
    title: str
    summary: str
    url: str
    available: bool
    reason: str = ""
    group: str = GRADIENTS
    explains_layer: bool = False
    is_aggregable: bool = True


@dataclass(frozen=True)
class Result:
    """The result of an explainer.

    Attributes:
        attributions: An array by input field in the shape of the field, without the batch axis.
        steps: The number of steps of the path integral, or of samples.
        nodes: An array by the path of a node, in the shape of its output.
        total: The sum of all parts, if it is not the sum of `attributions`.
        baseline_score: F(baseline), if it is not the score of the baseline of the context.
        baseline: A description of the reference, if it is not a chosen baseline.
        covers_score: Whether the whole score passes through the explained node, so that the parts can sum to it.
        repeats: Independent estimates (R, …) by field of a method that samples. `attributions` are their mean (for a
            method without signs, the mean before the signs are dropped).
        enumerated: Whether all coalitions were evaluated, so that nothing was sampled.
        remarks: Remarks of the method itself, in addition to those on every explanation.
    """

    attributions: dict[str, np.ndarray]
    steps: int | None = None
    attention: AttentionMaps | None = None
    nodes: dict[str, np.ndarray] = field(default_factory=dict)
    total: float | None = None
    baseline_score: float | None = None
    baseline: str = ""
    covers_score: bool = True
    repeats: dict[str, np.ndarray] = field(default_factory=dict)
    enumerated: bool = False
    remarks: tuple[Remark, ...] = field(default=())


class Explainer(BaseModel):
    """One method; an instance holds its options.

    Attributes:
        signed: Whether attributions are positive if a part increases the score and negative if it decreases it;
            otherwise, they are magnitudes.
        is_complete: Whether the attributions are meant to sum to F(x) − F(baseline) (completeness, Sundararajan et al.
            2017, https://arxiv.org/abs/1703.01365).
        is_summable: Whether the sum of the attributions can be compared with F(x) − F(baseline) at all.
        complete_by_construction: Whether they sum to it even if each of them is wrong, so that the sum proves nothing.
        explains_score: Whether they explain F, and not a neuron or an activation inside the network.
        requirements: The requirements on the network, by the names in `requirements.REQUIREMENTS`.
        group: The heading under which the method is listed.
        explains_layer: Whether the method explains a layer of the network, which the option `node` chooses.
        is_aggregable: Whether its results for many rows can be aggregated, instead of being specific to a single one.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    url: ClassVar[str]
    signed: ClassVar[bool] = True
    is_complete: ClassVar[bool] = False
    is_summable: ClassVar[bool] = True
    complete_by_construction: ClassVar[bool] = False
    explains_score: ClassVar[bool] = True
    requirements: ClassVar[tuple[str, ...]] = ()
    group: ClassVar[str] = GRADIENTS
    explains_layer: ClassVar[bool] = False
    is_aggregable: ClassVar[bool] = True

    @classmethod
    def unavailable_reason(cls, project: Project, model: nn.Module) -> str:
        """Return why the method does not support this network, as a sentence; empty if it does."""
        from netloom.explain.core.requirements import not_inspectable, unmet_requirement

        if cls.explains_layer and (reason := not_inspectable(model)):
            return reason
        return unmet_requirement(cls.requirements, project, model)

    def run(self, context: ExplanationContext) -> Result:
        """Compute the explanation of the context's target."""
        raise NotImplementedError


class BaselineExplainer(Explainer):
    """A method that compares the example with a baseline."""

    baseline: str | dict[str, Any] = Field(
        "usual",
        description="What the example is compared with: usual, zero, mean, median, class:NAME, black, white, blur, "
        "padding or row:NUMBER, as far as it fits the input, or a row of your own",
    )


class PathExplainer(BaselineExplainer):
    """A method that integrates along the path from the baseline to the example."""

    n_steps: int = Field(
        0, ge=0, le=4096, description="Steps on the path from the baseline to the example; 0: as many as it needs"
    )


@cache
def registry() -> dict[str, type[Explainer]]:
    """Return all explainers by name, in display order."""
    return discover(
        Explainer,
        "netloom.explain.attribution",
        "netloom.explain.attention",
        is_recursive=True,
        order=lambda kind: (_rank(kind.name), list(GROUPS).index(kind.group), kind.name),
    )


def _rank(name: str) -> int:
    return FIRST_METHODS.index(name) if name in FIRST_METHODS else len(FIRST_METHODS)


@dataclass(frozen=True)
class MethodFacts:
    """What a page needs of an explainer: whether its attributions have a sign, whether it explains the score, and the
    names of its settings."""

    signed: bool
    explains_score: bool
    settings: tuple[str, ...]


@Delegable
def method_facts() -> dict[str, MethodFacts]:
    """Return the facts of all explainers by name. A web server delegates this to a worker, because the modules of
    explainers import PyTorch."""
    return {
        name: MethodFacts(kind.signed, kind.explains_score, tuple(kind.model_fields))
        for name, kind in registry().items()
    }

"""Attribution flow: the share of a score that passes through each edge of the graph, complete at every cut.

Integrated Gradients along the straight path from the baseline to the example, evaluated at every edge. Restricted to
one node, this is its conductance: Dhamdhere, Sundararajan and Yan 2018, https://arxiv.org/abs/1805.12233
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from netloom.core.plain_json import JsonObject
from netloom.explain.core import cache
from netloom.explain.core.baselines import USUAL
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explanation import COMPLETENESS_BOUNDS, Level, Prediction, Target, Verdict
from netloom.explain.core.request import ExplanationRequest, Progress, Trained, build_context, chosen_settings
from netloom.explain.core.requirements import nothing_to_explain, unmet_requirement
from netloom.explain.evidence.model_check import model_check
from netloom.explain.evidence.verdict import with_model
from netloom.explain.flow.flow_parts import Cut, EdgeFlow, NodeFlow

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.baselines import BaselineChoice
    from netloom.explain.core.context import ExplanationContext
    from netloom.explain.core.targets import TargetLike

METHOD = "flow"
TITLE = "Attribution flow"
SUMMARY = "How much of the score passes through each connection of the network; complete at every cut"
# The paper on conductance, the flow through a node.
URL = "https://arxiv.org/abs/1805.12233"
REQUIREMENTS = ("gradients", "smooth_path")
MAX_STEPS = 1024
TOLERANCE = 0.01


@dataclass(frozen=True)
class Flow:
    """The attribution flow of one score through all networks of a document.

    `score` is F(x) and `baseline_score` is F(baseline). `direct` bypasses the graph: the loss of a reconstruction
    depends on the input directly. `relative_error` is the completeness error of the worst cut, and `word` names it.
    `steps` is the number of integration steps, and `baseline` describes the baseline.
    """

    method: str
    title: str
    target: Target
    prediction: Prediction
    row: int | None
    score: float
    baseline_score: float
    edges: tuple[EdgeFlow, ...]
    nodes: tuple[NodeFlow, ...]
    cuts: tuple[Cut, ...]
    direct: float
    relative_error: float | None
    word: str
    steps: int
    verdict: Verdict
    options: dict[str, Any]
    weights: str = ""
    checkpoint: str = ""
    seconds: float = 0.0
    baseline: str = ""

    @property
    def headline(self) -> str:
        """The target and the baseline in words."""
        return f"{self.title} of {self.target.quantity}, compared with {self.baseline}"

    def as_json(self) -> JsonObject:
        """Return the flow as plain JSON values."""
        return asdict(self)


def unavailable_reason(trained: Trained) -> str:
    """Return why the flow is unavailable for a network, as a sentence; empty if it is available."""
    from netloom.compile.logit_network import with_logits

    model = with_logits(trained.project, trained.model, trained.data.schema)
    return nothing_to_explain(trained.project) or unmet_requirement(REQUIREMENTS, trained.project, model)


def flow(
    trained: Trained,
    row_or_raw: int | Mapping[str, Any],
    *,
    target: TargetLike = None,
    max_steps: int = MAX_STEPS,
    tolerance: float = TOLERANCE,
    baseline: BaselineChoice = USUAL,
    folder: Path | None = None,
    checkpoint: str = "",
    progress: Progress | None = None,
) -> Flow:
    """Compute the attribution flow of a trained network for a row or a raw row.

    `target`, `baseline`, `folder`, `checkpoint` and `progress` are as for `explain`. The path from the baseline to the
    example is refined adaptively until every cut sums to the change of the score within `tolerance` (relative), or
    until `max_steps` steps.

    Raises:
        ExplainError: The row or target does not exist, or the network does not support the method.
        DataError: The raw row lacks a field, or has a value that the data cannot encode.
    """
    start = perf_counter()
    reason = unavailable_reason(trained)
    if reason:
        raise ExplainError(f"{TITLE} does not support this network: {reason}")
    request = ExplanationRequest(METHOD, row_or_raw, target, progress=progress, chosen=chosen_settings(trained))
    context, example, output = build_context(trained.project, trained.model, trained.data, request, baseline)
    weights, options = cache.weights_hash(trained.model), {"max_steps": max_steps, "tolerance": tolerance}
    name = _cache_key(context, example.row, weights, options)
    cached = cache.load_as(Flow, folder, name) if folder else None
    if cached is not None:
        return replace(cached, checkpoint=checkpoint)
    computed = _computed(trained, context, example.row, output, options, weights)
    result = replace(computed, checkpoint=checkpoint, seconds=perf_counter() - start)
    if folder:
        cache.save(folder, name, result)
    return result


def _computed(
    trained: Trained,
    context: ExplanationContext,
    row: int | None,
    output: torch.Tensor,
    options: dict[str, Any],
    weights: str,
) -> Flow:
    from netloom.explain.core.targets import predict
    from netloom.explain.flow.path_integral import integrate_flow

    integrated = integrate_flow(context, options["max_steps"], options["tolerance"])
    error = worst_error(integrated.cuts)
    verdict = _verdict(integrated.score - integrated.baseline_score, error, len(integrated.cuts), integrated.steps)
    quality = model_check(trained.project, trained.model, trained.data, weights, context.flops)
    return Flow(
        method=METHOD,
        title=TITLE,
        target=context.target,
        prediction=predict(context.target, output, trained.data, context.inputs, chosen_settings(trained)),
        row=row,
        score=integrated.score,
        baseline_score=integrated.baseline_score,
        edges=integrated.edges,
        nodes=integrated.nodes,
        cuts=integrated.cuts,
        direct=integrated.direct,
        relative_error=error,
        word=_word(error),
        steps=integrated.steps,
        verdict=with_model(verdict, quality),
        options=options,
        weights=weights,
        baseline=context.baseline_text,
    )


def _cache_key(context: ExplanationContext, row: int, weights: str, options: Mapping[str, object]) -> str:
    """Return the name of a cached flow, which differs for other weights, inputs, baselines and options."""
    question = {"method": METHOD, "target": asdict(context.target), "options": options, "row": row}
    baselines = {f"baseline of {name}": values for name, values in context.baseline.items()}
    return cache.key(weights, {**context.inputs, **baselines}, question)


def worst_error(cuts: tuple[Cut, ...]) -> float | None:
    """Return the largest relative error of the cuts; None if there is nothing to attribute."""
    errors = [cut.relative_error for cut in cuts if cut.relative_error is not None]
    # NaN counts as the worst error; `max` alone would ignore it, because comparisons with NaN are False.
    return max(errors, key=lambda error: (error != error, error)) if errors else None


def _word(error: float | None) -> str:
    return "" if error is None else next((word for word, bound in COMPLETENESS_BOUNDS if error <= bound), "unreliable")


def _verdict(gap: float, error: float | None, cuts: int, steps: int) -> Verdict:
    """Judge the completeness of the flow."""
    if error is None:
        return Verdict("caution", "The score equals that of the baseline, so there is nothing to attribute.")
    word = _word(error)
    levels: dict[str, Level] = {"exact": "good", "converged": "good", "approximate": "caution"}
    location = f"every cut of the graph ({cuts})" if cuts > 1 else "the only cut of the graph"
    if word not in levels:
        text = f"The flows do not add up: the largest completeness error at {location} is {error:.1%} of {gap:+.3g}"
        return Verdict("poor", f"{text} after {steps} steps, so the flow is unreliable.")
    # With two decimals, a smaller error would read 0.00%.
    error_text = f"at most {error:.2%}" if error >= 5e-5 else "below 0.01%"
    text = f"The flows sum to {gap:+.3g} at {location} (completeness error {error_text} with {steps} steps): {word}."
    return Verdict(levels[word], text)

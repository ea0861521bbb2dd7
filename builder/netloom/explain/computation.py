"""Compute an explanation: choose the target, run the method, and check the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.core import cache
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.estimation.quadrature import TINY
from netloom.explain.core.examples import labels
from netloom.explain.core.explainer import BaselineExplainer, Explainer, Method, Result, registry
from netloom.explain.core.explanation import Completeness, Explanation, Proofs, Sampling, Verdict
from netloom.explain.core.options import baseline_of, explainer_of, plain_options
from netloom.explain.core.parts.axes import axes_of
from netloom.explain.core.parts.columns import by_column
from netloom.explain.core.request import ExplanationRequest, Preview, Progress, Trained, build_context, chosen_settings
from netloom.explain.core.requirements import nothing_to_explain
from netloom.explain.core.targets import predict
from netloom.explain.evidence.model_check import ModelCheck, model_check
from netloom.explain.evidence.verdict import (
    judge,
    on_completeness,
    on_cross_check,
    on_faithfulness,
    on_infidelity,
    on_randomization,
    on_sampling,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Example, Prepared
    from netloom.document import Project
    from netloom.explain.core.context import ExplanationContext
    from netloom.explain.core.quantities.quantity import Settings
    from netloom.explain.core.targets import TargetLike

UNCHECKED = Verdict("caution", "The checks have not run yet.", badge="Not checked yet")


def methods(trained: Trained) -> list[Method]:
    """Return all methods, with the reason if this network does not support one."""
    from netloom.compile.logit_network import with_logits

    methods, scorer = [], with_logits(trained.project, trained.model, trained.data.schema)
    for explainer in registry().values():
        reason = applicable(trained.project, scorer, explainer.name)
        methods.append(
            Method(
                explainer.name,
                explainer.title,
                explainer.summary,
                explainer.url,
                not reason,
                reason,
                explainer.group,
                explainer.explains_layer,
                explainer.is_aggregable,
            )
        )
    return methods


def applicable(project: Project, model: nn.Module, method: str) -> str:
    """Return why a method does not support a network, as a sentence; empty if it does."""
    from netloom.compile.logit_network import with_logits

    return nothing_to_explain(project) or registry()[method].unavailable_reason(project, with_logits(project, model))


def explain(
    trained: Trained,
    method: str,
    row_or_raw: int | Mapping[str, Any],
    *,
    target: TargetLike = None,
    seed: int = 0,
    proofs: bool = True,
    randomize: bool = False,
    folder: Path | None = None,
    checkpoint: str = "",
    progress: Progress | None = None,
    preview: Preview | None = None,
    **options: Any,
) -> Explanation:
    """Explain the prediction of a trained network for a row of its data, or for a raw row from a file or form.

    `target` is a class, an output, or for text `{"position": 3, "token": "a"}`; by default, the prediction. `options`
    are the fields of the method's class. `proofs` measures faithfulness, and `randomize` also compares with networks
    with shuffled weights. The result is cached in `folder`, the folder of the run, by weights, input, method and
    options. `checkpoint` is the name of the weights. `progress` receives the fraction done; an exception from it
    cancels the work without side effects. `preview` receives the explanation before it is checked.

    Raises:
        ExplainError: The method, option, row or target does not exist, or the method does not support the network.
        DataError: The raw row lacks a field, or has a value that the data cannot encode.
    """
    request = ExplanationRequest(
        method,
        row_or_raw,
        target,
        seed,
        proofs,
        randomize,
        folder,
        checkpoint,
        progress,
        preview,
        chosen_settings(trained),
    )
    return _explain(trained.project, trained.model, trained.data, request, options)


def explain_model(
    project: Project,
    model: nn.Module,
    data: Prepared,
    method: str,
    row_or_raw: int | Mapping[str, Any],
    *,
    target: TargetLike = None,
    seed: int = 0,
    **options: Any,
) -> Explanation:
    """Explain a network given as project, model and data; the arguments are those of `explain`."""
    return _explain(project, model, data, ExplanationRequest(method, row_or_raw, target, seed), options)


def _explain(
    project: Project, model: nn.Module, data: Prepared, request: ExplanationRequest, options: Mapping[str, Any]
) -> Explanation:
    start = perf_counter()
    explainer = explainer_of(request.method, options)
    reason = applicable(project, model, request.method)
    if reason:
        raise ExplainError(f"{explainer.title} does not support this network: {reason}")
    context, example, output = build_context(project, model, data, request, baseline_of(explainer))
    weights = cache.weights_hash(model)
    question: dict[str, Any] = {
        "method": request.method,
        "target": asdict(context.target),
        "options": plain_options(explainer),
    }
    question |= {"seed": request.seed, "proofs": request.proofs, "randomise": request.randomize, "row": example.row}
    if request.chosen:  # it is part of the prediction
        question["chosen"] = dict(request.chosen)
    # A custom baseline may be an image, so its tensors are part of the key rather than its JSON.
    baselines = {f"baseline of {name}": values for name, values in context.baseline.items()}
    name = cache.key(weights, {**context.inputs, **baselines}, question)
    cached = cache.load(request.folder, name) if request.folder else None
    if cached is not None:
        # The key contains the hash of the weights and not their name, and two checkpoints may have equal weights.
        return replace(cached, checkpoint=request.checkpoint)

    # Deferred until after the preview, because it evaluates the network on test rows
    def quality() -> ModelCheck | None:
        return model_check(project, model, data, weights, context.flops) if request.proofs else None

    explanation = _run_and_check(explainer, context, model, example, output, request, quality)
    explanation = replace(explanation, weights=weights, checkpoint=request.checkpoint, seconds=perf_counter() - start)
    if request.folder:
        cache.save(request.folder, name, explanation)
    return explanation


def _run_and_check(
    explainer: Explainer,
    context: ExplanationContext,
    model: nn.Module,
    example: Example,
    output: torch.Tensor,
    request: ExplanationRequest,
    check_model: Callable[[], ModelCheck | None],
) -> Explanation:
    """Run the method, and check its result."""
    from netloom.explain.evidence.cross_check import cross_check
    from netloom.explain.evidence.faithfulness import faithfulness
    from netloom.explain.evidence.randomization_test import randomization_test

    # A method may modify its copy of the network; checks need an unmodified one.
    original_context = context.with_model(model)
    result = explainer.run(context)
    # The checks continue the progress of the method.
    original_context.done, original_context.expected = context.done, context.expected
    sampling = _sampling(original_context, result)
    completeness, remarks = _completeness(explainer, original_context, result), [*result.remarks]
    explanation = _describe(explainer, original_context, example, output, result, request.chosen)
    # Completeness costs two rows, so the preview already has it and can show a waterfall.
    explanation = replace(explanation, proofs=Proofs(completeness, None, request.seed, sampling=sampling))
    if request.preview is not None:
        request.preview(explanation)
    if completeness:
        remarks.insert(0, on_completeness(completeness))
    if sampling:
        remarks.insert(0, on_sampling(sampling))
    faithfulness_proof, agreement = None, None
    if request.proofs and result.attributions and explainer.explains_score:
        faithfulness_proof = faithfulness(
            original_context, result.attributions, signed=explainer.signed, seed=request.seed
        )
        remarks.append(on_faithfulness(faithfulness_proof))
        remarks += [remark for remark in [on_infidelity(faithfulness_proof) if faithfulness_proof else None] if remark]
        agreement = cross_check(explainer, original_context, result.attributions)
        remarks += [on_cross_check(agreement)] if agreement else []
    randomization = randomization_test(explainer, original_context, model, result) if request.randomize else None
    if randomization is not None:
        remarks.append(on_randomization(randomization))
    proofs = Proofs(completeness, faithfulness_proof, request.seed, randomization, sampling, agreement)
    return replace(explanation, proofs=proofs, verdict=judge(remarks, check_model()))


def _describe(
    explainer: Explainer,
    context: ExplanationContext,
    example: Example,
    output: torch.Tensor,
    result: Result,
    chosen: Settings,
) -> Explanation:
    """Build the explanation without the results of the checks."""
    target, data = context.target, context.data
    return Explanation(
        method=explainer.name,
        title=explainer.title,
        target=target,
        prediction=predict(target, output, data, context.inputs, chosen),
        attributions=by_column(data, result.attributions),
        labels=labels(data, example),
        example=example,
        proofs=Proofs(None, None, context.seed),
        verdict=UNCHECKED,
        options=plain_options(explainer),
        attention=result.attention,
        nodes=result.nodes,
        score=float(context.score(context.inputs)),
        baseline_score=result.baseline_score
        if result.baseline_score is not None
        else float(context.score(context.baseline)),
        baseline=result.baseline or (context.baseline_text if isinstance(explainer, BaselineExplainer) else ""),
        axes=axes_of(data),
    )


def _completeness(explainer: Explainer, context: ExplanationContext, result: Result) -> Completeness | None:
    """Compute the completeness from the attributions, without relying on the method."""
    if not explainer.is_summable or not result.covers_score:
        return None
    score = float(context.score(context.inputs))
    baseline_score = (
        result.baseline_score if result.baseline_score is not None else float(context.score(context.baseline))
    )
    summed = float(sum(np.sum(values) for values in result.attributions.values()))
    total = summed if result.total is None else result.total
    delta, score_change = total - (score - baseline_score), abs(score - baseline_score)
    is_zero = max(score_change, abs(delta)) <= TINY * max(1.0, abs(score), abs(baseline_score))
    error = None if is_zero else abs(delta) / score_change if score_change else float("inf")
    return Completeness(
        total,
        score,
        baseline_score,
        delta,
        error,
        result.steps,
        explainer.is_complete,
        explainer.complete_by_construction and not result.enumerated,
    )


def _sampling(context: ExplanationContext, result: Result) -> Sampling | None:
    """Compute the sampling error from independent estimates; None for deterministic methods."""
    from netloom.explain.core.estimation.sampling import standard_error
    from netloom.explain.evidence.faithfulness import unit_attributions

    if not result.repeats:
        return Sampling(0, None, enumerated=True) if result.enumerated else None
    count = len(next(iter(result.repeats.values())))
    each = [
        unit_attributions(context, {name: values[index] for name, values in result.repeats.items()}, signed=True)
        for index in range(count)
    ]
    return Sampling(count, standard_error(np.stack(each)), enumerated=False)

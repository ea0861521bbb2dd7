"""Explaining one answer: choose what is explained, run the method, hold it to its proofs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from netloom.explain.core.baselines import USUAL
from netloom.explain.core.baselines import Asked as Baseline
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explainer import Comparing, Explainer, Method, Result, registry
from netloom.explain.core.explanation import Completeness, Explanation, Proofs, Sampling, Verdict
from netloom.explain.core.options import baseline_of, explainer_of, written
from netloom.explain.core.requirements import nothing_to_explain
from netloom.explain.evidence.model_check import ModelCheck, model_check
from netloom.tasks import task

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Example, Prepared, Schema
    from netloom.document import Project
    from netloom.explain.core.context import Subject
    from netloom.explain.core.targets import Asked

TINY = 1e-5
UNCHECKED = Verdict("caution", "The checks have not run yet.", badge="Not checked yet")
Progress = Callable[[float], None]
Preview = Callable[[Explanation], None]


class Trained(Protocol):
    """What is needed of a trained network."""

    @property
    def project(self) -> Project: ...
    @property
    def model(self) -> nn.Module: ...
    @property
    def data(self) -> Prepared: ...


def methods(trained: Trained) -> list[Method]:
    """All methods, and for this network whether they are available or why not."""
    from netloom.compile.logit_network import with_logits

    found, scorer = [], with_logits(trained.project, trained.model, trained.data.schema)
    for explainer in registry().values():
        reason = applicable(trained.project, scorer, explainer.name)
        described = (explainer.name, explainer.title, explainer.summary, explainer.url)
        found.append(Method(*described, not reason, reason, explainer.group, explainer.layered))
    return found


def applicable(project: Project, model: nn.Module, method: str) -> str:
    """Why a method does not fit a network, or would be wrong on it without saying so, in a sentence; empty: it fits."""
    from netloom.compile.logit_network import with_logits

    return nothing_to_explain(project) or registry()[method].obstacle(project, with_logits(project, model))


def explain(
    trained: Trained,
    method: str,
    row_or_raw: int | Mapping[str, Any],
    *,
    target: Asked = None,
    seed: int = 0,
    proofs: bool = True,
    randomise: bool = False,
    folder: Path | None = None,
    checkpoint: str = "",
    progress: Progress | None = None,
    preview: Preview | None = None,
    **options: Any,
) -> Explanation:
    """Explain a trained network's answer to a row of its data, or to a raw row as it comes from a file or a form.

    `target` is a class, an output, or for text `{"position": 3, "token": "a"}`; left out, it is what the network
    answers. `options` are the fields of the method's class. Without `proofs`, its faithfulness is not measured; with
    `randomise`, it is also compared with networks of shuffled weights. In `folder`, that of the run, it is kept by
    weights, input, method and parameters, and taken from there the next time. `checkpoint` is the name of the weights.
    `progress` is told the share that is done; what it raises ends the work and leaves nothing behind. `preview` gets
    the explanation as soon as the method has run, before it is held to its proofs.

    Raises:
        ExplainError: there is no such method, option, row or target, or the method does not fit the network.
        DataError: the raw row lacks something, or holds what the data cannot take.
    """
    asked = Question(method, row_or_raw, target, seed, proofs, randomise, folder, checkpoint, progress, preview)
    return _explained(trained.project, trained.model, trained.data, asked, options)


def explain_model(
    project: Project,
    model: nn.Module,
    data: Prepared,
    method: str,
    row_or_raw: int | Mapping[str, Any],
    *,
    target: Asked = None,
    seed: int = 0,
    **options: Any,
) -> Explanation:
    """As `explain`, for a network that is at hand in parts."""
    return _explained(project, model, data, Question(method, row_or_raw, target, seed), options)


@dataclass(frozen=True)
class Question:
    """What is asked of `explain`, without the options of the method."""

    method: str
    row_or_raw: int | Mapping[str, Any]
    target: Asked = None
    seed: int = 0
    proofs: bool = True
    randomise: bool = False
    folder: Path | None = None
    checkpoint: str = ""
    progress: Progress | None = None
    preview: Preview | None = None


def subject_of(
    project: Project, model: nn.Module, data: Prepared, asked: Question, baseline: Baseline = USUAL
) -> tuple[Subject, Example, torch.Tensor]:
    """The example on a private copy of the network, as people see it, and the network's answer (1, …)."""
    from netloom.explain.core.context import Subject
    from netloom.explain.core.examples import read, written_by_itself
    from netloom.explain.core.targets import choose

    inputs, example = read(data, asked.row_or_raw)
    if data.schema.target.type.is_text:
        inputs, example = written_by_itself(project, model, data, inputs, example)
    output = answers(project, model, inputs, data.schema)
    chosen = choose(asked.target, output, data, inputs, project.training)
    subject = Subject(project, model, data, inputs, chosen, baseline, seed=asked.seed, progress=asked.progress)
    return subject, example, output


def _explained(
    project: Project, model: nn.Module, data: Prepared, asked: Question, options: Mapping[str, Any]
) -> Explanation:
    from netloom.explain.core import cache

    started = perf_counter()
    explainer = explainer_of(asked.method, options)
    obstacle = applicable(project, model, asked.method)
    if obstacle:
        raise ExplainError(f"{explainer.title} does not support this network: {obstacle}")
    subject, example, output = subject_of(project, model, data, asked, baseline_of(explainer))
    weights = cache.weights_hash(model)
    question: dict[str, Any] = {
        "method": asked.method,
        "target": asdict(subject.target),
        "options": written(explainer),
    }
    question |= {"seed": asked.seed, "proofs": asked.proofs, "randomise": asked.randomise, "row": example.row}
    # A baseline of one's own may be a picture, which JSON does not hold.
    compared = {f"baseline of {name}": values for name, values in subject.baseline.items()}
    name = cache.key(weights, {**subject.inputs, **compared}, question)
    before = cache.load(asked.folder, name) if asked.folder else None
    if before is not None:
        return replace(before, checkpoint=asked.checkpoint)

    def quality() -> ModelCheck | None:
        return model_check(project, model, data, weights, subject.flops) if asked.proofs else None

    found = _worked_out(explainer, subject, model, example, output, asked, quality)
    found = replace(found, weights=weights, checkpoint=asked.checkpoint, seconds=perf_counter() - started)
    if asked.folder:
        cache.save(asked.folder, name, found)
    return found


def _worked_out(
    explainer: Explainer,
    subject: Subject,
    model: nn.Module,
    example: Example,
    output: torch.Tensor,
    asked: Question,
    quality: Callable[[], ModelCheck | None],
) -> Explanation:
    """Run the method, and hold it to its proofs."""
    from netloom.explain.evidence.cross_check import cross_check
    from netloom.explain.evidence.faithfulness import faithfulness
    from netloom.explain.evidence.randomization_test import randomised
    from netloom.explain.evidence.verdict import (
        judge,
        on_completeness,
        on_cross_check,
        on_faithfulness,
        on_infidelity,
        on_randomised,
        on_sampling,
    )

    # A method may change its copy of the network; proofs are held against the network itself.
    judged = subject.on(model)
    result = explainer.run(subject)
    judged.done, judged.expected = subject.done, subject.expected
    sampling = _sampling(judged, result)
    completeness, remarks = _completeness(explainer, judged, result), [*result.remarks]
    found = _described(explainer, judged, example, output, result)
    # Completeness takes two rows, so it is known with the first picture, which can then be a waterfall.
    found = replace(found, proofs=Proofs(completeness, None, asked.seed, sampling=sampling))
    if asked.preview is not None:
        asked.preview(found)
    if completeness:
        remarks.insert(0, on_completeness(completeness))
    if sampling:
        remarks.insert(0, on_sampling(sampling))
    faithful, agreement = None, None
    if asked.proofs and result.attributions and explainer.of_answer:
        faithful = faithfulness(judged, result.attributions, signed=explainer.signed, seed=asked.seed)
        remarks.append(on_faithfulness(faithful))
        remarks += [remark for remark in [on_infidelity(faithful) if faithful else None] if remark]
        agreement = cross_check(explainer, judged, result.attributions)
        remarks += [on_cross_check(agreement)] if agreement else []
    forgotten = randomised(explainer, judged, model, result) if asked.randomise else None
    if forgotten is not None:
        remarks.append(on_randomised(forgotten))
    proofs = Proofs(completeness, faithful, asked.seed, forgotten, sampling, agreement)
    return replace(found, proofs=proofs, verdict=judge(remarks, quality()))


def _described(
    explainer: Explainer, judged: Subject, example: Example, output: torch.Tensor, result: Result
) -> Explanation:
    """What a method found, before it is held to anything."""
    from netloom.explain.core.axes import axes_of
    from netloom.explain.core.columns import by_column
    from netloom.explain.core.examples import labels
    from netloom.explain.core.targets import predict

    target, data = judged.target, judged.data
    return Explanation(
        method=explainer.name,
        title=explainer.title,
        target=target,
        prediction=predict(target, output, data, judged.inputs),
        attributions=by_column(data, result.attributions),
        labels=labels(data, example),
        example=example,
        proofs=Proofs(None, None, judged.seed),
        verdict=UNCHECKED,
        options=written(explainer),
        attention=result.attention,
        nodes=result.nodes,
        answer=float(judged.score(judged.inputs)),
        ground=result.ground if result.ground is not None else float(judged.score(judged.baseline)),
        compared=result.compared or (judged.compared if isinstance(explainer, Comparing) else ""),
        axes=axes_of(data),
    )


def answers(
    project: Project, model: nn.Module, inputs: Mapping[str, torch.Tensor], schema: Schema | None = None
) -> torch.Tensor:
    """The network's answers to some examples, (N, …), as logits where it tells classes.

    Raises:
        ExplainError: the answer is not finite.
    """
    import torch

    from netloom.compile import input_fields
    from netloom.compile.logit_network import with_logits

    model = with_logits(project, model, schema)
    with torch.no_grad():
        found = model(*[inputs[name] for name in input_fields(project)])
    if isinstance(found, tuple) and task(project.training.objective).joins_outputs:
        found = torch.cat([part.flatten(1) for part in found], dim=1)
    output: torch.Tensor = found[0] if isinstance(found, tuple) else found
    if not bool(output.isfinite().all()):
        raise ExplainError(
            "The output of the network for this example is not finite (NaN or infinity), so it cannot be explained. "
            "Train the network with a lower learning rate."
        )
    return output


def _completeness(explainer: Explainer, subject: Subject, result: Result) -> Completeness | None:
    """Computed here from the parts, not taken from the method."""
    if not explainer.sums or not result.whole:
        return None
    answer = float(subject.score(subject.inputs))
    ground = result.ground if result.ground is not None else float(subject.score(subject.baseline))
    summed = float(sum(np.sum(values) for values in result.attributions.values()))
    total = summed if result.total is None else result.total
    delta, gap = total - (answer - ground), abs(answer - ground)
    nothing = max(gap, abs(delta)) <= TINY * max(1.0, abs(answer), abs(ground))
    error = None if nothing else abs(delta) / gap if gap else float("inf")
    return Completeness(
        total,
        answer,
        ground,
        delta,
        error,
        result.steps,
        explainer.adds_up,
        explainer.fits_anyway and not result.enumerated,
    )


def _sampling(subject: Subject, result: Result) -> Sampling | None:
    """How far independent estimates of the parts differ; None of a method that draws nothing."""
    from netloom.explain.core.sampling import standard_error
    from netloom.explain.evidence.faithfulness import parts_of

    if not result.repeats:
        return Sampling(0, None, enumerated=True) if result.enumerated else None
    count = len(next(iter(result.repeats.values())))
    each = [
        parts_of(subject, {name: values[place] for name, values in result.repeats.items()}, signed=True)
        for place in range(count)
    ]
    return Sampling(count, standard_error(np.stack(each)), enumerated=False)

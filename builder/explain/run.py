"""Explaining one answer: choose what is explained, run the method, hold it to its proofs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ValidationError

from builder.check.rules.adversarial import OBJECTIVE
from builder.explain.base import Explainer, ExplainError, Method, Result, registry
from builder.explain.explanation import Completeness, Explanation, Proofs

if TYPE_CHECKING:
    import torch
    from torch import nn

    from builder.data import Prepared
    from builder.explain.subject import Subject
    from builder.explain.target import Asked
    from builder.graph import Project

TINY = 1e-5


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
    found = []
    for explainer in registry().values():
        reason = _refusal(trained.project) or explainer.obstacle(trained.project, trained.model)
        found.append(
            Method(
                explainer.name, explainer.title, explainer.summary, explainer.url, available=not reason, reason=reason
            )
        )
    return found


def explain(
    trained: Trained,
    method: str,
    row_or_raw: int | Mapping[str, Any],
    *,
    target: Asked = None,
    seed: int = 0,
    **options: Any,
) -> Explanation:
    """Explain a trained network's answer to a row of its data, or to a raw row as it comes from a file or a form.

    `target` is a class, an output, or for text `{"position": 3, "token": "a"}`; left out, it is what the network
    answers. `options` are the fields of the method's class.

    Raises:
        ExplainError: there is no such method, option, row or target, or the method does not fit the network.
        DataError: the raw row lacks something, or holds what the data cannot take.
    """
    return explain_model(
        trained.project, trained.model, trained.data, method, row_or_raw, target=target, seed=seed, **options
    )


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
    from builder.explain.examples import labels, read, written_by_itself
    from builder.explain.faithfulness import faithfulness
    from builder.explain.subject import Subject
    from builder.explain.target import choose, predict
    from builder.explain.verdict import judge, on_completeness, on_faithfulness

    explainer = _explainer(method, options)
    obstacle = _refusal(project) or explainer.obstacle(project, model)
    if obstacle:
        raise ExplainError(f"{explainer.title} cannot explain this network: {obstacle}")
    inputs, example = read(data, row_or_raw)
    if data.schema.target.kind == "sequence":
        inputs, example = written_by_itself(project, model, data, inputs, example)
    output = _output(project, model, inputs)
    chosen = choose(target, output, data, inputs, project.training.objective)
    subject = Subject(project, model, data, inputs, chosen, explainer.baseline)
    result = explainer.run(subject)
    completeness = _completeness(explainer, subject, result)
    faithful = faithfulness(subject, result.attributions, signed=explainer.signed, seed=seed)
    remarks = [*result.remarks, on_faithfulness(faithful)] if result.attributions else [*result.remarks]
    if completeness:
        remarks.insert(0, on_completeness(completeness))
    return Explanation(
        method=explainer.name,
        title=explainer.title,
        target=chosen,
        prediction=predict(chosen, output, data, inputs),
        attributions=result.attributions,
        labels=labels(data, example),
        example=example,
        proofs=Proofs(completeness, faithful, seed),
        verdict=judge(remarks),
        options=explainer.model_dump(mode="json"),
        attention=result.attention,
    )


def _refusal(project: Project) -> str:
    """Why no method explains this network, in a sentence; empty where some may."""
    if project.training.objective != OBJECTIVE:
        return ""
    return (
        "a GAN makes pictures out of noise, and the numbers of noise mean nothing to people, so there is nothing in "
        "what comes in that an answer could be put down to."
    )


def _explainer(method: str, options: Mapping[str, Any]) -> Explainer:
    found = registry().get(method)
    if found is None:
        raise ExplainError(f"There is no method {method[:60]!r}; choose one of {', '.join(registry())}.")
    try:
        return found.model_validate(dict(options))
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in item["loc"])
        raise ExplainError(f"{found.title}: the option {where[:60]}: {item['msg'].lower()}.") from None


def _output(project: Project, model: nn.Module, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The network's answer to one example, (1, …).

    Raises:
        ExplainError: the answer is not finite.
    """
    import torch

    from builder.compile import input_fields

    with torch.no_grad():
        found = model(*[inputs[name] for name in input_fields(project)])
    output: torch.Tensor = found[0] if isinstance(found, tuple) else found
    if not bool(output.isfinite().all()):
        raise ExplainError(
            "The network's answer to this example is not a finite number, so there is nothing to explain; "
            "train it with a lower learning rate."
        )
    return output


def _completeness(explainer: Explainer, subject: Subject, result: Result) -> Completeness | None:
    """Computed here from the parts, not taken from the method."""
    if not explainer.sums:
        return None
    answer, ground = float(subject.score(subject.inputs)), float(subject.score(subject.baseline))
    total = float(sum(np.sum(values) for values in result.attributions.values()))
    delta, gap = total - (answer - ground), abs(answer - ground)
    nothing = max(gap, abs(delta)) <= TINY * max(1.0, abs(answer), abs(ground))
    error = None if nothing else abs(delta) / gap if gap else float("inf")
    return Completeness(total, answer, ground, delta, error, result.steps, explainer.adds_up)

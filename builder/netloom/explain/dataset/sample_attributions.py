"""Attributions of many rows: those of the input, or of a layer, as each row's own answer or one target asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.attribution.layer_method import Layered
from netloom.explain.attribution.neuron_method import OfNeuron
from netloom.explain.core.columns import by_column
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explainer import Comparing, Explainer, Integrating
from netloom.explain.core.explanation import Target
from netloom.explain.core.options import baseline_of
from netloom.explain.core.progress import portion
from netloom.explain.core.run import Progress, Question, Trained, applicable, subject_of

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.baselines import Asked as Baseline
    from netloom.explain.core.context import Subject
    from netloom.explain.core.targets import Asked

BATCHED = "integrated_gradients"


@dataclass(frozen=True)
class Gathered:
    """What was found of N rows: the target of each, its attributions (N, …) by field, and, of a method that looks
    within, those of a node's output by its path. `errors` (N,) say how far the parts of each row are off, `compared`
    what the rows were compared with, and `about` which layer or neuron it is about."""

    targets: list[Target]
    values: dict[str, np.ndarray]
    nodes: dict[str, np.ndarray] = field(default_factory=dict)
    errors: np.ndarray | None = None
    compared: str = ""
    about: str = ""


def gather(
    trained: Trained, explainer: Explainer, rows: list[int], asked: Asked, seed: int, progress: Progress | None
) -> Gathered:
    """Explain the rows by a method, the same node and neuron in each.

    Raises:
        ExplainError: the method does not fit the network, or finds nothing that could be taken together.
    """
    obstacle = applicable(trained.project, trained.model, explainer.name)
    if obstacle:
        raise ExplainError(f"{explainer.title} does not support this network: {obstacle}")
    # The fast way chooses its own steps.
    if explainer.name == BATCHED and not (isinstance(explainer, Integrating) and explainer.n_steps):
        return _together(trained, rows, asked, baseline_of(explainer), progress)
    return _one_by_one(trained, explainer, rows, asked, seed, progress)


def _together(
    trained: Trained, rows: list[int], asked: Asked, baseline: Baseline, progress: Progress | None
) -> Gathered:
    """Integrated Gradients of as many rows at once as there is room for, whatever is explained of each."""
    from netloom.explain.attribution.adaptive_integrated_gradients import AT_ONCE, integrated
    from netloom.explain.core.context import Subject

    inputs = _inputs(trained, rows)
    targets = _targets(trained, inputs, asked)
    found: dict[str, np.ndarray] = {}
    errors, done = np.zeros(len(rows)), 0
    subject = Subject(trained.project, trained.model, trained.data, _taken(inputs, [0]), targets[0], baseline)
    # Rows of the same target stand together, so that they are looked up in the answer at once.
    first = {target: place for place, target in reversed(list(enumerate(targets)))}
    order, most = sorted(range(len(rows)), key=lambda place: first[targets[place]]), min(subject.rows, AT_ONCE)
    for start in range(0, len(order), most):
        part = order[start : start + most]
        subject.turn(_taken(inputs, part), targets[part[0]])
        subject.done, subject.expected = 0, 0
        subject.progress = portion(progress, done, len(part), len(rows))
        values, errors[part] = integrated(subject, [targets[place] for place in part])
        for name, value in values.items():
            found.setdefault(name, np.zeros((len(rows), *value.shape[1:])))[part] = value
        done += len(part)
    return Gathered(targets, by_column(trained.data, found), errors=errors, compared=subject.compared)


def _inputs(trained: Trained, rows: list[int]) -> dict[str, torch.Tensor]:
    """What goes into the network, (N, …) by field; of texts that it writes, its own and not the true one."""
    import torch

    from netloom.explain.core.examples import read, written_by_itself

    if not trained.data.schema.target.type.is_text:
        return {name: values[rows] for name, values in trained.data.inputs.items()}
    each = [
        written_by_itself(trained.project, trained.model, trained.data, *read(trained.data, row))[0] for row in rows
    ]
    return {name: torch.cat([one[name] for one in each]) for name in each[0]}


def _taken(inputs: dict[str, torch.Tensor], places: list[int]) -> dict[str, torch.Tensor]:
    return {name: values[places] for name, values in inputs.items()}


def _targets(trained: Trained, inputs: dict[str, torch.Tensor], asked: Asked) -> list[Target]:
    """What is explained of each row."""
    import torch

    from netloom.explain.core.run import answers
    from netloom.explain.core.targets import choose

    training, found = trained.project.training, []
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, 64):
        some = _taken(inputs, list(range(start, min(start + 64, rows))))
        with torch.no_grad():
            output = answers(trained.project, trained.model, some, trained.data.schema)
        for place in range(len(output)):
            one = {name: values[place : place + 1] for name, values in some.items()}
            found.append(choose(asked, output[place : place + 1], trained.data, one, training))
    return found


def _one_by_one(
    trained: Trained, explainer: Explainer, rows: list[int], asked: Asked, seed: int, progress: Progress | None
) -> Gathered:
    targets, compared = list[Target](), ""
    found: tuple[dict[str, list[np.ndarray]], dict[str, list[np.ndarray]]] = ({}, {})
    if isinstance(explainer, Layered):
        explainer = _settled(trained, explainer, rows, asked, seed)
    for place, row in enumerate(rows):
        question = Question(explainer.name, row, asked, seed, progress=portion(progress, place, 1, len(rows)))
        subject = _subject(trained, question, baseline_of(explainer))
        result = explainer.run(subject)
        targets.append(subject.target)
        compared = result.compared or (subject.compared if isinstance(explainer, Comparing) else "")
        # A map of a layer that is enlarged over the input is told by the input.
        kinds = (result.attributions, {} if result.attributions else result.nodes)
        for known, parts in zip(found, kinds, strict=True):
            for name, values in parts.items():
                known.setdefault(name, []).append(values)
    if not any(found):
        raise ExplainError(
            f"{explainer.title} does not attribute to the input or to a layer, so it cannot be aggregated over rows."
        )
    stacked = [{name: np.stack(each) for name, each in known.items()} for known in found]
    return Gathered(targets, by_column(trained.data, stacked[0]), stacked[1], None, compared, _about(explainer))


def _subject(trained: Trained, question: Question, baseline: Baseline) -> Subject:
    return subject_of(trained.project, trained.model, trained.data, question, baseline)[0]


def _settled(trained: Trained, explainer: Layered, rows: list[int], asked: Asked, seed: int) -> Layered:
    """The method with its node, and its neuron, which have to be the same in all rows."""
    import torch

    subject = _subject(trained, Question(explainer.name, rows[0], asked, seed), baseline_of(explainer))
    node, tapped = explainer.place(subject)
    settled = explainer.model_copy(update={"node": node.path})
    if not isinstance(explainer, OfNeuron) or explainer.neuron:
        return settled
    inputs = _inputs(trained, rows)
    sizes = torch.zeros(())
    with torch.no_grad():
        for start in range(0, len(rows), subject.rows):
            subject.forward({name: inputs[name][start : start + subject.rows] for name in subject.specs})
            if tapped.seen is not None:
                sizes = sizes + tapped.seen.abs().sum(0)
    place = np.unravel_index(int(sizes.argmax()), tuple(sizes.shape))
    return settled.model_copy(update={"neuron": ",".join(str(int(part)) for part in place)})


def _about(explainer: Explainer) -> str:
    """Which layer or neuron the parts are about, in words."""
    if isinstance(explainer, OfNeuron):
        return f"neuron {explainer.neuron} of {explainer.node}"
    return explainer.node if isinstance(explainer, Layered) else ""

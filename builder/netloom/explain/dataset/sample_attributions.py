"""Attributions of many rows with one method, for each row's prediction or for one target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.attribution.layer.layer_method import LayerExplainer
from netloom.explain.attribution.layer.neuron_method import NeuronExplainer
from netloom.explain.computation import applicable
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explainer import BaselineExplainer, Explainer, PathExplainer
from netloom.explain.core.explanation import Target
from netloom.explain.core.options import baseline_of
from netloom.explain.core.parts.columns import by_column
from netloom.explain.core.progress import partial_progress
from netloom.explain.core.request import ExplanationRequest, Progress, Trained, build_context, chosen_settings

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.baselines import BaselineChoice
    from netloom.explain.core.context import ExplanationContext
    from netloom.explain.core.targets import TargetLike

BATCHED_METHOD = "integrated_gradients"


@dataclass(frozen=True)
class SampleAttributions:
    """The attributions of N rows.

    `targets` has one target per row, `values` attributions (N, …) by field, and `nodes` those of layer outputs by node
    path. `errors` (N,) are completeness errors, `baseline` describes the baseline, and `layer` the layer or neuron.
    """

    targets: list[Target]
    values: dict[str, np.ndarray]
    nodes: dict[str, np.ndarray] = field(default_factory=dict)
    errors: np.ndarray | None = None
    baseline: str = ""
    layer: str = ""


def attribute_rows(
    trained: Trained, explainer: Explainer, rows: list[int], target: TargetLike, seed: int, progress: Progress | None
) -> SampleAttributions:
    """Explain rows with one method, with the same layer and neuron for each.

    Raises:
        ExplainError: The method does not support the network, or its results cannot be aggregated.
    """
    reason = applicable(trained.project, trained.model, explainer.name)
    if reason:
        raise ExplainError(f"{explainer.title} does not support this network: {reason}")
    # The batched implementation chooses its steps adaptively, so a fixed number of steps needs the other one.
    if explainer.name == BATCHED_METHOD and not (isinstance(explainer, PathExplainer) and explainer.n_steps):
        return _attribute_batches(trained, rows, target, baseline_of(explainer), progress)
    return _attribute_each(trained, explainer, rows, target, seed, progress)


def _attribute_batches(
    trained: Trained, rows: list[int], target_choice: TargetLike, baseline: BaselineChoice, progress: Progress | None
) -> SampleAttributions:
    """Compute Integrated Gradients in batches, whose rows may have different targets."""
    from netloom.explain.attribution.gradient.adaptive_integrated_gradients import MAX_BATCH, integrate_rows
    from netloom.explain.core.context import ExplanationContext

    inputs = _inputs(trained, rows)
    targets = _targets(trained, inputs, target_choice)
    fields: dict[str, np.ndarray] = {}
    errors, done = np.zeros(len(rows)), 0
    context = ExplanationContext(
        trained.project, trained.model, trained.data, _take_rows(inputs, [0]), targets[0], baseline
    )
    # Rows with the same target are adjacent, so that a batch selects few different outputs. Reversed, so that the first
    # place of each target is kept.
    first_index = {target: index for index, target in reversed(list(enumerate(targets)))}
    order, max_batch = (
        sorted(range(len(rows)), key=lambda index: first_index[targets[index]]),
        min(context.rows, MAX_BATCH),
    )
    for start in range(0, len(order), max_batch):
        positions = order[start : start + max_batch]
        context.set_rows(_take_rows(inputs, positions), targets[positions[0]])
        context.done, context.expected = 0, 0
        context.progress = partial_progress(progress, done, len(positions), len(rows))
        values, errors[positions] = integrate_rows(context, [targets[index] for index in positions])
        for name, value in values.items():
            fields.setdefault(name, np.zeros((len(rows), *value.shape[1:])))[positions] = value
        done += len(positions)
    return SampleAttributions(targets, by_column(trained.data, fields), errors=errors, baseline=context.baseline_text)


def _inputs(trained: Trained, rows: list[int]) -> dict[str, torch.Tensor]:
    """Return the inputs (N, …) by field; for text generation, the decoder input is the generated text, not the
    label."""
    import torch

    from netloom.explain.core.examples import read_example, with_generated_answer

    if not trained.data.schema.target.type.is_text:
        return {name: values[rows] for name, values in trained.data.inputs.items()}
    row_inputs = [
        with_generated_answer(trained.project, trained.model, trained.data, *read_example(trained.data, row))[0]
        for row in rows
    ]
    return {name: torch.cat([inputs[name] for inputs in row_inputs]) for name in row_inputs[0]}


def _take_rows(inputs: dict[str, torch.Tensor], places: list[int]) -> dict[str, torch.Tensor]:
    return {name: values[places] for name, values in inputs.items()}


def _targets(trained: Trained, inputs: dict[str, torch.Tensor], target: TargetLike) -> list[Target]:
    """Choose the target of each row."""
    import torch

    from netloom.explain.core.request import network_output
    from netloom.explain.core.targets import choose

    training, chosen, targets = trained.project.training, chosen_settings(trained), []
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, 64):
        batch = _take_rows(inputs, list(range(start, min(start + 64, rows))))
        with torch.no_grad():
            output = network_output(trained.project, trained.model, batch, trained.data.schema)
        for index in range(len(output)):
            row_inputs = {name: values[index : index + 1] for name, values in batch.items()}
            targets.append(choose(target, output[index : index + 1], trained.data, row_inputs, training, chosen))
    return targets


def _attribute_each(
    trained: Trained, explainer: Explainer, rows: list[int], target: TargetLike, seed: int, progress: Progress | None
) -> SampleAttributions:
    targets, baseline_text = list[Target](), ""
    collected: tuple[dict[str, list[np.ndarray]], dict[str, list[np.ndarray]]] = ({}, {})
    chosen = chosen_settings(trained)
    if isinstance(explainer, LayerExplainer):
        explainer = _with_fixed_unit(trained, explainer, rows, target, seed)
    for index, row in enumerate(rows):
        request = ExplanationRequest(
            explainer.name,
            row,
            target,
            seed,
            progress=partial_progress(progress, index, 1, len(rows)),
            chosen=chosen,
        )
        context = _row_context(trained, request, baseline_of(explainer))
        result = explainer.run(context)
        targets.append(context.target)
        baseline_text = result.baseline or (context.baseline_text if isinstance(explainer, BaselineExplainer) else "")
        # A layer map that is upsampled to the input is reported as an attribution of the input only.
        kinds = (result.attributions, {} if result.attributions else result.nodes)
        for parts_by_name, parts in zip(collected, kinds, strict=True):
            for name, values in parts.items():
                parts_by_name.setdefault(name, []).append(values)
    if not any(collected):
        raise ExplainError(
            f"{explainer.title} does not attribute to the input or to a layer, so it cannot be aggregated over rows."
        )
    stacked = [{name: np.stack(arrays) for name, arrays in parts.items()} for parts in collected]
    return SampleAttributions(
        targets, by_column(trained.data, stacked[0]), stacked[1], None, baseline_text, _describe_layer(explainer)
    )


def _row_context(trained: Trained, request: ExplanationRequest, baseline: BaselineChoice) -> ExplanationContext:
    return build_context(trained.project, trained.model, trained.data, request, baseline)[0]


def _with_fixed_unit(
    trained: Trained, explainer: LayerExplainer, rows: list[int], target: TargetLike, seed: int
) -> LayerExplainer:
    """Fix the node and the neuron of a layer method for all rows.

    The default neuron has the largest total magnitude over the rows.
    """
    import torch

    context = _row_context(trained, ExplanationRequest(explainer.name, rows[0], target, seed), baseline_of(explainer))
    node, hooked = explainer.hook(context)
    fixed = explainer.model_copy(update={"node": node.path})
    if not isinstance(explainer, NeuronExplainer) or explainer.neuron:
        return fixed
    inputs = _inputs(trained, rows)
    sizes = torch.zeros(())
    with torch.no_grad():
        for start in range(0, len(rows), context.rows):
            context.forward({name: inputs[name][start : start + context.rows] for name in context.specs})
            if hooked.activation is not None:
                sizes = sizes + hooked.activation.abs().sum(0)
    index = np.unravel_index(int(sizes.argmax()), tuple(sizes.shape))
    return fixed.model_copy(update={"neuron": ",".join(str(int(part)) for part in index)})


def _describe_layer(explainer: Explainer) -> str:
    """Name the layer or neuron of the attributions."""
    if isinstance(explainer, NeuronExplainer):
        return f"neuron {explainer.neuron} of {explainer.node}"
    return explainer.node if isinstance(explainer, LayerExplainer) else ""

"""The time of the attribution flow of a network against one call of Captum for each of its layers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.cli.bench.ratio import Ratio, ratio

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext
    from netloom.explain.core.network.nodes import InnerNode
    from netloom.runs import TrainedRun

TEMPLATES = ("digits_mlp", "digits_resnet", "digits_vit", "intents_transformer", "dates_gru")
ROW = 1


@dataclass(frozen=True)
class FlowTime:
    """The time of Captum for all layers relative to that of the flow, with the same number of steps."""

    title: str
    layers: int
    edges: int
    steps: int
    flow_ms: float
    captum_ms: float
    faster: Ratio


def measure_flow(repeats: int) -> list[FlowTime]:
    """Measure with random weights, as the time does not depend on them, and with the same number of steps."""
    import torch

    from netloom.compile import module, source
    from netloom.data import prepare
    from netloom.runs import TrainedRun
    from netloom.templates import templates

    results = []
    for name in TEMPLATES:
        project = templates()[name].project
        torch.manual_seed(0)
        run = TrainedRun(project, source(project), module(project).eval(), prepare(project.data))
        results.append(_measure_network(run, repeats))
    return results


def _measure_network(run: TrainedRun, repeats: int) -> FlowTime:
    from statistics import median

    from netloom.explain import inner_nodes
    from netloom.explain.flow.attribution_flow import MAX_STEPS, TOLERANCE
    from netloom.explain.flow.path_integral import integrate_flow

    # Layers with integer outputs have no gradient, and therefore no conductance; Captum refuses them, too.
    nodes = [node for node in inner_nodes(run.project, run.model) if _has_conductance(run, node)]
    flow_times, captum_times = [], []
    path_integral = integrate_flow(_context(run), MAX_STEPS, TOLERANCE)
    for repeat in range(repeats + 1):
        contexts = [_context(run) for _ in (None, *nodes)]
        start = time.process_time()
        integrate_flow(contexts[-1], MAX_STEPS, TOLERANCE)
        flow_end = time.process_time()
        for context, node in zip(contexts, nodes, strict=False):
            _run_captum(context, node, path_integral.steps)
        if repeat:  # the first repeat is a warm-up
            flow_times.append(flow_end - start)
            captum_times.append(time.process_time() - flow_end)
    times = [1000 * median(times) for times in (flow_times, captum_times)]
    faster = ratio(captum_times, flow_times)
    return FlowTime(
        run.project.name, len(nodes), len(path_integral.edges), path_integral.steps, times[0], times[1], faster
    )


def _context(run: TrainedRun) -> ExplanationContext:
    from netloom.explain.core.request import ExplanationRequest, build_context

    return build_context(run.project, run.model, run.data, ExplanationRequest("flow", ROW))[0]


def _has_conductance(run: TrainedRun, node: InnerNode) -> bool:
    from netloom.explain import ExplainError
    from netloom.explain.core.activation_hook import affects_score, hook_layer

    context = _context(run)
    try:
        return affects_score(context, hook_layer(context, node))
    except ExplainError:
        return False


def _run_captum(context: ExplanationContext, node: InnerNode, steps: int) -> None:
    """Compute the conductance of one layer with Captum, with the number of steps of the flow."""
    from captum.attr import LayerConductance

    from netloom.explain.core.activation_hook import hook_layer

    hooked, points = hook_layer(context, node), context.points
    values, baselines = tuple(point.value for point in points), tuple(point.baseline for point in points)
    LayerConductance(context.point_score, hooked.identity).attribute(values, baselines, n_steps=steps)

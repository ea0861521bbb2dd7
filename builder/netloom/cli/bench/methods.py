"""The cost of each explanation method in forward and backward passes, and relative to a direct call of Captum."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from netloom.cli.bench.ratio import Ratio, ratio
from netloom.cli.bench.tasks import chain
from netloom.core.captum_internals import epsilon_rule
from netloom.document import DataChoice, Project

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.explain.core.context import ExplanationContext
    from netloom.explain.core.explainer import Result
    from netloom.runs import TrainedRun

ROW = 1
# Captum evaluates all permutations of the groups: with the default of nine, 362,880.
OPTIONS: Mapping[str, dict[str, Any]] = {"shapley": {"groups": 5}}
PASSES = 40


@dataclass(frozen=True)
class MethodCost:
    """The cost of one method on one network.

    Attributes:
        passes: its time relative to one forward and backward pass of a row.
        proven: the same, with all checks of its evidence.
        rows: the number of examples that pass through the network.
        captum: the time of Captum relative to that of the method; None if Captum has no such method, or refuses the
            network.
    """

    network: str
    method: str
    title: str
    passes: Ratio
    proven: Ratio
    rows: int
    captum: Ratio | None


def measure_methods(repeats: int) -> list[MethodCost]:
    """Measure all methods on an image network, also against Captum, and on a Transformer, in CPU time.

    Captum has no direct call for a Transformer, because tokens have no gradients. The weights are random.
    """
    from netloom.templates import templates

    costs = [*_measure_network(untrained_run(image_network()), repeats, with_captum=True)]
    text_project = templates()["intents_transformer"].project
    return [*costs, *_measure_network(untrained_run(text_project), repeats, with_captum=False)]


def image_network() -> Project:
    """Return a CNN without max pooling, which all methods except those of attention support."""
    image = {"field": "image", "kind": "image", "shape": [1, 24, 24]}
    layers: list[tuple[str, dict[str, Any]]] = [
        ("Input", image),
        ("Conv2d", {"filters": 12, "stride": 2}),
        ("ReLU", {}),
    ]
    layers += [("Conv2d", {"filters": 24, "stride": 2}), ("ReLU", {}), ("Conv2d", {"filters": 24}), ("ReLU", {})]
    layers += [("GlobalAvgPool", {}), ("Linear", {"units": 4})]
    project = chain(DataChoice(dataset="shapes", options={"rows": 200}), *layers)
    return project.model_copy(update={"name": "a CNN"})


def untrained_run(project: Project) -> TrainedRun:
    """Return a run with random weights, from a fixed seed."""
    import torch

    from netloom.compile import module, source
    from netloom.data import prepare
    from netloom.runs import TrainedRun

    torch.manual_seed(0)
    return TrainedRun(project, source(project), module(project).eval(), prepare(project.data))


def _measure_network(run: TrainedRun, repeats: int, *, with_captum: bool) -> list[MethodCost]:
    from netloom.explain import methods

    return [
        measure_method(run, method.name, repeats, with_captum=with_captum)
        for method in methods(run)
        if method.available
    ]


def measure_method(run: TrainedRun, name: str, repeats: int, *, with_captum: bool) -> MethodCost:
    """Measure one method; with `with_captum`, also the same method of Captum."""
    from netloom.explain import explain
    from netloom.explain.core.explainer import registry

    options = OPTIONS.get(name, {})
    explainer = registry()[name].model_validate(options)
    progress_steps: list[float] = []
    counting_context = _context(run)
    counting_context.progress = progress_steps.append
    result = explainer.run(counting_context)
    call_captum = captum_call(run, counting_context, name, result) if with_captum else None
    method_times, times_with_checks, captum_times, pass_times = [list[float]() for _ in range(4)]
    for repeat in range(repeats + 1):
        context = _context(run)
        seconds = [
            _seconds(_forward_backward_passes(run)) / PASSES,
            _seconds(partial(explainer.run, context)),
            _seconds(lambda: explain(run, name, ROW, **options)),
            _seconds(call_captum) if call_captum else 0.0,
        ]
        if repeat:  # the first repeat is a warm-up
            for times, value in zip((pass_times, method_times, times_with_checks, captum_times), seconds, strict=True):
                times.append(value)
    captum = ratio(captum_times, method_times) if call_captum else None
    title = f"{explainer.title}, {options['groups']} groups" if options else explainer.title
    return MethodCost(
        run.project.name,
        name,
        title,
        ratio(method_times, pass_times),
        ratio(times_with_checks, pass_times),
        int(counting_context.done),
        captum,
    )


def _context(run: TrainedRun) -> ExplanationContext:
    from netloom.explain.core.request import ExplanationRequest, build_context

    return build_context(run.project, run.model, run.data, ExplanationRequest("", ROW))[0]


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum warns that it sets hooks
        work()
    return time.process_time() - start


def _forward_backward_passes(run: TrainedRun) -> Callable[[], object]:
    """Return a function that runs `PASSES` forward and backward passes of the example."""
    import torch

    context = _context(run)
    values = tuple(point.value.clone().requires_grad_() for point in context.points)

    def passes() -> None:
        for _ in range(PASSES):
            torch.autograd.grad(context.point_score(*values).sum(), values)

    return passes


def captum_call(run: TrainedRun, context: ExplanationContext, name: str, result: Result) -> Callable[[], object] | None:
    """Return a call of Captum as in its documentation, with the steps, samples and groups that the method took.

    None if Captum has no such method, or refuses the network.
    """
    model = deepcopy(run.model)  # `_with_lrp_rules` changes it
    call = _captum_calls(model, context, result).get(name)
    if call is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError):
        return None
    return call


class _CaptumArguments(NamedTuple):
    """What the calls of Captum share: the row `x`, the same with gradients, and the keyword arguments of methods that
    explain a target, also in comparison with a baseline."""

    x: torch.Tensor
    x_grad: torch.Tensor
    steps: int
    of_target: dict[str, Any]
    of_baseline: dict[str, Any]


def _captum_calls(model: nn.Module, context: ExplanationContext, result: Result) -> dict[str, Callable[[], object]]:
    field = next(iter(context.specs))
    x, target = context.inputs[field], context.target.index
    shared = _CaptumArguments(
        x,
        x.clone().requires_grad_(),
        result.steps or 50,
        {"target": target},
        {"baselines": context.baseline[field], "target": target},
    )
    layer_path = next(iter(result.nodes), "") or _last_convolution(context)
    return {**_input_calls(model, context, field, shared), **_layer_calls(model, layer_path, shared)}


def _input_calls(
    model: nn.Module, context: ExplanationContext, field: str, shared: _CaptumArguments
) -> dict[str, Callable[[], object]]:
    """Return the calls that explain the input."""
    import torch
    from captum import attr

    x, x_grad, steps, of_target, of_baseline = shared
    background_rows = context.data.inputs[field][context.data.split["train"]]
    noise = {"nt_type": "smoothgrad", "nt_samples": 32, "stdevs": 0.15 * float(x.max() - x.min())}
    window, strides = _window(context, field)
    return {
        "integrated_gradients": lambda: attr.IntegratedGradients(model).attribute(x, n_steps=steps, **of_baseline),
        "saliency": lambda: attr.Saliency(model).attribute(x_grad, **of_target),
        "input_x_gradient": lambda: attr.InputXGradient(model).attribute(x_grad, **of_target),
        "smoothgrad": lambda: attr.NoiseTunnel(attr.Saliency(model)).attribute(x_grad, **noise, **of_target),
        "gradient_shap": lambda: attr.GradientShap(model).attribute(
            x, background_rows[:128], n_samples=steps, **of_target
        ),
        "deep_lift": lambda: attr.DeepLift(model).attribute(x_grad, **of_baseline),
        "deep_lift_shap": lambda: attr.DeepLiftShap(model).attribute(x_grad, background_rows[:64], **of_target),
        "guided_backprop": lambda: attr.GuidedBackprop(model).attribute(x_grad, **of_target),
        "deconvolution": lambda: attr.Deconvolution(model).attribute(x_grad, **of_target),
        "lrp": lambda: attr.LRP(_with_lrp_rules(model)).attribute(x_grad, **of_target),
        "occlusion": lambda: attr.Occlusion(model).attribute(x, window, strides=strides, **of_baseline),
        "feature_ablation": lambda: attr.FeatureAblation(model).attribute(
            x, feature_mask=_mask(context, 64), **of_baseline
        ),
        "feature_permutation": lambda: attr.FeaturePermutation(model).attribute(
            torch.cat([x, background_rows[:32]]), feature_mask=_mask(context, 64), **of_target
        ),
        "shapley": lambda: attr.ShapleyValues(model).attribute(x, feature_mask=_mask(context, 5), **of_baseline),
        "shapley_sampling": lambda: attr.ShapleyValueSampling(model).attribute(
            x, feature_mask=_mask(context, 49), n_samples=steps, **of_baseline
        ),
        "kernel_shap": lambda: attr.KernelShap(model).attribute(
            x, feature_mask=_mask(context, 49), n_samples=steps, **of_baseline
        ),
        "lime": lambda: attr.Lime(model).attribute(x, feature_mask=_mask(context, 49), n_samples=steps, **of_baseline),
    }


def _layer_calls(model: nn.Module, layer_path: str, shared: _CaptumArguments) -> dict[str, Callable[[], object]]:
    """Return the calls that explain a layer, or its first neuron."""
    from captum import attr

    x, x_grad, steps, of_target, of_baseline = shared
    layer = model.get_submodule(layer_path)
    neuron = tuple(0 for _ in _activation_shape(model, layer_path, x)[1:])
    return {
        "layer_activation": lambda: attr.LayerActivation(model, layer).attribute(x),
        "layer_conductance": lambda: attr.LayerConductance(model, layer).attribute(x, n_steps=steps, **of_baseline),
        "layer_integrated_gradients": lambda: attr.LayerIntegratedGradients(model, layer).attribute(
            x, n_steps=steps, **of_baseline
        ),
        "internal_influence": lambda: attr.InternalInfluence(model, layer).attribute(x, n_steps=steps, **of_baseline),
        "grad_cam": lambda: attr.LayerGradCam(model, layer).attribute(x, relu_attributions=True, **of_target),
        "guided_grad_cam": lambda: attr.GuidedGradCam(model, layer).attribute(x_grad, **of_target),
        "neuron_conductance": lambda: attr.NeuronConductance(model, layer).attribute(
            x, neuron, n_steps=steps, **of_baseline
        ),
        "neuron_gradient": lambda: attr.NeuronGradient(model, layer).attribute(x_grad, neuron),
    }


def _with_lrp_rules(model: nn.Module) -> nn.Module:
    """Give GlobalAvgPool layers the ε rule, which fits: Captum has no rule for them and would refuse the network."""
    for part in model.modules():
        if type(part).__name__ == "GlobalAvgPool":
            part.rule = epsilon_rule()
    return model


def _last_convolution(context: ExplanationContext) -> str:
    """Return the path of the last convolution, which the method explains by default."""
    from netloom.explain import inner_nodes

    nodes = [node.path for node in inner_nodes(context.project, context.model) if node.type == "Conv2d"]
    return nodes[-1]


def _activation_shape(model: nn.Module, path: str, x: torch.Tensor) -> tuple[int, ...]:
    shapes: list[tuple[int, ...]] = []
    hook = model.get_submodule(path).register_forward_hook(lambda *call: shapes.append(tuple(call[-1].shape)))
    model(x)
    hook.remove()
    return shapes[0]


def _window(context: ExplanationContext, field: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    from netloom.explain.attribution.perturbation.occlusion import WINDOWS_PER_SIDE

    channels, height, width = context.specs[field].shape
    side = max(1, min(height, width) // WINDOWS_PER_SIDE)
    return (channels, side, side), (channels, max(1, side // 2), max(1, side // 2))


def _mask(context: ExplanationContext, groups: int) -> torch.Tensor:
    import torch

    from netloom.explain.core.estimation.groups import FeatureGroups

    labels = next(iter(FeatureGroups(context, groups).labels.values()))
    return torch.from_numpy(labels.copy()).unsqueeze(0)

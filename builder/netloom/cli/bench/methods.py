"""What each method of explanation costs, in passes of the example forward and back, beside Captum called plainly."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from netloom.cli.bench.ratio import Ratio, ratio
from netloom.cli.bench.tasks import chain
from netloom.document import DataChoice, Project

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.explain.core.context import Subject
    from netloom.explain.core.explainer import Result
    from netloom.runs import TrainedRun

ROW = 1
# Captum goes through all orders of the groups, of the nine that are usual here 362,880.
OPTIONS: Mapping[str, dict[str, Any]] = {"shapley": {"groups": 5}}
PASSES = 40


@dataclass(frozen=True)
class MethodCost:
    """One method on one network. `passes` is its time, of that of one pass of a row forward and back; `proven` the same
    with its proofs; `rows` how many examples go through the network. `captum` is what Captum takes, of the method's
    time; None where Captum has nothing of the kind, or refuses the network."""

    network: str
    method: str
    title: str
    passes: Ratio
    proven: Ratio
    rows: int
    captum: Ratio | None


def measure_methods(repeats: int) -> list[MethodCost]:
    """All methods on a network for pictures, beside Captum; and on a Transformer, whose tokens have no gradients, so
    that Captum cannot be called plainly. With fresh weights, and processor time alone."""
    from netloom.templates import templates

    found = [*_measured(untrained_run(image_network()), repeats, beside=True)]
    text = templates()["intents_transformer"].project
    return [*found, *_measured(untrained_run(text), repeats, beside=False)]


def image_network() -> Project:
    """Convolutions without maxima, for which every method holds but those of attention."""
    image = {"field": "image", "kind": "image", "shape": [1, 24, 24]}
    layers: list[tuple[str, dict[str, Any]]] = [
        ("Input", image),
        ("Conv2d", {"filters": 12, "stride": 2}),
        ("ReLU", {}),
    ]
    layers += [("Conv2d", {"filters": 24, "stride": 2}), ("ReLU", {}), ("Conv2d", {"filters": 24}), ("ReLU", {})]
    layers += [("GlobalAvgPool", {}), ("Linear", {"units": 4})]
    made = chain(DataChoice(dataset="shapes", options={"rows": 200}), *layers)
    return made.model_copy(update={"name": "a CNN"})


def untrained_run(project: Project) -> TrainedRun:
    """A project's network with fresh weights, the same each time, as if it were a run's."""
    import torch

    from netloom.compile import module, source
    from netloom.data import prepare
    from netloom.runs import TrainedRun

    torch.manual_seed(0)
    return TrainedRun(project, source(project), module(project).eval(), prepare(project.data))


def _measured(run: TrainedRun, repeats: int, *, beside: bool) -> list[MethodCost]:
    from netloom.explain import methods

    return [measure_method(run, method.name, repeats, beside=beside) for method in methods(run) if method.available]


def measure_method(run: TrainedRun, name: str, repeats: int, *, beside: bool) -> MethodCost:
    """What one method costs; `beside` Captum, where Captum has it."""
    from netloom.explain import explain
    from netloom.explain.core.explainer import registry

    options = OPTIONS.get(name, {})
    explainer = registry()[name].model_validate(options)
    counted: list[float] = []
    counting = _subject(run)
    counting.progress = counted.append
    result = explainer.run(counting)
    plain = captum_call(run, counting, name, result) if beside else None
    ours, proven, theirs, passes = [list[float]() for _ in range(4)]
    for repeat in range(repeats + 1):
        subject = _subject(run)
        taken = [
            _seconds(_passes(run)) / PASSES,
            _seconds(partial(explainer.run, subject)),
            _seconds(lambda: explain(run, name, ROW, **options)),
            _seconds(plain) if plain else 0.0,
        ]
        if repeat:  # the first warms up
            for listed, value in zip((passes, ours, proven, theirs), taken, strict=True):
                listed.append(value)
    captum = ratio(theirs, ours) if plain else None
    title = f"{explainer.title}, {options['groups']} groups" if options else explainer.title
    return MethodCost(
        run.project.name, name, title, ratio(ours, passes), ratio(proven, passes), int(counting.done), captum
    )


def _subject(run: TrainedRun) -> Subject:
    from netloom.explain.core.run import Question, subject_of

    return subject_of(run.project, run.model, run.data, Question("", ROW))[0]


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum says that it sets hooks
        work()
    return time.process_time() - start


def _passes(run: TrainedRun) -> Callable[[], object]:
    """The example through the network and back, some times."""
    import torch

    subject = _subject(run)
    values = tuple(point.value.clone().requires_grad_() for point in subject.points)

    def passes() -> None:
        for _ in range(PASSES):
            torch.autograd.grad(subject.point_score(*values).sum(), values)

    return passes


def captum_call(run: TrainedRun, subject: Subject, name: str, result: Result) -> Callable[[], object] | None:
    """Captum on the network itself as its documentation calls it, with as many steps, samples and groups as the method
    came to take; None where it has nothing of the kind, or raises something."""
    model = deepcopy(run.model)
    call = _calls(model, subject, result).get(name)
    if call is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError):
        return None
    return call


def _calls(model: nn.Module, subject: Subject, result: Result) -> dict[str, Callable[[], object]]:
    import torch
    from captum import attr

    field = next(iter(subject.specs))
    x, base = subject.inputs[field], subject.baseline[field]
    target, steps = subject.target.index, result.steps or 50
    given: dict[str, Any] = {"target": target}
    against: dict[str, Any] = {"baselines": base, "target": target}
    rows = subject.data.inputs[field][subject.data.split["train"]]
    x_grad = x.clone().requires_grad_()
    spread = 0.15 * float(x.max() - x.min())
    tunnel = {"nt_type": "smoothgrad", "nt_samples": 32, "stdevs": spread}
    path = next(iter(result.nodes), "") or _usual(subject)
    layer, seen = model.get_submodule(path), _shape(model, path, x)
    neuron = tuple(0 for _ in seen[1:])
    window, strides = _window(subject, field)
    return {
        "integrated_gradients": lambda: attr.IntegratedGradients(model).attribute(x, n_steps=steps, **against),
        "saliency": lambda: attr.Saliency(model).attribute(x_grad, **given),
        "input_x_gradient": lambda: attr.InputXGradient(model).attribute(x_grad, **given),
        "smoothgrad": lambda: attr.NoiseTunnel(attr.Saliency(model)).attribute(x_grad, **tunnel, **given),
        "gradient_shap": lambda: attr.GradientShap(model).attribute(x, rows[:128], n_samples=steps, **given),
        "deep_lift": lambda: attr.DeepLift(model).attribute(x_grad, **against),
        "deep_lift_shap": lambda: attr.DeepLiftShap(model).attribute(x_grad, rows[:64], **given),
        "guided_backprop": lambda: attr.GuidedBackprop(model).attribute(x_grad, **given),
        "deconvolution": lambda: attr.Deconvolution(model).attribute(x_grad, **given),
        "lrp": lambda: attr.LRP(_ruled(model)).attribute(x_grad, **given),
        "occlusion": lambda: attr.Occlusion(model).attribute(x, window, strides=strides, **against),
        "feature_ablation": lambda: attr.FeatureAblation(model).attribute(
            x, feature_mask=_mask(subject, 64), **against
        ),
        "feature_permutation": lambda: attr.FeaturePermutation(model).attribute(
            torch.cat([x, rows[:32]]), feature_mask=_mask(subject, 64), **given
        ),
        "shapley": lambda: attr.ShapleyValues(model).attribute(x, feature_mask=_mask(subject, 5), **against),
        "shapley_sampling": lambda: attr.ShapleyValueSampling(model).attribute(
            x, feature_mask=_mask(subject, 49), n_samples=steps, **against
        ),
        "kernel_shap": lambda: attr.KernelShap(model).attribute(
            x, feature_mask=_mask(subject, 49), n_samples=steps, **against
        ),
        "lime": lambda: attr.Lime(model).attribute(x, feature_mask=_mask(subject, 49), n_samples=steps, **against),
        "layer_activation": lambda: attr.LayerActivation(model, layer).attribute(x),
        "layer_conductance": lambda: attr.LayerConductance(model, layer).attribute(x, n_steps=steps, **against),
        "layer_integrated_gradients": lambda: attr.LayerIntegratedGradients(model, layer).attribute(
            x, n_steps=steps, **against
        ),
        "internal_influence": lambda: attr.InternalInfluence(model, layer).attribute(x, n_steps=steps, **against),
        "grad_cam": lambda: attr.LayerGradCam(model, layer).attribute(x, relu_attributions=True, **given),
        "guided_grad_cam": lambda: attr.GuidedGradCam(model, layer).attribute(x_grad, **given),
        "neuron_conductance": lambda: attr.NeuronConductance(model, layer).attribute(
            x, neuron, n_steps=steps, **against
        ),
        "neuron_gradient": lambda: attr.NeuronGradient(model, layer).attribute(x_grad, neuron),
    }


def _ruled(model: nn.Module) -> nn.Module:
    """The network with Captum's ε rule at each of its own layers: Captum has no rule for a mean over places, such as
    that of GlobalAvgPool, and refuses what it has none for, though the ε rule fits."""
    from captum.attr._utils.lrp_rules import EpsilonRule

    for part in model.modules():
        if type(part).__name__ == "GlobalAvgPool":
            part.rule = EpsilonRule()
    return model


def _usual(subject: Subject) -> str:
    """The layer that is looked at where none is named: the last convolution."""
    from netloom.explain import inner_nodes

    nodes = [node.path for node in inner_nodes(subject.project, subject.model) if node.type == "Conv2d"]
    return nodes[-1]


def _shape(model: nn.Module, path: str, x: torch.Tensor) -> tuple[int, ...]:
    seen: list[tuple[int, ...]] = []
    hook = model.get_submodule(path).register_forward_hook(lambda *given: seen.append(tuple(given[-1].shape)))
    model(x)
    hook.remove()
    return seen[0]


def _window(subject: Subject, field: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    from netloom.explain.attribution.occlusion import WINDOWS_A_SIDE

    channels, height, width = subject.specs[field].shape
    side = max(1, min(height, width) // WINDOWS_A_SIDE)
    return (channels, side, side), (channels, max(1, side // 2), max(1, side // 2))


def _mask(subject: Subject, groups: int) -> torch.Tensor:
    import torch

    from netloom.explain.core.groups import Groups

    labels = next(iter(Groups(subject, groups).labels.values()))
    return torch.from_numpy(labels.copy()).unsqueeze(0)

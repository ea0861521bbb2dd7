"""The requirements of methods, and why a network does not meet them.

Some methods silently return wrong attributions for unsupported networks; such networks are rejected here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from netloom.document import SUBNETWORK
from netloom.layers import layer_class, module_layer
from netloom.layers.io import reads_image
from netloom.tasks import task

if TYPE_CHECKING:
    from torch import nn

    from netloom.document import Node, Project

# The activations that Captum's DeepLift supports; it looks them up by their exact class.
RESCALED = frozenset("ReLU LeakyReLU ELU Sigmoid Tanh Softplus".split())
# Layers through which LRP propagates relevance in a chain.
RELEVANT = frozenset(
    "Input Output Identity Linear Conv1d Conv2d BatchNorm1d BatchNorm2d ReLU Tanh Dropout Dropout2d Flatten Reshape "
    "FlattenAxes MaxPool1d MaxPool2d AvgPool1d AvgPool2d AdaptiveAvgPool2d GlobalAvgPool GlobalMaxPool Embedding "
    "Mean Max Permute Transpose".split()
)
POOLED = frozenset("MaxPool1d MaxPool2d MaxPool3d".split())


def unmet_requirement(needs: Sequence[str], project: Project, model: nn.Module) -> str:
    """Return why a network does not meet the first unmet requirement; empty if it meets all."""
    if needs and (reason := not_inspectable(model)):
        return reason
    return next((reason for need in needs if (reason := REQUIREMENTS[need](project, model))), "")


def nothing_to_explain(project: Project) -> str:
    """Return why no method supports this network, as a sentence; empty if some may."""
    return task(project.training.objective).not_explained


def not_inspectable(model: nn.Module) -> str:
    """Return why gradients and inner layers of a network cannot be read, as a sentence; empty if they can."""
    from netloom.runs.prediction.external_network import ExternalNetwork

    if isinstance(model, ExternalNetwork):
        return (
            "ONNX Runtime computes the predictions of this file, without gradients and inner layers; use a "
            "perturbation or Shapley method, or explain the run itself."
        )
    return ""


def every_node(project: Project, left_out: frozenset[tuple[str, str]] = frozenset()) -> Iterator[Node]:
    """Yield the nodes of the main network and of all subnetworks, each network once, except (network, id) in
    `left_out`."""
    visited, waiting = set(), [project.main]
    while waiting:
        name = waiting.pop()
        if name in visited or name not in project.networks:
            continue
        visited.add(name)
        for node in project.networks[name].nodes.values():
            if (name, node.id) in left_out:
                continue
            yield node
            if node.type == SUBNETWORK:
                waiting.append(str(node.params.get("network", "")))


def left_out(project: Project, model: nn.Module) -> frozenset[tuple[str, str]]:
    """Return the output activations that are removed to explain logits, as (network, id).

    An activation in a network that is used several times is not included, because it also acts elsewhere.
    """
    from netloom.compile.logit_network import RemovedActivation

    nodes = set()
    nested = [str(node.params.get("network")) for node in every_node(project) if node.type == SUBNETWORK]
    for path, module in model.named_modules():
        if not isinstance(module, RemovedActivation):
            continue
        # The digits number the repetitions of a subnetwork: `block_1.1.linear_1`.
        *around, key = (name for name in path.split(".") if not name.isdigit())
        network = project.main
        for name in around:
            network = str(project.networks[network].nodes[name].params.get("network"))
        if nested.count(network) < 2:
            nodes.add((network, key))
    return frozenset(nodes)


def _gradients(project: Project, model: nn.Module) -> str:
    from netloom.explain.core.gradients import unavailable_reason

    return unavailable_reason(project, model)


def _smooth_path(project: Project, model: nn.Module) -> str:
    """Path methods need a score without jumps along the path."""
    for module in model.modules():
        if module_layer(module).routes_to_experts and getattr(module, "top", 0) == 1:
            return (
                "its mixture of experts uses one expert at a time, so the score jumps between experts along the path "
                "from the baseline; use Saliency, Occlusion or Shapley sampling, or let it use two experts."
            )
    return ""


def _rescaled(project: Project, model: nn.Module) -> str:
    from netloom.compile.loop_class import is_loop

    if task(project.training.objective).explains_distance:
        return f"the target is a distance, for which its rule does not hold; {ELSE}"
    for node in every_node(project, left_out(project, model)):
        if node.type == SUBNETWORK:
            # Captum stores the inputs of a module on the module itself, so a second run would overwrite them.
            if is_loop(node) or (node.params.get("shared") and node.params.get("repeat", 1) != 1):
                return (
                    f"{_name(node)} runs several times with the same weights, which its rule does not support; {ELSE}"
                )
        elif node.type in POOLED:
            return (
                f"its rule is not complete for {_name(node)} unless the baseline is zero; use average pooling or a "
                f"stride, or {ELSE}"
            )
        elif not layer_class(node.type).is_linear and node.type not in RESCALED:
            return f"its rule does not hold for {_name(node)}, and its attributions would be silently wrong; {ELSE}"
    return ""


ELSE = "use Integrated Gradients instead."


def _relevance(project: Project, model: nn.Module) -> str:
    if task(project.training.objective).explains_many_outputs:
        return f"it propagates a single output, and this network has one per position; {ELSE}"
    for node in every_node(project, left_out(project, model)):
        if node.type == SUBNETWORK or layer_class(node.type).merges_inputs:
            return f"it supports only chains of layers, and {_name(node)} merges several inputs; {ELSE}"
        if node.type not in RELEVANT:
            return f"it does not have a rule for {_name(node)}; {ELSE}"
    for network in project.networks.values():
        sources = [edge.source_node for edge in network.edges]
        twice = next((key for key in sources if sources.count(key) > 1), None)
        if twice is not None:
            return f"it supports only chains of layers, and several layers read {_name(network.nodes[twice])}; {ELSE}"
    return ""


def _relu(project: Project, model: nn.Module) -> str:
    from torch import nn

    if any(isinstance(module, nn.ReLU) for module in model.modules()):
        return ""
    return "it changes the gradient of ReLUs, and this network does not have one, so it would equal the plain gradient."


def _feature_maps(project: Project, model: nn.Module) -> str:
    inputs = [node for node in project.main_network.nodes.values() if node.type == "Input"]
    if not any(reads_image(node.params) for node in inputs):
        return "it needs an image as input."
    if not any(layer_class(node.type).makes_feature_maps for node in every_node(project)):
        return "it needs a convolution, whose output keeps the positions of the image."
    return ""


def _attention(project: Project, model: nn.Module) -> str:
    from netloom.explain.core.network.attention_capture import is_readable

    if any(is_readable(module) or hasattr(module, "capture") for module in model.modules()):
        return ""
    return "the network does not have an attention layer; add multi-head self-attention or a Transformer encoder block."


def _softmax_attention(project: Project, model: nn.Module) -> str:
    from netloom.explain.core.network.attention_capture import is_readable

    reading = [module for module in model.modules() if hasattr(module, "capture")]
    if all(is_readable(module) for module in reading):
        return ""
    return "one of its attention layers does not use softmax weights; see its attention maps instead."


def _name(node: Node) -> str:
    from netloom import layers

    return layers.label(node)


REQUIREMENTS: dict[str, Callable[[Project, nn.Module], str]] = {
    "gradients": _gradients,
    "smooth_path": _smooth_path,
    "rescaled": _rescaled,
    "relevance": _relevance,
    "relu": _relu,
    "feature_maps": _feature_maps,
    "attention": _attention,
    "softmax_attention": _softmax_attention,
}

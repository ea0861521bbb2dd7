"""Settings of losses that the task does not read."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.document import Training
from netloom.document.training_settings import describe_field
from netloom.layers.activation.activation import ActivationLayer
from netloom.layers.activation.bounded import Sigmoid
from netloom.layers.generative import Reparameterize
from netloom.layers.operations.shape import Flatten, Permute, Reshape, Squeeze, Transpose, Unsqueeze
from netloom.layers.subnetwork import Subnetwork
from netloom.tasks import task, tasks
from netloom.tasks.unread_settings import unread_settings
from netloom.validation import fixes
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.issue import Fix, Issue
from netloom.validation.rule import Rule, Stage

# Variational autoencoders with a likelihood use β from 0.1 to some hundreds, https://openreview.net/forum?id=Sy2fzU9gl
SMALL_BETA = 0.1
# Layers that move values without changing them.
KEEPS_VALUES = (Flatten, Permute, Reshape, Squeeze, Transpose, Unsqueeze)


class LossOfTask(Rule):
    """Settings of losses have an effect on the task."""

    stage = Stage.TRAINING
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        training = context.project.training
        chosen = task(training.objective)
        # Fields that were never set have their default.
        for name in sorted(unread_settings(training) & training.model_fields_set):
            default = Training.model_fields[name].get_default(call_default_factory=True)
            if getattr(training, name) == default:
                continue
            title = describe_field(name).title
            readers = ", ".join(
                known_task.title.lower() for known_task in tasks().values() if name in known_task.settings
            )
            reason = (
                "it belongs to another loss. Reset it, or choose that loss."
                if name in chosen.settings
                else f"it belongs to {readers}. Reset it, or choose one of these tasks."
            )
            fix = Fix(f"Reset {title}", {"kind": "project", "training": {name: default}})
            message = f"{title} has no effect on {chosen.title.lower()}; {reason}"
            yield context.issue("loss", message, severity="warning", fix=fix)


class BernoulliRange(Rule):
    """A Bernoulli likelihood has inputs and reconstructions between 0 and 1."""

    stage = Stage.TRAINING
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        training, data = context.project.training, context.project.data
        if training.likelihood != "bernoulli" or "likelihood" not in task(training.objective).settings:
            return
        if data.prepare == "standardize":
            message = (
                "A Bernoulli likelihood needs inputs between 0 and 1, but numbers and pixels are standardized; scale "
                "them to the range from 0 to 1, or choose a Gaussian likelihood."
            )
            fix = Fix("Scale the inputs", {"kind": "project", "data": {"prepare": "scale"}})
            yield context.issue("likelihood", message, severity="warning", fix=fix)
        for output in context.network.ports("Output"):
            edge = context.incoming[output].get("in")
            if edge is not None and context.spec(edge) is not None and not _ends_in_sigmoid(context, output):
                message = (
                    f"A Bernoulli likelihood needs reconstructions between 0 and 1, but {context.label(output)} does "
                    "not end in a sigmoid."
                )
                fix = fixes.insert(context.name, context.network, edge, "Sigmoid", {})
                yield context.issue("likelihood", message, output, fix=fix)


class BetaOfLikelihood(Rule):
    """With a likelihood, the KL divergence has a weight of the same scale."""

    stage = Stage.TRAINING

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        training = context.project.training
        if training.likelihood == "none" or "likelihood" not in task(training.objective).settings:
            return
        for key in context.of_type(Reparameterize):
            layer = context.layers[key]
            if isinstance(layer, Reparameterize) and layer.coefficient < SMALL_BETA:
                message = (
                    f"{context.label(key)} has β {layer.coefficient:g}, which suits a mean squared error. With a "
                    "likelihood, which sums over all values of an example, β = 1 trains the ELBO."
                )
                fix = fixes.set_params(context.name, key, {"coefficient": 1.0}, "Set β to 1")
                yield context.issue("likelihood", message, key, severity="hint", fix=fix)


class RepeatedActivation(Rule):
    """The network does not end in an activation if the task applies its own."""

    stage = Stage.TRAINING
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        chosen = task(context.project.training.objective)
        if not chosen.activations:
            return
        for output in context.network.ports("Output"):
            last = _last_layer(context, output)
            if last is None or not isinstance(last[0].layers[last[1]], ActivationLayer):
                continue
            inner, key = last
            message = (
                f"{context.label(output)} ends in {inner.label(key)}, but {chosen.title.lower()} "
                f"{chosen.activations} itself, so the layer only limits their range; remove it."
            )
            node = key if inner is context else None
            yield context.issue("activation", message, node, severity="warning", fix=_removed(inner, key))


def _removed(context: Context, key: str) -> Fix | None:
    """Return a fix that replaces a layer by a connection; None if several nodes read it."""
    edges = [edge for edge in context.network.edges if edge.source_node == key]
    source = next(iter(context.incoming[key].values()), None)
    if source is None or len(edges) != 1:
        return None
    edits = [
        {"kind": "connect", "network": context.name, "source": source.source, "target": edges[0].target},
        {"kind": "remove", "network": context.name, "nodes": [key]},
    ]
    return Fix(f"Remove {context.label(key)}", {"kind": "batch", "edits": edits})


def _ends_in_sigmoid(context: Context, output: str) -> bool:
    """Whether the last layer before an Output that changes values is a sigmoid, also inside a subnetwork."""
    last = _last_layer(context, output)
    return last is not None and isinstance(last[0].layers[last[1]], Sigmoid)


def _last_layer(context: Context, output: str) -> tuple[Context, str] | None:
    """Return the last layer before an Output that changes values, and its network, which can be a subnetwork."""
    edge = context.incoming[output].get("in")
    while edge is not None:
        key, layer = edge.source_node, context.layers.get(edge.source_node)
        if isinstance(layer, Subnetwork):
            inner, inner_output = context.inner.get(key), layer.inner_output(edge.source_port)
            return None if inner is None or inner_output is None else _last_layer(inner, inner_output)
        if not isinstance(layer, KEEPS_VALUES):
            return None if layer is None else (context, key)
        edge = next(iter(context.incoming[key].values()), None)
    return None

"""Layer activation: the output of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.layer.layer_method import LayerExplainer
from netloom.explain.core.explainer import Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class LayerActivation(LayerExplainer):
    """The output of a node for the example."""

    name = "layer_activation"
    title = "Layer activation"
    summary = "The output of a layer for this example"
    url = "https://captum.ai/api/layer.html#layer-activation"
    is_summable = False
    explains_score = False

    def run(self, context: ExplanationContext) -> Result:
        import torch
        from captum.attr import LayerActivation as Captum

        from netloom.compile.logit_network import RemovedActivation

        node, hooked = self.hook(context)
        # Captum requires an input; the example comes from the context.
        method = Captum(lambda _: context.score(context.inputs), hooked.identity)
        activation = method.attribute(torch.zeros(1, 1))
        if isinstance(
            hooked.module, RemovedActivation
        ):  # logits are explained without this activation, but the node's output includes it
            activation = hooked.module.removed(activation)
        text = f"This is the output of {node.title}. It does not show what the prediction relies on."
        return Result({}, nodes={node.path: activation[0].double().numpy()}, remarks=(Remark("caution", text),))

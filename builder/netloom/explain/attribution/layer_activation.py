"""What a layer gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.layer_method import Layered
from netloom.explain.core.explainer import Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class LayerActivation(Layered):
    """The node's output for the example."""

    name = "layer_activation"
    title = "Layer activation"
    summary = "The output of a layer for this example"
    url = "https://captum.ai/api/layer.html#layer-activation"
    sums = False
    of_answer = False

    def run(self, subject: Subject) -> Result:
        import torch
        from captum.attr import LayerActivation as Captum

        from netloom.compile.logit_network import RemovedActivation

        node, tapped = self.place(subject)
        method = Captum(lambda _: subject.score(subject.inputs), tapped.place)
        found = method.attribute(torch.zeros(1, 1))
        if isinstance(tapped.inner, RemovedActivation):  # the node itself applies it
            found = tapped.inner.removed(found)
        text = f"This is the output of {node.title}. It does not show what the prediction relies on."
        return Result({}, nodes={node.path: found[0].double().numpy()}, remarks=(Remark("caution", text),))

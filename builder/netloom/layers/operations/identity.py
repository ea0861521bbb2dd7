"""The identity layer."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.layers.layer import Call, Layer, TensorSpec
from netloom.layers.probability import Probabilities


class Identity(Layer):
    """x."""

    group = "Tensor operation"
    title = "Identity"
    summary = "Returns its input unchanged, such as a named point in the network or a placeholder"
    keywords = ("pass", "nothing", "placeholder", "skip")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html"

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Identity")

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return inputs.get("in")

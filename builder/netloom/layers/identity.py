"""The layer that does nothing."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.layers.layer import Call, Layer, TensorSpec
from netloom.layers.probability import Probabilities


class Identity(Layer):
    """x."""

    group = "Tensor operation"
    title = "Identity"
    summary = "Passes its input on as it is: a place to give a name, or to keep free"
    keywords = ("pass", "nothing", "placeholder", "skip")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html"

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Identity")

    def probabilities(
        self, given: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return given.get("in")

"""The identity layer."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.layer import Call, Layer, TensorSpec
from netloom.layers.probability import Probabilities


class Identity(Layer):
    """x, as a constant for the backward pass if `stop_gradient` is on."""

    group = "Tensor operation"
    title = "Identity"
    summary = "Returns its input unchanged, such as a named point in the network or a placeholder"
    keywords = ("pass", "nothing", "placeholder", "skip", "stop gradient", "detach", "straight-through", "no_grad")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html"
    is_linear = True
    makes_representation = False

    stop_gradient: bool = Field(
        False, description="Pass no gradient to the layers before it, as x.detach() in a straight-through estimator"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("StopGradient" if self.stop_gradient else "nn.Identity")

    def brief(self) -> str:
        return "stop gradient" if self.stop_gradient else ""

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return inputs.get("in")

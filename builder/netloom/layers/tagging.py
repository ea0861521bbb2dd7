"""Labels for each step of a sequence, chosen together."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.layers.layer import Call, Layer, Port, TensorSpec
from netloom.layers.probability import Probabilities


class ConditionalRandomField(Layer):
    """log p(yₜ = k | x) of a linear-chain CRF with these emissions, (N, T, K) -> (N, T, K)."""

    group = "Text"
    title = "Conditional random field"
    summary = "Scores whole sequences of labels: adds learned transition scores between neighboring steps"
    keywords = ("crf", "tagging", "named entities", "ner", "part of speech", "labels", "marginals", "sequence")
    url = "https://repository.upenn.edu/handle/20.500.14332/6188"
    makes_probabilities = True
    steps_in_turn = True

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "A score for each label at each step, (N, T, K)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",), "Log probability of each label at each step"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("ConditionalRandomField", (specs["in"].size(2),))

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        # The marginals depend on all steps, so that the emissions are not the logits of these probabilities.
        return Probabilities("softmax", 2, log=True, removable=False)

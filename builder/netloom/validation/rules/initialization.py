"""The initial values of weights."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from netloom.document.initialization import Initialization
from netloom.layers.subnetwork import Subnetwork
from netloom.layers.text import Embedding
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.initial_weights import count_branches, node_weights
from netloom.validation.issue import Fix, Issue
from netloom.validation.rule import Rule, Stage

# The standard deviation of GPT-2, BERT and most other language models with tied weights.
TIED_STD = 0.02
# Tied heads of a smaller width start with logits of a standard deviation up to 4, which training corrects quickly.
TIED_WIDTH = 16


class Initializations(Rule):
    """Every initialization has weights to set, and sets them as its name says."""

    stage = Stage.FLOW

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        inherited = context.project.initialization(context.name)
        for key, node in context.network.nodes.items():
            setting, layer = node.initialization, context.layers.get(key)
            effective = setting or inherited
            if effective is None or layer is None:
                continue
            if key not in context.measured or context.measured[key].refusal is not None:
                continue
            weights = node_weights(context, key)
            if effective.method == "identity":
                yield from self._without_identity(context, key, [m.name for m in weights.matrices if m.is_stacked])
            if setting is None or weights.names:
                continue
            reason = "has no weight matrices that an initialization sets"
            if isinstance(layer, Subnetwork):
                reason = f"has the initialization of its network; set it on {layer.network} or on layers there"
            elif node.shares is not None:
                reason = f"uses the weights of {node.shares}; set the initialization there"
            message = f"The initialization of {context.label(key)} has no effect: it {reason}."
            fix = Fix("Remove the initialization", update(context, key, None))
            yield context.issue("initialization", message, key, severity="hint", fix=fix)

    @staticmethod
    def _without_identity(context: Context, key: str, stacked: list[str]) -> Iterator[Issue]:
        if stacked:
            message = (
                f"{context.label(key)} cannot start as an identity: {stacked[0]} holds the matrices of several gates; "
                "choose orthogonal or Xavier uniform for this layer."
            )
            setting = Initialization(method="orthogonal")
            fix = Fix("Initialize it orthogonally", update(context, key, setting))
            yield context.issue("initialization", message, key, fix=fix)


class ResidualBranches(Rule):
    """A network whose initialization scales residual branches has some."""

    stage = Stage.NETWORKS
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        setting = context.network.initialization
        if setting is not None and setting.residual and context.measured and not count_branches(context):
            message = (
                f"The initialization of {context.name} scales residual branches, but no layer ends one; a branch ends "
                "at an Add that also receives the tensor where the branch begins."
            )
            changed = setting.model_copy(update={"residual": False}).to_json()
            edit = {"kind": "initialize", "network": context.name, "initialization": changed}
            fix = Fix("Turn off the scaling", edit)
            yield context.issue("initialization", message, severity="hint", fix=fix)


class TiedHeads(Rule):
    """A layer that shares the weights of an embedding starts with outputs of a usual size."""

    stage = Stage.TRAINING

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key, node in context.network.nodes.items():
            owner = node.shares
            source, layer = context.layers.get(owner or ""), context.layers.get(key)
            if owner is None or layer is None or not isinstance(source, Embedding) or isinstance(layer, Embedding):
                continue
            if source.dim < TIED_WIDTH or context.project.initialization(context.name, owner) is not None:
                continue
            if not context.count_tied_parameters(key):
                continue
            message = (
                f"{context.label(key)} shares the weights of {context.label(owner)}, which start with the standard "
                f"deviation 1: the first outputs are about {sqrt(source.dim):.0f} times as large as the inputs, and "
                f"the first loss is far above that of a guess. Language models start with {TIED_STD}."
            )
            setting = Initialization(method="normal", std=TIED_STD)
            fix = Fix(f"Initialize {owner} with std {TIED_STD}", update(context, owner, setting))
            yield context.issue("tied_head", message, owner, severity="warning", fix=fix)


def update(context: Context, key: str, setting: Initialization | None) -> dict[str, object]:
    """The edit that sets the initialization of a node."""
    value = None if setting is None else setting.to_json()
    return {"kind": "update", "network": context.name, "node": key, "initialization": value}

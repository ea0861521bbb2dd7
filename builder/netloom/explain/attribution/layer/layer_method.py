"""The base classes of methods that explain a node inside the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from netloom.explain.core.errors import ExplainError
from netloom.explain.core.estimation.quadrature import FIRST_STEPS, TOLERANCE, double_until
from netloom.explain.core.explainer import LAYERS, Explainer, PathExplainer, Result
from netloom.explain.core.explanation import Remark
from netloom.explain.core.network.nodes import InnerNode, find_node, top_level_nodes

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.activation_hook import HookedLayer
    from netloom.explain.core.context import ExplanationContext


class LayerExplainer(Explainer):
    """A method that explains one node; its attributions have the shape of the node's output."""

    group = LAYERS
    explains_layer = True

    node: str = Field(
        "", max_length=400, description="The layer; within subnetworks by its path, such as block_1.0.linear_1"
    )

    def hook(self, context: ExplanationContext) -> tuple[InnerNode, HookedLayer]:
        """Return the chosen or default node with a hook on its output.

        Raises:
            ExplainError: The node does not exist, has an integer output, or does not affect the score.
        """
        from netloom.explain.core.activation_hook import affects_score, hook_layer

        node = find_node(context.project, context.model, self.node) if self.node else self.default_node(context)
        hooked = hook_layer(context, node)
        if "gradients" in self.requirements and not affects_score(context, hooked):
            raise ExplainError(f"The output of {node.title} does not affect the target; choose another layer.")
        return node, hooked

    def default_node(self, context: ExplanationContext) -> InnerNode:
        """Return the last node before the output through which all information flows.

        Raises:
            ExplainError: The network has no layers.
        """
        nodes = top_level_nodes(context.project, context.model)
        if not nodes:
            raise ExplainError("This network does not have a layer that can be explained.")
        # In evaluation mode, Dropout repeats its input, and gradients of tokens start at the Embedding anyway.
        candidates = [node for node in nodes[:-1] if node.cut and node.type not in ("Dropout", "Embedding")]
        return (candidates or nodes)[-1]


class LayerPathExplainer(LayerExplainer, PathExplainer):
    """An integral of Captum along the path from the baseline to the example, for the units of a node."""

    requirements = ("gradients", "smooth_path")
    is_complete = True

    max_steps: int = Field(
        1024, ge=1, le=4096, description="Maximum number of steps; they are doubled until completeness is reached"
    )

    def captum_class(self) -> type[Any]:
        """Return Captum's class."""
        raise NotImplementedError

    def run(self, context: ExplanationContext) -> Result:
        """Double the number of steps until the attributions converge, unless the number is given.

        They converge when they sum to the change of the score. If the score also bypasses the node, that sum is
        unknown, and they converge when it stops changing.
        """
        points = context.points
        node, hooked = self.hook(context)
        values, baselines = tuple(point.value for point in points), tuple(point.baseline for point in points)
        method = self.captum_class()(context.point_score, hooked.identity)
        gap = float(context.score(context.inputs)) - context.baseline_score
        totals = list[float]()

        def attribute(steps: int) -> torch.Tensor:
            context.expect_rows(steps)
            attributions = method.attribute(
                values, baselines=baselines, n_steps=steps, internal_batch_size=context.rows
            )
            layer_attributions: torch.Tensor = (
                attributions[0] if isinstance(attributions, tuple) else attributions
            ).detach()
            totals.append(float(layer_attributions.double().sum()))
            return layer_attributions

        def is_enough(_: torch.Tensor) -> bool:
            if not node.cut and len(totals) == 1:
                return False
            expected = gap if node.cut else totals[-2]
            # `<=` would be False for NaN and double the steps in vain.
            return not abs(totals[-1] - expected) > TOLERANCE * max(abs(expected), 1e-6)

        attributions, steps = double_until(
            attribute, is_enough, self.n_steps or FIRST_STEPS, self.n_steps or self.max_steps
        )
        total = totals[-1]
        text = f"Only a part of the score passes through {node.title}: {total:+.3g} of {gap:+.3g}."
        return Result(
            {},
            steps,
            nodes={node.path: attributions[0].double().numpy()},
            total=total,
            baseline_score=context.baseline_score,
            covers_score=node.cut,
            remarks=() if node.cut else (Remark("caution", text),),
        )

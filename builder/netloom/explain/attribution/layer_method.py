"""What the methods that look inside a network share: a node of the graph, and parts in the shape of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explainer import LAYERS, Explainer, Integrating, Result
from netloom.explain.core.explanation import Remark
from netloom.explain.core.nodes import InnerNode, acting_nodes, find
from netloom.explain.core.quadrature import FIRST_STEPS, TOLERANCE, doubled

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.activation_hook import Tapped
    from netloom.explain.core.context import Subject


class Layered(Explainer):
    """A method that looks at one node of the graph."""

    group = LAYERS
    layered = True

    node: str = Field(
        "", max_length=400, description="The layer; within subnetworks by its path, such as block_1.0.linear_1"
    )

    def place(self, subject: Subject) -> tuple[InnerNode, Tapped]:
        """The node that is asked for, or else one that fits, with a tap behind it.

        Raises:
            ExplainError: there is no such node, or it gives whole numbers.
        """
        from netloom.explain.core.activation_hook import leads, tap

        node = find(subject.project, subject.model, self.node) if self.node else self.usual(subject)
        tapped = tap(subject, node)
        if "gradients" in self.needs and not leads(subject, tapped):
            raise ExplainError(f"The output of {node.title} does not affect the target; choose another layer.")
        return node, tapped

    def usual(self, subject: Subject) -> InnerNode:
        """The last node before the answer through which everything passes."""
        nodes = acting_nodes(subject.project, subject.model)
        if not nodes:
            raise ExplainError("This network does not have a layer that can be explained.")
        known = [node for node in nodes[:-1] if node.cut and node.type not in ("Dropout", "Embedding")]
        return (known or nodes)[-1]


class Integral(Layered, Integrating):
    """An integral along the way from the baseline to the example, which Captum takes for the numbers of a node."""

    needs = ("gradients", "smooth_path")
    adds_up = True

    max_steps: int = Field(
        1024, ge=1, le=4096, description="Maximum number of steps; they are doubled until completeness is reached"
    )

    def integral(self) -> type[Any]:
        """Captum's class."""
        raise NotImplementedError

    def run(self, subject: Subject) -> Result:
        """Attributions by as many steps as were asked for, or else as the sum needs: until it adds up, or, where the
        answer has other ways than through the node, until it stays."""
        points = subject.points
        node, tapped = self.place(subject)
        values, baselines = tuple(point.value for point in points), tuple(point.baseline for point in points)
        method = self.integral()(subject.point_score, tapped.place)
        gap = float(subject.score(subject.inputs)) - subject.ground
        totals = list[float]()

        def attribute(steps: int) -> torch.Tensor:
            subject.expect(steps)
            rows = max(4, subject.rows)
            found = method.attribute(values, baselines=baselines, n_steps=steps, internal_batch_size=rows)
            first: torch.Tensor = (found[0] if isinstance(found, tuple) else found).detach()
            totals.append(float(first.double().sum()))
            return first

        def is_enough(_: torch.Tensor) -> bool:
            if not node.cut and len(totals) == 1:
                return False
            wanted = gap if node.cut else totals[-2]
            # Not "less or equal": a sum that is not a number has to end as well.
            return not abs(totals[-1] - wanted) > TOLERANCE * max(abs(wanted), 1e-6)

        found, steps = doubled(attribute, is_enough, self.n_steps or FIRST_STEPS, self.n_steps or self.max_steps)
        total = totals[-1]
        text = f"Only a part of the score passes through {node.title}: {total:+.3g} of {gap:+.3g}."
        return Result(
            {},
            steps,
            nodes={node.path: found[0].double().numpy()},
            total=total,
            ground=subject.ground,
            whole=node.cut,
            remarks=() if node.cut else (Remark("caution", text),),
        )

"""The base class of methods that modify the gradient of ReLUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from netloom.explain.core.explainer import Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext

WARNING = "It mostly redraws the edges of the input and hardly depends on the learned weights"


class ModifiedReLUExplainer(Explainer):
    """A gradient with another backward rule at each ReLU.

    `critique` names the paper that shows how little the result depends on the weights.
    """

    requirements = ("gradients", "relu")
    is_summable = False
    critique: ClassVar[str]

    def captum_class(self) -> type[Any]:
        """Return Captum's class."""
        raise NotImplementedError

    def run(self, context: ExplanationContext) -> Result:
        from netloom.explain.core.context import ScoreModule
        from netloom.explain.core.library_warnings import mute_captum

        values = tuple(point.value.clone().requires_grad_() for point in context.points)
        mute_captum()
        attributions = self.captum_class()(ScoreModule(context)).attribute(values)
        text = f"{WARNING} ({self.critique}), so do not use it as an explanation."
        return Result(context.to_fields(attributions), remarks=(Remark("caution", text),))

"""What the methods share that let only what speaks for the answer pass each ReLU on the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from netloom.explain.core.explainer import Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject

WARNING = "It mostly redraws the edges of the input and hardly depends on the learned weights"


class Rectified(Explainer):
    """A gradient with other rules at each ReLU. `shown_by` names who showed how little it depends on the network."""

    needs = ("gradients", "relu")
    sums = False
    shown_by: ClassVar[str]

    def backprop(self) -> type[Any]:
        """Captum's class."""
        raise NotImplementedError

    def run(self, subject: Subject) -> Result:
        from netloom.explain.core.context import Scalar
        from netloom.explain.core.library_warnings import mute_captum

        values = tuple(point.value.clone().requires_grad_() for point in subject.points)
        mute_captum()
        found = self.backprop()(Scalar(subject)).attribute(values)
        text = f"{WARNING} ({self.shown_by}), so do not use it as an explanation."
        return Result(subject.fold(found), remarks=(Remark("caution", text),))

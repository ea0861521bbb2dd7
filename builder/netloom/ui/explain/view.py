"""The views of the Explain page, each a function in a separate module.

A module is imported when its view is chosen, or when the page asks whether the view applies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.jobs import RunWeights
from netloom.jobs.explanations import Attribution
from netloom.ui.shell.jobs import Pending, ask, computed_all

if TYPE_CHECKING:
    from netloom.editing.live import Live
    from netloom.explain import Explanation, InnerNode, Method
    from netloom.explain.core.prediction import ExamplePrediction
    from netloom.jobs.inspection import Inspection
    from netloom.ui.explain.open_run import OpenRun

Target = str | dict[str, Any] | None
Row = int | dict[str, Any]


@dataclass(frozen=True)
class ViewContext:
    """The arguments of a view: the prediction of a run's weights for one example.

    Attributes:
        row: A row number of the data, or a raw row from a form.
        target: The target of the explanation; None for the prediction.
        answer: The prediction.
        method: The last chosen method of the page.
        options: The chosen options for all methods.
        folder: The folder of the run, where explanations are cached.
    """

    live: Live
    trained: OpenRun
    weights: RunWeights
    row: Row
    target: Target
    answer: ExamplePrediction
    method: str
    options: dict[str, Any]
    folder: Path
    inspection: Inspection

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods, with reasons for those that are unavailable."""
        return self.inspection.methods

    @property
    def nodes(self) -> tuple[InnerNode, ...]:
        """The nodes of the network between its inputs and its output."""
        return self.inspection.nodes

    def unavailable(self, kind: str) -> str:
        """Return the reason why a kind of explanation is unavailable for this network; "" if it is available."""
        reason = self.inspection.unavailable[kind]
        return reason[:1].upper() + reason[1:]

    def options_of(self, method: str) -> dict[str, Any]:
        """Return the chosen options that a method supports."""
        from netloom.explain.core.options import supported_options

        return supported_options(method, self.options)

    def attribution(self, method: str = "", *, randomize: bool = False, **options: Any) -> Attribution:
        """Return the request of an explanation by a method, by default the last chosen one."""
        chosen = method or self.method
        every = {**self.options_of(chosen), **options}
        return Attribution(self.weights, chosen, self.row, self.target, every, randomize)

    def explaining(self, method: str = "", **options: Any) -> Pending[Explanation]:
        """Start the explanation by a method in a worker, and return its future result."""
        return ask(self.attribution(method, **options))

    def explanation(self, method: str = "", *, randomize: bool = False, **options: Any) -> Explanation:
        """Return the explanation by a method.

        Raises:
            ExplainError, DataError, JobError: the method does not support this network, or the row cannot be read.
        """
        return ask(self.attribution(method, randomize=randomize, **options)).result()

    def explanations(self, methods: Sequence[str]) -> list[Explanation]:
        """Return the explanations by several methods, computed in parallel. Raises the errors of `explanation`."""
        return computed_all([self.attribution(method) for method in methods])


@dataclass(frozen=True)
class View:
    """The declaration of a view.

    Attributes:
        summary: A sentence on its content.
        draws: The function that draws the view, as "module:function"; it takes a `ViewContext`.
        obstacle: The function that returns the reason why the view does not apply, or "". It is called on each rerun,
            so it must be fast.
        of_answer: Whether the view explains the target of this example, which the page then names.
    """

    name: str
    title: str
    summary: str
    draws: str
    obstacle: str = ""
    of_answer: bool = True

    def load(self) -> None:
        """Import the module of the view."""
        _function(self.draws)

    def draw(self, context: ViewContext) -> None:
        """Draw the view."""
        _function(self.draws)(context)

    def reason(self, context: ViewContext) -> str:
        """Return the reason why the view does not apply; "" if it does."""
        return str(_function(self.obstacle)(context)) if self.obstacle else ""


VIEWS: tuple[View, ...] = (
    View(
        "input",
        "Attribution",
        "How much each feature of the input contributes to the prediction.",
        "netloom.ui.explain.views.attribution:attribution_view",
    ),
    View(
        "flow",
        "Attribution flow",
        "How much of the prediction passes through each connection of the network.",
        "netloom.ui.explain.views.flow:flow_view",
        "netloom.ui.explain.views.flow:obstacle",
    ),
    View(
        "attention",
        "Attention",
        "Which positions each attention head attends to, and which heads the prediction relies on.",
        "netloom.ui.explain.views.attention:attention_view",
        "netloom.ui.explain.views.attention:obstacle",
    ),
    View(
        "what if",
        "Counterfactual",
        "What if the input were different? Edit it and compare the prediction and its attributions.",
        "netloom.ui.explain.views.what_if:what_if_view",
    ),
    View(
        "robustness",
        "Robustness",
        "How small an adversarial change to the input changes the prediction, for this example and for many rows.",
        "netloom.ui.explain.views.robustness:robustness_view",
        "netloom.ui.explain.views.robustness:obstacle",
        of_answer=False,
    ),
    View(
        "visualised",
        "Feature visualization",
        "Inputs optimized to maximize a class or a unit, beside the training rows that maximize it.",
        "netloom.ui.explain.views.feature_visualization:feature_visualization_view",
        "netloom.ui.explain.views.feature_visualization:obstacle",
        of_answer=False,
    ),
    View(
        "influence",
        "Influence",
        "Which training examples influenced this prediction most, and which labels may be wrong.",
        "netloom.ui.explain.views.influence:influence_view",
        "netloom.ui.explain.views.influence:obstacle",
        of_answer=False,
    ),
    View(
        "concepts",
        "Concepts",
        "Which layers encode a concept that you define by examples, and which predictions are sensitive to it.",
        "netloom.ui.explain.views.concepts:concepts_view",
        "netloom.ui.explain.views.concepts:obstacle",
        of_answer=False,
    ),
    View(
        "training",
        "Across checkpoints",
        "How the explanation of this example developed during training.",
        "netloom.ui.explain.views.training_trajectory:training_trajectory_view",
        "netloom.ui.explain.views.training_trajectory:obstacle",
    ),
    View(
        "compare",
        "Compare",
        "How well the explanations of two methods, two checkpoints or two runs agree on this example.",
        "netloom.ui.explain.views.comparison:comparison_view",
    ),
    View(
        "overall",
        "Global",
        "What the model relies on overall: attributions aggregated over many rows.",
        "netloom.ui.explain.views.global_attribution:global_attribution_view",
        "netloom.ui.explain.views.global_attribution:obstacle",
        of_answer=False,
    ),
)


def _function(place: str) -> Callable[[ViewContext], Any]:
    module, _, name = place.partition(":")
    function: Callable[[ViewContext], Any] = getattr(import_module(module), name)
    return function

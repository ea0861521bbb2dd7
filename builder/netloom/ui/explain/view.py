"""The views of the Explain page, each a function in a separate module, and the sections that group them.

A module is imported when its view is chosen, or when the page asks whether the view applies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from netloom.core.plain_json import JsonObject
from netloom.jobs import RunWeights
from netloom.jobs.requests.explanations import Attribution
from netloom.jobs.requests.inspection import Answer
from netloom.ui.components.errors import guard
from netloom.ui.explain.state import CompareWith, keys_of
from netloom.ui.shell.jobs import Pending, ask, computed, computed_all

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from netloom.editing.live import Live
    from netloom.explain import Explanation, InnerNode, Method
    from netloom.explain.core.prediction import ExamplePrediction
    from netloom.jobs.requests.inspection import Inspection
    from netloom.ui.explain.open_run import OpenRun

S = TypeVar("S")
Target = str | dict[str, Any] | None
Row = int | dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where a view draws: the prediction above its picture, its controls, the probabilities, and what is read last.

    The picture itself is drawn where the view is called. On a narrow screen, the order is prediction, picture, controls
    and details.
    """

    head: DeltaGenerator
    controls: DeltaGenerator
    probabilities: DeltaGenerator
    details: DeltaGenerator


@dataclass(frozen=True)
class ViewContext:
    """The arguments of a view: a run's weights, and one example.

    Attributes:
        row: A row number of the data, or a raw row from a form.
        why: Why this row is shown, as Markdown; "" if the user chose it.
        target: The target of the explanation; None for the prediction.
        method: The chosen method.
        options: The chosen options for all methods.
        folder: The folder of the run, where explanations are cached.
        side: The name of the second side of a comparison, which draws the same view once more; "" for the first.
        settings: The settings of the view, which both sides share.
    """

    live: Live
    trained: OpenRun
    weights: RunWeights
    row: Row
    why: str
    target: Target
    method: str
    options: dict[str, Any]
    folder: Path
    inspection: Inspection
    places: Places
    side: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def answer(self) -> ExamplePrediction:
        """The prediction.

        Raises:
            ExplainError, DataError, JobError: the row cannot be read, or the output is not finite.
        """
        return computed(Answer(self.weights, self.row, self.target), "Computing the prediction …")

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods, with reasons for those that are unavailable."""
        return self.inspection.methods

    @property
    def nodes(self) -> tuple[InnerNode, ...]:
        """The nodes of the network between its inputs and its output."""
        return self.inspection.nodes

    def setting(self, name: str, draw: Callable[[], S]) -> S:
        """Return a setting of the view, which `draw` draws beside the picture. Both sides of a comparison share it."""
        if not self.side:
            with self.places.controls:
                self.settings[name] = draw()
        chosen: S = self.settings[name]
        return chosen

    def unavailable(self, kind: str) -> str:
        """Return the reason why a kind of explanation is unavailable for this network; "" if it is available."""
        reason = self.inspection.unavailable[kind]
        return reason[:1].upper() + reason[1:]

    def options_of(self, method: str) -> JsonObject:
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


class MethodUse(StrEnum):
    """What a view uses the chosen method for. Each use remembers its own method."""

    NONE = "none"
    INPUT = "input"
    LAYERS = "layers"
    ROWS = "rows"


@dataclass(frozen=True)
class View:
    """The declaration of a view.

    Attributes:
        summary: A sentence on its content.
        draws: The function that draws the view, as "module:function"; it takes a `ViewContext`.
        obstacle: The function that returns the reason why the view does not apply, or "". It is called on each rerun,
            so it must be fast.
        method_use: What the chosen method is used for.
        is_editor: Whether the view changes the example, and thus explains it by the methods of the input alone.
        reads_example: Whether the view is about one example, which the page then lets the user choose.
        has_target: Whether the user chooses the explained target.
        has_baseline: Whether the view uses the chosen baseline and steps.
        shows_prediction: Whether the page draws the prediction; other views draw it with their first result, or do not
            need it.
        compares: What the view can be compared with.
        is_fragment: Whether its widgets rerun the view alone.
    """

    name: str
    title: str
    summary: str
    draws: str
    obstacle: str = ""
    method_use: MethodUse = MethodUse.NONE
    is_editor: bool = False
    reads_example: bool = True
    has_target: bool = True
    has_baseline: bool = False
    shows_prediction: bool = False
    compares: tuple[CompareWith, ...] = (CompareWith.CHECKPOINT, CompareWith.RUN)
    is_fragment: bool = False

    @property
    def slug(self) -> str:
        """The name of the view in an address."""
        return self.name.replace(" ", "-")

    def load(self) -> None:
        """Import the module of the view."""
        _function(self.draws)

    def draw(self, context: ViewContext) -> None:
        """Draw the view."""
        draw = st.fragment(guard()(self._draw)) if self.is_fragment else self._draw
        draw(context)

    def reason(self, context: ViewContext) -> str:
        """Return the reason why the view does not apply; "" if it does."""
        return str(_function(self.obstacle)(context)) if self.obstacle else ""

    def _draw(self, context: ViewContext) -> None:
        with keys_of(context.side):  # within a fragment, because it reruns this function alone
            _function(self.draws)(context)


@dataclass(frozen=True)
class Section:
    """A group of views."""

    name: str
    title: str
    views: tuple[View, ...]


EVERYTHING = (CompareWith.METHOD, CompareWith.CHECKPOINT, CompareWith.RUN)
SECTIONS: tuple[Section, ...] = (
    Section(
        "prediction",
        "This prediction",
        (
            View(
                "input",
                "Input",
                "How much each feature of the input contributes to the prediction.",
                "netloom.ui.explain.views.attribution:attribution_view",
                method_use=MethodUse.INPUT,
                has_baseline=True,
                compares=EVERYTHING,
            ),
            View(
                "layers",
                "Layers",
                "How much each unit of a layer contributes to the prediction.",
                "netloom.ui.explain.views.attribution:attribution_view",
                "netloom.ui.explain.views.attribution:layers_obstacle",
                method_use=MethodUse.LAYERS,
                has_baseline=True,
                compares=EVERYTHING,
            ),
            View(
                "attention",
                "Attention",
                "Which positions each attention head attends to, and which heads the prediction relies on.",
                "netloom.ui.explain.views.attention:attention_view",
                "netloom.ui.explain.views.attention:obstacle",
            ),
            View(
                "flow",
                "Flow",
                "How much of the prediction passes through each connection of the network.",
                "netloom.ui.explain.views.flow:flow_view",
                "netloom.ui.explain.views.flow:obstacle",
                has_baseline=True,
                shows_prediction=True,
            ),
        ),
    ),
    Section(
        "what-if",
        "What-if",
        (
            View(
                "what if",
                "Edit",
                "What if the input were different? Edit it and compare the prediction and its attributions.",
                "netloom.ui.explain.views.what_if:what_if_view",
                method_use=MethodUse.INPUT,
                is_editor=True,
                has_baseline=True,
                compares=(),
                is_fragment=True,
            ),
            View(
                "counterfactual",
                "Counterfactual",
                "The smallest adversarial change to this example that changes its prediction.",
                "netloom.ui.explain.views.robustness:counterfactual_view",
                "netloom.ui.explain.views.robustness:obstacle",
                shows_prediction=True,
            ),
            View(
                "robustness",
                "Robustness",
                "How the test score falls when the input of many rows is changed on purpose.",
                "netloom.ui.explain.views.robustness:robustness_view",
                "netloom.ui.explain.views.robustness:obstacle",
                reads_example=False,
            ),
        ),
    ),
    Section(
        "model",
        "Model",
        (
            View(
                "overall",
                "Global",
                "What the model relies on overall: attributions aggregated over many rows.",
                "netloom.ui.explain.views.global_attribution:global_attribution_view",
                "netloom.ui.explain.views.global_attribution:obstacle",
                method_use=MethodUse.ROWS,
                reads_example=False,
                has_target=False,
                has_baseline=True,
                compares=EVERYTHING,
            ),
            View(
                "visualised",
                "Feature visualization",
                "Inputs optimized to maximize a class or a unit, beside the training rows that maximize it.",
                "netloom.ui.explain.views.feature_visualization:feature_visualization_view",
                "netloom.ui.explain.views.feature_visualization:obstacle",
                reads_example=False,
                has_target=False,
            ),
            View(
                "embeddings",
                "Embeddings",
                "Which rows a layer represents alike, and how well it separates their labels.",
                "netloom.ui.explain.views.embeddings:embeddings_view",
                "netloom.ui.explain.views.embeddings:obstacle",
                reads_example=False,
                has_target=False,
            ),
            View(
                "concepts",
                "Concepts",
                "Which layers encode a concept that you define by examples, and which predictions are sensitive to it.",
                "netloom.ui.explain.views.concepts:concepts_view",
                "netloom.ui.explain.views.concepts:obstacle",
                reads_example=False,
                has_target=False,
            ),
        ),
    ),
    Section(
        "data",
        "Data",
        (
            View(
                "influence",
                "Influence",
                "Which training examples influenced this prediction most.",
                "netloom.ui.explain.views.influence:influence_view",
                "netloom.ui.explain.views.influence:obstacle",
                has_target=False,
                shows_prediction=True,
            ),
            View(
                "label errors",
                "Possible label errors",
                "Which training rows are so unlike the others that their labels may be wrong.",
                "netloom.ui.explain.views.influence:label_errors_view",
                "netloom.ui.explain.views.influence:obstacle",
                reads_example=False,
                has_target=False,
            ),
        ),
    ),
)
VIEWS: tuple[View, ...] = tuple(view for section in SECTIONS for view in section.views)
# Other names of views in addresses, among them those of earlier releases. Some were views and are comparisons now.
OTHER_NAMES = {
    "attribution": ("input", CompareWith.NONE),
    "attribution flow": ("flow", CompareWith.NONE),
    "edit": ("what if", CompareWith.NONE),
    "training": ("input", CompareWith.CHECKPOINT),
    "across checkpoints": ("input", CompareWith.CHECKPOINT),
    "compare": ("input", CompareWith.METHOD),
    "global": ("overall", CompareWith.NONE),
    "feature visualization": ("visualised", CompareWith.NONE),
    "visualized": ("visualised", CompareWith.NONE),
    "possible label errors": ("label errors", CompareWith.NONE),
    **{section.name.replace("-", " "): (section.views[0].name, CompareWith.NONE) for section in SECTIONS},
}


def find_view(name: str) -> tuple[View, CompareWith] | None:
    """Return the view of a name in an address, and what it is compared with; None if there is no such view."""
    plain = " ".join(name.casefold().replace("-", " ").replace("_", " ").split())
    exact = next((view for view in VIEWS if view.name == plain), None)
    if exact is not None:
        return exact, CompareWith.NONE
    if plain not in OTHER_NAMES:
        return None
    view_name, compare_with = OTHER_NAMES[plain]
    return next(view for view in VIEWS if view.name == view_name), compare_with


def section_of(view: View) -> Section:
    """Return the section of a view."""
    return next(section for section in SECTIONS if view in section.views)


def _function(path: str) -> Callable[[ViewContext], Any]:
    module, _, name = path.partition(":")
    function: Callable[[ViewContext], Any] = getattr(import_module(module), name)
    return function

"""The state of the Explain page per tab, and the keys of its widgets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from netloom.explain.concepts.concept_definition import ConceptDefinition
from netloom.modalities.encoding.cells import RawRow
from netloom.ui.components.page_state import PageState, WidgetKey


@dataclass(frozen=True)
class HandedInput:
    """A raw row that was edited on another page, and its number in the order of such rows in this tab."""

    row: RawRow
    number: int


@dataclass(frozen=True)
class ConceptTest:
    """The last concept test: the run, the concept, the layers and the targets."""

    run_id: str
    concept: ConceptDefinition
    nodes: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class WorstExamples:
    """Where a page shows the worst examples of a run: the page, its title, and the widget of the run that shows them
    when it has this value."""

    page: str
    title: str
    widget: WidgetKey
    value: Any


@dataclass(frozen=True)
class Playback:
    """The playback of checkpoints: the key of their slider, and the next label."""

    slider: str
    label: str


class CompareWith(StrEnum):
    """What a view is compared with."""

    NONE = "none"
    METHOD = "method"
    CHECKPOINT = "checkpoint"
    RUN = "run"


@dataclass(frozen=True)
class Address:
    """The parameters of the page's address: a run, a row of its data, and a view; "" for a parameter that is absent."""

    run: str = ""
    row: str = ""
    view: str = ""


@dataclass
class ExplainState(PageState):
    """What the page shows, so that it is the same after a visit to another page.

    Attributes:
        view: The name of the view.
        section_views: The last view of each section, by the name of the section.
        methods: The last chosen method of each `MethodUse`, by its name.
        method_chosen: Whether the menu has just chosen a method that the page does not show yet.
        rows: The row of each run, by its id.
        sources: Where the example comes from, by the id of the run.
        handed: The custom input of each run that another page handed over, by the id of the run.
        inputs_handed: The number of inputs that were handed over so far.
        linked_row: The row of a link that was followed, until the page has checked that it exists.
        address: The address that the page wrote last. Another one is a link that was followed.
        marked_rows: The row that was clicked last in an embedding map of each data, by its fingerprint.
        came_from: The worst examples that linked here; None if none did.
    """

    view: str = ""
    section_views: dict[str, str] = field(default_factory=dict)
    compare_with: CompareWith = CompareWith.NONE
    methods: dict[str, str] = field(default_factory=dict)
    method_chosen: bool = False
    rows: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    handed: dict[str, HandedInput] = field(default_factory=dict)
    inputs_handed: int = 0
    linked_row: int | None = None
    address: Address = Address()
    came_from: WorstExamples | None = None
    concept_test: ConceptTest | None = None
    playback: Playback | None = None
    marked_rows: dict[str, int] = field(default_factory=dict)


_side: ContextVar[str] = ContextVar("side", default="")


def current_side() -> str:
    """Return the side of a comparison that is drawn now; "" for the first one, or without a comparison."""
    return _side.get()


@contextmanager
def keys_of(side: str) -> Iterator[None]:
    """Draw widgets with keys of their own, because a comparison draws the same view twice."""
    token = _side.set(side)
    try:
        yield
    finally:
        _side.reset(token)


class Key(WidgetKey):
    """The keys of the explain page's widgets. Those of the second side of a comparison begin with its name."""

    def __str__(self) -> str:
        return f"{current_side()}{self.value}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def of(self, *parts: object) -> str:
        return " ".join([str(self), *map(str, parts)])

    ATTACK = "attack"
    ATTACK_EXAMPLE = "attacked"
    ATTACK_ROWS = "attacked rows"
    ATTENTION_ALL_LAYERS = "attention total"
    ATTENTION_BY_LAYER = "attention through"
    ATTENTION_DETAILS = "attention details"
    ATTENTION_DRAWINGS = "attention drawings"
    ATTENTION_GRID = "attention grid"
    ATTENTION_GRID_EXPORT = "attention grid export"
    ATTENTION_HEAD = "attention head"
    ATTENTION_HEADS = "attention heads"
    ATTENTION_LAYER = "attention layer"
    ATTENTION_LINES = "attention lines"
    ATTENTION_LINES_EXPORT = "attention lines export"
    ATTENTION_MAP = "attention map"
    ATTENTION_PATCHES = "attention patches"
    ATTENTION_PATCHES_EXPORT = "attention patches export"
    ATTENTION_RELEVANCE = "attention words"
    ATTENTION_ROLLOUTS = "attention rollouts"
    ATTENTION_STATISTICS = "attention numbers export"
    ATTENTION_WEIGHTS = "attention way"
    BACK = "back"
    BASELINE = "baseline"
    BESIDE = "explain-beside"
    BASELINE_CLASS = "baseline class"
    BASELINE_ROW = "baseline row"
    CHECKPOINTS = "scrub"
    CHECKPOINT_AGREEMENT = "scrub agreement"
    CHECKPOINT_SCORE = "scrub answer"
    COMPARE_CHECKPOINT = "compare at"
    COMPARE_DIFFERENCE = "compare difference"
    COMPARE_EXPORT = "compare export"
    COMPARE_FIRST = "compare first"
    COMPARE_PAIR = "compare pair"
    COMPARE_POINTS = "compare points"
    COMPARE_RUN = "compare run"
    COMPARE_METHOD = "compare method"
    COMPARE_SECOND = "compare second"
    COMPARE_WITH = "compare with"
    EPISODE = "explained episode"
    EPISODE_STEP = "explained step"
    CONCEPT = "concept"
    CONCEPT_CHART = "concepts"
    CONCEPT_MAXIMUM = "concept high"
    CONCEPT_MINIMUM = "concept low"
    CONCEPT_VALUE = "concept text"
    COUNTERFACTUAL = "what if"
    EMBEDDINGS = "embeddings"
    EMBEDDINGS_COLOR = "embeddings color"
    EMBEDDINGS_LAYER = "embeddings layer"
    EMBEDDINGS_LAYERS = "embeddings layers"
    EMBEDDINGS_MAP = "embeddings map"
    EMBEDDINGS_PROJECTION = "embeddings projection"
    EMBEDDINGS_ROW = "embeddings row"
    EMBEDDINGS_ROWS = "embeddings rows"
    EVIDENCE_CURVES = "input curves"
    EXAMPLE = "example"
    EXAMPLES = "examples"
    FEATURE_CLASS = "visualized class"
    FEATURE_LAYER = "visualized node"
    FEATURE_LEVELS = "visualized levels"
    FEATURE_PLOT = "visualized"
    FEATURE_UNIT = "visualized unit"
    FIGURE = "explain-figure"
    FLOW_EXPORT = "flow export"
    FLOW_GRAPH = "flow graph"
    FLOW_NETWORK = "flow network"
    GLOBAL = "overall"
    GLOBAL_BARS = "overall bars"
    GLOBAL_BY_PREDICTION = "overall by answer"
    GLOBAL_MAPS = "overall maps"
    GLOBAL_PARTS = "overall-parts"
    GLOBAL_PROFILE = "overall profile"
    GLOBAL_ROWS = "overall rows"
    GLOBAL_SWARM = "overall swarm"
    GLOBAL_TARGET = "overall of"
    GLOBAL_VALUES = "overall shown"
    GLOBAL_WORST = "overall worst"
    INFLUENCE_CHART = "influence"
    INFLUENCE_LOSS = "influence of"
    INPUT = "input"
    INPUT_BESIDE = "input beside"
    INPUT_CHART = "input way"
    INPUT_OPACITY = "input opacity"
    INPUT_SIGN = "input sign"
    LABEL_ERRORS = "suspects"
    EXPLAIN_ROW = "explain row"
    HEADER = "explain-header"
    LAYOUT = "explain-layout"
    LEADS_TO = "leads to"
    LONG_FIGURE = "explain-long-figure"
    METHOD = "input method"
    METHOD_MENU = "method menu"
    MISTAKES = "mistakes"
    NEURON = "neuron"
    NODE = "node"
    RANDOMIZATION_TEST = "input randomize"
    ROBUSTNESS_CLASSES = "robustness classes"
    ROBUSTNESS_CURVE = "robustness curve"
    STEPS = "steps"
    ROW = "row"
    SIDES = "sides"
    RUN = "run"
    SECTION = "section"
    VIEW = "view"
    WORD = "word"


class Part(WidgetKey):
    """The widgets within a component that has a key."""

    AFTER = "after"
    BARS = "bars"
    BEFORE = "before"
    BESIDE = "beside"
    NEURON = "neuron"
    NODE = "node"
    PLAY = "play"
    PLOT = "plot"
    PROBABILITIES = "shares"
    RESET = "back"
    SLIDER = "at"
    TEXT = "text"

"""The state of the Explain page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netloom.explain.concepts.concepts import ConceptDefinition
from netloom.ui.components.page_state import PageState, WidgetKey


@dataclass(frozen=True)
class ReadUpload:
    """The last uploaded file, by the key of its widget and its id: its values, or the error."""

    key: str
    file_id: str
    values: np.ndarray | None
    refusal: str


@dataclass(frozen=True)
class ConceptTest:
    """The last concept test: the run, the concept, the layers and the targets."""

    run_id: str
    concept: ConceptDefinition
    nodes: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Playback:
    """The playback of checkpoints: the key of their slider, and the next label."""

    slider: str
    label: str


@dataclass
class ExplainState(PageState):
    """The last chosen method, the methods that the browser showed last, the last upload and the last concept test."""

    method: str = ""
    listed_methods: tuple[str, ...] = ()
    upload: ReadUpload | None = None
    concept_test: ConceptTest | None = None
    playback: Playback | None = None


class Key(WidgetKey):
    """The keys of the explain page's widgets."""

    ATTACK = "attack"
    ATTACK_EXAMPLE = "attacked"
    ATTACK_ROWS = "attacked rows"
    ATTENTION_ALL_LAYERS = "attention total"
    ATTENTION_BY_LAYER = "attention through"
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
    ATTENTION_STATISTICS = "attention numbers export"
    ATTENTION_WEIGHTS = "attention way"
    BASELINE = "baseline"
    BASELINE_CLASS = "baseline class"
    BASELINE_ROW = "baseline row"
    CHECKPOINTS = "scrub"
    CHECKPOINT_AGREEMENT = "scrub agreement"
    CHECKPOINT_METHOD = "scrub method"
    CHECKPOINT_SCORE = "scrub answer"
    COMPARE_CHECKPOINT = "compare at"
    COMPARE_DIFFERENCE = "compare difference"
    COMPARE_EXPORT = "compare export"
    COMPARE_FIRST = "compare first"
    COMPARE_POINTS = "compare points"
    COMPARE_RUN = "compare run"
    COMPARE_SECOND = "compare second"
    COMPARE_WITH = "compare with"
    CONCEPT_CHART = "concepts"
    CONCEPT_MAXIMUM = "concept high"
    CONCEPT_MINIMUM = "concept low"
    CONCEPT_VALUE = "concept text"
    COUNTERFACTUAL = "what if"
    EVIDENCE_CURVES = "input curves"
    EXAMPLE = "example"
    EXAMPLES = "examples"
    FEATURE_CLASS = "visualized class"
    FEATURE_LAYER = "visualized node"
    FEATURE_LEVELS = "visualized levels"
    FEATURE_PLOT = "visualized"
    FEATURE_UNIT = "visualized unit"
    FLOW_EXPORT = "flow export"
    FLOW_GRAPH = "flow graph"
    FLOW_NETWORK = "flow network"
    GLOBAL = "overall"
    GLOBAL_BARS = "overall bars"
    GLOBAL_BY_PREDICTION = "overall by answer"
    GLOBAL_MAPS = "overall maps"
    GLOBAL_METHOD = "overall method"
    GLOBAL_PROFILE = "overall profile"
    GLOBAL_ROWS = "overall rows"
    GLOBAL_SWARM = "overall swarm"
    GLOBAL_TARGET = "overall of"
    GLOBAL_VALUES = "overall shown"
    GLOBAL_WORST = "overall worst"
    INFLUENCE_CHART = "influence"
    INFLUENCE_LOSS = "influence of"
    INFLUENCE_VIEW = "influence which"
    INPUT = "input"
    INPUT_BESIDE = "input beside"
    INPUT_CHART = "input way"
    INPUT_OPACITY = "input opacity"
    INPUT_SIGN = "input sign"
    LABEL_ERRORS = "suspects"
    LEADS_TO = "leads to"
    METHOD = "input method"
    METHOD_GROUP = "input kind"
    NEURON = "neuron"
    NODE = "node"
    RANDOMIZATION_TEST = "input randomise"
    ROBUSTNESS_CLASSES = "robustness classes"
    ROBUSTNESS_CURVE = "robustness curve"
    STEPS = "steps"
    VIEW = "view"
    WEIGHTS = "weights"
    WORD = "word"


class Part(WidgetKey):
    """The widgets within a component that has a key."""

    AFTER = "after"
    BARS = "bars"
    BEFORE = "before"
    BESIDE = "beside"
    DRAWING = "drawn"
    FILE = "file"
    NEURON = "neuron"
    NODE = "node"
    PLAY = "play"
    PLOT = "plot"
    PROBABILITIES = "shares"
    RECORDING = "record"
    RESET = "back"
    SLIDER = "at"
    SOURCE = "way"
    TEXT = "text"

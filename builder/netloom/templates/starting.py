"""Templates and other documents adapted to data: their networks with the shapes and classes of that data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from netloom.core.data_folder import home as default_home
from netloom.data import DataError, FieldSpec, Schema, prepare, schema
from netloom.data.preparation.project_defaults import default_training
from netloom.data.settings.column_settings import FIELDS
from netloom.document import DataChoice, Edit, EditError, Project, apply
from netloom.tasks import tasks
from netloom.templates.catalogue import Template, templates
from netloom.templates.mixed import MIXED, kind_of, mixed_template
from netloom.validation.applied_fixes import FixedProject, with_fixes
from netloom.validation.fields import reading_edits
from netloom.validation.issue import Issue

PAIRED_TOKENS = "paired tokens"  # with one vocabulary, which shared weights need
# The templates that can be adapted, by the kinds of the fields and of the target, the simplest first
STARTERS: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {
    (("image",), "class"): ("digits_cnn", "digits_mlp", "digits_lenet"),
    (("image",), "number"): ("digits_cnn", "digits_mlp"),
    (("image",), "labels"): ("scenes_labels", "digits_mlp"),
    (("image",), "mask"): ("shapes_unet",),
    (("image",), "boxes"): ("shapes_detector",),
    (("image",), "several"): ("shapes_two_outputs", "digits_mlp"),
    (("image", "image"), "class"): ("same_digits_siamese",),
    (("image", "image"), "number"): ("same_digits_siamese",),
    ((PAIRED_TOKENS, PAIRED_TOKENS), "class"): ("paraphrases_siamese",),
    ((PAIRED_TOKENS, PAIRED_TOKENS), "number"): ("paraphrases_siamese",),
    (("vector",), "class"): ("breast_cancer",),
    (("vector",), "number"): ("diabetes",),
    (("vector",), "labels"): ("breast_cancer",),
    (("vector",), "several"): ("breast_cancer",),
    (("tokens",), "class"): ("intents_lstm", "intents_transformer"),
    (("tokens",), "number"): ("intents_lstm",),
    (("tokens",), "labels"): ("intents_lstm", "intents_transformer"),
    (("tokens",), "several"): ("intents_lstm", "intents_transformer"),
    (("tokens",), "tags"): ("requests_tagger",),
    (("tokens",), "class_and_tags"): ("commands_joint",),
    (("tokens",), "next_token"): ("tales", "tales_gpt"),
    (("tokens", "tokens"), "sequence"): ("dates_gru", "dates_transformer"),
    (("categories", "categories"), "number"): ("ratings_ncf", "ratings_bpr"),
    (("categories",), "class"): ("clicks_deepfm",),
    (("categories",), "number"): ("clicks_deepfm",),
    (("sequence",), "number"): ("sine_tcn", "sine", "station_dlinear"),
    (("sequence",), "class"): ("cbf_fcn", "sine_tcn", "spoken_gru"),
    (("sequence",), "labels"): ("cbf_fcn", "sine_tcn"),
    (("sequence", "sequence"), "class"): ("molecules_gcn",),
    (("sequence", "sequence"), "number"): ("molecules_gcn",),
}
# Title and summary of each network for any data; those of a template describe the data that it comes with
NETWORKS: dict[str, tuple[str, str]] = {
    "digits_cnn": ("Convolutional network", "Convolutions and pooling, then a linear classifier"),
    "digits_mlp": ("Dense layers", "Two fully connected layers on the pixels"),
    "scenes_labels": ("Convolutional network", "Convolutions, and one logit per label"),
    "digits_lenet": ("LeNet-5", "The convolutional network that read checks in 1998"),
    "shapes_unet": ("U-Net", "A class for every pixel: an encoder, a decoder, and skip connections between them"),
    "shapes_detector": ("Detector", "A grid over the image: where objects have their center, and their boxes"),
    "shapes_two_outputs": ("Convolutional network", "Convolutions, and an output for each target"),
    "same_digits_siamese": ("Siamese network", "Embeds two images with the same weights and compares them"),
    "paraphrases_siamese": ("Siamese network", "Embeds two texts with the same weights and compares them"),
    "breast_cancer": ("Dense layers", "Fully connected layers on all columns"),
    "clicks_deepfm": ("DeepFM", "Embeds each category, and combines all pairs of them and an MLP"),
    "diabetes": ("Dense layers", "Fully connected layers on all columns, with one number as output"),
    "intents_lstm": ("LSTM", "Reads the text word by word with a memory cell"),
    "intents_transformer": ("Transformer", "Self-attention: every word attends to every other word"),
    "requests_tagger": ("LSTM tagger", "A bidirectional LSTM with a tag for every word"),
    "commands_joint": (
        "LSTM with two outputs",
        "A class for the text and a tag for every word, by one LSTM",
    ),
    "tales": ("Recurrent language model", "Predicts the next token of a text from the preceding ones"),
    "tales_gpt": ("Small GPT", "A Transformer decoder that predicts the next token"),
    "dates_gru": ("GRU with attention", "A GRU encoder and a GRU decoder with attention"),
    "dates_transformer": ("Encoder-decoder Transformer", "A Transformer encoder and a Transformer decoder"),
    "ratings_ncf": (
        "Neural collaborative filtering",
        "Embeddings of users and items, combined by a dot product and by an MLP",
    ),
    "ratings_bpr": ("Ranking of items (BPR)", "Embeddings of users and items, whose score ranks the items for a user"),
    "cbf_fcn": ("Convolutional network", "Convolutions over all steps, averaged over the series"),
    "sine_tcn": ("Causal convolutions", "Causal convolutions whose receptive field grows with each layer"),
    "sine": ("GRU", "Reads the series step by step with a recurrent network"),
    "station_dlinear": (
        "DLinear",
        "A linear forecast of the trend and one of the remainder, for each series separately",
    ),
    MIXED: ("A branch for each input", "Reads each input with layers of its own, and joins them before the output"),
    "molecules_gcn": ("Graph network", "Two graph convolutions over neighboring atoms"),
    "spoken_cnn": ("Spectrogram and convolutions", "A log-mel spectrogram and convolutions"),
    "spoken_gru": ("Recurrent network", "A log-mel spectrogram and a bidirectional GRU"),
}
_LONG = 1_000  # a sequence of one channel with at least this many steps counts as a sound
RATE = 8_000  # the sample rate in Hz of a sound whose file does not state it


def starters(choice: DataChoice, schema: Schema) -> list[Template]:
    """Return the templates whose network can be adapted to this data."""
    names = STARTERS.get((tuple(map(_kind_of, schema.inputs)), schema.target.kind), ())
    if names == STARTERS[("sequence",), "number"] and schema.target.forecast is None:
        names = ("cbf_fcn", *names)  # the number depends on the whole series, not on its last steps
    if _is_sound(schema):
        names = ("spoken_cnn", *names) if schema.target.type.is_class else names
    mixed = None if names else mixed_template(schema)
    return [mixed] if mixed else [templates()[name] for name in names if name in templates()]


def _kind_of(spec: FieldSpec) -> str:
    return PAIRED_TOKENS if spec.is_paired and spec.is_tokens else kind_of(spec)


def _is_sound(schema: Schema) -> bool:
    inputs = schema.inputs
    return len(inputs) == 1 and inputs[0].is_sequence and inputs[0].shape[0] >= _LONG and inputs[0].shape[1] == 1


def start(template: Template, choice: DataChoice, name: str, home: Path | None = None) -> Project | None:
    """Return the template as a project on this data; None if its network cannot be adapted.

    Raises:
        DataError: The project has no dataset, or it cannot be read.
    """
    fitted = fit(template.project, choice, name, home)
    return None if fitted is None or any(map(_is_wrong, fitted.remaining)) else fitted.project


def fit(project: Project, choice: DataChoice, name: str, home: Path | None = None) -> FixedProject | None:
    """Return a document adapted to data: its Inputs, vocabularies, image sizes, classes and objective.

    The objective is kept if the data has the target for it. `remaining` are the issues that no fix solves; None if the
    document itself cannot be edited.

    Raises:
        DataError: The project has no dataset, or it cannot be read.
    """
    home, original = home or default_home(), project
    data_schema = schema(choice, home)
    if data_schema is None:
        raise DataError("The project has no dataset; choose one first.")
    if FIELDS in project.data.options and _is_sound(data_schema) and FIELDS not in choice.options:
        # The template expects a spectrogram as input, so the sounds are converted to one.
        read = {FIELDS: {data_schema.inputs[0].name: {"sound": "log-mel"}}}
        choice = choice.model_copy(update={"options": {**choice.options, **read}})
        data_schema = schema(choice, home) or data_schema
    needed = _task_options(project, choice, data_schema)
    if needed:
        choice = choice.model_copy(update={"options": {**choice.options, **needed}})
        data_schema = schema(choice, home) or data_schema
    # Only sounds are prepared here to read their sample rate; preparing other data may take long.
    rate = prepare(choice, home).fields[0].sample_rate or RATE if _is_sound(data_schema) else RATE
    training = {"objective": _objective(project, data_schema), **default_training(choice.dataset, home)}
    edits: list[Edit] = [
        {"kind": "project", "name": name, "data": choice.model_dump(mode="json"), "training": training},
        *_input_edits(project, data_schema),
    ]
    try:
        project = apply(project, {"kind": "batch", "edits": edits})
        edits = [
            *reading_edits(project, data_schema),
            *_spectrogram_edits(project, data_schema, rate),
            *_horizon_edits(project, data_schema),
        ]
        fitted = with_fixes(apply(project, {"kind": "batch", "edits": edits}), data_schema, _is_wrong)
    except EditError:
        return None
    missing = _missing_inputs(original, data_schema)
    return replace(fitted, remaining=(missing, *fitted.remaining)) if missing else fitted


def _task_options(project: Project, choice: DataChoice, schema: Schema) -> dict[str, Any]:
    """Return the data options that the task needs, such as a noise field: those of the document, or else the usual."""
    task = tasks()[_objective(project, schema)]
    needed = [problem.options for problem in task.problems(schema, project.training, choice) if problem.options]
    return {name: project.data.options.get(name, value) for options in needed for name, value in options.items()}


def _missing_inputs(project: Project, schema: Schema) -> Issue | None:
    """Return the issue that a document compares or combines more fields than the data has; None if there are enough.

    Without it, a network for pairs would read one field twice, and compare it with itself.
    """
    nodes = project.main_network.nodes
    inputs = [nodes[key] for key in project.main_network.order("Input")]
    count, available = len({str(node.params.get("field", "") or node.id) for node in inputs}), len(schema.inputs)
    if count <= available:
        return None
    names = ", ".join(field.name for field in schema.inputs)
    has = f"the field {names}" if available == 1 else f"{available} fields ({names})"
    message = f"The network reads {count} different fields, but the data has only {has}; choose data with more fields."
    return Issue("inputs", "error", message, project.main, inputs[-1].id)


def _objective(project: Project, schema: Schema) -> str:
    """Return the objective of the document if the data has the target for it, else the default of this target."""
    task = tasks().get(project.training.objective)
    if task is not None and (
        task.target is None or (task.target == schema.target.kind and task.accepts(schema.target))
    ):
        return task.name
    return schema.target.type.usual_task


def _is_wrong(issue: Issue) -> bool:
    """Return whether a fitted project must not have this issue: an error, or a vocabulary of other data."""
    return issue.severity == "error" or issue.code == "vocabulary"


def _input_edits(project: Project, schema: Schema) -> list[Edit]:
    """Return edits that connect each Input to the next field of its kind, or else to the next field."""
    nodes, fields, edits = project.main_network.nodes, list(schema.inputs), list[Edit]()
    for key in project.main_network.order("Input"):
        if not fields:
            break
        kind = nodes[key].params.get("kind", "vector")
        field = next((field for field in fields if field.kind == kind), fields[0])
        fields.remove(field)
        edits.append({"kind": "set", "network": project.main, "node": key, "params": field.parameters()})
    return edits


def _spectrogram_edits(project: Project, schema: Schema, rate: int) -> list[Edit]:
    """Return edits that adapt the windows and the reshape of a spectrogram to the length of the sound."""
    nodes = project.main_network.nodes
    spectrum = next((node for node in nodes.values() if node.type == "LogMel"), None)
    picture = next((key for key, node in nodes.items() if node.type == "Reshape"), None)
    if spectrum is None or picture is None:
        return []
    # About 40 windows for a sound of any length; each is a power of two of at least twice the hop
    hop = max(1, schema.inputs[0].shape[0] // 40)
    key = next(key for key, node in nodes.items() if node.type == "LogMel")
    window = 1 << max(5, (2 * hop - 1).bit_length())
    steps = schema.inputs[0].shape[0] // hop + 1
    bands = spectrum.params.get("bands", 20)
    return [
        {"kind": "set", "network": project.main, "node": key, "params": {"hop": hop, "window": window, "rate": rate}},
        {"kind": "set", "network": project.main, "node": picture, "params": {"shape": [1, steps, bands]}},
    ]


def _horizon_edits(project: Project, schema: Schema) -> list[Edit]:
    """Return edits that adapt a network that forecasts each channel alone, such as DLinear, to series and horizon.

    Its steps are on the last axis, which a Flatten before the Output reads, and a Slice takes the series to forecast
    from the channels, of which they are the first.
    """
    forecast, network = schema.target.forecast, project.main_network
    if forecast is None:
        return []
    before = {edge.target.partition(".")[0]: set[str]() for edge in network.edges}
    for edge in network.edges:
        before[edge.target.partition(".")[0]].add(edge.source.partition(".")[0])
    (flat,) = before.get(next(iter(network.order("Output")), ""), set()) or {""}
    if flat not in network.nodes or network.nodes[flat].type != "Flatten":
        return []
    linear, pending, slices = set[str](), [flat], set[str]()
    while pending:
        for key in before.get(pending.pop(), ()):
            if network.nodes[key].type == "Linear":
                linear.add(key)
            else:
                pending.append(key)
    pending = list(linear)
    while pending:
        for key in before.get(pending.pop(), ()):
            slices |= {key} if network.nodes[key].type == "Slice" else set()
            pending.append(key)
    changes = {key: {"units": forecast.horizon} for key in linear}
    changes |= {key: {"end": len(forecast.series)} for key in slices}
    return [{"kind": "set", "network": project.main, "node": key, "params": change} for key, change in changes.items()]

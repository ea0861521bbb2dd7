"""Training settings of the document. Forms and help show the title and description of each field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from netloom.core.field_errors import nearest_name
from netloom.document.augmentation_settings import Augment
from netloom.document.former_names import FORMER_TASKS, present_name, renamed
from netloom.document.loss_settings import ClassWeights, LossSettings
from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES, Choice, checked
from netloom.document.rl_settings import Agent

MAX_EPOCHS = 10_000

_INITIAL_WEIGHTS = re.compile(r"weights:[0-9a-f]{64}|run:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PATH = re.compile(r"[a-z][a-z0-9_]{0,63}(\.[a-z0-9_]{1,64}){0,15}")


def _initial_weights(text: str) -> str:
    if text and not _INITIAL_WEIGHTS.fullmatch(text):
        raise ValueError("initial weights must be empty (random), weights:DIGEST (64 hexadecimal digits), or run:ID")
    return text


def _one_of(choices: Mapping[str, Choice]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in choices:
            nearest = nearest_name(name, choices)
            hint = f"did you mean {nearest!r}?" if nearest else f"choose one of {', '.join(choices)}"
            raise ValueError(f"there is no {name[:40]!r}; {hint}")
        return name

    return AfterValidator(check)


def _settings_of(choices: Mapping[str, Choice]) -> AfterValidator:
    def check(values: dict[str, bool | float]) -> dict[str, bool | float]:
        checked(values, choices)
        return values

    return AfterValidator(check)


def _read_former_names(section: str) -> BeforeValidator:
    return BeforeValidator(lambda values: renamed(values, section))


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError("a layer must be given by its id, such as conv2d_1, or block_1.conv2d_1 within a subnetwork")
    return text


InitialWeights = Annotated[str, AfterValidator(_initial_weights)]
Values = dict[str, bool | int | float]
LayerPath = Annotated[str, AfterValidator(_path)]


class Training(LossSettings):
    """The training settings. With 0 epochs, the network is evaluated but not trained.

    `initial_weights` is their source: empty for random ones, weights:DIGEST for imported ones, or run:ID for the saved
    weights of an earlier run. `optimizer_settings` and `schedule_settings` can contain settings of other choices, which
    are ignored. A path in `layer_lr_multipliers` is the id of a node, preceded by the ids of the nodes around it.
    """

    objective: Annotated[str, BeforeValidator(present_name(FORMER_TASKS)), Field(max_length=64)] = "classification"
    optimizer: Annotated[
        str, _one_of(OPTIMIZERS), Field(title="Optimizer", description="How weights are updated from gradients")
    ] = "adam"
    optimizer_settings: Annotated[
        Values, _read_former_names("training.optimizer_settings"), _settings_of(OPTIMIZERS)
    ] = {}
    learning_rate: Annotated[
        float,
        Field(
            gt=0,
            le=10,
            title="Learning rate",
            description="Step size. Lower it when the loss jumps; raise it when the loss hardly falls",
        ),
    ] = 1e-3
    weight_decay: Annotated[
        float,
        Field(ge=0, le=1, title="Weight decay", description="Pulls weights toward zero. Raise it against overfitting"),
    ] = 0.0
    decay_matrices_only: Annotated[
        bool,
        Field(
            title="Exclude bias and norm from weight decay",
            description="Decays weight matrices only, not biases, norm layers and embeddings",
        ),
    ] = False
    batch_size: Annotated[
        int, Field(ge=1, le=65_536, title="Batch size", description="Number of examples per forward and backward pass")
    ] = 64
    gradient_accumulation_steps: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            title="Gradient accumulation",
            description="Number of batches per optimizer step. Raise it for a large effective batch in little memory",
        ),
    ] = 1
    epochs: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_EPOCHS,
            title="Epochs",
            description="Number of passes over the training rows; 0 only evaluates the weights",
        ),
    ] = 20
    schedule: Annotated[
        str,
        _one_of(SCHEDULES),
        Field(title="LR schedule", description="How the learning rate changes during the run"),
    ] = "constant"
    schedule_settings: Annotated[Values, _read_former_names("training.schedule_settings"), _settings_of(SCHEDULES)] = {}
    warmup: Annotated[
        float,
        Field(
            ge=0,
            le=1e6,
            title="Warmup",
            description="Steps over which the learning rate rises from near 0; below 1: share of all steps",
        ),
    ] = 0.0
    seed: Annotated[
        int, Field(ge=0, lt=2**31, title="Seed", description="Random seed. The same seed reproduces the run")
    ] = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(title="Device", description="Hardware to train on")] = (
        "auto"
    )
    precision: Annotated[
        Literal["float32", "bf16", "fp16", "auto"],
        Field(
            title="Precision",
            description="Mixed precision is faster on devices that support it; fp16 needs a GPU. Automatic: tries bf16 "
            "on the first steps and keeps it if it is faster and its loss agrees",
        ),
    ] = "float32"
    compile: Annotated[
        Literal["off", "auto"],
        Field(
            title="Compile",
            description="Automatic: tries torch.compile on the first steps and keeps it if it is faster",
        ),
    ] = "off"
    cuda_graphs: Annotated[
        Literal["off", "auto"],
        Field(
            title="CUDA graphs",
            description="On a GPU, small networks train up to four times as fast, with the same results. Automatic: "
            "tries a CUDA graph on the first steps and keeps it if it is faster",
        ),
    ] = "auto"
    gradient_clip: (
        Annotated[
            float,
            Field(gt=0, le=1e6, title="Clip by norm", description="Maximum norm of the gradient; empty: no clipping"),
        ]
        | None
    ) = None
    gradient_clip_value: (
        Annotated[
            float,
            Field(
                gt=0,
                le=1e6,
                title="Clip by value",
                description="Maximum absolute value of each gradient element; empty: no clipping",
            ),
        ]
        | None
    ) = None
    ema_decay: (
        Annotated[
            float,
            Field(
                gt=0,
                lt=1,
                title="EMA",
                description="Decay of the exponential moving average of the weights, such as 0.999. Evaluates and "
                "saves the averaged weights; empty: no averaging",
            ),
        ]
        | None
    ) = None
    label_smoothing: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            title="Label smoothing",
            description="Share of each label spread over all classes. Raise it against overconfidence",
        ),
    ] = 0.0
    class_weights: (
        Annotated[
            ClassWeights,
            Field(
                title="Class weights",
                description="Weight of each class in the loss; balanced weights classes by inverse frequency",
            ),
        ]
        | None
    ) = None
    regression_loss: Annotated[
        Literal["mse", "mae", "huber", "quantile"],
        Field(title="Loss", description="Loss function of the error"),
    ] = "mse"
    huber_delta: Annotated[
        float,
        Field(
            gt=0,
            le=1e3,
            title="Huber delta (δ)",
            description="From this error on, in standard deviations of the target, the loss is linear",
        ),
    ] = 1.0
    quantile: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            title="Quantile",
            description="The quantile to predict: this share of the targets lies below the prediction",
        ),
    ] = 0.5
    layer_lr_multipliers: Annotated[
        dict[LayerPath, Annotated[float, Field(ge=0, le=1_000)]],
        Field(
            max_length=500,
            title="Per-layer LR",
            description="Multiplies the learning rate of a layer",
        ),
    ] = {}
    layer_lr_decay: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            title="Layer-wise LR decay",
            description="Multiplies the learning rate once per layer toward the input",
        ),
    ] = 1.0
    early_stopping: (
        Annotated[
            int,
            Field(
                ge=1,
                le=10_000,
                title="Early stopping",
                description="Patience: epochs without improvement of the monitored metric; empty: off",
            ),
        ]
        | None
    ) = None
    monitor: Annotated[
        str,
        Field(
            max_length=64,
            title="Monitor",
            description="Validation metric that selects the best weights and triggers early stopping",
        ),
    ] = "loss"
    checkpoint: Annotated[
        Literal["best", "last"],
        Field(
            title="Checkpoint to use",
            description="Checkpoint that is evaluated, explained, exported and used as initialization",
        ),
    ] = "best"
    initial_weights: InitialWeights = ""
    agent: Agent = Agent()
    augment: Annotated[
        tuple[Augment, ...],
        Field(
            strict=False,
            max_length=20,
            title="Augmentation",
            description="Random changes to training rows, in this order",
        ),
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _present_names(cls, values: Any) -> Any:
        return renamed(values, "training")

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Training:
        used = settings(OPTIMIZERS[self.optimizer], self.optimizer_settings)
        if self.optimizer == "sgd" and used["nesterov"] and (used["momentum"] <= 0 or used["dampening"] > 0):
            raise ValueError("Nesterov needs momentum above 0 and dampening 0")
        return self


def settings(choice: Choice, values: Mapping[str, float | bool]) -> dict[str, float | bool]:
    """All settings of an optimizer or a schedule: the values of the document, and the defaults for the rest."""
    return {name: values.get(name, default) for name, default in choice.settings.items()}


# The fields that every document contains. Later fields are omitted while they have their default, so that older
# documents keep their bytes.
FIRST_FIELDS = frozenset(
    """
    objective optimizer learning_rate weight_decay batch_size epochs schedule seed device gradient_clip early_stopping
    """.split()
)


def written(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The fields of a training section that a document contains, as JSON."""
    defaults = _defaults()
    return {name: value for name, value in values.items() if name in FIRST_FIELDS or value != defaults[name]}


@cache
def _defaults() -> Mapping[str, JsonValue]:
    """The default of each field as JSON; every edit compares with them."""
    return Training().model_dump(mode="json")


@dataclass(frozen=True)
class FieldDescription:
    """A field for forms and help. `above` and `below` mean that the bound is exclusive."""

    name: str
    title: str
    description: str
    kind: Literal["whole", "number", "switch", "choice", "text", "other"]
    default: Any
    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False
    choices: tuple[str, ...] = ()
    optional: bool = False


_KINDS: dict[str, Literal["whole", "number", "switch", "text"]] = {
    "integer": "whole",
    "number": "number",
    "boolean": "switch",
    "string": "text",
}


@cache
def _properties() -> dict[str, Any]:
    """The JSON schema of each field, cached because its computation takes 10 ms."""
    properties: dict[str, Any] = Training.model_json_schema()["properties"]
    return properties


@cache
def describe_field(name: str) -> FieldDescription:
    """The title, type and bounds of a field of the training section."""
    schema = _properties()[name]
    parts = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    properties = {**(parts[0] if len(parts) == 1 else {}), **schema}
    # pydantic puts title and description of Annotated[…] | None in the union, and a generated title on the field.
    if len(parts) == 1:
        properties["title"] = parts[0].get("title", schema.get("title", name))
    choices = tuple(map(str, properties.get("enum", ())))
    title = properties.get("title", name)
    is_declared = title not in (name, name.replace("_", " ").title())  # otherwise pydantic made it from the name
    return FieldDescription(
        name,
        title if is_declared else name.replace("_", " ").capitalize(),
        properties.get("description", ""),
        "choice" if choices else _KINDS.get(properties.get("type", ""), "other"),
        schema.get("default"),
        properties.get("exclusiveMinimum", properties.get("minimum")),
        properties.get("exclusiveMaximum", properties.get("maximum")),
        "exclusiveMinimum" in properties,
        "exclusiveMaximum" in properties,
        choices,
        len(parts) < len(schema.get("anyOf", parts)),
    )

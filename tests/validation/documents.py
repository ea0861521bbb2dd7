"""Documents with one mistake each, with the code of the expected issue, and the same document without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from netloom.data import FieldSpec, Schema, TargetSpec
from netloom.document import Augment, DataChoice, Project, Training, apply
from netloom.document.data_choice import Preparation
from netloom.document.rl_settings import Agent
from tests.loops import diabetes, leaky_cell
from tests.networks import IMAGE, TABLE, TOKENS, chain, network, networks, project

IMAGES = Schema(
    (FieldSpec("image", "image", (1, 8, 8)),), TargetSpec("class", classes=tuple(str(digit) for digit in range(10))), 90
)
NUMBERS = Schema((FieldSpec("features", "vector", (30,)),), TargetSpec("number", shape=(1,)), 90)
NOISY = Schema((*IMAGES.inputs, FieldSpec("noise", "vector", (4,))), IMAGES.target, 90)
TEXTS = Schema((FieldSpec("text", "tokens", (12,), 50),), TargetSpec("class", classes=("no", "yes")), 90)
TALES = Schema((FieldSpec("text", "tokens", (12,), 50),), TargetSpec("next_token"), 90)
OBJECTS = Schema(IMAGES.inputs, TargetSpec("boxes", "objects", ("cat", "dog")), 90)
WORLD = Schema((FieldSpec("seen", "vector", (4,)),), TargetSpec("action", "action", ("left", "right")), 90)
SEEN = ("Input", {"field": "seen", "kind": "vector", "shape": [4]})
COLOURS = ("Input", {"field": "image", "kind": "image", "shape": [3, 8, 8]})
OUT: tuple[str, dict[str, Any]] = ("Output", {})
NOISE = ("Input", {"field": "noise", "kind": "vector", "shape": [4]})
SEQUENCE = ("Input", {"field": "text", "kind": "sequence", "shape": [12, 10]})


@dataclass(frozen=True)
class Case:
    """A mistake: the code and node of its issue, the document with it, and one without."""

    code: str
    node: str | None
    wrong: Project
    right: Project
    schema: Schema | None = None


def linear(units: int = 10) -> tuple[str, dict[str, Any]]:
    return ("Linear", {"units": units})


def digits(*between: tuple[str, dict[str, Any]], **rest: Any) -> Project:
    """An image input, the given layers and a linear layer for ten classes."""
    return chain(IMAGE, *between, ("Flatten", {}), linear(), **rest)


def repeated(times: int) -> Project:
    """A network repeated in another network, which is repeated as often in main."""
    repetition = {"repeat": times, "shared": True}
    body = ("Subnetwork", {"network": "inner", **repetition})
    inner = network({"input_1": TABLE, "identity_1": ("Identity", {}), "output_1": ("Output", {})})
    block = network({"input_1": TABLE, "inner_1": body, "output_1": ("Output", {})})
    stack = ("Subnetwork", {"network": "block", **repetition})
    main = network({"input_1": TABLE, "block_1": stack, "linear_1": linear(), "output_1": ("Output", {})})
    return networks(main=main, block=block, inner=inner)


def augmented(kind: str) -> Training:
    return Training(augment=(Augment(kind=kind),))


def residual(second: tuple[str, dict[str, Any]], first: tuple[str, dict[str, Any]] = TABLE) -> Project:
    """A branch through `second` added to the input."""
    return project(
        {"input_1": first, "branch_1": second, "add_1": ("Add", {}), "linear_1": linear(), "output_1": ("Output", {})},
        [
            ("input_1", "add_1.a"),
            ("input_1", "branch_1"),
            ("branch_1", "add_1.b"),
            ("add_1", "linear_1"),
            ("linear_1", "output_1"),
        ],
    )


def tied(method: str | None) -> Project:
    """A head that shares the weights of an embedding."""
    layers = chain(TOKENS, ("Embedding", {"vocabulary": 50, "dim": 64}), ("Mean", {}), linear(50))
    joined = apply(layers, {"kind": "update", "node": "linear_1", "shares": "embedding_1"})
    return apply(joined, {"kind": "initialize", "initialization": method})


def initialized(node: str, method: str) -> Project:
    """A recurrent network with an initialization of one layer."""
    sequence = ("Input", {"kind": "sequence", "shape": [6, 8]})
    layers = chain(sequence, ("LSTM", {}), ("Mean", {}), ("ReLU", {}), linear())
    return apply(layers, {"kind": "update", "node": node, "initialization": method})


def autoencoder(end: str, prepare: Preparation) -> Project:
    """A reconstruction with a Bernoulli likelihood."""
    last = [("Sigmoid", dict[str, Any]())] if end == "sigmoid" else []
    training = Training(objective="reconstruction", likelihood="bernoulli")
    return chain(TABLE, linear(4), linear(30), *last, training=training, data=DataChoice(prepare=prepare))


def variational(coefficient: float) -> Project:
    """A variational autoencoder with a Gaussian likelihood."""
    nodes = {
        "input_1": TABLE,
        "mean": linear(2),
        "log_variance": linear(2),
        "sample": ("Reparameterize", {"coefficient": coefficient}),
        "linear_1": linear(30),
        "output_1": ("Output", dict[str, Any]()),
    }
    edges = [("input_1", "mean"), ("input_1", "log_variance"), ("mean", "sample.mean")]
    edges += [("log_variance", "sample.log_variance"), ("sample", "linear_1"), ("linear_1", "output_1")]
    return project(nodes, edges, training=Training(objective="reconstruction", likelihood="gaussian"))


def two_outputs(first: str, second: str) -> Project:
    nodes = {"input_1": TABLE, "linear_1": linear(1)}
    outputs = {"output_1": ("Output", {"name": first}), "output_2": ("Output", {"name": second})}
    return project({**nodes, **outputs}, [("input_1", "linear_1"), ("linear_1", "output_1"), ("linear_1", "output_2")])


def loose(extra: dict[str, tuple[str, dict[str, Any]]], edges: list[tuple[str, str]]) -> Project:
    """A complete network with additional nodes and edges."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": TABLE,
        "linear_1": linear(),
        "output_1": ("Output", {}),
        **extra,
    }
    return project(nodes, [("input_1", "linear_1"), ("linear_1", "output_1"), *edges])


def gan(*without: str) -> Project:
    """Noise through a generator and a discriminator, without the nodes of the main network in `without`."""
    generator: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": NOISE,
        "linear_1": linear(64),
        "reshape_1": ("Reshape", {"shape": [1, 8, 8]}),
        "output_1": OUT,
    }
    discriminator = {"input_1": IMAGE, "flatten_1": ("Flatten", {}), "linear_1": linear(1), "output_1": OUT}
    main: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": NOISE,
        "generator_1": ("Subnetwork", {"network": "generator"}),
        "output_1": ("Output", {"name": "picture"}),
        "discriminator_1": ("Subnetwork", {"network": "discriminator"}),
        "output_2": ("Output", {"name": "score"}),
    }
    edges = [("input_1", "generator_1"), ("generator_1", "output_1"), ("generator_1", "discriminator_1")]
    edges.append(("discriminator_1", "output_2"))
    remaining = network(
        {key: node for key, node in main.items() if key not in without},
        [(source, target) for source, target in edges if not {source, target} & set(without)],
    )
    document = networks(main=remaining, generator=network(generator), discriminator=network(discriminator))
    return document.model_copy(update={"training": Training(objective="gan")})


COMPLETE = loose({}, [])
DIGITS = digits()
REGRESSION = Training(objective="regression")
TELLING = Training(objective="language_modeling")
RING: dict[str, tuple[str, dict[str, Any]]] = {"relu_1": ("ReLU", {}), "tanh_1": ("Tanh", {}), "gelu_1": ("GELU", {})}
IN_A_RING = [("relu_1", "tanh_1"), ("tanh_1", "gelu_1"), ("gelu_1", "relu_1")]
FROZEN = COMPLETE.with_network(
    "main",
    COMPLETE.main_network.model_copy(
        update={
            "nodes": {
                key: node.model_copy(update={"frozen": True}) for key, node in COMPLETE.main_network.nodes.items()
            }
        }
    ),
)
TEXT = chain(TOKENS, ("Embedding", {"vocabulary": 50}), ("Flatten", {}), linear(2))


def agent(actions: int, values: int | None = None) -> Project:
    """A DQN agent's network; with `values` a PPO agent's, which has a second output."""
    training = Training(objective="dqn" if values is None else "ppo")
    nodes = {"input_1": SEEN, "linear_1": linear(actions), "output_1": OUT}
    edges = [("input_1", "linear_1"), ("linear_1", "output_1")]
    if values:
        nodes |= {"linear_2": linear(values), "output_2": ("Output", {"name": "value"})}
        edges += [("input_1", "linear_2"), ("linear_2", "output_2")]
    return project(nodes, edges, training=training)


def acting(objective: str, epochs: int, **settings: Any) -> Project:
    """An agent whose run has 2000 steps per epoch."""
    training = Training(objective=objective, epochs=epochs, agent=Agent(**settings))
    return agent(2, 1 if objective == "ppo" else None).model_copy(update={"training": training})


def detector(*last: tuple[str, dict[str, Any]]) -> Project:
    """A detector of two classes that ends in the given layers."""
    grid = ("Conv2d", {"filters": 6, "kernel_size": 3})
    return chain(IMAGE, grid, *last, training=Training(objective="detection"))


def nested(inner: dict[str, tuple[str, dict[str, Any]]], **params: Any) -> Project:
    """A main network whose only node is a subnetwork."""
    node = ("Subnetwork", {"network": "block", **params})
    return networks(main=network({"input_1": TABLE, "block_1": node, "output_1": OUT}), block=network(inner, width=3))


def sharing(other: str) -> Project:
    edit = {"kind": "update", "node": "linear_2", "shares": other}
    return apply(chain(TABLE, linear(30), linear(30), linear()), edit)


BLOCK: dict[str, tuple[str, dict[str, Any]]] = {
    "input_1": TABLE,
    "linear_1": ("Linear", {"units": "width"}),
    "output_1": OUT,
}
NESTED = nested(BLOCK)

PICTURE = FieldSpec("image", "image", (1, 8, 8))
TWO = TargetSpec("class", "state", ("no", "yes"))
TEN = TargetSpec("class", "digit", tuple("0123456789"))
LABELS = TargetSpec("labels", "topics", ("a", "b", "c"))
PARTS = (TargetSpec("class", "shape", ("x", "y", "z")), TargetSpec("number", "area"))
BOTH = TargetSpec("several", "shape, area", parts=PARTS)


def pairs(target: TargetSpec) -> Schema:
    """Two images in each row."""
    return schema(target, PICTURE, replace(PICTURE, name="other"))


def schema(target: TargetSpec, *fields: FieldSpec) -> Schema:
    return Schema(fields or (PICTURE,), target, 100)


def net(units: int, objective: str, **training: Any) -> Project:
    return chain(
        ("Input", {"field": "image", "kind": "image", "shape": [1, 8, 8]}),
        ("Flatten", {}),
        ("Linear", {"units": units}),
        training=Training(objective=objective, **training),
    )


def heads(*units: int, objective: str = "several_outputs", **training: Any) -> Project:
    """A network with an Output for each width."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"field": "image", "kind": "image", "shape": [1, 8, 8]}),
        "flatten_1": ("Flatten", {}),
    }
    edges = [("input_1", "flatten_1")]
    for number, width in enumerate(units, 1):
        nodes |= {
            f"linear_{number}": ("Linear", {"units": width}),
            f"output_{number}": ("Output", {"name": f"o{number}"}),
        }
        edges += [("flatten_1", f"linear_{number}"), (f"linear_{number}", f"output_{number}")]
    return project(nodes, edges, training=Training(objective=objective, **training))


CASES: dict[str, Case] = {
    "unknown network": Case("unknown_network", "block_1", nested(BLOCK, network="stage"), NESTED),
    "no network": Case("unknown_network", "block_1", nested(BLOCK, network=""), NESTED),
    "unknown value": Case("unknown_value", "block_1", nested(BLOCK, values={"depth": 2}), NESTED),
    "network in itself": Case(
        "network_cycle", "block_1", nested({**BLOCK, "linear_1": ("Subnetwork", {"network": "main"})}), NESTED
    ),
    "no answer inside": Case("inside", "block_1", nested({"output_1": OUT, "input_1": TABLE}), NESTED),
    "no output inside": Case("inside", "block_1", nested({"input_1": TABLE}), NESTED),
    "repeated to another width": Case("repeat", "block_1", nested(BLOCK, repeat=2), NESTED),
    "a constant input that the cell lacks": Case("along_axis", "cell_1", diabetes(constant=["other"]), diabetes()),
    "a state that changes its shape": Case("along_axis", "cell_1", diabetes(cell=leaky_cell(7, 2)), diabetes()),
    "shares nothing": Case("sharing", "linear_2", sharing("input_1"), sharing("linear_1")),
    "shares with nobody": Case("sharing", "linear_2", sharing("linear_9"), sharing("linear_1")),
    "a tied head that starts too large": Case("tied_head", "embedding_1", tied(None), tied("normal")),
    "initial weights of a layer without weights": Case(
        "initialization", "relu_1", initialized("relu_1", "normal"), initialized("linear_1", "normal")
    ),
    "an identity of gates": Case(
        "initialization", "lstm_1", initialized("lstm_1", "identity"), initialized("lstm_1", "zeros")
    ),
    "no residual branch to scale": Case(
        "initialization",
        None,
        apply(COMPLETE, {"kind": "initialize", "initialization": {"method": "normal", "residual": True}}),
        apply(COMPLETE, {"kind": "initialize", "initialization": {"method": "normal"}}),
    ),
    "unknown layer": Case("unknown_layer", "quantum_1", loose({"quantum_1": ("Quantum", {})}, []), COMPLETE),
    "a linear layer on images": Case(
        "linear_on_image",
        "linear_1",
        chain(IMAGE, linear(5), ("Flatten", {})),
        chain(IMAGE, ("Permute", {"order": [2, 3, 1]}), linear(5)),
    ),
    "free Python": Case("own_code", "code_1", chain(TABLE, ("Code", {}), linear()), COMPLETE),
    "wrong type of parameter": Case("parameter", "linear_1", chain(TABLE, ("Linear", {"units": "many"})), COMPLETE),
    "too many units": Case("parameter", "linear_1", chain(TABLE, linear(10**12)), COMPLETE),
    "unknown parameter": Case("parameter", "relu_1", chain(TABLE, ("ReLU", {"speed": 2})), COMPLETE),
    "kind and shape": Case("parameter", "input_1", chain(("Input", {"kind": "image", "shape": [3]})), COMPLETE),
    "empty": Case("empty", None, project({}, []), COMPLETE),
    "cycle": Case("cycle", "gelu_1", loose(RING, IN_A_RING), COMPLETE),
    "self loop": Case("cycle", "relu_1", loose({"relu_1": ("ReLU", {})}, [("relu_1", "relu_1")]), COMPLETE),
    "unknown output port": Case(
        "unknown_port", "linear_1", loose({"relu_1": ("ReLU", {})}, [("linear_1.state", "relu_1")]), COMPLETE
    ),
    "unknown input port": Case("unknown_port", "output_1", loose({}, [("input_1", "output_1.b")]), COMPLETE),
    "missing input": Case("missing_input", "relu_1", loose({"relu_1": ("ReLU", {})}, []), COMPLETE),
    "missing input of several": Case(
        "missing_input", "add_1", loose({"add_1": ("Add", {})}, [("input_1", "add_1.a")]), residual(("ReLU", {}))
    ),
    "no input": Case("no_input", None, project({"output_1": ("Output", {})}, []), COMPLETE),
    "no output": Case("no_output", None, chain(TABLE, linear(), output=False), COMPLETE),
    "duplicate output": Case(
        "duplicate_output", "output_2", two_outputs("answer", "answer"), two_outputs("answer", "other")
    ),
    "unreachable": Case(
        "unreachable",
        "dropout_1",
        loose({"relu_1": ("ReLU", {}), "dropout_1": ("Dropout", {})}, [("relu_1", "relu_1"), ("relu_1", "dropout_1")]),
        COMPLETE,
    ),
    "dangling": Case("dangling", "relu_1", loose({"relu_1": ("ReLU", {})}, [("linear_1", "relu_1")]), COMPLETE),
    "image to vector": Case("port_kind", "batchnorm1d_1", digits(("BatchNorm1d", {})), digits(("BatchNorm2d", {}))),
    "tokens to linear": Case("port_kind", "linear_1", chain(TOKENS, linear()), TEXT),
    "vector to image": Case(
        "port_kind",
        "conv2d_1",
        chain(("Input", {"shape": [16]}), ("Conv2d", {})),
        chain(("Input", {"shape": [16]}), ("Reshape", {"shape": [1, 4, 4]}), ("Conv2d", {})),
    ),
    "vector to sequence": Case("port_kind", "lstm_1", chain(TABLE, ("LSTM", {})), chain(SEQUENCE, ("LSTM", {}))),
    "image to sequence": Case("port_kind", "gru_1", chain(IMAGE, ("GRU", {})), chain(SEQUENCE, ("GRU", {}))),
    "filter too large": Case(
        "shape", "conv2d_1", digits(("Conv2d", {"kernel_size": 11})), digits(("Conv2d", {"kernel_size": 3}))
    ),
    "window too large": Case(
        "shape", "maxpool2d_1", digits(("MaxPool2d", {"kernel_size": 9})), digits(("MaxPool2d", {"kernel_size": 8}))
    ),
    "reshape": Case(
        "shape", "reshape_1", digits(("Reshape", {"shape": [7, -1]})), digits(("Reshape", {"shape": [8, -1]}))
    ),
    "groups": Case(
        "shape",
        "conv2d_1",
        digits(("Conv2d", {"filters": 9, "groups": 3})),
        digits(("Conv2d", {"filters": 9, "groups": 1})),
    ),
    "heads": Case(
        "shape",
        "multiheadattention_1",
        chain(SEQUENCE, ("MultiHeadAttention", {"heads": 4})),
        chain(SEQUENCE, ("MultiHeadAttention", {"heads": 5})),
    ),
    "branches of two widths": Case("shape", "add_1", residual(linear(20)), residual(linear(30))),
    "images of two depths": Case(
        "shape", "add_1", residual(("Conv2d", {"filters": 4}), COLOURS), residual(("Conv2d", {"filters": 3}), COLOURS)
    ),
    "too large to address": Case(
        "shape",
        "flatten_1",
        chain(("Input", {"kind": "image", "shape": [10**6, 10**6, 10**6]}), ("Flatten", {})),
        DIGITS,
    ),
    "softmax that is scaled": Case(
        "output_scale",
        "scaleshift_1",
        chain(TABLE, linear(), ("Softmax", {}), ("ScaleShift", {"scale": 5.0})),
        chain(TABLE, linear(), ("ScaleShift", {"scale": 5.0}), ("Softmax", {})),
    ),
    "softmax along the width": Case(
        "output_scale",
        "softmax_1",
        chain(COLOURS, ("Conv2d", {}), ("Softmax", {}), training=Training(objective="segmentation")),
        chain(COLOURS, ("Conv2d", {}), ("Softmax", {"axis": 1}), training=Training(objective="segmentation")),
    ),
    "sigmoids for classes": Case(
        "output_scale", "sigmoid_1", chain(TABLE, linear(), ("Sigmoid", {})), chain(TABLE, linear(), ("Softmax", {}))
    ),
    "softmax for labels": Case(
        "output_scale",
        "softmax_1",
        chain(TABLE, linear(), ("Softmax", {}), training=Training(objective="multi_label")),
        chain(TABLE, linear(), ("Sigmoid", {}), training=Training(objective="multi_label")),
    ),
    "softmax of one number": Case(
        "output_scale",
        "softmax_1",
        chain(TABLE, linear(1), ("Softmax", {}), training=Training(objective="binary_classification")),
        chain(TABLE, linear(1), ("Sigmoid", {}), training=Training(objective="binary_classification")),
    ),
    "unknown field": Case(
        "field",
        "input_1",
        chain(("Input", {"field": "picture", "kind": "image", "shape": [1, 8, 8]}), ("Flatten", {}), linear()),
        DIGITS,
        IMAGES,
    ),
    "other shape of field": Case(
        "field",
        "input_1",
        chain(("Input", {"field": "image", "kind": "image", "shape": [3, 8, 8]}), ("Flatten", {}), linear()),
        DIGITS,
        IMAGES,
    ),
    "automatic vocabulary": Case(
        "auto",
        "embedding_1",
        chain(TOKENS, ("Embedding", {"vocabulary": "auto"}), ("Flatten", {}), linear(2)),
        TEXT,
        TEXTS,
    ),
    "too few tokens": Case(
        "vocabulary",
        "embedding_1",
        chain(TOKENS, ("Embedding", {"vocabulary": 20}), ("Flatten", {}), linear(2)),
        TEXT,
        TEXTS,
    ),
    "too many tokens": Case(
        "vocabulary",
        "embedding_1",
        chain(TOKENS, ("Embedding", {"vocabulary": 90}), ("Flatten", {}), linear(2)),
        TEXT,
        TEXTS,
    ),
    "too few categories": Case(
        "vocabulary",
        "categoricalembedding_1",
        chain(TOKENS, ("CategoricalEmbedding", {"sizes": [20] * 12}), ("Flatten", {}), linear(2)),
        chain(TOKENS, ("CategoricalEmbedding", {"sizes": [50] * 12}), ("Flatten", {}), linear(2)),
        TEXTS,
    ),
    "too few columns of categories": Case(
        "vocabulary",
        "categoricalembedding_1",
        chain(TOKENS, ("CategoricalEmbedding", {"sizes": [50] * 3}), ("Flatten", {}), linear(2)),
        chain(TOKENS, ("CategoricalEmbedding", {"sizes": [50] * 12}), ("Flatten", {}), linear(2)),
        TEXTS,
    ),
    "unknown objective": Case("objective", None, digits(training=Training(objective="magic")), DIGITS, IMAGES),
    "unknown augmentation": Case("augment", None, digits(training=augmented("magic")), DIGITS, IMAGES),
    "augmentation of another kind": Case("augment", None, digits(training=augmented("word_swap")), DIGITS, IMAGES),
    "other objective": Case("objective", None, digits(training=REGRESSION), DIGITS, IMAGES),
    "two outputs": Case(
        "outputs",
        "output_2",
        two_outputs("a", "b").model_copy(update={"training": REGRESSION}),
        chain(TABLE, linear(1), training=REGRESSION),
        NUMBERS,
    ),
    "width": Case("width", "output_1", chain(IMAGE, ("Flatten", {}), linear(7)), DIGITS, IMAGES),
    "width behind an activation": Case(
        "width", "output_1", chain(IMAGE, ("Flatten", {}), linear(7), ("Tanh", {})), DIGITS, IMAGES
    ),
    "width without a linear": Case("width", "output_1", chain(IMAGE, ("Flatten", {})), DIGITS, IMAGES),
    "image for classes": Case("width", "output_1", chain(IMAGE, ("Conv2d", {"filters": 10})), DIGITS, IMAGES),
    "width of numbers": Case(
        "width",
        "output_1",
        chain(TABLE, linear(3), training=REGRESSION),
        chain(TABLE, linear(1), training=REGRESSION),
        NUMBERS,
    ),
    "width of tokens": Case(
        "width",
        "output_1",
        chain(TOKENS, ("Embedding", {"vocabulary": 50}), linear(40), training=TELLING),
        chain(TOKENS, ("Embedding", {"vocabulary": 50}), linear(50), training=TELLING),
        TALES,
    ),
    "width of actions": Case("width", "output_1", agent(3), agent(2), WORLD),
    "width of a value": Case("width", "output_2", agent(2, 4), agent(2, 1), WORLD),
    "an agent without a value": Case("outputs", "output_1", agent(2, 0), agent(2, 1), WORLD),
    "an agent of two answers": Case(
        "outputs", "output_2", agent(2, 1).model_copy(update={"training": Training(objective="dqn")}), agent(2), WORLD
    ),
    "a DQN that ends before its first update": Case(
        "no_updates",
        None,
        acting("dqn", 1, learning_starts=1_999, train_frequency=1_500),
        acting("dqn", 1, learning_starts=2_000),
        WORLD,
    ),
    "a PPO that ends before its first update": Case(
        "no_updates", None, acting("ppo", 2, rollout_steps=4_001), acting("ppo", 2, rollout_steps=4_000), WORLD
    ),
    "a REINFORCE that ends before its first update": Case(
        "no_updates",
        None,
        acting("reinforce", 1, rollout_steps=2_001),
        acting("reinforce", 0, rollout_steps=2_001),
        WORLD,
    ),
    "a detector that ends in a sigmoid": Case(
        "activation", "sigmoid_1", detector(("Sigmoid", {})), detector(), OBJECTS
    ),
    "a GAN without a discriminator": Case("gan_networks", None, gan("discriminator_1", "output_2"), gan(), NOISY),
    "a GAN without noise": Case("gan_noise", None, gan(), DIGITS, IMAGES),
    "a GAN of no pictures": Case(
        "gan_data",
        None,
        chain(TABLE, linear(1), training=Training(objective="gan")),
        chain(TABLE, linear(1), training=REGRESSION),
        NUMBERS,
    ),
    "a GAN without a picture": Case("gan_wiring", "output_2", gan("output_1"), gan(), NOISY),
    "memory": Case("memory", None, chain(TABLE, linear(10**6), linear(10**6)), COMPLETE),
    "repeated too often": Case("layers", None, repeated(1000), repeated(10)),
    "nothing to learn": Case("nothing_to_learn", None, FROZEN, COMPLETE),
    "ten classes for two": Case(
        "objective", None, net(1, "binary_classification"), net(10, "classification"), schema(TEN)
    ),
    "one output for two targets": Case("outputs", "output_1", heads(3), heads(3, 1), schema(BOTH)),
    "embeddings of two widths": Case(
        "width", "output_2", heads(16, 8, objective="siamese"), heads(16, 16, objective="siamese"), pairs(TWO)
    ),
    "no pairs": Case("pairs", None, heads(16, 16, objective="siamese"), net(2, "classification"), schema(TWO)),
    "nobody to recommend to": Case(
        "objective", None, net(1, "ranking"), net(1, "regression"), schema(TargetSpec("number", "stars", shape=(1,)))
    ),
    "a loss of another task": Case(
        "loss",
        None,
        chain(TABLE, linear(1), training=Training(objective="regression", dice_weight=1.0)),
        chain(TABLE, linear(1), training=REGRESSION),
        NUMBERS,
    ),
    "reconstructions beyond 0 and 1": Case(
        "likelihood", "output_1", autoencoder("none", "scale"), autoencoder("sigmoid", "scale")
    ),
    "a weight of the divergence for another loss": Case("likelihood", "sample", variational(0.01), variational(1.0)),
    "inputs beyond 0 and 1": Case(
        "likelihood", None, autoencoder("sigmoid", "standardize"), autoencoder("sigmoid", "scale")
    ),
    "no teacher": Case("teacher", None, net(10, "distillation"), net(10, "classification"), schema(TEN)),
}

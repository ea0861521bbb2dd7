"""Import of Keras models: same outputs as Keras, and invalid or hostile files raise readable errors."""

from __future__ import annotations

import json
import stat
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from netloom.compile import module
from netloom.compile.importers import read_model
from netloom.compile.importers.imported_model import ImportedModel, UnreadableModelError
from netloom.compile.importers.keras import looks_like_keras, read_keras
from netloom.compile.importers.keras.shared_models import merge_shared
from netloom.document import Network, Project
from netloom.validation import analyze
from tests.networks import network, networks

HERE = Path(__file__).parent / "keras"
MODELS = sorted(path.stem for path in HERE.glob("*.keras"))


def _channels_first(array: np.ndarray) -> torch.Tensor:
    """Move the channels of images and volumes to axis 1."""
    return torch.from_numpy(np.moveaxis(array, -1, 1).copy() if array.ndim > 3 else array)


def _run_imported(imported: ImportedModel, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    model = module(imported.project).eval()
    result = model.load_state_dict(imported.weights, strict=False)
    assert not result.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in result.missing_keys)
    with torch.no_grad():
        outputs = model(*inputs)
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


@pytest.mark.parametrize("name", MODELS)
def test_imported_outputs_match_keras(name: str) -> None:
    path = HERE / f"{name}.keras"
    assert looks_like_keras(path)
    imported = read_keras(path)
    assert all("has no scale in Keras" in remark for remark in imported.remarks)
    with np.load(HERE / f"{name}.npz") as arrays:
        inputs = [_channels_first(arrays[key]) for key in sorted(arrays, key=_index) if key.startswith("in_")]
        expected_outputs = [
            _channels_first(arrays[key]) for key in sorted(arrays, key=_index) if key.startswith("out_")
        ]
    outputs = _run_imported(imported, inputs)
    assert len(outputs) == len(expected_outputs)
    for number, (actual, expected) in enumerate(zip(outputs, expected_outputs, strict=True)):
        assert actual.shape == expected.shape, number
        assert float((actual - expected).abs().max()) < 1e-4, number
        assert float(expected.std()) > 1e-3  # a constant output would match too easily


def _index(key: str) -> int:
    return int(key.rpartition("_")[2])


@pytest.mark.parametrize("name", MODELS)
def test_imported_documents_are_valid_and_laid_out_top_down(name: str) -> None:
    project = read_keras(HERE / f"{name}.keras").project
    assert not analyze(project).errors
    for inner in project.networks.values():
        _assert_laid_out(inner)


def _assert_laid_out(network: Network) -> None:
    positions = [node.at for node in network.nodes.values()]
    assert len(set(positions)) == len(positions)
    for edge in network.edges:
        assert network.nodes[edge.source_node].at[1] < network.nodes[edge.target_node].at[1]


def test_inner_models_become_subnetworks_and_shared_layers_share_weights() -> None:
    project = read_keras(HERE / "branches.keras").project
    assert set(project.networks) == {"main", "arm", "two_heads"}
    nodes = project.main_network.nodes
    arms = [node for node in nodes.values() if node.params.get("network") == "arm"]
    assert sorted(node.shares or "" for node in arms) == ["", arms[0].id]
    assert any(node.type == "Linear" and node.shares for node in nodes.values())


def test_equal_inner_models_become_one_repeated_subnetwork() -> None:
    project = read_keras(HERE / "blocks.keras").project
    assert set(project.networks) == {"main", "wide_0", "wide_0_inner"}
    rows = [node.params for node in project.main_network.nodes.values() if node.type == "Subnetwork"]
    assert rows == [
        {"network": "wide_0", "repeat": 3},
        {"network": "wide_0_inner", "repeat": 2, "shared": True},
    ]


def _block(*layers: tuple[str, dict[str, Any]], prefix: str) -> Network:
    """A network of these layers between an Input and an Output; the prefix makes its ids differ from other networks."""
    steps = [("Input", {"shape": [4]}), *layers, ("Output", {})]
    return network({f"{prefix}_{number}": layer for number, layer in enumerate(steps)})


def _merge_and_compare(project: Project) -> Project:
    """Merge the project and check that its outputs with the renamed weights are unchanged."""
    module_before = module(project).eval()
    weights = {name: torch.randn_like(tensor) for name, tensor in module_before.state_dict().items()}
    module_before.load_state_dict(weights)
    merged, renamed_weights = merge_shared(project, weights)
    module_after = module(merged).eval()
    module_after.load_state_dict(renamed_weights)
    x = torch.randn(3, 4)
    with torch.no_grad():
        torch.testing.assert_close(module_after(x), module_before(x))
    return merged


LINEAR = ("Linear", {"units": 4})


def _subnetwork(name: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "Subnetwork", {"network": name, **more}


def test_merging_in_several_rounds_keeps_weights() -> None:
    """`second` equals `third` at once, and both equal `first` once their inner networks are merged."""
    merged = _merge_and_compare(
        networks(
            main=_block(
                _subnetwork("first"),
                ("ReLU", {}),
                _subnetwork("second"),
                ("Tanh", {}),
                _subnetwork("third"),
                prefix="main",
            ),
            inner=_block(LINEAR, prefix="p"),
            equal_inner=_block(LINEAR, prefix="q"),
            first=_block(_subnetwork("equal_inner"), LINEAR, prefix="a"),
            second=_block(_subnetwork("inner"), LINEAR, prefix="b"),
            third=_block(_subnetwork("inner"), LINEAR, prefix="c"),
        )
    )
    assert set(merged.networks) == {"main", "inner", "first"}


def test_merging_networks_with_chains_keeps_weights() -> None:
    merged = _merge_and_compare(
        networks(
            main=_block(_subnetwork("first"), ("ReLU", {}), _subnetwork("second"), prefix="main"),
            inner=_block(LINEAR, prefix="p"),
            first=_block(_subnetwork("inner"), _subnetwork("inner"), ("Tanh", {}), prefix="a"),
            second=_block(_subnetwork("inner"), _subnetwork("inner"), ("Tanh", {}), prefix="b"),
        )
    )
    assert set(merged.networks) == {"main", "inner", "first"}
    assert merged.networks["first"].nodes["a_1"].params == {"network": "inner", "repeat": 2}


def test_dense_layer_after_image_needs_no_permutation() -> None:
    kinds = [node.type for node in read_keras(HERE / "digits.keras").project.main_network.nodes.values()]
    assert "Permute" not in kinds
    assert kinds.count("ZeroPad2d") == 2  # Keras pads unevenly for the stride of 2 and the 3 × 2 filter


def test_keras_3_json_imports_without_weights(tmp_path: Path) -> None:
    assert looks_like_keras(HERE / "mlp.json")
    imported = read_keras(HERE / "mlp.json")
    assert not imported.weights
    assert "no weights" in " ".join(imported.remarks)
    with_weights = read_keras(HERE / "mlp.keras").project
    assert [node.type for node in imported.project.main_network.nodes.values()] == [
        node.type for node in with_weights.main_network.nodes.values()
    ]


def _keras_2_model(
    *layers: tuple[str, dict[str, Any], list[Any]], outputs: list[Any], name: str = "model"
) -> dict[str, Any]:
    """A functional model in the format of Keras 2."""
    layer_configs = [
        {
            "class_name": kind,
            "config": {"name": config["name"], **config},
            "name": config["name"],
            "inbound_nodes": nodes,
        }
        for kind, config, nodes in layers
    ]
    inputs = [[config["name"], 0, 0] for kind, config, _ in layers if kind == "InputLayer"]
    functional_config: dict[str, Any] = {
        "name": name,
        "layers": layer_configs,
        "input_layers": inputs,
        "output_layers": outputs,
    }
    return {"class_name": "Functional", "config": functional_config, "keras_version": "2.12.0", "backend": "tensorflow"}


def _input_layer(*shape: int | None, name: str = "x") -> tuple[str, dict[str, Any], list[Any]]:
    return "InputLayer", {"name": name, "batch_input_shape": [None, *shape], "dtype": "float32"}, []


def _save_json(tmp_path: Path, raw: Any) -> Path:
    path = tmp_path / "model.json"
    path.write_text(raw if isinstance(raw, str) else json.dumps(raw))
    return path


def test_keras_2_functional_model_imports(tmp_path: Path) -> None:
    dense = {"name": "d", "units": 4, "activation": "hard_sigmoid"}
    raw = _keras_2_model(
        _input_layer(6),
        ("Dense", dense, [[["x", 0, 0, {}]]]),
        ("Dense", {"name": "e", "units": 4, "activation": "linear"}, [[["x", 0, 0, {}]]]),
        ("Concatenate", {"name": "c", "axis": -1}, [[["d", 0, 0, {}], ["e", 0, 0, {}]]]),
        outputs=[["c", 0, 0]],
    )
    project = read_keras(_save_json(tmp_path, raw)).project
    assert {"Clamp", "Concat", "Linear"} <= {node.type for node in project.main_network.nodes.values()}
    assert module(project)(torch.zeros(2, 6)).shape == (2, 8)


def test_gates_of_keras_2_have_its_hard_sigmoid(tmp_path: Path) -> None:
    config = {"name": "g", "units": 3, "recurrent_activation": "hard_sigmoid", "batch_input_shape": [None, 5, 4]}
    layer = {"class_name": "GRU", "config": config}
    raw = {"class_name": "Sequential", "keras_version": "2.2.4", "config": {"name": "s", "layers": [layer]}}
    node = next(
        node
        for node in read_keras(_save_json(tmp_path, raw)).project.networks["main"].nodes.values()
        if node.type == "GRU"
    )
    assert node.params == {"hidden_size": 3, "gate_activation": "hard_sigmoid_0.2", "reset_after": False}


def test_keras_2_sequential_model_without_input_layer_imports(tmp_path: Path) -> None:
    layers = [
        {"class_name": "Conv2D", "config": _conv(name="conv", batch_input_shape=[None, 8, 8, 3])},
        {"class_name": "Flatten", "config": {"name": "flat"}},
        {"class_name": "Dense", "config": {"name": "out", "units": 2, "activation": "softmax"}},
    ]
    raw: dict[str, Any] = {"class_name": "Sequential", "keras_version": "2.4.0"}
    raw["config"] = {"name": "s", "layers": layers}
    assert module(read_keras(_save_json(tmp_path, raw)).project)(torch.zeros(2, 3, 8, 8)).shape == (2, 2)
    # Older files contain only the list of layers; some files contain the output of to_json() encoded as JSON again.
    raw["config"] = layers
    text = json.dumps(json.dumps(raw))
    assert module(read_keras(_save_json(tmp_path, text)).project)(torch.zeros(2, 3, 8, 8)).shape == (2, 2)


def _conv(**more: Any) -> dict[str, Any]:
    return {"name": "c", "filters": 4, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same", **more}


def test_keras_2_inner_model_node_index_counts_its_creation(tmp_path: Path) -> None:
    inner = _keras_2_model(
        _input_layer(6, name="y"), ("Dense", {"name": "d", "units": 3}, [[["y", 0, 0, {}]]]), outputs=[["d", 0, 0]]
    )
    raw = _keras_2_model(_input_layer(6), outputs=[["inner", 1, 0]])
    raw["config"]["layers"].append({**inner, "name": "inner", "inbound_nodes": [[["x", 0, 0, {}]]]})
    assert module(read_keras(_save_json(tmp_path, raw)).project)(torch.zeros(2, 6)).shape == (2, 3)


def _residual_model(widths: list[int]) -> dict[str, Any]:
    """Residual blocks named as in Keras's ResNets; each new width starts with a projection."""
    layers: list[Any] = [_input_layer(16, 16, 3), ("Conv2D", _conv(name="conv1_conv"), [[["x", 0, 0, {}]]])]
    last, previous_width = "conv1_conv", 4

    def add(kind: str, name: str, *sources: str, **config: Any) -> str:
        layers.append((kind, {"name": name, **config}, [[[source, 0, 0, {}] for source in sources]]))
        return name

    for number, width in enumerate(widths):
        name = f"conv{2 + widths.index(width)}_block{1 + number - widths.index(width)}"
        shape = {"filters": width, "kernel_size": [3, 3], "padding": "same"}
        hidden = add("Conv2D", f"{name}_1_conv", last, **shape, strides=[1, 1])
        hidden = add("BatchNormalization", f"{name}_1_bn", hidden, axis=[3])
        hidden = add("Activation", f"{name}_1_relu", hidden, activation="relu")
        hidden = add("Conv2D", f"{name}_2_conv", hidden, **shape, strides=[1, 1])
        if width != previous_width:
            last = add("Conv2D", f"{name}_0_conv", last, **{**shape, "kernel_size": [1, 1]}, strides=[1, 1])
        joined = add("Add", f"{name}_add", last, hidden)
        last, previous_width = add("Activation", f"{name}_out", joined, activation="relu"), width
    pooled = add("GlobalAveragePooling2D", "avg_pool", last)
    return _keras_2_model(*layers, outputs=[[add("Dense", "predictions", pooled, units=5, activation="softmax"), 0, 0]])


def test_repeated_residual_blocks_become_subnetworks(tmp_path: Path) -> None:
    project = read_keras(_save_json(tmp_path, _residual_model([8] * 4 + [12] * 4 + [16] * 4))).project
    nodes = project.main_network.nodes
    assert len(nodes) <= 12
    assert {"residual_block", "projection_block"} <= set(project.networks)
    assert module(project)(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
    first = 4 * (3 * 9 + 1)
    blocks = {width: 2 * width * (9 * width + 1) + 2 * width for width in (8, 12, 16)}
    projections = sum(
        new * (9 * old + 1) - new * (9 * new + 1) + new * (old + 1) for old, new in ((4, 8), (8, 12), (12, 16))
    )
    assert analyze(project).totals.parameters == first + 4 * sum(blocks.values()) + projections + 5 * 17
    for inner in project.networks.values():
        _assert_laid_out(inner)


def test_unsupported_options_are_listed_in_the_remarks(tmp_path: Path) -> None:
    raw = _keras_2_model(
        _input_layer(None),
        ("Embedding", {"name": "e", "input_dim": 9, "output_dim": 4, "mask_zero": True}, [[["x", 0, 0, {}]]]),
        ("LSTM", {"name": "l", "units": 3, "dropout": 0.5}, [[["e", 0, 0, {}]]]),
        outputs=[["l", 0, 0]],
    )
    imported = read_keras(_save_json(tmp_path, raw))
    remarks = " ".join(imported.remarks)
    assert "masks" in remarks
    assert "dropout" in remarks
    assert "64" in remarks
    assert imported.project.main_network.nodes["input_1"].params["vocabulary"] == 9


NAMES = [
    "a'b\"c",
    "a\nb\r\n",
    "</script><script>alert(1)</script>",
    "../../etc/passwd",
    "import os",
    "",
    "ü" * 500,
    "\x00",
]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_layer_names_become_safe_node_ids(tmp_path: Path, name: str) -> None:
    raw = _keras_2_model(
        _input_layer(6),
        ("Dense", {"name": name or " ", "units": 4, "activation": "relu"}, [[["x", 0, 0, {}]]]),
        outputs=[[name or " ", 0, 0]],
        name=name,
    )
    project = read_keras(_save_json(tmp_path, raw)).project
    assert module(project)(torch.zeros(2, 6)).shape == (2, 4)
    node_ids = "".join(project.main_network.nodes)
    assert not set(node_ids) - set("abcdefghijklmnopqrstuvwxyz0123456789_")


def _single_layer_model(kind: str, config: dict[str, Any], *shape: int, **more: Any) -> dict[str, Any]:
    """A Keras 3 model of one layer."""
    input_layer = {
        "class_name": "InputLayer",
        "module": "keras.layers",
        "config": {"name": "x", "batch_shape": [None, *shape]},
    }
    layer = {"class_name": kind, "module": "keras.layers", "config": {"name": "layer", **config}, **more}
    return {"class_name": "Sequential", "module": "keras", "config": {"name": "s", "layers": [input_layer, layer]}}


REFUSED: list[tuple[str, dict[str, Any], tuple[int, ...], str]] = [
    ("Lambda", {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}}, (4,), "Lambda"),
    ("Mine", {}, (4,), "Mine"),
    ("Dense", {"units": 4, "activation": {"class_name": "function", "config": "mine"}}, (4,), "mine"),
    ("Dense", {"units": 4, "activation": "mine"}, (4,), "mine"),
    ("Dense", {"units": "4"}, (4,), "an integer"),
    ("Dense", {"units": -1}, (4,), "units"),
    ("Dense", {"units": 10**30}, (4,), "an integer"),
    ("Dense", {}, (4,), "units"),
    ("Conv2D", {"filters": 4, "kernel_size": [3, 3], "data_format": "channels_first"}, (8, 8, 3), "channels last"),
    ("Conv2D", {"filters": 4, "kernel_size": [3, 3], "strides": [0, 1]}, (8, 8, 3), "stride"),
    ("Conv2D", {"filters": 4, "kernel_size": [9, 9]}, (8, 8, 3), "larger than its padded input"),
    ("Conv2D", {"filters": 4, "kernel_size": {"a": 1}}, (8, 8, 3), "kernel_size"),
    ("Conv2D", {"filters": 4, "kernel_size": [3, 3]}, (8, 8), "spatial axes"),
    ("GRU", {"units": 3, "recurrent_activation": "exponential"}, (5, 4), "exponential"),
    ("LSTM", {"units": 3, "activation": {"class_name": "function", "config": "mine"}}, (5, 4), "activation"),
    ("LSTM", {"units": 3, "time_major": True}, (5, 4), "steps first"),
    ("Bidirectional", {"layer": {"class_name": "Dense", "config": {"units": 3}}}, (5, 4), "Dense"),
    ("TimeDistributed", {"layer": {"class_name": "Lambda", "config": {}}}, (5, 4), "Lambda"),
    ("BatchNormalization", {"axis": [1, 2]}, (5, 4), "axis"),
    ("Reshape", {"target_shape": [7, 7]}, (5, 4), "shape"),
    ("Permute", {"dims": [3, 1]}, (5, 4), "axis"),
    ("Softmax", {"axis": 7}, (4,), "axis"),
    ("EinsumDense", {"equation": "abc,bd->acd", "output_shape": [4, 3]}, (5, 4), "abc,bd->acd"),
    ("Dense", {"units": 1_000_000}, (1_000_000,), "larger than"),
]


@pytest.mark.parametrize(("kind", "config", "shape", "part"), REFUSED)
def test_import_errors_name_the_layer(
    tmp_path: Path, kind: str, config: dict[str, Any], shape: tuple[int, ...], part: str
) -> None:
    with pytest.raises(UnreadableModelError, match="“layer”") as error:
        read_keras(_save_json(tmp_path, _single_layer_model(kind, config, *shape)))
    assert part in str(error.value)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


OPERATIONS: list[tuple[str, dict[str, Any], list[Any], str]] = [
    ("Mean", {"axis": None}, [], "mixes the examples"),
    ("Sum", {"axis": [0, 1]}, [], "mixes the examples"),
    ("Max", {"axis": [1, 2]}, [], "keepdims=True"),
    ("Max", {"axis": 1, "initial": 5.0}, [], "starts from an initial value"),
    ("Norm", {"axis": [1, 2], "ord": 2, "keepdims": True}, [], "spectral norm"),
    ("Transpose", {"axes": [1, 0, 2]}, [], "batch axis"),
    ("Reshape", {"newshape": [4, -1]}, [], "merges the batch"),
    ("GetItem", {}, [0], "selects examples"),
    ("Power", {}, [3], "power other than"),
    ("NotEqual", {}, [0], "computes the mask of an Embedding or a Masking layer"),
]


@pytest.mark.parametrize(("kind", "config", "more", "part"), OPERATIONS)
def test_operations_that_no_layer_computes_are_refused(
    tmp_path: Path, kind: str, config: dict[str, Any], more: list[Any], part: str
) -> None:
    source = {"class_name": "__keras_tensor__", "config": {"shape": [None, 5, 4], "keras_history": ["x", 0, 0]}}
    layers = [
        {"class_name": "InputLayer", "module": "keras.layers", "name": "x", "inbound_nodes": [],
         "config": {"name": "x", "batch_shape": [None, 5, 4]}},
        {"class_name": kind, "module": "keras.src.ops.numpy", "name": "operation",
         "config": {"name": "operation", **config}, "inbound_nodes": [{"args": [source, *more], "kwargs": {}}]},
    ]  # fmt: skip
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["operation", 0, 0]]}
    raw = {"class_name": "Functional", "module": "keras", "config": {"name": "f", "layers": layers, **ends}}
    with pytest.raises(UnreadableModelError, match=f"“operation” \\({kind}\\) .*{part}"):
        read_keras(_save_json(tmp_path, raw))


def test_custom_classes_are_refused_by_name(tmp_path: Path) -> None:
    raw = _single_layer_model("Swirl", {}, 4)
    raw["config"]["layers"][1]["module"] = "my_package.layers"
    with pytest.raises(UnreadableModelError, match=r"Swirl.*custom class.*never run"):
        read_keras(_save_json(tmp_path, raw))
    with pytest.raises(UnreadableModelError, match=r"MyModel.*not in the file"):
        read_keras(_save_json(tmp_path, {"class_name": "MyModel", "config": {}}))


def _nested(depth: int) -> dict[str, Any]:
    model: dict[str, Any] = {"class_name": "Dense", "config": {"name": "d", "units": 2}}
    for _ in range(depth):
        input_layer = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 2]}}
        model = {"class_name": "Sequential", "config": {"name": "s", "layers": [input_layer, model]}}
    return model


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '"text"',
        "[" * 100_000,
        '{"class_name": "Sequential", "config": {"layers": ' + "9" * 5_000 + "}}",
        {"class_name": "Sequential", "config": {}},
        {"class_name": "Sequential", "config": {"layers": []}},
        {"class_name": "Sequential", "config": {"layers": [3]}},
        {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": []}]}},
        {"class_name": "Functional", "config": {"layers": [], "input_layers": 4, "output_layers": [[["a"]]]}},
        _single_layer_model("Dense", {"units": 2}),
        _single_layer_model("Dense", {"units": 2}, 0),
        _single_layer_model("Dense", {"units": 2}, 10**12),
        _single_layer_model("Dense", {"units": 2}, 10**6, 10**6, 10**6, 10**6),
        _nested(40),
        _keras_2_model(
            _input_layer(4), ("Dense", {"name": "d", "units": 2}, [[["d", 0, 0, {}]]]), outputs=[["d", 0, 0]]
        ),
        _keras_2_model(
            _input_layer(4), ("Dense", {"name": "d", "units": 2}, [[["?", 0, 0, {}]]]), outputs=[["d", 0, 0]]
        ),
        _keras_2_model(_input_layer(4), ("Dense", {"name": "d", "units": 2}, [7]), outputs=[["d", 0, 0]]),
        _keras_2_model(
            _input_layer(4), ("Dense", {"name": "x", "units": 2}, [[["x", 0, 0, {}]]]), outputs=[["x", 0, 0]]
        ),
        _keras_2_model(
            _input_layer(4), ("Dense", {"name": "d", "units": 2}, [[["x", 0, -1, {}]]]), outputs=[["d", 0, 0]]
        ),
        _keras_2_model(
            _input_layer(4), ("Dense", {"name": "d", "units": 2}, [[["x", 0, 0, {}]]] * 5_000), outputs=[["d", 0, 0]]
        ),
        _keras_2_model(_input_layer(4), outputs=[["nobody", 0, 0]]),
    ],
)
def test_invalid_json_is_refused(tmp_path: Path, raw: Any) -> None:
    _refusal_message(_save_json(tmp_path, raw))


def _refusal_message(path: Path) -> str:
    looks_like_keras(path)
    with pytest.raises(UnreadableModelError) as error:
        read_keras(path)
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 500
    return text


def _members() -> dict[str, bytes]:
    with zipfile.ZipFile(HERE / "mlp.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_truncated_and_altered_archives_import_or_are_refused(tmp_path: Path) -> None:
    original = (HERE / "mlp.keras").read_bytes()
    path = tmp_path / "cut.keras"
    for length in range(4, len(original), 97):
        path.write_bytes(original[:length])
        _refusal_message(path)
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(original)
        for offset in rng.integers(0, len(original), 3):
            damaged[offset] = int(rng.integers(0, 256))
        path.write_bytes(bytes(damaged))
        with suppress(UnreadableModelError):  # no error if the damaged bytes are never read
            read_keras(path)


def test_damaged_weights_import_or_are_refused(tmp_path: Path) -> None:
    members, rng = _members(), np.random.default_rng(0)
    original = members["model.weights.h5"]
    for number in range(60):
        damaged = bytearray(original[: len(original) if number % 2 else int(rng.integers(0, len(original)))])
        for offset in rng.integers(0, max(1, len(damaged)), 20) if damaged else []:
            damaged[offset] = int(rng.integers(0, 256))
        with suppress(UnreadableModelError):
            read_keras(_write_zip(tmp_path / "m.keras", {**members, "model.weights.h5": bytes(damaged)}))


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    members, path = _members(), tmp_path / "m.keras"
    assert "100 times" in _refusal_message(_write_zip(path, {**members, "bomb": bytes(10**7)}))
    assert "10,000" in _refusal_message(
        _write_zip(path, {**members, **{f"m{number}": b"" for number in range(10_001)}})
    )
    assert "outside the archive" in _refusal_message(_write_zip(path, {**members, "../../evil": b"x"}))
    assert "outside the archive" in _refusal_message(_write_zip(path, {**members, "/etc/passwd": b"x"}))
    assert "config.json" in _refusal_message(_write_zip(path, {"other.json": b"{}"}))
    assert "HDF5" in _refusal_message(_write_zip(path, {**members, "model.weights.h5": b"no"}))
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("config.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "link" in _refusal_message(path)


def _refusal_of_edited_weights(tmp_path: Path, change: Any) -> str:
    members = _members()
    buffer = BytesIO(members["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file["layers/dense/vars"])
    return _refusal_message(_write_zip(tmp_path / "m.keras", {**members, "model.weights.h5": buffer.getvalue()}))


def _replace_first_array(value: Any) -> Any:
    def change(group: Any) -> None:
        del group["0"]
        group["0"] = value

    return change


def _compression_bomb(group: Any) -> None:
    del group["0"]
    group.create_dataset("0", (10**6, 10**6), "f4", chunks=(1_000, 1_000), compression="gzip")


def test_hostile_hdf5_weights_are_refused(tmp_path: Path) -> None:
    assert "link" in _refusal_of_edited_weights(tmp_path, _replace_first_array(h5py.ExternalLink("/etc/passwd", "/")))
    assert "link" in _refusal_of_edited_weights(tmp_path, _replace_first_array(h5py.SoftLink("/layers/dense/vars/1")))
    assert "unpack" in _refusal_of_edited_weights(tmp_path, _compression_bomb)
    assert "shape" in _refusal_of_edited_weights(tmp_path, _replace_first_array(np.zeros((3, 3), np.float32)))
    assert "type" in _refusal_of_edited_weights(tmp_path, _replace_first_array(np.array([b"text"])))
    assert "arrays" in _refusal_of_edited_weights(tmp_path, lambda group: group.pop("0"))


def test_many_links_to_one_array_are_refused(tmp_path: Path) -> None:
    def change(group: Any) -> None:
        for number in range(2, 2_000):
            group[str(number)] = group["0"]

    assert "arrays" in _refusal_of_edited_weights(tmp_path, change)


def test_reused_layer_shares_weights_only_for_compatible_shapes(tmp_path: Path) -> None:
    raw = _keras_2_model(
        _input_layer(5, 4),
        _input_layer(7, 4, name="y"),
        ("Conv1D", {"name": "c", "filters": 3, "kernel_size": 2}, [[["x", 0, 0, {}]], [["y", 0, 0, {}]]]),
        ("GlobalMaxPooling1D", {"name": "g"}, [[["c", 0, 0, {}]], [["c", 1, 0, {}]]]),
        ("Subtract", {"name": "s"}, [[["g", 0, 0, {}], ["g", 1, 0, {}]]]),
        outputs=[["s", 0, 0]],
    )
    project = read_keras(_save_json(tmp_path, raw)).project
    assert [node.shares for node in project.main_network.nodes.values() if node.type == "Conv1d"] == [None, "c"]
    raw["config"]["layers"][1]["config"]["batch_input_shape"] = [None, 7, 5]
    assert "shapes" in _refusal_message(_save_json(tmp_path, raw))


def test_other_files_are_not_detected_as_keras(tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    for data in (b"", b"{}", b"PK\x03\x04", b"\x89HDF", b'{"networks": {}}'):
        path.write_bytes(data)
        assert not looks_like_keras(path)
    assert not looks_like_keras(tmp_path / "none")
    assert not looks_like_keras(tmp_path)
    _refusal_message(tmp_path / "none")
    _refusal_message(tmp_path)


def test_hdf5_files_of_keras_2_are_refused_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    h5py.File(path, "w").close()
    with pytest.raises(UnreadableModelError, match=r"an HDF5 file .*as Keras 2.*save\('model.keras'\)"):
        read_model(path)


def test_normalizations_without_a_shift_have_none() -> None:
    imported = read_keras(HERE / "parts.keras")
    norms = [node for node in imported.project.main_network.nodes.values() if node.type.endswith(("Norm", "Norm1d"))]
    assert [node.params.get("bias", True) for node in norms].count(False) == 3
    assert sum("has no scale in Keras" in remark for remark in imported.remarks) == 1


def test_maxima_never_select_the_border(tmp_path: Path) -> None:
    config = {"pool_size": [2, 2], "strides": [1, 1], "padding": "same"}
    path = _save_json(tmp_path, _single_layer_model("MaxPooling2D", config, 3, 4, 2))
    assert torch.equal(module(read_keras(path).project)(torch.full((1, 2, 3, 4), -1e8)), torch.full((1, 2, 3, 4), -1e8))

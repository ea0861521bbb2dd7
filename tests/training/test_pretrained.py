"""Pretrained weights from Hugging Face folders, compared with manual forward passes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as fn

from netloom.compile import module, source
from netloom.compile.importers import UnreadableModelError
from netloom.document import ImageNormalization, Project, apply
from netloom.sandbox import keep_folder
from netloom.store import open_store
from netloom.templates import architectures
from netloom.training import StartError, check_start, starting_from
from netloom.training.pretrained import load_tensors, open_folder, read_folder
from netloom.training.weights.initialization import first_weights, load_start
from tests.cli.conftest import Console
from tests.cli.conftest import console as console

WORDS, DIM, HEADS, HIDDEN, STEPS, DEPTH = 11, 8, 2, 12, 5, 2
Weights = dict[str, Tensor]


def random_weights(shapes: dict[str, tuple[int, ...]]) -> Weights:
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(shape, generator=generator) * 0.4 for name, shape in shapes.items()}


def written(folder: Path, config: dict[str, Any], weights: Weights) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    return folder


def linear_shapes(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm_shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (DIM,), f"{name}.bias": (DIM,)}


def apply_linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return fn.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def apply_layer_norm(weights: Weights, name: str, x: Tensor, epsilon: float) -> Tensor:
    return fn.layer_norm(x, (DIM,), weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon)


def attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """Attention head by head, without PyTorch's attention functions."""
    width, heads = DIM // HEADS, []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        scores = q[..., part] @ k[..., part].transpose(-1, -2) / math.sqrt(width)
        if causal:
            scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -math.inf)
        heads.append(scores.softmax(-1) @ v[..., part])
    return torch.cat(heads, -1)


BERT = {
    "model_type": "bert", "hidden_size": DIM, "num_attention_heads": HEADS, "num_hidden_layers": DEPTH,
    "intermediate_size": HIDDEN, "max_position_embeddings": STEPS, "vocab_size": WORDS, "type_vocab_size": 2,
    "hidden_act": "gelu", "layer_norm_eps": 1e-3,
}  # fmt: skip


def bert_weights(prefix: str = "bert.") -> Weights:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (WORDS, DIM),
        "embeddings.position_embeddings.weight": (STEPS, DIM),
        "embeddings.token_type_embeddings.weight": (2, DIM),
        **norm_shapes("embeddings.LayerNorm"),
        **linear_shapes("pooler.dense", DIM, DIM),
    }
    for number in range(DEPTH):
        at = f"encoder.layer.{number}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= linear_shapes(f"{at}.attention.{name}", DIM, DIM)
        shapes |= norm_shapes(f"{at}.attention.output.LayerNorm") | norm_shapes(f"{at}.output.LayerNorm")
        shapes |= linear_shapes(f"{at}.intermediate.dense", HIDDEN, DIM) | linear_shapes(
            f"{at}.output.dense", DIM, HIDDEN
        )
    return random_weights({prefix + name: shape for name, shape in shapes.items()})


def bert_forward(weights: Weights, ids: Tensor, token_types: Tensor) -> Tensor:
    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.token_type_embeddings.weight"][token_types]
    )
    x = apply_layer_norm(weights, "embeddings.LayerNorm", x + weights["embeddings.position_embeddings.weight"], 1e-3)
    for number in range(DEPTH):
        at = f"encoder.layer.{number}"
        q, k, v = (apply_linear(weights, f"{at}.attention.self.{name}", x) for name in ("query", "key", "value"))
        x = x + apply_linear(weights, f"{at}.attention.output.dense", attention(q, k, v))
        x = apply_layer_norm(weights, f"{at}.attention.output.LayerNorm", x, 1e-3)
        middle = fn.gelu(apply_linear(weights, f"{at}.intermediate.dense", x))
        x = apply_layer_norm(
            weights, f"{at}.output.LayerNorm", x + apply_linear(weights, f"{at}.output.dense", middle), 1e-3
        )
    return apply_linear(weights, "pooler.dense", x[:, 0]).tanh()


GPT2 = {
    "model_type": "gpt2", "n_embd": DIM, "n_head": HEADS, "n_layer": DEPTH, "n_positions": STEPS, "vocab_size": WORDS,
    "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-3,
}  # fmt: skip


def gpt2_weights() -> Weights:
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (WORDS, DIM), "wpe.weight": (STEPS, DIM), **norm_shapes("ln_f")}
    for number in range(DEPTH):
        at = f"h.{number}"
        shapes |= norm_shapes(f"{at}.ln_1") | norm_shapes(f"{at}.ln_2")
        for name, into, out in (
            ("attn.c_attn", DIM, 3 * DIM),
            ("attn.c_proj", DIM, DIM),
            ("mlp.c_fc", DIM, 4 * DIM),
            ("mlp.c_proj", 4 * DIM, DIM),
        ):
            shapes |= {f"{at}.{name}.weight": (into, out), f"{at}.{name}.bias": (out,)}
    return random_weights({f"transformer.{name}": shape for name, shape in shapes.items()})


def gpt2_forward(weights: Weights, ids: Tensor) -> Tensor:
    def conv1d(name: str, x: Tensor) -> Tensor:
        return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = weights["wte.weight"][ids] + weights["wpe.weight"]
    for number in range(DEPTH):
        at = f"h.{number}"
        q, k, v = conv1d(f"{at}.attn.c_attn", apply_layer_norm(weights, f"{at}.ln_1", x, 1e-3)).chunk(3, -1)
        x = x + conv1d(f"{at}.attn.c_proj", attention(q, k, v, causal=True))
        middle = fn.gelu(conv1d(f"{at}.mlp.c_fc", apply_layer_norm(weights, f"{at}.ln_2", x, 1e-3)), approximate="tanh")
        x = x + conv1d(f"{at}.mlp.c_proj", middle)
    return apply_layer_norm(weights, "ln_f", x, 1e-3) @ weights["wte.weight"].T


def without_prefix(weights: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): value for name, value in weights.items()}


def network_output(project: Project, weights: Weights, *batch: Tensor) -> Tensor:
    model = module(project).eval()
    keys = model.load_state_dict(weights, strict=False)
    assert not keys.unexpected_keys
    assert not keys.missing_keys
    with torch.no_grad():
        output: Tensor = model(*batch)
    return output


def token_ids() -> Tensor:
    return torch.randint(0, WORDS, (3, STEPS), generator=torch.Generator().manual_seed(1))


def test_bert_matches_manual_forward(tmp_path: Path) -> None:
    weights = bert_weights()
    imported = read_folder(written(tmp_path / "tiny", BERT, weights))
    token_types = token_ids() % 2
    torch.testing.assert_close(
        network_output(imported.project, imported.weights, token_ids(), token_types),
        bert_forward(without_prefix(weights, "bert."), token_ids(), token_types),
        atol=1e-5,
        rtol=0,
    )
    assert imported.remarks == ()
    assert imported.project.name == "tiny"


def test_gpt2_matches_manual_forward(tmp_path: Path) -> None:
    weights = gpt2_weights()
    imported = read_folder(written(tmp_path / "tiny", GPT2, weights), "Writer")
    torch.testing.assert_close(
        network_output(imported.project, imported.weights, token_ids()),
        gpt2_forward(without_prefix(weights, "transformer."), token_ids()),
        atol=1e-5,
        rtol=0,
    )
    assert imported.project.main_network.nodes["head"].shares == "embedding_1"
    assert imported.project.name == "Writer"


def test_sharded_weights_with_legacy_names_load(tmp_path: Path) -> None:
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in bert_weights().items()
    }
    whole = read_folder(written(tmp_path / "one", BERT, bert_weights()))
    folder = tmp_path / "several"
    folder.mkdir()
    names = sorted(weights)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, tensor_names in parts.items():
        save_file({name: weights[name] for name in tensor_names}, folder / file)
    index = {"weight_map": {name: file for file, tensor_names in parts.items() for name in tensor_names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(BERT))
    imported = read_folder(folder)
    assert imported.weights.keys() == whole.weights.keys()
    assert all(torch.equal(imported.weights[name], whole.weights[name]) for name in whole.weights)


def small_bert(places: int) -> Project:
    """The BERT of the library at test size, with its own node names and for shorter texts."""
    project = architectures()["bert_base"].project
    for network, node, params in (
        ("main", "input_1", {"shape": [places], "vocabulary": WORDS}),
        ("main", "input_2", {"shape": [places]}),
        ("main", "words", {"vocabulary": WORDS, "dim": DIM}),
        ("main", "segments", {"dim": DIM}),
        ("main", "blocks", {"repeat": DEPTH}),
        ("main", "pooler", {"units": 3}),
        ("encoder_layer", "input_1", {"shape": [places, DIM]}),
        ("encoder_layer", "transformerencoderblock_1", {"heads": HEADS, "hidden": HIDDEN}),
    ):
        project = apply(project, {"kind": "set", "network": network, "node": node, "params": params})
    return project


def test_existing_network_loads_matching_tensors_and_reports_others(tmp_path: Path) -> None:
    weights = bert_weights()
    project = small_bert(4)
    loaded = load_tensors(project, open_folder(written(tmp_path / "tiny", BERT, weights)))
    model_weights = module(source(project)).state_dict()
    assert torch.equal(loaded.weights["place.weight"], weights["bert.embeddings.position_embeddings.weight"][:4])
    for name, value in loaded.weights.items():
        assert value.shape == model_weights[name].shape, name
    second = "blocks.1.transformerencoderblock_1.attention.k.weight"
    assert torch.equal(loaded.weights[second], weights["bert.encoder.layer.1.attention.self.key.weight"])
    assert model_weights.keys() - loaded.weights.keys() == {"pooler.weight", "pooler.bias"}
    assert loaded.fit.fresh == ("Linear (pooler) (weight has the shape 8 × 8 in the file and 3 × 8 in the network)",)
    assert loaded.remarks == ("Only the first 4 of 5 positions were loaded.",)


def test_resnet18_loads_all_tensors(tmp_path: Path) -> None:
    project = architectures()["resnet18"].project
    shapes = resnet_shapes()
    loaded = load_tensors(project, open_folder(written(tmp_path, {"model_type": "resnet"}, random_weights(shapes))))
    file_weights = random_weights(shapes)
    for network_name, file_name in (
        ("conv_1.weight", "resnet.embedder.embedder.convolution.weight"),
        ("stage_1.1.conv_2.weight", "resnet.encoder.stages.0.layers.1.layer.1.convolution.weight"),
        ("down_3.conv_3.weight", "resnet.encoder.stages.2.layers.0.shortcut.convolution.weight"),
        ("down_3.norm_3.running_var", "resnet.encoder.stages.2.layers.0.shortcut.normalization.running_var"),
        ("stage_4.norm_1.bias", "resnet.encoder.stages.3.layers.1.layer.0.normalization.bias"),
        ("linear_1.weight", "classifier.1.weight"),
    ):
        assert torch.equal(loaded.weights[network_name], file_weights[file_name]), network_name
    assert loaded.fit.complete


def resnet_shapes() -> dict[str, tuple[int, ...]]:
    """The tensor shapes of ResNet-18, as transformers 5 writes them."""

    def layer(name: str, out: int, into: int, kernel: int) -> dict[str, tuple[int, ...]]:
        norm_tensors = {
            f"{name}.normalization.{part}": (out,) for part in ("weight", "bias", "running_mean", "running_var")
        }
        return {f"{name}.convolution.weight": (out, into, kernel, kernel), **norm_tensors}

    shapes = layer("resnet.embedder.embedder", 64, 3, 7)
    into = 64
    for stage, out in enumerate((64, 128, 256, 512)):
        for number in range(2):
            at = f"resnet.encoder.stages.{stage}.layers.{number}"
            shapes |= layer(f"{at}.layer.0", out, into, 3) | layer(f"{at}.layer.1", out, out, 3)
            if into != out:
                shapes |= layer(f"{at}.shortcut", out, into, 1)
            into = out
    return shapes | linear_shapes("classifier.1", 1_000, 512)


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def rename_to_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def index_outside_folder(folder: Path) -> None:
    remove_weights(folder)
    index = {"weight_map": {"wte.weight": "../other/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def corrupt_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x04K\x01.")


def with_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps(config))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_weights, "There are no weights"),
        (rename_to_pickle, "can contain code"),
        (index_outside_folder, "not a safetensors file of this folder"),
        (corrupt_safetensors, "model.safetensors"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "not contain a JSON object"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (with_config(model_type="mamba"), "'mamba'"),
        (with_config(n_embd=-1), "n_embd"),
        (with_config(activation_function="__import__('os')"), "has the activation"),
        (with_config(scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx"),
    ],
)
def test_unreadable_folder_raises_a_clear_error(tmp_path: Path, damage: Callable[[Path], Any], message: str) -> None:
    folder = written(tmp_path / "tiny", GPT2, gpt2_weights())
    damage(folder)
    with pytest.raises(UnreadableModelError, match=message):
        read_folder(folder)


def test_weights_without_any_match_are_rejected(tmp_path: Path) -> None:
    folder = open_folder(written(tmp_path, GPT2, gpt2_weights()))
    with pytest.raises(StartError, match="None of these weights match"):
        load_tensors(architectures()["lenet5"].project, folder)


def test_command_line_imports_a_folder(tmp_path: Path, console: Console) -> None:
    folder = written(tmp_path / "tiny", GPT2, gpt2_weights())
    value = console("import", folder, "--json").value
    assert value["name"] == "tiny"
    assert value["initial_weights"].startswith("weights:")


def test_run_initializes_from_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, store, project = bert_weights(), open_store(tmp_path / "home"), small_bert(4)
    folder = written(tmp_path / "tiny", BERT, weights)
    start, remarks = keep_folder(store, project, folder)
    assert any("Only the first 4 of 5 positions were loaded." in remark for remark in remarks)
    started = starting_from(project, start)
    fit = check_start(store, started, source(started))
    assert fit is not None
    assert fit.fresh == ("Linear (pooler) (weight is missing)",)
    model = module(source(started))
    load_start(started, model, first_weights(store, start))
    assert torch.equal(model.state_dict()["words.weight"], weights["bert.embeddings.word_embeddings.weight"])


def test_vit_import_reads_normalization_and_reports_dropout(tmp_path: Path) -> None:
    config = {
        "model_type": "vit", "hidden_size": DIM, "image_size": 8, "patch_size": 4, "num_hidden_layers": 1,
        "num_attention_heads": HEADS, "intermediate_size": HIDDEN, "hidden_dropout_prob": 0.1,
    }  # fmt: skip
    shapes = {
        "vit.embeddings.cls_token": (1, 1, DIM),
        "vit.embeddings.position_embeddings": (1, 5, DIM),
        "vit.embeddings.patch_embeddings.projection.weight": (DIM, 3, 4, 4),
        "vit.embeddings.patch_embeddings.projection.bias": (DIM,),
    }
    folder = written(tmp_path / "vit", config, random_weights(shapes))
    imported = read_folder(folder)
    assert imported.project.data.prepare == "scale"
    assert imported.remarks[0].startswith("Inputs: pixels are fed from 0 to 1. The file does not define")
    assert (
        sum("Dropout in training (hidden_dropout_prob 0.1) is not imported" in remark for remark in imported.remarks)
        == 1
    )
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}')
    imported = read_folder(folder)
    assert imported.project.data.prepare == ImageNormalization(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    assert imported.remarks[0] == (
        "Inputs: pixels × 0.00392157, less 0.5, 0.4, 0.3, divided by 0.2, 0.3, 0.4. From the file."
    )
    assert read_folder(folder, prepare="none").project.data.prepare == "none"
    (folder / "preprocessor_config.json").write_text("[]")
    with pytest.raises(UnreadableModelError, match=r"preprocessor_config.json does not contain"):
        read_folder(folder)

"""Families of the `transformers` package with tiny configurations and random weights."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from netloom.cli.bench.imports.case import ImportCase, ImportSuite
from netloom.cli.bench.imports.modules import as_module_case

if TYPE_CHECKING:
    import torch
    from torch import nn

Inputs = Literal["tokens", "image", "audio", "spectrogram", "translation", "image and tokens"]
_VOCABULARY, _STEPS, _SIDE = 99, 12, 32
# Names of the same size in different families; each configuration takes those that it knows.
_TINY: dict[str, Any] = {
    "vocab_size": _VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64, "max_position_embeddings": 64, "type_vocab_size": 2, "embedding_size": 16, "num_labels": 3,
    "image_size": _SIDE, "patch_size": 8, "use_cache": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A family by the prefix of its classes, the suffix of the model class, its inputs, and settings of its own."""

    prefix: str
    head: str
    inputs: Inputs = "tokens"
    settings: dict[str, Any] = field(default_factory=dict)


_WORDS, _NEXT, _MASKED = "ForSequenceClassification", "ForCausalLM", "ForMaskedLM"
_IMAGES = "ForImageClassification"
_HALF = {"num_key_value_heads": 2, "head_dim": 8}
_SEQ2SEQ = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "decoder_start_token_id": 1,
}  # fmt: skip
_SPEECH = {
    "conv_dim": (16, 16), "conv_stride": (4, 4), "conv_kernel": (8, 4), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
_MEL = {"num_mel_bins": 16, "max_source_positions": 20, "max_target_positions": 64}
_SWIN = {"patch_size": 2, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
_SEGFORMER = {
    "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 4],
    "decoder_hidden_size": 16,
}  # fmt: skip
FAMILIES = (
    Family("Bert", _MASKED),
    Family("Roberta", _WORDS),
    Family("DistilBert", _WORDS, settings={"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}),
    Family("Albert", _MASKED),
    Family("Electra", _WORDS),
    Family("MobileBert", _WORDS, settings={"intra_bottleneck_size": 16, "num_feedforward_networks": 2}),
    Family("DebertaV2", _WORDS, settings={"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    Family("MPNet", _WORDS),
    Family("XLMRoberta", _WORDS),
    Family("SqueezeBert", _WORDS, settings={"embedding_size": 32}),
    Family("ConvBert", _WORDS, settings={"conv_kernel_size": 3}),
    Family("FNet", _WORDS),
    Family("GPT2", "LMHeadModel", settings={"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    Family("GPTNeo", _NEXT, settings={"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}),
    Family("GPTNeoX", _NEXT),
    Family("GPTJ", _NEXT, settings={"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4}),
    Family("OPT", _NEXT, settings={"ffn_dim": 64, "word_embed_proj_dim": 32}),
    Family("Bloom", _NEXT, settings={"n_layer": 2, "n_head": 4}),
    Family("Llama", _NEXT, settings=_HALF),
    Family("Mistral", _NEXT, settings=_HALF),
    Family("Qwen2", _NEXT, settings=_HALF),
    Family("Qwen3", _NEXT, settings=_HALF),
    Family("Phi", _NEXT),
    Family("Gemma", _NEXT, settings=_HALF),
    Family("Gemma2", _NEXT, settings=_HALF),
    Family("Falcon", _NEXT, settings={"num_kv_heads": 1}),
    Family("StableLm", _NEXT, settings={"num_key_value_heads": 2}),
    Family("Olmo2", _NEXT),
    Family(
        "T5",
        "ForConditionalGeneration",
        "translation",
        {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0},
    ),
    Family("Bart", "ForConditionalGeneration", "translation", _SEQ2SEQ),
    Family("Marian", "MTModel", "translation", _SEQ2SEQ),
    Family(
        "Whisper",
        "ForConditionalGeneration",
        "spectrogram",
        _SEQ2SEQ | _MEL,
    ),
    Family("Mamba", _NEXT, settings={"state_size": 4}),
    Family("ViT", _IMAGES, "image"),
    Family("DeiT", _IMAGES, "image"),
    Family("Beit", _IMAGES, "image"),
    Family(
        "Swin",
        _IMAGES,
        "image",
        _SWIN,
    ),
    Family("ConvNext", _IMAGES, "image", {"hidden_sizes": [16, 32], "depths": [2, 2], "num_stages": 2}),
    Family("ResNet", _IMAGES, "image", {"hidden_sizes": [16, 32], "depths": [2, 2], "embedding_size": 16}),
    Family(
        "Segformer",
        "ForSemanticSegmentation",
        "image",
        {
            "hidden_sizes": [8, 16, 24, 32],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 4],
            "decoder_hidden_size": 16,
        },
    ),
    Family("Wav2Vec2", "ForSequenceClassification", "audio", _SPEECH | {"classifier_proj_size": 16}),
    Family("CLIPVision", "ModelWithProjection", "image", {"projection_dim": 16}),
)


def transformers_cases() -> list[ImportCase]:
    """Return one model of each family."""
    return [as_module_case(family.prefix, partial(_make, family)) for family in FAMILIES]


def _make(family: Family) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    from netloom.cli.bench.imports.torchvision_models import torchvision_models

    with suppress(ImportError):
        torchvision_models()  # transformers imports it if it is installed
    torch.manual_seed(0)
    import transformers

    config_class = getattr(transformers, f"{family.prefix}Config")
    model_class = getattr(transformers, f"{family.prefix}{family.head}")
    known = vars(config_class())
    attributes = getattr(config_class, "attribute_map", {})
    tiny = {key: value for key, value in _TINY.items() if key in known and key not in attributes}
    config = config_class(**(tiny | family.settings))
    inputs = _inputs(family.inputs)
    return _with_positional_inputs(model_class(config).eval(), tuple(inputs)), tuple(inputs.values())


def _inputs(kind: Inputs) -> dict[str, torch.Tensor]:
    import torch

    tokens = torch.randint(3, _VOCABULARY, (2, _STEPS))
    if kind == "image":
        return {"pixel_values": torch.randn(2, 3, _SIDE, _SIDE)}
    if kind == "audio":
        return {"input_values": torch.randn(2, 1600)}
    if kind == "spectrogram":
        return {"input_features": torch.randn(2, 16, 40), "decoder_input_ids": tokens}
    if kind == "translation":
        return {"input_ids": tokens, "decoder_input_ids": tokens.flip(1)[:, 2:]}
    return {"input_ids": tokens}


def _with_positional_inputs(model: nn.Module, names: tuple[str, ...]) -> nn.Module:
    """The model as a module with positional inputs and its first output, which are the logits."""
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> Any:
            return self.model(**dict(zip(names, inputs, strict=True)), return_dict=True)[0]

    return Model()


TRANSFORMERS = ImportSuite(
    "transformers", "transformers: families with tiny configurations", "transformers", 0.8, transformers_cases
)

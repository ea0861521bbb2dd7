"""Families of the `timm` package, the smallest network of each, with random weights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netloom.cli.bench.imports.case import ImportCase, ImportSuite
from netloom.cli.bench.imports.modules import as_module_case

if TYPE_CHECKING:
    import torch
    from torch import nn

_SIDE = 64
# These networks need larger images.
_SIDES = {"inception_v4": 96}
MODELS = (
    "beit_base_patch16_224 cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32 convnext_atto crossvit_9_240 "
    "cs3darknet_s davit_tiny deit_tiny_patch16_224 densenet121 dla34 dm_nfnet_f0 dpn48b edgenext_xx_small "
    "efficientnet_lite0 efficientvit_b0 eva02_tiny_patch14_224 fastvit_t8 ghostnet_050 hardcorenas_a hgnetv2_b0 "
    "hrnet_w18_small inception_v4 levit_128s mixer_s16_224 mnasnet_small mobilenetv3_small_050 mobilevit_xxs "
    "mobilevitv2_050 nasnetalarge nest_tiny pit_ti_224 poolformer_s12 pvt_v2_b0 regnetx_002 repvgg_a0 res2net50_14w_8s "
    "rexnet_100 sequencer2d_s swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 tiny_vit_5m_224 tnt_s_patch16_224 "
    "twins_svt_small vgg11 vit_tiny_patch16_224 volo_d1_224 xception41 xcit_nano_12_p16_224"
).split()


def timm_cases() -> list[ImportCase]:
    """Return one network of each family."""
    return [as_module_case(name, partial(_make, name)) for name in MODELS]


def _make(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    import torch

    from netloom.cli.bench.imports.torchvision_models import torchvision_models

    torchvision_models()  # timm imports it
    import timm

    torch.manual_seed(0)
    settings = timm.get_pretrained_cfg(name)
    side = settings.input_size[-1] if settings is not None and settings.fixed_input_size else _SIDES.get(name, _SIDE)
    return timm.create_model(name, pretrained=False, num_classes=10).eval(), (torch.randn(2, 3, side, side),)


TIMM = ImportSuite("timm", "timm: one network of each family", "timm", 0.8, timm_cases)

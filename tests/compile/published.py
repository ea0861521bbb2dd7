"""Documents of networks with published parameter counts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from netloom.document import Project, apply
from tests.networks import network, networks

Step = tuple[str, dict[str, Any]]
OUT: Step = ("Output", {})
RELU: Step = ("ReLU", {})
NORM: Step = ("BatchNorm2d", {})


def _conv(filters: object, size: int = 3, stride: int = 1) -> Step:
    params = {"filters": filters, "kernel_size": size, "stride": stride, "padding": size // 2, "bias": False}
    return "Conv2d", params


def resnet18() -> Project:
    """He et al. 2015, as torchvision counts it."""
    image: Step = ("Input", {"kind": "image", "shape": [64, 56, 56]})
    branch = {"conv_1": _conv("width"), "norm_1": NORM, "relu_1": RELU, "conv_2": _conv("width"), "norm_2": NORM}
    merge = {"add_1": ("Add", {}), "relu_2": RELU, "output_1": OUT}
    path = [*pairwise(["input_1", *branch, "add_1.a"]), *pairwise(merge)]
    basic = network({"input_1": image, **branch, **merge}, [*path, ("input_1", "add_1.b")], width=64)
    side = {"conv_3": _conv("width", 1, 2), "norm_3": NORM}
    down = network(
        {"input_1": image, **branch, "conv_1": _conv("width", 3, 2), **side, **merge},
        [*path, *pairwise(["input_1", *side, "add_1.b"])],
        width=128,
    )
    nodes: dict[str, Step] = {
        "input_1": ("Input", {"kind": "image", "shape": [3, 224, 224]}),
        "conv_1": _conv(64, 7, 2),
        "norm_1": NORM,
        "relu_1": RELU,
        "pool_1": ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}),
        "stage_1": ("Subnetwork", {"network": "basic", "repeat": 2}),
    }
    for stage, width in enumerate((128, 256, 512), 2):
        nodes[f"down_{stage}"] = ("Subnetwork", {"network": "down", "values": {"width": width}})
        nodes[f"stage_{stage}"] = ("Subnetwork", {"network": "basic", "values": {"width": width}})
    nodes |= {"pool_2": ("GlobalAvgPool", {}), "linear_1": ("Linear", {"units": 1000}), "output_1": OUT}
    return networks(main=network(nodes), basic=basic, down=down)


def gpt2(width: int = 768, depth: int = 12, heads: int = 12, vocabulary: int = 50_257, steps: int = 1_024) -> Project:
    """Radford et al. 2019, with tied embedding weights."""
    block = network(
        {
            "input_1": ("Input", {"kind": "sequence", "shape": [steps, width]}),
            "attend": ("TransformerEncoderBlock", {"heads": heads, "hidden": "size(2) * 4", "causal": True}),
            "output_1": OUT,
        }
    )
    main = network(
        {
            "input_1": ("Input", {"kind": "tokens", "shape": [steps], "vocabulary": vocabulary}),
            "embedding_1": ("Embedding", {"vocabulary": vocabulary, "dim": width}),
            "place": ("PositionalEmbedding", {}),
            "blocks": ("Subnetwork", {"network": "block", "repeat": depth}),
            "norm": ("LayerNorm", {}),
            "head": ("Linear", {"units": vocabulary, "bias": False}),
            "output_1": OUT,
        }
    )
    project = apply(networks(main=main, block=block), {"kind": "update", "node": "head", "shares": "embedding_1"})
    return apply(project, {"kind": "project", "training": {"batch_size": 1}})

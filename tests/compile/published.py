"""Networks whose sizes are published, drawn as documents."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from builder.graph import Project, apply
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
    way = {"conv_1": _conv("width"), "norm_1": NORM, "relu_1": RELU, "conv_2": _conv("width"), "norm_2": NORM}
    end = {"add_1": ("Add", {}), "relu_2": RELU, "output_1": OUT}
    path = [*pairwise(["input_1", *way, "add_1.a"]), *pairwise(end)]
    basic = network({"input_1": image, **way, **end}, [*path, ("input_1", "add_1.b")], width=64)
    side = {"conv_3": _conv("width", 1, 2), "norm_3": NORM}
    down = network(
        {"input_1": image, **way, "conv_1": _conv("width", 3, 2), **side, **end},
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
    """Radford et al. 2019, with its tied embedding."""
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


def _image(*shape: int) -> Step:
    return "Input", {"kind": "image", "shape": list(shape)}


def _sub(name: str, repeat: int = 1, **values: object) -> Step:
    params = {"network": name, **({"repeat": repeat} if repeat > 1 else {}), **({"values": values} if values else {})}
    return "Subnetwork", params


def _plain(filters: int, size: int = 3, stride: int = 1, padding: int | None = None) -> Step:
    padding = size // 2 if padding is None else padding
    return "Conv2d", {"filters": filters, "kernel_size": size, "stride": stride, "padding": padding}


def _pool(size: int = 2, stride: int = 2, kind: str = "MaxPool2d") -> Step:
    return kind, {"kernel_size": size, "stride": stride}


def _linear(units: int) -> Step:
    return "Linear", {"units": units}


def _numbered(*steps: Step) -> dict[str, Step]:
    """Steps by ids of the form conv2d_1."""
    found: dict[str, Step] = {}
    for kind, params in steps:
        base = str(params.get("network", kind)).lower()
        found[f"{base}_{sum(name.rpartition('_')[0] == base for name in found) + 1}"] = (kind, params)
    return found


def lenet5() -> Project:
    """LeCun et al. 1998, with full connections between the convolutions."""
    tanh: Step = ("Tanh", {})
    pool = _pool(kind="AvgPool2d")
    parts: tuple[Step, ...] = (
        _plain(6, 5),
        tanh,
        pool,
        _plain(16, 5, 1, 0),
        tanh,
        pool,
        ("Flatten", {}),
        _linear(120),
        tanh,
    )
    return networks(main=network(_numbered(_image(1, 28, 28), *parts, _linear(84), tanh, _linear(10), OUT)))


def alexnet() -> Project:
    """Krizhevsky 2014, as torchvision has it."""
    pool = _pool(3)
    features = (_plain(64, 11, 4, 2), RELU, pool, _plain(192, 5), RELU, pool, _plain(384), RELU, _plain(256), RELU)
    drop: Step = ("Dropout", {"rate": 0.5})
    head = (drop, _linear(4096), RELU, drop, _linear(4096), RELU, _linear(1000))
    rest: tuple[Step, ...] = (_plain(256), RELU, pool, ("AdaptiveAvgPool2d", {"size": 6}), ("Flatten", {}))
    return networks(main=network(_numbered(_image(3, 224, 224), *features, *rest, *head, OUT)))


def vgg16() -> Project:
    """Simonyan & Zisserman 2014, configuration D."""
    steps: list[Step] = []
    for width, times in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        steps += [_plain(width), RELU] * times + [_pool()]
    head: tuple[Step, ...] = (("Flatten", {}), _linear(4096), RELU, _linear(4096), RELU, _linear(1000))
    return networks(main=network(_numbered(_image(3, 224, 224), *steps, *head, OUT)))


def resnet50() -> Project:
    """He et al. 2015, with the stride in the 3×3 convolution, as torchvision has it."""
    convs = {
        "conv_1": _conv("width", 1),
        "norm_1": NORM,
        "relu_1": RELU,
        "conv_2": _conv("width", 3, 1),
        "norm_2": NORM,
        "relu_2": RELU,
        "conv_3": _conv("width * 4", 1),
        "norm_3": NORM,
    }
    end = {"add_1": ("Add", {}), "relu_3": RELU, "output_1": OUT}
    path = [*pairwise(["input_1", *convs, "add_1.a"]), *pairwise(end)]
    image = _image(256, 56, 56)
    same = network({"input_1": image, **convs, **end}, [*path, ("input_1", "add_1.b")], width=64)
    strided = ("Conv2d", {"filters": "width", "stride": "stride", "bias": False})
    side = {
        "conv_4": (
            "Conv2d",
            {"filters": "width * 4", "kernel_size": 1, "padding": 0, "stride": "stride", "bias": False},
        ),
        "norm_4": NORM,
    }
    first = network(
        {"input_1": image, **convs, "conv_2": strided, **side, **end},
        [*path, *pairwise(["input_1", *side, "add_1.b"])],
        width=64,
        stride=1,
    )
    steps: list[Step] = [_image(3, 224, 224), _conv(64, 7, 2), NORM, RELU]
    steps.append(("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}))
    for width, times, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        steps += [_sub("first", width=width, stride=stride), _sub("same", times - 1, width=width)]
    steps += [("GlobalAvgPool", {}), _linear(1000), OUT]
    return networks(main=network(_numbered(*steps)), first=first, same=same)


def mobilenet_v2() -> Project:
    """Sandler et al. 2018, as torchvision has it."""
    relu6: Step = ("ReLU6", {})
    wide: dict[str, Step] = {"conv_1": _conv("size(1) * expand", 1), "norm_1": NORM, "relu_1": relu6}
    deep: Step = ("Conv2d", {"filters": "size(1)", "stride": "stride", "groups": "size(1)", "bias": False})
    rest: dict[str, Step] = {
        "conv_2": deep,
        "norm_2": NORM,
        "relu_2": relu6,
        "conv_3": _conv("width", 1),
        "norm_3": NORM,
    }
    image = _image(32, 112, 112)
    inverted = network({"input_1": image, **wide, **rest, "output_1": OUT}, width=16, stride=1, expand=6)
    slim = network({"input_1": image, **rest, "output_1": OUT}, width=16, stride=1)
    skip = network(
        {"input_1": image, "inside": _sub("inverted", width="size(1)"), "add_1": ("Add", {}), "output_1": OUT},
        [("input_1", "inside"), ("inside", "add_1.a"), ("input_1", "add_1.b"), ("add_1", "output_1")],
    )
    steps: list[Step] = [_image(3, 224, 224), _conv(32, 3, 2), NORM, relu6, _sub("slim", width=16)]
    for width, times, stride in ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)):
        steps.append(_sub("inverted", width=width, stride=stride))
        if times > 1:
            steps.append(_sub("skip", times - 1))
    steps += [_conv(1280, 1), NORM, relu6, ("GlobalAvgPool", {}), ("Dropout", {"rate": 0.2}), _linear(1000), OUT]
    return networks(main=network(_numbered(*steps)), inverted=inverted, slim=slim, skip=skip)


def densenet121() -> Project:
    """Huang et al. 2016."""
    image = _image(64, 56, 56)
    inner: dict[str, Step] = {
        "norm_1": NORM,
        "relu_1": RELU,
        "conv_1": _conv(128, 1),
        "norm_2": NORM,
        "relu_2": RELU,
        "conv_2": _conv(32),
    }
    dense = network(
        {"input_1": image, **inner, "concat_1": ("Concat", {}), "output_1": OUT},
        [*pairwise(["input_1", *inner, "concat_1.b"]), ("input_1", "concat_1.a"), ("concat_1", "output_1")],
    )
    half: Step = ("Conv2d", {"filters": "size(1) // 2", "kernel_size": 1, "padding": 0, "bias": False})
    transition = network(_numbered(image, NORM, RELU, half, _pool(kind="AvgPool2d"), OUT))
    pool: Step = ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1})
    steps: list[Step] = [_image(3, 224, 224), _conv(64, 7, 2), NORM, RELU, pool]
    for place, layers in enumerate((6, 12, 24, 16)):
        steps += [_sub("transition")] if place else []
        steps += [_sub("dense")] * layers
    steps += [NORM, RELU, ("GlobalAvgPool", {}), _linear(1000), OUT]
    return networks(main=network(_numbered(*steps)), dense=dense, transition=transition)


def vit_b16() -> Project:
    """Dosovitskiy et al. 2020, as torchvision has it."""
    block = network(
        _numbered(
            ("Input", {"kind": "sequence", "shape": [197, 768]}),
            ("TransformerEncoderBlock", {"heads": 12, "hidden": 3072}),
            OUT,
        )
    )
    patches: Step = ("PatchEmbedding", {"patch": 16, "dim": 768, "class_token": True})
    first: Step = ("Select", {"axis": 1, "index": 0})
    steps: tuple[Step, ...] = (
        _image(3, 224, 224),
        patches,
        ("PositionalEmbedding", {}),
        _sub("block", 12),
        ("LayerNorm", {}),
        first,
        _linear(1000),
        OUT,
    )
    return networks(main=network(_numbered(*steps)), block=block)


def bert_base() -> Project:
    """Devlin et al. 2018, uncased, with its pooler."""
    block = network(
        _numbered(
            ("Input", {"kind": "sequence", "shape": [512, 768]}),
            ("TransformerEncoderBlock", {"heads": 12, "hidden": 3072, "norm_first": False}),
            OUT,
        )
    )
    tokens = {"kind": "tokens", "shape": [512]}
    nodes: dict[str, Step] = {
        "input_1": ("Input", {**tokens, "vocabulary": 30_522}),
        "input_2": ("Input", {**tokens, "vocabulary": 2}),
        "words": ("Embedding", {"vocabulary": 30_522, "dim": 768}),
        "segments": ("Embedding", {"vocabulary": 2, "dim": 768}),
        "place": ("PositionalEmbedding", {}),
        "add_1": ("Add", {}),
        "norm_1": ("LayerNorm", {}),
        "blocks": _sub("block", 12),
        "first": ("Select", {"axis": 1, "index": 0}),
        "pooler": _linear(768),
        "tanh_1": ("Tanh", {}),
        "output_1": OUT,
    }
    edges = [("input_1", "words"), ("words", "place"), ("place", "add_1.a"), ("input_2", "segments")]
    edges += [("segments", "add_1.b"), *pairwise(list(nodes)[5:])]
    project = networks(main=network(nodes, edges), block=block)
    return apply(project, {"kind": "project", "training": {"batch_size": 1}})


def dcgan_generator() -> Project:
    """Radford et al. 2015, for 64×64 pictures, with 64 filters at the end."""

    def up(filters: int, stride: int = 2, padding: int = 1) -> Step:
        size = {"kernel_size": 4, "stride": stride, "padding": padding}
        return "ConvTranspose2d", {"filters": filters, **size, "bias": False}

    steps = (_image(100, 1, 1), up(512, 1, 0), NORM, RELU, up(256), NORM, RELU, up(128), NORM, RELU, up(64), NORM, RELU)
    return networks(main=network(_numbered(*steps, up(3), ("Tanh", {}), OUT)))


def dcgan_discriminator() -> Project:
    """Radford et al. 2015, for 64×64 pictures."""

    def down(filters: int, stride: int = 2, padding: int = 1) -> Step:
        size = {"kernel_size": 4, "stride": stride, "padding": padding}
        return "Conv2d", {"filters": filters, **size, "bias": False}

    leaky: Step = ("LeakyReLU", {"slope": 0.2})
    steps = (_image(3, 64, 64), down(64), leaky, down(128), NORM, leaky, down(256), NORM, leaky, down(512), NORM, leaky)
    return networks(main=network(_numbered(*steps, down(1, 1, 0), ("Sigmoid", {}), OUT)))


# The published numbers of parameters: the papers', torchvision's, transformers' and PyTorch's DCGAN tutorial's.
PUBLISHED = {
    "LeNet-5": (lenet5, 61_706),
    "AlexNet": (alexnet, 61_100_840),
    "VGG-16": (vgg16, 138_357_544),
    "ResNet-18": (resnet18, 11_689_512),
    "ResNet-50": (resnet50, 25_557_032),
    "MobileNetV2": (mobilenet_v2, 3_504_872),
    "DenseNet-121": (densenet121, 7_978_856),
    "ViT-B/16": (vit_b16, 86_567_656),
    "GPT-2 small": (gpt2, 124_439_808),
    "BERT-base": (bert_base, 109_482_240),
    "DCGAN generator": (dcgan_generator, 3_576_704),
    "DCGAN discriminator": (dcgan_discriminator, 2_765_568),
}

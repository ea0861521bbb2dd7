"""The published architectures have exactly the published parameter counts, without allocating any weights."""

from __future__ import annotations

import time
from importlib import import_module

import pytest
import torch

from netloom.compile import module
from netloom.core.torch_internals import COMPILER
from netloom.document import dumps, loads
from netloom.layers import registry
from netloom.templates import architectures
from netloom.validation import analyze

# From the papers, torchvision, transformers and PyTorch's DCGAN tutorial.
PUBLISHED = {
    "lenet5": 61_706,
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "mobilenet_v2": 3_504_872,
    "densenet121": 7_978_856,
    "vit_b16": 86_567_656,
    "gpt2": 124_439_808,
    "bert_base": 109_482_240,
    "dcgan_generator": 3_576_704,
    "dcgan_discriminator": 2_765_568,
}


def test_architectures_report_the_published_parameter_counts() -> None:
    assert {name: architecture.parameters for name, architecture in architectures().items()} == PUBLISHED


# BERT has the layers of GPT-2.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name == "bert_base" else name for name in PUBLISHED]
)
def test_architecture_builds_with_the_published_parameter_count(name: str) -> None:
    project = architectures()[name].project
    registry()  # loaded first, like the compiler, so that only the analysis is timed
    import_module(COMPILER)
    start = time.process_time()
    analysis = analyze(project)
    seconds = time.process_time() - start
    assert not analysis.errors
    assert analysis.totals.parameters == PUBLISHED[name]
    assert seconds <= 2.0
    assert loads(dumps(project)) == project
    with torch.device("meta"):
        built = module(project)
    assert sum(parameter.numel() for parameter in built.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_layers_have_distinct_positions(name: str) -> None:
    for network in architectures()[name].project.networks.values():
        positions = [node.at for node in network.nodes.values()]
        assert len(set(positions)) == len(positions)

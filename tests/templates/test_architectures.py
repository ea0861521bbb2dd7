"""The published architectures have exactly the published numbers of parameters, and are known before a byte is used."""

from __future__ import annotations

import time

import pytest
import torch

from netloom.compile import module
from netloom.document import dumps, loads
from netloom.layers import registry
from netloom.templates import architectures
from netloom.validation import analyse

# The papers', torchvision's, transformers' and PyTorch's DCGAN tutorial's.
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


def test_all_are_here() -> None:
    assert {name: found.parameters for name, found in architectures().items()} == PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    project = architectures()[name].project
    registry()  # what is measured is the check alone
    start = time.process_time()
    analysis = analyse(project)
    took = time.process_time() - start
    assert not analysis.errors
    assert analysis.totals.parameters == PUBLISHED[name]
    assert took <= 2.0
    assert loads(dumps(project)) == project
    with torch.device("meta"):
        built = module(project)
    assert sum(parameter.numel() for parameter in built.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_two_layers_lie_on_each_other(name: str) -> None:
    for network in architectures()[name].project.networks.values():
        places = [node.at for node in network.nodes.values()]
        assert len(set(places)) == len(places)

"""The built-in blocks: free of errors, of their published size, and trainable in any network."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

import pytest
import torch
from torch import nn

from netloom.compile import module
from netloom.document import Project, apply, dumps, loads, to_json
from netloom.explain.plots.graph_geometry import HEIGHT, WIDTH
from netloom.tasks import tasks
from netloom.templates import templates
from netloom.templates.shelf import blocks, summary
from netloom.validation import analyze
from tests.networks import network, networks

# By block: its number of weights for `c` channels or a width of `c`, with default parameters.
FORMULAS: dict[str, Callable[[int], int]] = {
    "conv_block": lambda c: 9 * c * 32 + 2 * 32,
    "residual_block": lambda c: 2 * (9 * c * c + 2 * c),  # 73,984 for 64: torchvision's BasicBlock
    "residual_down": lambda c: 9 * c * 128 + 9 * 128**2 + c * 128 + 6 * 128,  # 230,144 for 64: resnet18's layer2.0
    "bottleneck": lambda c: 2 * c * (c // 4) + 9 * (c // 4) ** 2 + c + 2 * c,  # 70,400 for 256: resnet50's layer1.1
    "inverted_residual": lambda c: 2 * 6 * c * c + 9 * 6 * c + 4 * 6 * c + 2 * c,  # 8,832 for 24: MobileNetV2
    "squeeze_excite": lambda c: 2 * c * (c // 16) + c // 16 + c,
    "unet_down": lambda c: 9 * c * 32 + 9 * 32 * 32 + 4 * 32,
    "unet_up": lambda c: 4 * c * 32 + 32 + 9 * (32 + 32) * 32 + 9 * 32 * 32 + 4 * 32,
    "encoder_layer": lambda c: 12 * c * c + 13 * c,  # 7,087,872 for 768: a block of GPT-2
    "decoder_layer": lambda c: 16 * c * c + 19 * c,
    "gated_mlp": lambda c: 3 * c * 4 * c,
    "recurrent_cell": lambda c: 2 * 32 * (c + 1) + 2 * 32**2,
}
PUBLISHED = {
    "residual_block": (64, 73_984),
    "residual_down": (64, 230_144),
    "bottleneck": (256, 70_400),
    "inverted_residual": (24, 8_832),
    "encoder_layer": (768, 7_087_872),
}


def with_width(bundle: Project, width: int) -> Project:
    """The block with another width of its first input: the channels of an image, or the features of a sequence."""
    shape = list(bundle.main_network.nodes["input_1"].params["shape"])  # type: ignore[arg-type]
    shape[0 if len(shape) == 3 else 1] = width
    project = apply(bundle, {"kind": "set", "node": "input_1", "params": {"shape": shape}})
    if bundle.main == "decoder_layer":
        return apply(project, {"kind": "set", "node": "input_2", "params": {"shape": [20, width]}})
    return project


def test_every_block_is_complete_and_has_a_size_formula() -> None:
    assert list(FORMULAS) == list(blocks())
    for block in blocks().values():
        assert block.bundle.main == block.name
        assert loads(dumps(block.bundle)) == block.bundle
        assert block.summary
        assert block.url.startswith("https://")


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("width", [32, 96])
def test_block_size_matches_its_formula(name: str, width: int) -> None:
    analysis = analyze(with_width(blocks()[name].bundle, width))
    assert not analysis.issues
    assert analysis.totals.parameters == FORMULAS[name](width)


@pytest.mark.parametrize("name", PUBLISHED)
def test_formulas_and_blocks_give_the_published_sizes(name: str) -> None:
    width, count = PUBLISHED[name]
    assert FORMULAS[name](width) == count
    assert analyze(with_width(blocks()[name].bundle, width)).totals.parameters == count


@pytest.mark.parametrize(
    ("name", "theirs"), [("encoder_layer", nn.TransformerEncoderLayer), ("decoder_layer", nn.TransformerDecoderLayer)]
)
def test_transformer_formulas_match_pytorch(name: str, theirs: Callable[..., nn.Module]) -> None:
    layer = theirs(64, 4, 256)
    assert FORMULAS[name](64) == sum(weight.numel() for weight in layer.parameters())


@pytest.mark.parametrize("name", FORMULAS)
def test_training_step_changes_every_weight(name: str) -> None:
    bundle = blocks()[name].bundle
    torch.manual_seed(0)
    built = module(bundle).train()
    inputs = [
        torch.randn(2, *node.params["shape"])  # type: ignore[misc]
        for key, node in sorted(bundle.main_network.nodes.items())
        if node.type == "Input"
    ]
    before = [weight.detach().clone() for weight in built.parameters()]
    optimizer = torch.optim.Adam(built.parameters(), lr=0.01)
    output = built(*inputs)
    outputs = output if isinstance(output, tuple) else tuple(output.values()) if isinstance(output, dict) else (output,)
    loss = torch.stack([(part * torch.randn_like(part)).mean() for part in outputs]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, built.parameters(), strict=True))


@pytest.mark.parametrize(("name", "value"), [("conv_block", 48), ("residual_down", 48), ("unet_down", 48)])
def test_block_parameters_can_be_set_where_it_is_used(name: str, value: int) -> None:
    bundle = blocks()[name].bundle
    outside = network(
        {
            "input_1": ("Input", {"kind": "image", "shape": [16, 8, 8]}),
            "block": ("Subnetwork", {"network": name, "values": {"width": value}}),
            "output_1": ("Output", {}),
        }
    )
    project = apply(networks(main=outside), {"kind": "insert_networks", "bundle": to_json(bundle)})
    analysis = analyze(project)
    assert not analysis.errors
    assert analysis.nodes["block"].outputs["out"].shape[1] == value


def test_summary_lists_ports_parameters_and_size() -> None:
    block_summary = summary(blocks()["unet_up"].bundle)
    assert (block_summary["inputs"], block_summary["outputs"]) == (["input_1", "input_2"], ["output_1"])
    assert (block_summary["parameters"], block_summary["size"]) == ({"width": 32}, FORMULAS["unet_up"](64))
    broken = apply(
        blocks()["unet_up"].bundle, {"kind": "set", "node": "input_1", "params": {"kind": "vector", "shape": [3]}}
    )
    assert summary(broken)["size"] is None


def test_template_nodes_do_not_overlap() -> None:
    for template in templates().values():
        for shown_network in template.project.networks.values():
            positions = [node.at for node in shown_network.nodes.values()]
            for index, (x, y) in enumerate(positions):
                for other in positions[index + 1 :]:
                    # A network without any node positions gets its layout when it is drawn.
                    apart = abs(x - other[0]) >= WIDTH or abs(y - other[1]) >= HEIGHT + 8
                    assert apart or len(set(positions)) == 1, (template.project.name, (x, y), other)


def test_tasks_name_the_layer_by_which_most_of_their_templates_make_a_vector_of_an_image() -> None:
    used: dict[str, Counter[str]] = defaultdict(Counter)
    for template in templates().values():
        types = [node.type for node in template.project.main_network.nodes.values()]
        if "Conv2d" in types:
            used[template.project.training.objective].update(set(types) & {"Flatten", "GlobalAvgPool", "GlobalMaxPool"})
    most = {name: counts.most_common(1)[0][0] for name, counts in used.items() if counts}
    assert most == {name: tasks()[name].image_to_vector for name in most}
